"""Enlarging a picture from the window, by the real process."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui import paths
from gui.library.metadata.containers import read_fields
from gui.ui.widgets.choice import HELP_ROLE
from tests.library.test_picture_scan import save


def test_a_picture_is_enlarged_beside_its_original_and_shows_in_the_strip(
    workspace, home, qtbot
) -> None:
    pictures = workspace.studio.pictures
    path = save(home / "Pictures" / "2026-11-02", "a fox in fog")
    workspace.studio.library.refresh()
    qtbot.waitUntil(lambda: pictures.paths_of([0]) == [str(path)])
    strip = workspace.filmstrip.list
    at = strip.visualRect(strip.model().index(0, 0)).center()
    QTest.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert workspace.shown_picture() is not None
    action = workspace.actions_.enlarge_4
    assert action.isEnabled() and not workspace.pictures_desk.enlarge_strip.isVisible()
    seen: list[str] = []
    workspace.studio.enlarging.changed.connect(lambda status: seen.append(status.name))
    action.trigger()
    qtbot.waitUntil(lambda: pictures.rowCount() == 2)
    assert path.name in seen
    qtbot.waitUntil(lambda: not workspace.pictures_desk.enlarge_strip.isVisible())
    larger = path.with_name(f"{path.stem}-4x.png")
    with Image.open(path) as small, Image.open(larger) as large:
        assert large.size == (small.width * 4, small.height * 4)
    assert "Postprocess upscale by: 4" in read_fields(larger).texts["parameters"]
    # what was asked for is what is seen, and it is this one that the next command acts on
    qtbot.waitUntil(lambda: workspace.shown_picture().path == str(larger))


def test_what_cannot_be_enlarged_is_told_once_and_the_rest_goes_on(
    workspace, home, tmp_path: Path, qtbot
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"no" * 20)
    good = save(home / "Pictures" / "2026-11-02", "a fox in fog")
    enlarging, errors, made = workspace.studio.enlarging, [], []
    enlarging.failed.connect(errors.append)
    enlarging.enlarged.connect(lambda path, *_: made.append(path))
    enlarging.enlarge([str(broken), str(good)], 2, "Drawings x4")
    qtbot.waitUntil(lambda: len(made) == 1)
    assert made == [str(good.with_name(f"{good.stem}-2x.png"))]
    assert len(errors) == 1 and "broken.png" in errors[0].message
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".png") == ["broken.png"]


def test_own_upscalers_are_offered_and_what_is_none_says_why(workspace, home, qtbot) -> None:
    folder = paths.upscalers_dir()
    shipped = paths.resource("upscalers") / "Drawings x4.mlpackage"
    shutil.copytree(shipped, folder / "Mine & more.mlpackage")
    (folder / "Broken.mlpackage").mkdir()
    panel = workspace.prompt_panel
    choice = panel.controls["upscaler"].input
    shown = choice.currentText()
    panel.advanced_section.set_open(True)
    qtbot.waitUntil(lambda: choice.findText("Broken") >= 0)
    assert choice.currentText() == shown
    broken = choice.findText("Broken")
    assert not choice.model().item(broken).isEnabled()
    assert "Broken.mlpackage" in choice.itemData(broken, HELP_ROLE)
    choice.select_data("Mine & more")
    assert workspace.studio.draft.value("upscaler") == "Mine & more"
    assert choice.itemData(choice.currentIndex(), HELP_ROLE).startswith("Enlarges drawings")
