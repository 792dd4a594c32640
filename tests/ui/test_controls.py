"""The tool Control: ControlNets in the real window, on real model files."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage
from PySide6.QtTest import QTest

from gui import paths
from gui.control_use import Control, ControlBalance, Preprocessor, PreprocessorSettings
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.request import PictureRequest
from gui.state import models
from gui.state.control_previews import PrepareControl
from tests.library.test_picture_scan import save
from tests.ui.conftest import read_by_name

CANNY = Path(__file__).parents[1] / "pipeline" / "files" / "canny.png"
EDGES = CANNY.with_name("canny-opencv.png")
"""What OpenCV 4's `Canny(picture, 100, 200)` made of it."""


def read_really(entry, reader=None):
    """As the reading process does, without it."""
    if entry.starter:
        return read_by_name(entry)
    info = inspect_model(entry.folder)
    return dataclasses.replace(entry, info=info, sidecar=load_sidecar(info))


@pytest.fixture
def led(open_workspace, home, monkeypatch, tiny_models, qtbot):
    """A window with a model that has a ControlNet, another one in the library that fits no part of
    it, and a file there that is none; the tool in hand."""
    made = tiny_models("sd1_controlnet", "sd1", controlnet=True, precision="fp32")
    folder = paths.models_dir() / "tiny"
    shutil.copytree(made.folder, folder)
    library = paths.controlnets_dir()
    for name in ("Lines", "Strange"):
        shutil.copytree(
            next(made.folder.glob("ControlNet_*" if name == "Lines" else "*_vae_decoder*")),
            library / f"{name}.mlpackage",
        )
    monkeypatch.setattr(models, "read_entry", read_really)
    workspace, queue = open_workspace()
    workspace.studio.using.choose(workspace.studio.models.entry(folder))
    workspace.canvas.tools.take(workspace.control_room.tool)
    qtbot.waitUntil(lambda: workspace.studio.networks.listed)
    return workspace, queue


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def texts(menu) -> list[str]:
    return [action.text() for action in menu.actions() if action.text()]


def test_what_fits_can_be_added_and_what_does_not_says_why(led) -> None:
    workspace, _ = led
    bar, desk = workspace.control_room.bar, workspace.studio.controls
    assert not bar.about.isHidden() and bar.editor.isHidden()
    menu = bar.make_menu()
    entries = {a.text().partition("\t")[0]: a for a in menu.actions() if a.text()}
    assert entries["tiny_edges"].isEnabled() and entries["Lines"].isEnabled()
    assert not entries["Strange"].isEnabled()
    assert entries["Strange"].text().endswith("\tIt takes no control picture")
    entries["tiny_edges"].trigger()
    assert [c.network for c in desk.controls] == ["tiny_edges"]
    assert [chip.text() for chip in bar.chips] == ["tiny_edges"]
    assert bar.about.isHidden() and not bar.editor.isHidden()
    desk.add("tiny_edges")  # once more: the two can be told apart
    assert [chip.text() for chip in bar.chips] == ["tiny_edges", "2 · tiny_edges"]
    assert bar.chips[1].accessibleName() == "2 · tiny_edges"


def test_a_model_without_places_says_so_and_where_to_go(led) -> None:
    workspace, _ = led
    bar, studio = workspace.control_room.bar, workspace.studio
    studio.controls.add("tiny_edges")
    studio.controls.set_picture(0, str(CANNY))
    slim = studio.model.info
    parts = {k: c for k, c in slim.components.items() if k != "control-unet"}
    entry = dataclasses.replace(
        studio.model, info=dataclasses.replace(slim, components=parts, controlnets=())
    )
    studio.controls._in_use = lambda: entry
    studio.controls.look_again()
    assert "takes no ControlNet" in studio.controls.no_places
    assert "is not among your ControlNets" in bar.editor.problem.text()  # it was the model's own
    studio.controls.remove(0)
    assert "its UNet has no places for one" in bar.about.text() and not bar.hub.isHidden()
    wanted: list[int] = []
    bar.hub_wanted.connect(lambda: wanted.append(1))
    bar.model_wanted.connect(lambda: wanted.append(2))
    assert "choose a model that has" in bar.about.text()  # no ControlNet would help
    bar.hub.click()
    assert wanted == [2]


