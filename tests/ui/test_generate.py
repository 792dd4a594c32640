"""From the prompt to the picture, through the window's own controls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest

from gui.coreml.defaults import fill_defaults
from gui.coreml.model import Family, UNetKind
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRequest, described_fields, value_of
from gui.start_image import Outpaint
from gui.state.draft import SEED, Draft
from gui.state.draft_requests import suited
from gui.state.model_entry import ModelEntry
from tests.support.pictures import picture
from tests.ui.conftest import make_info

LEFT = Qt.MouseButton.LeftButton
SEEDS = (SEED, "variation_seed")
OF_SOME = ("image_guidance_scale",)
"""Shown for models of one kind alone."""
"""Fields with a row of their own."""


def type_prompt(workspace, text="a lighthouse in fog"):
    workspace.prompt_panel.prompt.edit.clear()
    QTest.keyClicks(workspace.prompt_panel.prompt.edit, text)


def press_generate(workspace):
    QTest.mouseClick(workspace.prompt_panel.generate, LEFT)


def test_generate_sends_what_the_panel_says(workspace, queue):
    panel = workspace.prompt_panel
    type_prompt(workspace, "a boat")
    QTest.keyClicks(panel.negative.edit, "people")
    panel.controls["steps"].input.spin.setValue(31)
    panel.controls["guidance_scale"].input.spin.setValue(6.5)
    panel.controls["count"].input.spin.setValue(3)
    panel.scheduler.setCurrentText("Euler a")
    press_generate(workspace)
    request = queue.last.request
    assert (request.prompt, request.negative_prompt) == ("a boat", "people")
    assert (request.steps, request.guidance_scale, request.count) == (31, 6.5, 3)
    assert request.scheduler == "Euler a"
    assert request.model == ""
    assert str(request.seed) in panel.seed.field.placeholderText()


@pytest.mark.parametrize(
    "name",
    [f.name for f in described_fields().values() if f.range and f.name not in (*SEEDS, *OF_SOME)],
)
def test_every_number_in_the_panel_is_sent(workspace, queue, tmp_path, name):
    picture().save(str(tmp_path / "start.png"))
    field, panel = described_fields()[name], workspace.prompt_panel
    low, high = field.parameter.useful
    by_default = value_of(PictureRequest("", ""), name) or -1
    values = (field.kind(low + (high - low) / part) for part in (4, 2))
    wanted = next(value for value in values if value != pytest.approx(by_default))
    type_prompt(workspace)
    panel.start.set_path(str(tmp_path / "start.png"))
    panel.controls[name].input.spin.setValue(wanted)
    press_generate(workspace)
    sent = queue.last.request
    assert value_of(sent, name) == pytest.approx(wanted)
    sent.validate()


def test_untouched_values_are_left_to_the_model(workspace, queue):
    panel = workspace.prompt_panel
    type_prompt(workspace)
    assert (
        panel.controls["steps"].input.value(),
        panel.controls["guidance_scale"].input.value(),
    ) == (18, 4.0)
    assert "Euler" in panel.scheduler.currentText()
    press_generate(workspace)
    request = queue.last.request
    assert (request.steps, request.guidance_scale, request.scheduler) == (None, None, None)


@pytest.mark.parametrize(
    "sidecar",
    [
        Sidecar(Family.SD1),
        Sidecar(Family.SDXL),
        Sidecar(Family.SD2, default_steps=7, default_guidance_scale=2.5),
        Sidecar(Family.SD1, scheduler_config={"_class_name": "LCMScheduler"}),
        Sidecar(Family.SDXL, default_scheduler="TCD"),
    ],
)
@pytest.mark.parametrize("scheduler", [None, "LCM", "Euler"])
def test_what_is_shown_is_what_the_pipeline_will_use(workspace, sidecar, scheduler):
    panel = workspace.prompt_panel
    panel.set_model(ModelEntry(Path("/m"), info=make_info(Path("/m")), sidecar=sidecar))
    panel.controls["scheduler"].input.setCurrentIndex(max(1, panel.scheduler.index_of(scheduler)))
    type_prompt(workspace)
    request = panel.draft().request_for("")
    assert (request.steps, request.guidance_scale) == (None, None)
    used = fill_defaults(request, sidecar)
    shown = [panel.controls[name].input.value() for name in ("steps", "guidance_scale")]
    assert shown == [used.steps, used.guidance_scale]


def test_reset_returns_to_the_models_defaults(workspace, queue):
    panel = workspace.prompt_panel
    type_prompt(workspace)
    panel.controls["steps"].input.spin.setValue(50)
    panel.scheduler.setCurrentText("DDIM")
    QTest.mouseClick(panel.reset, LEFT)
    press_generate(workspace)
    assert queue.last.request.steps is None
    assert queue.last.request.scheduler is None
    assert panel.controls["steps"].input.value() == 18


def test_slider_and_field_hold_one_value(workspace):
    steps = workspace.prompt_panel.controls["steps"].input
    steps.slider.setValue(40)
    assert steps.spin.value() == 40
    steps.spin.setValue(400)
    assert steps.slider.value() == steps.slider.maximum()
    assert steps.value() == 400


def test_shortcut_generates_from_the_prompt_field_and_adds_no_line(workspace, queue, qtbot):
    type_prompt(workspace, "a tree")
    edit = workspace.prompt_panel.prompt.edit
    edit.setFocus()
    QTest.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(queue.jobs()) == 1)
    assert edit.toPlainText() == "a tree"


def test_an_empty_prompt_is_asked_for_where_it_is_typed_and_is_no_error(workspace, queue):
    field = workspace.prompt_panel.prompt
    type_prompt(workspace, "   ")
    press_generate(workspace)
    assert queue.jobs() == []
    assert not workspace.canvas.banner.isVisible()
    assert field.count_label.text() == "Type what should be seen"
    assert field.count_label.objectName() == "small"
    QTest.keyClicks(field.edit, "a")
    assert field.count_label.text() != "Type what should be seen"


def test_an_unlocked_seed_is_new_every_time_and_shown(workspace, queue):
    type_prompt(workspace)
    seeds = set()
    for _ in range(4):
        press_generate(workspace)
        seeds.add(queue.last.request.seed)
        field = workspace.prompt_panel.seed.field
        assert field.text() == ""
        assert field.placeholderText() == f"Random, last {queue.last.request.seed}"
    assert len(seeds) == 4


def test_the_last_seed_can_be_kept_and_let_go(workspace, queue):
    seed = workspace.prompt_panel.seed
    type_prompt(workspace)
    press_generate(workspace)
    last = queue.last.request.seed
    QTest.mouseClick(seed.pin, LEFT)
    assert seed.field.text() == str(last)
    press_generate(workspace)
    assert queue.last.request.seed == last
    QTest.mouseClick(seed.pin, LEFT)
    assert seed.field.text() == ""
    press_generate(workspace)
    assert queue.last.request.seed != last


def test_a_typed_seed_is_kept(workspace, queue):
    seed = workspace.prompt_panel.seed
    type_prompt(workspace)
    seed.field.selectAll()
    QTest.keyClicks(seed.field, "4242")
    press_generate(workspace)
    press_generate(workspace)
    assert [job.request.seed for job in queue.jobs()] == [4242, 4242]
    assert seed.pin.isChecked()
    seed.field.clear()
    QTest.keyClick(seed.field, Qt.Key.Key_Backspace)
    seed.field.textEdited.emit("")
    assert not seed.pin.isChecked()
    press_generate(workspace)
    assert queue.last.request.seed != 4242


def test_a_seed_beyond_the_largest_becomes_the_largest(workspace, queue):
    seed = workspace.prompt_panel.seed
    type_prompt(workspace)
    seed.field.selectAll()
    QTest.keyClicks(seed.field, "9999999999")
    press_generate(workspace)
    assert queue.last.request.seed == 2**32 - 1


def test_the_die_draws_another_seed_which_is_used(workspace, queue):
    seed = workspace.prompt_panel.seed
    type_prompt(workspace)
    drawn = set()
    for _ in range(3):
        QTest.mouseClick(seed.dice, LEFT)
        drawn.add(seed.field.text())
        press_generate(workspace)
        assert str(queue.last.request.seed) == seed.field.text()
    assert len(drawn) == 3


def test_steps_speed_time_left_and_preview_are_shown(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.step(12, 25, preview=picture(16, 16), seconds_per_step=0.4, seconds_left=5.2)
    strip, view = workspace.canvas.strip, workspace.canvas.view
    assert strip.isVisible()
    assert strip.what.whole_text() == "Step 12 of 25"
    assert "2.5 steps/s" in strip.figures.text()
    assert "5 s left" in strip.figures.text()
    assert view.image() == picture(16, 16)
    # A preview at the latents' size is shown as large as the picture will be.
    assert view.surface.size_in_pixels() == QSize(128, 128)


def test_progress_of_several_pictures_names_the_picture(workspace, queue):
    workspace.prompt_panel.controls["count"].input.spin.setValue(3)
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.step(5, 10, picture_index=1)
    assert workspace.canvas.strip.what.whole_text() == "Picture 2 of 3 · Step 5 of 10"
    bar = workspace.canvas.strip.bar
    assert bar.value() / bar.maximum() == pytest.approx(0.5)


def test_the_first_load_for_the_neural_engine_says_what_it_is(workspace, queue):
    workspace.studio.draft.set("prompt", "fog")
    workspace.generate()
    queue.run()
    strip = workspace.canvas.strip
    queue.load("unet", 1, 3, preparing=True)
    assert not strip.hint.isHidden()
    assert strip.hint.text() == (
        "Core ML is preparing this model for the Neural Engine. It does so once; it takes a minute "
        "or two."
    )
    queue.load("vae_decoder", 2, 3)
    assert strip.hint.isHidden()


def test_loading_names_the_component_and_its_time_moves_on(workspace, queue, qtbot):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.load("vae_decoder", 2, 4, elapsed=61.0)
    strip = workspace.canvas.strip
    assert strip.what.whole_text() == "Loading VAE decoder…"
    assert "3 of 4 · 1 min 1 s" in strip.figures.text()
    assert strip.hint.isVisible()
    qtbot.waitUntil(lambda: "3 of 4 · 1 min 1 s" not in strip.figures.text())
    assert "3 of 4 · 1 min " in strip.figures.text()


def test_a_job_that_waits_for_the_engine_says_so(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    assert workspace.canvas.strip.what.whole_text() == "Starting the engine…"
    queue.engine_state_changed.emit("ready")
    assert workspace.canvas.strip.what.whole_text() == "Preparing…"


def test_stop_by_button_and_by_shortcut(workspace, queue, qtbot):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.step(1, 25)
    QTest.mouseClick(workspace.canvas.strip.stop, LEFT)
    assert queue.stops == 1
    assert workspace.canvas.strip.stop.text() == "Stop Now"
    QTest.keyClick(
        workspace.prompt_panel.prompt.edit, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier
    )
    qtbot.waitUntil(lambda: queue.stops == 2)
    queue.cancelled()
    assert not workspace.canvas.strip.isVisible()
    assert workspace.canvas.stack.currentWidget() is workspace.canvas.empty


def test_a_late_step_after_stop_does_not_undo_it(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.step(1, 25)
    workspace.studio.stop()
    queue.step(2, 25)
    assert workspace.canvas.strip.what.whole_text() == "Stopping…"


def finish_one(workspace, queue, qtbot, image=None):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    path = queue.picture(image or picture())
    queue.finish()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == path)
    return path


def test_the_finished_picture_is_shown_as_it_is_on_disk(workspace, queue, qtbot):
    path = finish_one(workspace, queue, qtbot, picture(96, 64))
    shown = workspace.canvas.view.image().convertToFormat(QImage.Format.Format_RGB888)
    assert shown == QImage(path).convertToFormat(QImage.Format.Format_RGB888)
    assert not workspace.canvas.strip.isVisible()
    assert f"seed {queue.last.request.seed}" in workspace.canvas.caption.whole_text()
    assert workspace.actions_.save_as.isEnabled()
    assert workspace.filmstrip.selected_paths() == [path]


def test_cancelling_goes_back_to_the_picture_before(workspace, queue, qtbot):
    path = finish_one(workspace, queue, qtbot)
    press_generate(workspace)
    queue.run()
    queue.step(3, 25, preview=picture(8, 8, "#00ff00"))
    assert workspace.canvas.view.path() == ""
    assert not workspace.actions_.save_as.isEnabled()
    queue.cancelled()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == path)
    assert workspace.actions_.save_as.isEnabled()


def test_jobs_wait_in_line_and_can_be_cleared(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    assert "Add to Queue" in workspace.prompt_panel.generate.text()
    press_generate(workspace)
    press_generate(workspace)
    strip = workspace.canvas.strip
    assert strip.waiting.text() == "2 waiting"
    workspace.actions_.clear_queue.trigger()
    assert [job.status for job in queue.jobs()] == ["running"]
    assert not strip.waiting.isVisible()
    assert workspace.canvas.banner.statement.text() == "2 requests were taken off the queue."
    QTest.mouseClick(workspace.canvas.banner.undo_button, LEFT)
    assert [job.status for job in queue.jobs()] == ["running", "queued", "queued"]
    assert strip.waiting.text() == "2 waiting"
    workspace.studio.undo.redo()
    assert [job.status for job in queue.jobs()] == ["running"]


def test_an_older_picture_can_be_looked_at_while_one_is_made(workspace, queue, qtbot):
    old = finish_one(workspace, queue, qtbot, picture(96, 64))
    press_generate(workspace)
    queue.run()
    queue.step(3, 25, preview=picture(8, 8, "#00ff00"))
    strip, canvas = workspace.filmstrip, workspace.canvas
    assert strip.running.isVisible() and strip.running.isChecked()
    at = strip.list.visualRect(strip.list.model().index(0, 0)).center()
    QTest.mouseClick(strip.list.viewport(), LEFT, pos=at)
    qtbot.waitUntil(lambda: canvas.view.path() == old)
    assert workspace.actions_.save_as.isEnabled() and canvas.title.isVisible()
    assert canvas.title.whole_text() == "a lighthouse in fog"
    assert not strip.running.isChecked()
    queue.step(4, 25, preview=picture(8, 8, "#0000ff"))
    assert canvas.view.path() == old, "a preview takes nobody's eyes off"
    new = queue.picture(picture(32, 32))
    queue.finish()
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 2)
    assert (canvas.picture.path, strip.selected_paths()) == (old, [old])
    assert workspace.studio.pictures.paths_of([0]) == [new]
    assert not strip.running.isVisible()


def test_the_running_picture_is_one_click_away(workspace, queue, qtbot):
    old = finish_one(workspace, queue, qtbot)
    press_generate(workspace)
    queue.run()
    green = picture(8, 8, "#00ff00")
    queue.step(3, 25, preview=green)
    workspace.filmstrip.chosen.emit(workspace.studio.pictures.find(old))
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == old)
    QTest.mouseClick(workspace.filmstrip.running, LEFT)
    assert workspace.canvas.view.path() == "" and not workspace.actions_.save_as.isEnabled()
    assert workspace.canvas.view.image() == green
    new = queue.picture(picture(32, 32))
    queue.finish()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == new)
    assert workspace.filmstrip.selected_paths() == [new]


def test_the_next_job_takes_over_when_one_ends(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    press_generate(workspace)
    queue.run()
    queue.picture(picture())
    queue.finish()
    assert workspace.canvas.strip.isVisible()
    queue.run()
    queue.step(2, 9)
    assert workspace.canvas.strip.what.whole_text() == "Step 2 of 9"


def test_a_failure_says_what_to_do_and_its_details_can_be_copied(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.fail(SfumatoError(ErrorKind.STORAGE, "The disk is full.", "ENOSPC at write()"))
    banner = workspace.canvas.banner
    assert banner.statement.text() == "The disk is full."
    QTest.mouseClick(banner.copy_button, LEFT)
    copied = QGuiApplication.clipboard().text()
    assert "The disk is full." in copied
    assert "storage" in copied
    assert "ENOSPC at write()" in copied
    assert not workspace.canvas.strip.isVisible()


def test_what_may_pass_can_be_tried_again(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.fail(SfumatoError(ErrorKind.ENGINE, "The engine stopped unexpectedly."))
    banner = workspace.canvas.banner
    assert banner.retry_button.isVisible()
    QTest.mouseClick(banner.retry_button, LEFT)
    assert not banner.isVisible()
    assert queue.last.status == "queued"
    assert len(queue.jobs()) == 1
    # a damaged model stays damaged
    queue.run()
    queue.fail(SfumatoError(ErrorKind.BAD_MODEL, "The model is damaged."))
    assert banner.isVisible()
    assert not banner.retry_button.isVisible()


def test_a_queue_that_is_held_for_want_of_an_engine_does_not_seem_to_start(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    press_generate(workspace)
    queue.run()
    queue.is_held = True  # as the real one is by the time it says so
    queue.fail(SfumatoError(ErrorKind.ENGINE, "The engine could not be started; try again."))
    assert not workspace.studio.activity.busy and workspace.studio.activity.waiting == 1
    assert not workspace.canvas.strip.isVisible()
    assert workspace.canvas.banner.retry_button.isVisible()
    queue.is_held = False
    QTest.mouseClick(workspace.canvas.banner.retry_button, LEFT)
    assert [job.status for job in queue.jobs()] == ["queued", "queued"]


def test_stop_ends_even_where_nothing_runs(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)  # in line, and no engine takes it
    assert workspace.studio.activity.busy
    workspace.studio.stop()
    assert not workspace.studio.activity.busy


def test_an_error_stays_until_dismissed_and_a_new_job_clears_it(workspace, queue):
    workspace.show_error(SfumatoError(ErrorKind.ENGINE, "The engine ended."))
    workspace.studio.notice.emit("By the way.")
    assert workspace.canvas.banner.statement.text() == "The engine ended."
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    assert not workspace.canvas.banner.isVisible()


def test_a_refused_request_leaves_no_job_and_one_sentence(workspace, queue):
    queue.refusal = SfumatoError(ErrorKind.STORAGE, "The queue cannot be written.")
    type_prompt(workspace)
    press_generate(workspace)
    assert workspace.canvas.banner.statement.text() == "The queue cannot be written."


def test_notes_of_a_picture_are_shown(workspace, queue):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.picture(picture(), notes=("“at dusk” was not read.",))
    assert workspace.canvas.banner.statement.text() == "“at dusk” was not read."
    assert not workspace.canvas.banner.copy_button.isVisible()


def test_what_stands_below_the_prompt_is_not_said_again(workspace, queue, qtbot):
    type_prompt(workspace, "a cat.swap(dog)")
    marks = workspace.prompt_panel.prompt.marks
    qtbot.waitUntil(marks.isVisible)
    press_generate(workspace)
    queue.run()
    queue.picture(picture(), notes=(marks.text(),))
    assert not workspace.canvas.banner.isVisible()


def test_tokens_are_counted_and_what_is_cut_is_named(workspace, qtbot):
    field = workspace.prompt_panel.prompt
    type_prompt(workspace, "a photo of a cat")
    qtbot.waitUntil(lambda: field.count_label.text() == "5 / 75")
    field.edit.setPlainText("cat " * 75 + "zebra")
    qtbot.waitUntil(lambda: field.count_label.text() == "76 / 75")
    assert "dimmed" in field.count_label.toolTip()
    assert len(field.count_label.toolTip()) < 100
    (cut,) = field.edit.extraSelections()
    assert cut.cursor.selectedText().strip() == "zebra"
    field.edit.setPlainText("🦊 " * 20 + "漢字, " * 20 + "zebra")  # two units a fox in Qt's count
    qtbot.waitUntil(lambda: field.count_label.text().startswith("1"))
    (cut,) = field.edit.extraSelections()
    assert field.edit.toPlainText().endswith(cut.cursor.selectedText())
    from gui.pipeline.tokens import count_tokens

    assert cut.cursor.selectedText() == count_tokens(field.edit.toPlainText()).cut_text
    field.edit.setPlainText("a cat")
    qtbot.waitUntil(lambda: field.count_label.text() == "2 / 75")
    assert field.edit.extraSelections() == []
    field.edit.clear()
    assert field.count_label.text() == ""


def test_tokens_are_counted_without_marks(workspace, qtbot):
    panel = workspace.prompt_panel
    field = panel.prompt
    field.edit.setPlainText("a (photo:1.3) of ((a cat)) <lora:fog:0.5>")
    qtbot.waitUntil(lambda: field.count_label.text() == "5 / 75")
    field.edit.setPlainText("(cat:1.2) " * 75 + "(zebra)")
    qtbot.waitUntil(lambda: field.count_label.text() == "76 / 75")
    (cut,) = field.edit.extraSelections()
    assert cut.cursor.selectedText().strip() == "zebra)"
    panel.controls["prompt_syntax"].input.select_data("plain")
    qtbot.waitUntil(lambda: int(field.count_label.text().partition(" ")[0]) > 500)


def test_an_example_fills_the_prompt(workspace, queue):
    chips = workspace.canvas.empty.chips.findChildren(type(workspace.prompt_panel.generate))
    chip = next(c for c in chips if c.text() == "a blue boat")
    QTest.mouseClick(chip, LEFT)
    press_generate(workspace)
    assert queue.last.request.prompt == "a blue boat"


def test_previews_can_be_turned_off(workspace, queue):
    workspace.studio.settings.previews = False
    type_prompt(workspace)
    press_generate(workspace)
    assert queue.last.request.previews is False


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (UNetKind.STANDARD, set()),
        (UNetKind.INPAINT, set()),
        (UNetKind.INSTRUCT, {"image_guidance_scale"}),
        (UNetKind.DEPTH, {"depth_map"}),
    ],
)
def test_controls_of_models_that_are_shown_more(workspace, kind, shown):
    panel = workspace.prompt_panel
    info = replace(make_info(Path("/m")), unet_kind=kind)
    panel.set_model(ModelEntry(Path("/m"), info=info, sidecar=Sidecar(Family.SD1)))
    rows = {name: panel.controls[name].row for name in ("image_guidance_scale", "depth_map")}
    assert {name for name, row in rows.items() if row.isVisibleTo(panel)} == shown
    panel.start.set_value("/start.png")
    panel.set_model(ModelEntry(Path("/m"), info=info, sidecar=Sidecar(Family.SD1)))
    assert panel.strength.isVisibleTo(panel) == (kind is not UNetKind.INSTRUCT)
    workspace.canvas.set_model(ModelEntry(Path("/m"), info=info, sidecar=Sidecar(Family.SD1)))
    first = {UNetKind.INSTRUCT: "Start from", UNetKind.DEPTH: "Depth map"}.get(
        kind, "Type a prompt"
    )
    assert first in workspace.canvas.empty.text.text()


@pytest.mark.parametrize("kind", list(UNetKind))
def test_what_is_shown_for_a_model_is_what_it_is_sent(kind):
    info = replace(make_info(Path("/m")), unet_kind=kind)
    draft = Draft().with_value("image_guidance_scale", 2.0).with_value("depth_map", "/d.png")
    sent = suited(draft, ModelEntry(Path("/m"), info=info))
    instructs, depth = kind is UNetKind.INSTRUCT, kind is UNetKind.DEPTH
    assert sent.value("image_guidance_scale") == (2.0 if instructs else None)
    assert sent.value("depth_map") == ("/d.png" if depth else "")


def test_what_the_panel_does_not_show_is_not_sent(workspace, queue, tmp_path):
    """Chosen for another model, and kept for it."""
    picture().save(str(tmp_path / "depth.png"))
    draft = workspace.studio.draft
    draft.set("depth_map", str(tmp_path / "depth.png"))
    draft.set("image_guidance_scale", 2.0)
    type_prompt(workspace)
    press_generate(workspace)
    assert (queue.last.request.depth_map, queue.last.request.image_guidance_scale) == ("", None)
    assert draft.value("depth_map") == str(tmp_path / "depth.png")


def test_a_mask_and_a_frame_are_sent_with_their_picture_alone(workspace, queue, tmp_path):
    for name in ("start.png", "mask.png"):
        picture().save(str(tmp_path / name))
    draft, frame = workspace.studio.draft, workspace.prompt_panel.controls["start_image.outpaint"]
    type_prompt(workspace)
    draft.set("start_image.mask", str(tmp_path / "mask.png"))
    frame.input.sides["left"].setValue(128)
    press_generate(workspace)
    assert queue.last.request.start_image is None
    workspace.prompt_panel.start.set_path(str(tmp_path / "start.png"))
    press_generate(workspace)
    sent = queue.last.request.start_image
    assert sent is not None
    assert (sent.mask, sent.outpaint) == (str(tmp_path / "mask.png"), Outpaint(left=128))
    assert workspace.prompt_panel.controls["start_image.mask"].input.path() == sent.mask
