"""Commands on several chosen pictures, in the gallery and on the strip, by mouse and keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QItemSelectionModel, QPoint, Qt
from PySide6.QtGui import QAccessible, QGuiApplication, QKeySequence
from PySide6.QtTest import QTest

from gui.mac import FallbackServices
from gui.state.pictures.types import PictureFilter
from tests.ui.pictures.hands import CONTROL, SHIFT, chosen, click, name, press, write

Key = Qt.Key


@pytest.fixture
def own_trash(tmp_path, monkeypatch):
    """The freedesktop Trash lies in the test's folder (macOS uses the person's own)."""
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def strip(files, workspace, qtbot):
    """The strip with all pictures read, the second and third chosen, the third on the canvas."""
    pictures, view = workspace.studio.pictures, workspace.filmstrip.list
    qtbot.waitUntil(lambda: pictures.rowCount() == len(files))
    qtbot.waitUntil(lambda: all(pictures.picture(row) for row in range(len(files))))
    rows, flag = view.model(), QItemSelectionModel.SelectionFlag
    view.setCurrentIndex(rows.index(1, 0))
    view.selectionModel().setCurrentIndex(rows.index(2, 0), flag.Select)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[2]))
    view.setFocus()
    return workspace.filmstrip


def marks(pictures) -> list[tuple[bool, str]]:
    held = [pictures.picture(row) for row in range(pictures.rowCount())]
    return [(p.favourite, " ".join(p.tags)) if p else (False, "") for p in held]


def favourites(pictures) -> list[int]:
    return [row for row, (loved, _) in enumerate(marks(pictures)) if loved]


def urls() -> list[str]:
    data = QGuiApplication.clipboard().mimeData()
    return [url.toLocalFile() for url in data.urls()] if data is not None else []


# -- what is chosen -----------------------------------------------------------------------------


def test_keys_choose_pictures_that_are_not_beside_each_other(gallery):
    grid = gallery.grid
    press(grid, Key.Key_Home)
    press(grid, Key.Key_Right, CONTROL)
    press(grid, Key.Key_Right, CONTROL)
    assert chosen(gallery) == "0" and grid.current_row() == 2, "gone to, not chosen"
    press(grid, Key.Key_Space, CONTROL)
    assert chosen(gallery) == "0 2"
    press(grid, Key.Key_Right, SHIFT)
    assert chosen(gallery) == "2 3", "a range begins where the last one was added"
    press(grid, Key.Key_Space, CONTROL)
    assert chosen(gallery) == "2"


def test_what_is_chosen_stays_chosen_when_rows_move(workspace, gallery, files, qtbot):
    pictures = workspace.studio.gallery
    click(gallery.grid, 1)
    click(gallery.grid, 4, CONTROL)
    write(files[0].parent, 50, 0)
    files[0].unlink()
    qtbot.waitUntil(lambda: {name(p) for r in range(7) if (p := pictures.picture(r))} >= {"050"})
    qtbot.waitUntil(lambda: pictures.rowCount() == 7)
    assert chosen(gallery) == "1 4"
    pictures.set_filter(PictureFilter("fog"))
    qtbot.waitUntil(lambda: pictures.rowCount() == 4)
    assert chosen(gallery) == "4", "what a filter holds back is acted on by nobody"


def test_the_strip_keeps_all_that_are_chosen_when_rows_move(workspace, strip, files, qtbot):
    before = strip.chosen_ids()
    assert strip.selected_paths() == [str(files[1]), str(files[2])]
    write(files[0].parent, 50, 0)
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 8)
    assert strip.chosen_ids() == before
    assert workspace.canvas.view.path() == str(files[2])


def test_all_are_chosen_in_front_and_named_by_their_number(workspace, gallery):
    workspace.editing.edit("selectAll")
    assert chosen(gallery) == "0 1 2 3 4 5 6"
    a = workspace.actions_
    assert (a.copy_picture.text(), a.trash.text()) == (
        "Copy 7 Pictures",
        "Move 7 Pictures to Trash",
    )
    click(gallery.grid, 3)
    assert (a.copy_picture.text(), a.trash.text()) == ("Copy Picture", "Move to Trash")


# -- what is done -------------------------------------------------------------------------------


def test_the_menu_marks_all_that_are_chosen_and_one_undo_takes_it_back(workspace, gallery, qtbot):
    pictures = workspace.studio.gallery
    click(gallery.grid, 2)
    workspace.actions_.favourite.trigger()
    qtbot.waitUntil(lambda: favourites(pictures) == [2])
    click(gallery.grid, 4, SHIFT)
    workspace.actions_.favourite.trigger()
    qtbot.waitUntil(lambda: favourites(pictures) == [2, 3, 4])
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: favourites(pictures) == [2])  # it was one before
    workspace.actions_.redo.trigger()
    qtbot.waitUntil(lambda: favourites(pictures) == [2, 3, 4])
    workspace.actions_.favourite.trigger()  # all are: none is from now on
    qtbot.waitUntil(lambda: favourites(pictures) == [])


def test_the_strip_marks_all_that_are_chosen(workspace, strip, qtbot):
    pictures = workspace.studio.pictures
    QTest.keyClick(strip.list, Key.Key_F)
    qtbot.waitUntil(lambda: favourites(pictures) == [1, 2])
    assert workspace.studio.undo.undo_text == "Add to Favourites"


def test_tags_of_several_pictures(workspace, gallery, qtbot):
    pictures = workspace.studio.gallery
    workspace.studio.marks.tag([pictures.id_at(0)], ["old", "one"], [])
    workspace.studio.marks.tag([pictures.id_at(1)], ["old"], [])
    workspace.studio.marks.tag([pictures.id_at(6)], ["elsewhere"], [])
    qtbot.waitUntil(lambda: [t for _, t in marks(pictures)][:2] == ["old one", "old"])
    click(gallery.grid, 0)
    click(gallery.grid, 1, CONTROL)
    workspace.actions_.tags.trigger()
    sheet = workspace.pictures_desk.commands._tags
    assert sheet.title.text() == "Tags of 2 pictures"
    qtbot.waitUntil(lambda: len(sheet.ticks) == 3)
    states = {tag: tick.checkState().name for tag, tick in sheet.ticks.items()}
    assert states == {"old": "Checked", "one": "PartiallyChecked", "elsewhere": "Unchecked"}
    QTest.keyClicks(sheet.field, "  dawn  light ")
    QTest.keyClick(sheet.field, Key.Key_Return)
    sheet.ticks["old"].click()
    sheet.ticks["elsewhere"].click()
    sheet.ticks["elsewhere"].click()
    QTest.keyClick(sheet.field, Key.Key_Return)
    assert not sheet.isVisible()
    qtbot.waitUntil(lambda: [t for _, t in marks(pictures)][:2] == ["dawn light one", "dawn light"])
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: [t for _, t in marks(pictures)][:2] == ["old one", "old"])
    workspace.actions_.redo.trigger()
    qtbot.waitUntil(lambda: [t for _, t in marks(pictures)][:2] == ["dawn light one", "dawn light"])


def test_copy_takes_all_files_and_the_pixels_of_the_current(workspace, strip, files, qtbot):
    qtbot.waitUntil(lambda: workspace.studio.pictures._pixels[0] == str(files[2]))
    workspace.actions_.copy_picture.trigger()
    qtbot.waitUntil(lambda: urls() == [str(files[1]), str(files[2])])
    image = QGuiApplication.clipboard().image()
    wanted = workspace.canvas.view.image()
    assert image.convertToFormat(wanted.format()) == wanted


def test_copy_in_the_gallery(workspace, gallery, files, qtbot):
    click(gallery.grid, 1)
    click(gallery.grid, 3, SHIFT)
    workspace.editing.edit("copy")
    qtbot.waitUntil(lambda: urls() == [str(file) for file in files[1:4]])


def test_reveal_shows_all_that_are_chosen(workspace, gallery, files, monkeypatch, qtbot):
    shown: list[tuple[Path, ...]] = []

    class Finder(FallbackServices):
        def reveal(self, path, *more):
            shown.append((path, *more))

    monkeypatch.setattr("gui.state.desktop.services", Finder)
    click(gallery.grid, 0)
    click(gallery.grid, 5, CONTROL)
    workspace.actions_.reveal.trigger()
    qtbot.waitUntil(lambda: shown == [(files[0], files[5])])


def test_the_strips_delete_key_moves_all_and_one_undo_brings_them_back(
    workspace, strip, files, own_trash, qtbot
):
    QTest.keyClick(strip.list, Key.Key_Delete)
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 5)
    assert [file.exists() for file in files] == [True, False, False, True, True, True, True]
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: pictures.rowCount() == 7 and all(file.exists() for file in files))


def test_a_picture_on_the_canvas_alone_is_acted_on_alone(workspace, strip, files, own_trash, qtbot):
    """What was chosen on the strip before means nothing where another one is looked at."""
    workspace.canvas.look_at(workspace.studio.pictures.picture(5))
    workspace.actions_.trash.trigger()
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 6)
    assert [file.exists() for file in files] == [True] * 5 + [False, True]


def test_the_context_menu_of_several_acts_on_several(workspace, gallery):
    click(gallery.grid, 1)
    click(gallery.grid, 2, SHIFT)
    texts = [action.text() for action in workspace.pictures_desk.menu().actions()]
    assert "Copy 2 Pictures" in texts and "Tags of 2 Pictures…" in texts
    assert "Move 2 Pictures to Trash" in texts


def test_too_many_are_not_copied_and_it_is_said(workspace, gallery, monkeypatch):
    monkeypatch.setattr("gui.ui.pictures.commands.MOST_FILES", 3)
    QGuiApplication.clipboard().setText("kept")
    workspace.editing.edit("selectAll")
    workspace.actions_.copy_picture.trigger()
    banner = workspace.canvas.banner
    assert banner.statement.text() == "Up to 3 pictures can be copied at once; choose fewer."
    assert QGuiApplication.clipboard().text() == "kept"


def test_find_looks_where_the_person_is(workspace, gallery, qtbot):
    assert workspace.actions_.find.shortcut() == QKeySequence(QKeySequence.StandardKey.Find)
    workspace.actions_.find.trigger()
    assert gallery.search.hasFocus() and not workspace.models_panel.hub
    workspace.actions_.gallery.trigger()
    workspace.actions_.find.trigger()
    assert workspace.models_panel.hub is not None and workspace.models_panel.hub.isVisible()


# -- who does not see ---------------------------------------------------------------------------


def test_a_screen_reader_finds_a_named_item_for_each_picture_in_view(workspace, gallery):
    grid = gallery.grid
    QAccessible.setActive(True)
    try:
        reader = QAccessible.queryAccessibleInterface(grid)
        assert reader.role() == QAccessible.Role.List
        assert reader.text(QAccessible.Text.Name) == "Pictures"
        assert reader.childCount() == len(grid.visible_rows()) >= 3
        cells = [reader.child(number) for number in range(3)]
        names = [cell.text(QAccessible.Text.Name) for cell in cells]
        assert names == ["Picture of “a lighthouse in fog”, 1 of 7",
                         "Picture of “a red fox”, 2 of 7",
                         "Picture of “fog over a fox”, 3 of 7"]  # fmt: skip
        click(grid, 1)
        for state in ("selected", "focused"):
            said = [bool(getattr(cell.state(), state)) for cell in cells]
            assert said == [False, True, False], state
        for row, cell in enumerate(cells):
            at = grid.viewport().mapToGlobal(grid.rect_on_screen(row).center())
            assert cell.rect().contains(at) and reader.childAt(at.x(), at.y()) is cell
            assert cell.role() == QAccessible.Role.ListItem and reader.indexOfChild(cell) == row
        between = grid.viewport().mapToGlobal(QPoint(2, 2))
        assert reader.childAt(between.x(), between.y()) is None
        told = [QAccessible.uniqueId(cell) for cell in cells]
        assert all(QAccessible.accessibleInterface(number) for number in told)
        grid.destroyed.emit()  # what stays with Qt crashes the process as it ends
        assert not any(QAccessible.accessibleInterface(number) for number in told)
    finally:
        QAccessible.setActive(False)
