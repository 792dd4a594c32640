"""A picture that goes in, chosen from one's own."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from tests.library.test_picture_scan import save


@pytest.fixture
def pictures(home):
    """Three, made before the window opens."""
    names = ("a red fox", "a blue boat", "a blue house")
    return [save(home / "Pictures" / "2026-11-02", name) for name in names]


@pytest.fixture
def desk(pictures, open_workspace):
    return open_workspace()


def entries(menu) -> dict:
    return {action.text(): action for action in menu.actions() if action.text()}


def opened(workspace, qtbot, ask):
    ask()
    sheet = workspace.picking_desk.sheet
    qtbot.waitUntil(lambda: sheet.pictures.rowCount() == 3)
    return sheet


def test_a_starting_picture_is_found_by_a_word_and_taken(workspace, pictures, qtbot) -> None:
    zone = workspace.prompt_panel.start
    QTest.mouseClick(zone, Qt.MouseButton.LeftButton)
    menu = entries(zone.menu)
    assert list(menu) == ["From the Gallery…", "Choose a File…"]
    sheet = opened(workspace, qtbot, menu["From the Gallery…"].trigger)
    zone.menu.close()
    assert sheet.title.text() == "Choose a starting picture" and not sheet.take.isEnabled()
    QTest.keyClicks(sheet.search, "boat")
    qtbot.waitUntil(lambda: sheet.pictures.rowCount() == 1)
    qtbot.waitUntil(lambda: sheet.pictures.picture(0) is not None)
    sheet.grid.choose(0)
    assert sheet.take.isEnabled()
    sheet.take.click()
    assert workspace.studio.draft.value("start_image.path") == str(pictures[1])
    assert workspace.picking_desk.sheet is None
    zone.ask()
    entries(zone.menu)["Remove"].trigger()
    assert workspace.studio.draft.value("start_image.path") == ""
    zone.menu.close()


def test_a_control_picture_is_taken_by_a_double_click(workspace, pictures, qtbot) -> None:
    controls, bar = workspace.studio.controls, workspace.control_room.bar
    controls.add("tiny_edges")
    menu = entries(bar.make_picture_menu())
    sheet = opened(workspace, qtbot, menu["From the Gallery…"].trigger)
    qtbot.waitUntil(lambda: all(sheet.pictures.picture(row) for row in range(3)))
    row = next(r for r in range(3) if sheet.pictures.picture(r).path == str(pictures[0]))
    at = sheet.grid.layout_.rect_of(row).center()
    sheet.grid.choose(row)
    QTest.mouseDClick(sheet.grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert controls.controls[0].picture == str(pictures[0])


def test_nothing_found_says_so_and_a_file_can_be_taken(
    workspace, pictures, qtbot, monkeypatch
) -> None:
    zone = workspace.prompt_panel.start
    sheet = opened(workspace, qtbot, zone.gallery_wanted.emit)
    QTest.keyClicks(sheet.search, "zebra")
    qtbot.waitUntil(lambda: sheet.stack.currentWidget() is sheet.message)
    assert not sheet.take.isEnabled()
    chosen = str(pictures[2])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (chosen, ""))
    sheet.file.click()
    assert zone.path() == chosen