def test_the_control_picture_is_seen_before_anything_is_made(led, qtbot, home) -> None:
    """Made by a process, over the picture on the canvas, and gone from there when a new picture is
    to be looked at."""
    workspace, _ = led
    bar, desk = workspace.control_room.bar, workspace.studio.controls
    shown = [save(home / "Pictures" / "2026-11-02", f"fog {n}") for n in range(2)]
    workspace.studio.library.refresh()
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 2 and all(map(pictures.picture, range(2))))
    workspace.canvas.look_at(pictures.find(str(shown[0])))
    view = workspace.canvas.view
    qtbot.waitUntil(lambda: view.path() == str(shown[0]))
    plain = view.surface.grab().toImage()
    desk.add("tiny_edges")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(CANNY))])
    event = QDropEvent(
        QPointF(9, 9), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    bar.editor.well.dropEvent(event)
    assert desk.controls[0].picture == str(CANNY)
    qtbot.waitUntil(lambda: not bar.image.isNull())
    assert (bar.image.width(), bar.image.height()) == (64, 64)  # the model's size
    desk.set_preprocessor(0, Preprocessor.CANNY)
    qtbot.waitUntil(lambda: set(np.unique(pixels(bar.image))) == {0, 255})
    over = view.surface.grab().toImage()
    place = view.surface.picture_rect().center().toPoint() - QPoint(3, 3)
    assert over.pixel(place) != plain.pixel(place)
    assert "160 × 160 px" in bar.editor.caption.whole_text()
    workspace.canvas.look_at(pictures.find(str(shown[1])))
    qtbot.waitUntil(lambda: view.path() == str(shown[1]))
    assert not bar.editor.eye.isChecked()


def test_the_process_makes_the_edges_that_opencv_makes(led, qtbot) -> None:
    workspace, _ = led
    previews = workspace.studio.controls.previews
    found = []
    previews.made.connect(lambda whose, preview: found.append((whose, preview)))
    previews.want("me", PrepareControl(str(CANNY), 160, 160, Preprocessor.CANNY))
    qtbot.waitUntil(lambda: bool(found))
    whose, preview = found[0]
    with Image.open(EDGES) as picture:
        expected = np.asarray(picture.convert("L"))
    assert whose == "me" and not preview.cut and preview.size == (160, 160)
    np.testing.assert_array_equal(pixels(preview.image)[..., 0], expected)


def test_a_picture_that_cannot_be_used_is_told_beside_it(led, qtbot, tmp_path: Path) -> None:
    workspace, _ = led
    bar, desk = workspace.control_room.bar, workspace.studio.controls
    broken = tmp_path / "broken <b>.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"no" * 20)
    desk.add("tiny_edges")
    desk.set_picture(0, str(broken))
    qtbot.waitUntil(lambda: "broken <b>.png" in bar.editor.problem.text())
    assert bar.editor.problem.textFormat() == Qt.TextFormat.PlainText
    desk.set_picture(0, str(CANNY))
    qtbot.waitUntil(lambda: not bar.image.isNull())
    assert bar.editor.problem.text() == ""


def test_a_wide_picture_is_said_to_be_cut(led, qtbot, tmp_path: Path) -> None:
    workspace, _ = led
    bar, desk = workspace.control_room.bar, workspace.studio.controls
    wide = tmp_path / "wide.png"
    Image.new("RGB", (300, 100), "red").save(wide)
    desk.add("tiny_edges", str(wide))
    qtbot.waitUntil(lambda: "cut around its centre" in bar.editor.caption.whole_text())


def test_what_is_set_goes_into_the_request_and_comes_back_by_undo(led) -> None:
    workspace, queue = led
    bar, desk, undo = workspace.control_room.bar, workspace.studio.controls, workspace.studio.undo
    desk.add("tiny_edges")
    desk.set_picture(0, str(CANNY))
    editor = bar.editor
    editor.weight.setValue(0.7)
    editor.end.setValue(60)
    editor.begin.setValue(80)  # pushes the end along
    editor.balance.select_data(ControlBalance.PROMPT.value)
    editor.preparation.select_data((Preprocessor.TILE.value, ""))
    desk.add("Lines")
    assert [chip.isChecked() for chip in bar.chips] == [False, True]
    editor.on.click()
    whole = (
        Control("tiny_edges", str(CANNY), Preprocessor.TILE, 0.7, 0.8, 0.81, ControlBalance.PROMPT),
        Control("Lines", "", on=False),
    )
    assert desk.controls == whole
    assert bar.chips[1].text() == "Lines  (off)"
    workspace.studio.draft.set("prompt", "a fox")
    workspace.studio.generate()
    assert queue.jobs()[-1].request.controls == whole
    bar.choose(0)
    QTest.mouseClick(editor.remove, Qt.MouseButton.LeftButton)
    QTest.qWait(0)
    assert [c.network for c in desk.controls] == ["Lines"]
    assert undo.undo_text == "Remove ControlNet"
    undo.undo()
    assert desk.controls == whole


def test_what_is_set_of_a_preparation_is_seen_at_once_and_sent(led, qtbot) -> None:
    workspace, queue = led
    bar, desk = workspace.control_room.bar, workspace.studio.controls
    desk.add("tiny_edges")
    desk.set_picture(0, str(CANNY))
    desk.set_preprocessor(0, Preprocessor.TILE)
    editor = bar.editor
    shown = {name for name, field in editor.settings.items() if not field.isHidden()}
    assert shown == {"tile_size"}
    editor.preparation.select_data((Preprocessor.CANNY.value, ""))
    shown = {name for name, field in editor.settings.items() if not field.isHidden()}
    assert shown == {"canny_low", "canny_high"}

    def edges() -> int:
        return int((pixels(editor.image)[..., 0] > 0).sum()) if not editor.image.isNull() else -1

    qtbot.waitUntil(lambda: edges() > 0, timeout=20_000)
    before = edges()
    for field, value in (("canny_low", 30), ("canny_high", 70)):
        editor.settings[field].box.setValue(value)
    qtbot.waitUntil(lambda: edges() > before, timeout=20_000)
    asked = Control(
        "tiny_edges",
        str(CANNY),
        Preprocessor.CANNY,
        settings=PreprocessorSettings(canny_low=30, canny_high=70),
    )
    workspace.studio.draft.set("prompt", "a fox")
    workspace.studio.generate()
    request = queue.jobs()[-1].request
    assert request.controls == (asked,)
    assert PictureRequest.from_json(request.to_json()) == request


def test_one_without_a_picture_is_asked_for_before_anything_is_sent(led) -> None:
    workspace, queue = led
    desk = workspace.studio.controls
    workspace.studio.draft.set("prompt", "a fox")
    desk.add("tiny_edges")
    errors = []
    workspace.studio.error_raised.connect(errors.append)
    assert not workspace.studio.generate() and queue.jobs() == []
    assert errors[0].message == (
        "“tiny_edges” has no control picture; choose one, or switch it off."
    )
    desk.switch(0, False)
    assert workspace.studio.generate()


def test_the_draft_keeps_them(led) -> None:
    from gui.state.draft import Draft

    workspace, _ = led
    desk = workspace.studio.controls
    desk.add("tiny_edges", str(CANNY))
    desk.adjust(0, weight=0.4)
    draft = workspace.studio.draft.draft
    assert Draft.from_json(draft.to_json()).request.controls == desk.controls


def test_in_a_small_window_balance_and_range_stand_in_a_pop_over(led, qtbot) -> None:
    workspace, _ = led
    bar, desk, tools = workspace.control_room.bar, workspace.studio.controls, workspace.canvas.tools
    desk.add("tiny_edges")
    desk.set_preprocessor(0, Preprocessor.CANNY)
    editor = bar.editor
    workspace.main_window.resize(1024, 640)
    qtbot.waitUntil(lambda: editor.more.isVisible())
    qtbot.waitUntil(lambda: tools.bar.height() >= tools.bar.heightForWidth(tools.bar.width()))
    assert not editor.balance.isVisible() and editor.weight.isVisible()
    editor.more.click()
    editor.balance.select_data(ControlBalance.CONTROL.value)
    assert desk.controls[0].balance is ControlBalance.CONTROL and editor.begin.isVisible()
    editor.popover.close()
    workspace.main_window.resize(1400, 860)
    qtbot.waitUntil(lambda: editor.balance.isVisible() and not editor.more.isVisible())
