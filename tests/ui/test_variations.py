"""Variations: asked for in the panel, made of a picture, told in its file, read from others'."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from gui.library.metadata.containers import read_fields_of
from gui.library.metadata.web_ui import read_a1111, read_parameters
from gui.library.picture_origin import PictureOrigin
from gui.library.pictures import png_bytes
from gui.request import Enlargement, PictureRecord, PictureRequest
from gui.state.pictures.origin import origin_of
from gui.state.pictures.variations import DETAIL, NUMBER, STRENGTH

LEFT = Qt.MouseButton.LeftButton


def say(workspace, text="a fox"):
    workspace.prompt_panel.prompt.edit.replace_text(text)


def test_the_controls_lie_behind_the_seed(workspace, queue):
    panel = workspace.prompt_panel
    assert not panel.variation.isVisible()
    QTest.mouseClick(panel.seed.more, LEFT)
    assert panel.variation.isVisible()
    say(workspace)
    workspace.generate()
    assert (queue.last.request.variation_strength, queue.last.request.variation_seed) == (0, None)
    strength = panel.controls["variation_strength"].input
    strength.spin.setValue(0.25)
    workspace.generate()
    first = queue.last.request
    workspace.generate()
    second = queue.last.request
    assert first.variation_strength == second.variation_strength == 0.25
    assert first.variation_seed != second.variation_seed, "a fresh one is drawn for every run"
    other = panel.controls["variation_seed"].input
    QTest.keyClicks(other.field, "4294967295")
    workspace.generate()
    assert queue.last.request.variation_seed == 2**32 - 1
    QTest.mouseClick(other.dice, LEFT)
    workspace.generate()
    assert queue.last.request.variation_seed == int(other.field.text()) != 2**32 - 1
    strength.spin.setValue(0)
    workspace.generate()
    assert queue.last.request.variation_seed is None, "without a strength it means nothing"


def test_what_has_an_effect_is_seen_after_a_restart_and_use_settings(workspace, open_workspace):
    panel = workspace.prompt_panel
    workspace.studio.draft.set("variation_strength", 0.3)
    assert panel.variation.isVisible()
    workspace.main_window.close()
    again, _ = open_workspace()
    assert again.prompt_panel.variation.isVisible()


def made_picture(workspace, queue, **changes):
    say(workspace)
    for name, value in changes.items():
        workspace.studio.draft.set(name, value)
    workspace.generate()
    queue.run()
    path = queue.picture(QImage(8, 8, QImage.Format.Format_RGB32))
    queue.finish()
    return path


def test_variations_of_a_picture_are_put_in_line(workspace, queue, qtbot):
    path = made_picture(workspace, queue, seed=77, steps=9)
    qtbot.waitUntil(lambda: workspace.canvas.picture is not None)
    say(workspace, "something else that is being typed")
    before = len(queue.jobs())
    workspace.actions_.vary.trigger()
    qtbot.waitUntil(lambda: len(queue.jobs()) == before + NUMBER)
    jobs = [job.request for job in queue.jobs()[before:]]
    assert {(r.prompt, r.seed, r.steps, r.count) for r in jobs} == {("a fox", 77, 9, 1)}
    assert {r.variation_strength for r in jobs} == {STRENGTH}
    assert len({r.variation_seed for r in jobs}) == NUMBER
    assert workspace.prompt_panel.prompt.text() == "something else that is being typed"
    workspace.studio.undo.undo()
    assert len(queue.jobs()) == before
    workspace.studio.undo.redo()
    assert [job.request for job in queue.jobs()[before:]] == jobs
    assert path


def test_a_variation_is_varied_as_far_as_it_was(workspace, queue, qtbot):
    made_picture(workspace, queue, seed=77, variation_strength=0.4, variation_seed=5)
    qtbot.waitUntil(lambda: workspace.canvas.picture is not None)
    before = len(queue.jobs())
    workspace.actions_.vary.trigger()
    qtbot.waitUntil(lambda: len(queue.jobs()) == before + NUMBER)
    assert {job.request.variation_strength for job in queue.jobs()[before:]} == {0.4}


def test_a_picture_without_a_seed_cannot_be_varied(workspace, queue, tmp_path, qtbot):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with qtbot.waitSignal(workspace.studio.notice) as told:
        workspace.studio.again.vary(str(tmp_path / "plain.png"))
    assert "does not say its seed" in told.args[0] and queue.jobs() == []


# -- in files ---------------------------------------------------------------------------------


def used(data: bytes) -> dict[str, object]:
    """What the web UIs' text of a picture is here."""
    found = read_a1111(read_fields_of(io.BytesIO(data), "x"))
    return {s.name: s.value for s in origin_of(PictureOrigin(imported=found)).settings}


