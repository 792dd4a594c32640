"""Live while a mask is painted: pictures follow the stroke before the hand is lifted."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PySide6.QtCore import QEvent

from gui import paths
from gui.start_image import InpaintArea
from tests.ui.canvas.conftest import SIDE
from tests.ui.canvas.hands import mouse


def white(file: str) -> int:
    with Image.open(file) as mask:
        return sum(mask.convert("L").histogram()[128:])


def test_pictures_follow_a_stroke_that_is_being_drawn(workspace, queue, look, files, qtbot) -> None:
    look(0)
    workspace.prompt_panel.prompt.edit.setPlainText("a pond")
    workspace.actions_.live.trigger()
    workspace.actions_.tools["mask"].trigger()
    view, asked = workspace.canvas.view, queue.live.asked
    draft = workspace.studio.draft

    def masks() -> list[str]:
        starts = [request.start_image for _id, request in asked]
        return [start.mask for start in starts if start is not None and start.mask]

    mouse(view, QEvent.Type.MouseButtonPress, (60, 60))
    mouse(view, QEvent.Type.MouseMove, (90, 60))
    qtbot.waitUntil(lambda: bool(masks()))
    first = white(masks()[-1])
    start = asked[-1][1].start_image
    assert start.path == str(files[0]) and first > 0
    drawn = workspace.studio.model.info
    if drawn is not None and drawn.image_width != SIDE:
        assert start.inpaint_area is InpaintArea.MASKED
    assert draft.value("start_image.mask") == "", "the stroke is not over"
    before = len(masks())
    mouse(view, QEvent.Type.MouseMove, (200, 60))
    qtbot.waitUntil(lambda: len(masks()) > before)
    assert white(masks()[-1]) > first
    mouse(view, QEvent.Type.MouseButtonRelease, (200, 60))
    qtbot.waitUntil(lambda: Path(masks()[-1]).name.startswith("mask-"))
    assert draft.value("start_image.mask") == masks()[-1]
    workspace.actions_.live.trigger()
    workspace.tools_desk.close_down()
    assert not list(paths.masks_dir().glob("stroke-*"))


def test_a_stroke_that_is_taken_back_leaves_nothing(workspace, queue, look, qtbot) -> None:
    look(0)
    workspace.prompt_panel.prompt.edit.setPlainText("a pond")
    workspace.actions_.live.trigger()
    workspace.actions_.tools["mask"].trigger()
    view, asked = workspace.canvas.view, queue.live.asked
    mouse(view, QEvent.Type.MouseButtonPress, (60, 60))
    mouse(view, QEvent.Type.MouseMove, (90, 60))
    qtbot.waitUntil(lambda: bool(asked) and asked[-1][1].start_image is not None)
    workspace.tools_desk.mask_tool.cancel()
    qtbot.waitUntil(lambda: asked[-1][1].start_image is None)
