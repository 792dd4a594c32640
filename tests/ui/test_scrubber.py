"""The steps of a finished picture, seen again under the canvas of the real window."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from gui import paths
from gui.library import step_previews
from gui.library.picture_origin import PictureOrigin
from gui.library.pictures import save_picture
from gui.library.step_previews import StepFrame, StepSeries
from gui.request import PictureRecord, PictureRequest
from gui.state.pictures.differences import differences
from gui.state.pictures.origin import origin_of
from gui.ui.settings.dialog import SettingsDialog

STEPS = 8


def write(number: int, *, kept: bool) -> Path:
    request = PictureRequest(f"picture {number}", "", seed=number, steps=STEPS)
    record = PictureRecord(
        request, 64, 64, "Sfumato Starter", created=f"2026-05-0{number + 1}T12:00:00+00:00"
    )
    pixels = np.full((64, 64, 3), (250, 250, 250), np.uint8)
    where = PictureRequest("", "", output_dir=str(paths.pictures_dir()))
    path = save_picture(pixels, record, where)
    if kept:
        frames = [
            StepFrame(step, 8, 8, bytes((20 * step, 0, 0)) * 64) for step in range(1, STEPS + 1)
        ]
        assert step_previews.keep(path, StepSeries(STEPS, tuple(frames)))
    return path


@pytest.fixture
def files(home) -> list[Path]:
    """Two pictures; of the first alone the steps are kept."""
    return [write(0, kept=True), write(1, kept=False)]


@pytest.fixture
def desk(files, open_workspace):
    return open_workspace()


@pytest.fixture
def look(workspace, files, qtbot):
    """Puts a picture on the canvas."""
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 2 and all(map(pictures.picture, (0, 1))))

    def put(number: int) -> None:
        picture = pictures.find(str(files[number]))
        workspace.canvas.look_at(picture)
        qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[number]))

    return put


def red(workspace) -> int:
    """Of what the canvas shows."""
    image = workspace.canvas.view.image()
    return image.pixelColor(image.width() // 2, image.height() // 2).red()


def test_each_step_is_seen_and_the_picture_at_the_end(workspace, look, files, qtbot) -> None:
    look(0)
    canvas, scrubber = workspace.canvas, workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    assert scrubber.text.text() == f"Step {STEPS} of {STEPS}" and red(workspace) == 250
    for value in (0, 3, 6):
        scrubber.slider.setValue(value)
        assert abs(red(workspace) - 20 * (value + 1)) < 6
        assert scrubber.text.text() == f"Step {value + 1} of {STEPS}"
        assert canvas.view.path() == "", "what is dragged out is a picture, not a preview"
        assert canvas.view.surface.size_in_pixels().width() == 64
    scrubber.slider.setFocus()
    QTest.keyClick(scrubber.slider, Qt.Key.Key_Right)
    assert red(workspace) == 250 and canvas.view.path() == str(files[0])
    assert canvas.picture.path == str(files[0]), "commands act on the picture all the while"


def test_a_click_on_the_slider_goes_there(workspace, look, qtbot) -> None:
    look(0)
    slider = workspace.canvas.scrubber.slider
    qtbot.waitUntil(slider.isVisible)
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(2, slider.height() // 2))
    assert slider.value() == 0
    middle = QPoint(slider.width() // 2, slider.height() // 2)
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=middle)
    assert slider.value() in (3, 4)


def test_steps_are_played_to_the_end_and_can_be_paused(workspace, look, qtbot) -> None:
    look(0)
    scrubber = workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    seen: list[int] = []
    scrubber.slider.valueChanged.connect(seen.append)
    scrubber.play.click()
    assert scrubber.playing and scrubber.play.accessibleName() == "Pause"
    qtbot.waitUntil(lambda: not scrubber.playing)
    assert seen == list(range(STEPS)) and red(workspace) == 250
    scrubber.play.click()
    qtbot.waitUntil(lambda: scrubber.slider.value() == 2)
    scrubber.play.click()
    assert not scrubber.playing
    at = scrubber.slider.value()
    scrubber.play.click()
    assert scrubber.playing and scrubber.slider.value() == at, "it goes on from where it was"


def test_where_there_are_none_nothing_is_seen(workspace, look, qtbot) -> None:
    look(0)
    qtbot.waitUntil(workspace.canvas.scrubber.isVisible)
    answers: list[str] = []
    workspace.canvas._steps.arrived.connect(lambda picture, _steps: answers.append(picture))
    look(1)
    qtbot.waitUntil(lambda: bool(answers))
    assert not workspace.canvas.scrubber.isVisible()


def test_it_makes_room_for_what_is_made_and_for_the_gallery(workspace, queue, look, qtbot) -> None:
    look(0)
    scrubber = workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    scrubber.play.click()
    workspace.actions_.gallery.trigger()
    assert not scrubber.isVisible() and not scrubber.playing
    workspace.actions_.gallery.trigger()
    assert scrubber.isVisible()
    queue.submit(PictureRequest("a boat", ""))
    queue.run()
    workspace.canvas.follow()
    assert not scrubber.isVisible()
    queue.step(1, 4, preview=QImage(8, 8, QImage.Format.Format_RGB32))
    scrubber.slider.setValue(1)
    assert workspace.canvas.view.image().width() == 8, "the running one stays"


def test_a_cache_that_was_deleted_is_no_loss(workspace, look, files, qtbot) -> None:
    step_previews.clear()
    look(0)
    answers: list[str] = []
    workspace.canvas._steps.arrived.connect(lambda picture, _steps: answers.append(picture))
    workspace.canvas.look_at(workspace.studio.pictures.find(str(files[0])))
    qtbot.waitUntil(lambda: bool(answers))
    assert not workspace.canvas.scrubber.isVisible()


def test_requests_keep_their_steps_as_the_settings_say(workspace, queue, qtbot) -> None:
    settings = workspace.studio.settings
    workspace.prompt_panel.prompt.edit.setPlainText("a boat")

    def sent() -> PictureRequest:
        workspace.studio.generate()
        return queue.last.request

    assert sent().keep_previews and sent().previews
    dialog = SettingsDialog(settings)
    dialog.keep_steps.click()
    assert not sent().keep_previews and sent().previews
    dialog.keep_steps.click()
    dialog.previews.click()
    assert not dialog.keep_steps.isEnabled()
    assert not sent().keep_previews and not sent().previews
    dialog.deleteLater()


def test_steps_of_pictures_that_are_gone_go_at_the_next_start(
    files, open_workspace, home, qtbot
) -> None:
    kept = list(step_previews.folder().glob("*/*.jpg"))
    assert len(kept) == 1
    stranger = step_previews.file_of("f" * 32)
    stranger.parent.mkdir(parents=True, exist_ok=True)
    stranger.write_bytes(kept[0].read_bytes())
    for file in (*kept, stranger):
        old = time.time() - 9999
        os.utime(file, (old, old))
    open_workspace()
    qtbot.waitUntil(lambda: not stranger.exists())
    assert kept[0].exists()


# -- branching --------------------------------------------------------------------------------


def begin_branch(workspace, look, qtbot, value: int) -> None:
    look(0)
    scrubber = workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    assert not scrubber.branch.isEnabled(), "the picture itself is its end"
    scrubber.slider.setValue(value)
    QTest.mouseClick(scrubber.branch, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(workspace.prompt_panel.branch.isVisible)


def test_a_branch_goes_on_from_the_step_on_show(workspace, queue, look, qtbot) -> None:
    panel = workspace.prompt_panel
    begin_branch(workspace, look, qtbot, 2)
    assert panel.branch.title.whole_text() == "Branches after step 3"
    assert panel.prompt.edit.toPlainText() == "picture 0" and panel.prompt.edit.hasFocus()
    assert workspace.studio.draft.value("seed") == 0, "the seed of the picture is kept"
    assert not panel.start.available
    panel.prompt.edit.setPlainText("another thing")
    workspace.generate()
    request = queue.last.request
    assert request.prompt == "another thing" and request.seed == 0
    assert request.branch is not None and request.branch.step == 3
    assert request.branch.earlier.prompt == "picture 0"
    assert request.branch.earlier.steps == STEPS
    request.validate()


def test_a_branch_is_taken_away_and_back(workspace, queue, look, qtbot) -> None:
    panel = workspace.prompt_panel
    begin_branch(workspace, look, qtbot, 2)
    panel.branch.remove.click()
    assert not panel.branch.isVisible() and panel.start.available
    workspace.generate()
    assert queue.last.request.branch is None
    panel.setFocus()
    workspace.actions_.undo.trigger()
    assert panel.branch.isVisible()
    workspace.actions_.undo.trigger()
    assert not panel.branch.isVisible(), "and the branch itself is a step to undo"


def test_a_branch_outlives_a_restart(workspace, open_workspace, look, qtbot) -> None:
    begin_branch(workspace, look, qtbot, 4)
    workspace.main_window.close()
    again, _queue = open_workspace()
    assert again.prompt_panel.branch.title.whole_text() == "Branches after step 5"


def test_another_model_is_refused_in_one_sentence(workspace, queue, look, home, qtbot) -> None:
    begin_branch(workspace, look, qtbot, 2)
    folder = home / "other-model"
    folder.mkdir()
    studio = workspace.studio
    before = len(queue.jobs())
    draft = studio.draft.draft.of_model(str(folder))
    studio.draft.put(draft)
    workspace.generate()
    assert len(queue.jobs()) == before
    said = workspace.canvas.banner.statement.text()
    assert said == (
        "This goes on from a picture of another model, “other-model”; choose that model, or "
        "remove the branch."
    )


def test_a_picture_that_does_not_say_what_made_it_is_not_branched(workspace, look, qtbot) -> None:
    look(0)
    from gui.state.pictures.origin import Origin

    said: list[str] = []
    workspace.studio.imports.used.connect(said.append)
    assert not workspace.studio.imports.branch(Origin(), 3)
    assert said == ["This picture does not say how Sfumato made it; branch from another."]


def test_the_info_tells_where_a_picture_branched() -> None:
    request = PictureRequest("a fox", "", seed=1, steps=20, scheduler="Euler", guidance_scale=7.0)
    branch = replace(request.branched(8), prompt="a cat")
    origin = origin_of(PictureOrigin(PictureRecord(branch, 64, 64, "Tiny")))
    told = "After step 8 of “a fox” (seed 1, 20 steps, Euler, guidance 7)"
    assert ("Branch", told) in origin.facts and f"Branch: {told}" in origin.text()
    plain = origin_of(PictureOrigin(PictureRecord(request, 64, 64, "Tiny")))
    first, second = differences([plain, origin], [(64, 64), (64, 64)])
    assert [one.text for one in first] == ["none"] and [one.text for one in second] == [told]
