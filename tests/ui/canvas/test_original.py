"""A picture beside the one that it was made from, on the canvas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtTest import QTest

from gui import paths
from gui.framing import beginning_in_result
from gui.library import places
from gui.library.pictures import save_picture
from gui.pipeline.ground import prepare
from gui.provenance import Provenance
from gui.request import PictureRecord, PictureRequest
from gui.start_image import InpaintArea, Outpaint, StartImage
from gui.ui.canvas.original_layer import Shown
from tests.ui.canvas.conftest import SIDE, write
from tests.ui.canvas.hands import drag, mouse

RED, GREY = (200, 0, 0), (90, 90, 90)
MIDDLE = SIDE / 2


@pytest.fixture
def files(home) -> list[Path]:
    """A red picture, and a grey one that was made from it; one that was made from a picture that is
    gone; one from words alone."""
    red = home / "red.png"
    Image.new("RGB", (SIDE, SIDE), RED).save(red)
    made = []
    for number, start in enumerate((StartImage(str(red)), StartImage(str(home / "gone.png")))):
        request = PictureRequest("grey", "", seed=number, steps=4, start_image=start)
        when = f"2026-05-0{number + 1}T12:00:00+00:00"
        record = PictureRecord(request, SIDE, SIDE, "Sfumato Starter", created=when)
        record = replace(record, provenance=Provenance(start_fingerprint=f"7{number}"))
        places.remember(record)
        where = PictureRequest("", "", output_dir=str(paths.pictures_dir()))
        made.append(save_picture(np.full((SIDE, SIDE, 3), GREY, np.uint8), record, where))
    return [*made, write(4)]


@pytest.fixture
def view(workspace, look, qtbot):
    """The grey picture is on show, and what it was made from has come."""
    look(0)
    qtbot.waitUntil(lambda: workspace.original_desk.layer.there)
    return workspace.canvas.view


def colour(view, at: tuple[float, float]) -> tuple[int, int, int]:
    """Of what is painted at a point of the picture."""
    point = view.surface.place().to_surface(QPointF(*at)).toPoint()
    seen = view.surface.grab().toImage().pixelColor(point)
    return seen.red(), seen.green(), seen.blue()


def test_a_key_that_is_held_shows_the_original(workspace, view) -> None:
    assert workspace.original_desk.button.isVisible()
    assert colour(view, (200, 200)) == GREY
    view.setFocus()
    QTest.keyPress(view, Qt.Key.Key_Backslash)
    assert colour(view, (200, 200)) == RED
    QTest.keyRelease(view, Qt.Key.Key_Backslash)
    assert colour(view, (200, 200)) == GREY


def test_the_divider_parts_them_and_is_dragged(workspace, view) -> None:
    desk = workspace.original_desk
    QTest.mouseClick(desk.button, Qt.MouseButton.LeftButton)
    assert workspace.actions_.original.isChecked()
    assert (colour(view, (60, 200)), colour(view, (200, 200))) == (RED, GREY)
    drag(view, [(MIDDLE, 200), (220, 200)])
    assert colour(view, (200, 200)) == RED and abs(desk.layer.share - 220 / SIDE) < 0.01
    workspace.actions_.original.trigger()
    assert colour(view, (60, 200)) == GREY and not desk.button.isChecked()


def test_the_divider_goes_on_with_the_next_picture(workspace, view, look, files, qtbot) -> None:
    desk = workspace.original_desk
    desk.button.click()
    look(2)
    assert not desk.button.isVisible() and not workspace.actions_.original.isEnabled()
    look(0)
    qtbot.waitUntil(lambda: desk.layer.shown is Shown.BESIDE)


def test_under_a_tool_only_the_knob_is_dragged(workspace, view) -> None:
    desk = workspace.original_desk
    desk.button.click()
    workspace.actions_.tools["mask"].trigger()
    drag(view, [(MIDDLE, 200), (160, 200)])
    assert workspace.tools_desk.mask.image is not None and desk.layer.share == 0.5
    drag(view, [(MIDDLE, MIDDLE), (160, MIDDLE)])
    assert abs(desk.layer.share - 160 / SIDE) < 0.01
    mouse(view, QEvent.Type.MouseMove, (30, 30))


def test_an_original_that_is_gone_is_said(workspace, look, qtbot) -> None:
    look(1)
    button = workspace.original_desk.button
    qtbot.waitUntil(lambda: button.isVisible() and not button.isEnabled())
    assert "is not there any more" in button.toolTip()
    assert not workspace.actions_.original.isEnabled()


@pytest.mark.parametrize("area", [InpaintArea.WHOLE, InpaintArea.MASKED])
@pytest.mark.parametrize(
    ("frame", "target"),
    [
        (Outpaint(), (320, 240)),
        (Outpaint(), (240, 320)),
        (Outpaint(left=64, right=32), (416, 240)),
        (Outpaint(left=-64), (256, 256)),
        (Outpaint(left=-64, right=96, top=-32), (352, 208)),
    ],
)
def test_where_an_original_lies(
    tmp_path: Path, area: InpaintArea, frame: Outpaint, target: tuple[int, int]
) -> None:
    """As the pixels have it that pictures are made of."""
    own = (320, 240)
    ramp = np.stack(np.meshgrid(np.linspace(0, 255, 320), np.linspace(0, 255, 240)), -1)
    pixels = np.concatenate([ramp, ramp[..., :1]], -1).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    mask = Image.new("L", own)
    mask.paste(255, (150, 100, 190, 140))
    mask.save(tmp_path / "m.png")
    start = StartImage(
        str(tmp_path / "ramp.png"), mask=str(tmp_path / "m.png"), outpaint=frame, inpaint_area=area
    )
    made = prepare(start, *target).kept
    high, wide = made.shape[:2]
    left, top, width, height = beginning_in_result(start, own, (wide, high))
    for at_x, at_y in ((0.35, 0.4), (0.6, 0.55), (0.8, 0.7)):
        x, y = left + at_x * width, top + at_y * height
        if 1 < x < wide - 2 and 1 < y < high - 2:
            seen = made[int(y), int(x)]
            assert abs(int(seen[0]) - 255 * at_x) < 4 and abs(int(seen[1]) - 255 * at_y) < 4
    plain = replace(start, mask="", outpaint=Outpaint())
    assert beginning_in_result(plain, own, (2 * own[0], 2 * own[1])) == (0, 0, 640, 480)