def test_the_file_tells_it_as_web_uis_do_and_it_is_read_back():
    request = PictureRequest(
        "a fox", "m", seed=7, steps=20, guidance_scale=7.0, scheduler="Euler",
        variation_seed=123, variation_strength=0.25,
    )  # fmt: skip
    data = png_bytes(np.zeros((8, 8, 3), np.uint8), PictureRecord(request, 8, 8, "Tiny"))
    with Image.open(io.BytesIO(data)) as image:
        last = image.info["parameters"].splitlines()[-1]
    assert "Variation seed: 123" in last and "Variation seed strength: 0.25" in last
    read = used(data)
    assert (read["variation_seed"], read["variation_strength"]) == (123, 0.25)
    plain = PictureRecord(PictureRequest("a fox", "m", seed=7), 8, 8, "Tiny")
    assert b"ariation" not in png_bytes(np.zeros((8, 8, 3), np.uint8), plain).split(b"sfumato")[0]


@pytest.mark.parametrize(
    "pairs",
    [
        "Variation seed: 1234, Variation seed strength: 0.3",
        "Variation seed: 1234, Variation strength: 0.3",  # SD.Next
    ],
)
def test_it_is_read_from_other_programs_pictures(pairs, workspace, queue):
    found = read_parameters(f"a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 7, {pairs}")
    assert found is not None and not any("ariation" in one.name for one in found.unmapped)
    workspace.studio.imports.use(origin_of(PictureOrigin(imported=found)))
    workspace.generate()
    sent = queue.last.request
    assert (sent.seed, sent.variation_seed, sent.variation_strength) == (7, 1234, 0.3)


@pytest.mark.parametrize(
    "pairs",
    ["Variation seed: 1234", "Variation seed: 1234, Variation seed strength: 0", "x: 1"],
)
def test_a_seed_without_a_strength_changes_nothing(pairs, workspace, queue):
    found = read_parameters(f"a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 7, {pairs}")
    assert found is not None
    workspace.studio.imports.use(origin_of(PictureOrigin(imported=found)))
    workspace.generate()
    sent = queue.last.request
    assert (sent.variation_seed, sent.variation_strength, sent.varies) == (None, 0.0, False)


def test_a_grid_of_strengths_goes_towards_one_seed(workspace):
    from gui.state.queue.grids import Side

    say(workspace)
    plan = workspace.studio.requests.plan_grid(Side("variation_strength", "0, 0.2, 0.4"), Side())
    first, *others = plan.requests
    assert not first.varies and len({request.seed for request in plan.requests}) == 1
    assert [request.variation_strength for request in others] == [0.2, 0.4]
    assert len({request.variation_seed for request in others}) == 1 and others[0].varies


def test_alternatives_of_a_prompt_go_towards_one_seed(workspace, queue):
    say(workspace, "a {red|blue} fox")
    workspace.studio.draft.set("variation_strength", 0.2)
    workspace.generate()
    requests = [job.request for job in queue.jobs()]
    assert [request.prompt for request in requests] == ["a red fox", "a blue fox"]
    assert requests[0].variation_seed == requests[1].variation_seed


def test_a_picture_is_refined(workspace, queue, qtbot):
    path = made_picture(workspace, queue, seed=77, steps=9)
    qtbot.waitUntil(lambda: workspace.canvas.picture is not None)
    before = len(queue.jobs())
    workspace.actions_.refine.trigger()
    qtbot.waitUntil(lambda: len(queue.jobs()) == before + 1)
    request = queue.last.request
    assert (request.prompt, request.seed, request.steps) == ("a fox", 77, 9)
    assert request.start_image.path == str(path) and request.start_image.strength == 0
    assert request.enlargement is Enlargement.X2 and request.detail_strength == DETAIL
