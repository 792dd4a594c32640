"""The gallery in the real window: every picture by day, found, chosen, marked, dragged, trashed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from gui import paths
from gui.state.pictures.types import PictureKind
from gui.ui.pictures.grid import next_side
from gui.ui.pictures.grid_layout import GridLayout
from tests.ui.pictures.hands import (
    COLOURS,
    CONTROL,
    SHIFT,
    TODAY,
    chosen,
    click,
    drag_mouse,
    name,
    press,
    write,
)

# -- where pictures are -----------------------------------------------------------------------


def day(number: int) -> date:
    return date(2026, 11, number)


@pytest.mark.parametrize("width", [300, 640, 1111])
@pytest.mark.parametrize("side", [96, 180, 330])
def test_every_picture_has_a_place_of_its_own_inside_the_view(width: int, side: int) -> None:
    layout = GridLayout([(day(3), 0), (day(2), 7), (day(1), 8)], 30, width, side)
    rects = [layout.rect_of(row) for row in range(30)]
    assert all(rect.left() > 0 and rect.right() < width for rect in rects)
    assert not any(a.intersects(b) for k, a in enumerate(rects) for b in rects[:k])
    assert [layout.row_at(rect.center()) for rect in rects] == list(range(30))
    assert all(rect.bottom() < layout.height for rect in rects)
    everything = QRect(0, 0, width, layout.height)
    assert layout.rows_in(everything) == list(range(30))
    for box in (QRect(5, 5, 60, 300), QRect(150, 210, 400, 90), QRect(0, 0, 17, layout.height)):
        touched = [row for row, rect in enumerate(rects) if rect.intersects(box)]
        assert layout.rows_in(box) == touched


def test_up_and_down_keep_the_column_across_days() -> None:
    layout = GridLayout([(day(3), 0), (day(2), 5), (day(1), 6)], 12, 640, 180)
    assert layout.columns == 3
    assert [layout.beside(row, 1) for row in (0, 1, 2, 3, 4, 5)] == [3, 4, 4, 5, 5, 6]
    assert [layout.beside(row, -1) for row in (3, 5, 6, 11, 0)] == [0, 3, 5, 8, 0]
    assert layout.beside(11, 1) == 11


# -- the window -------------------------------------------------------------------------------


def test_all_pictures_are_there_newest_first_by_day(gallery, files):
    pictures = gallery.grid.pictures
    assert pictures.paths_of(range(7)) == [str(file) for file in files]
    today = TODAY.date()
    assert pictures.days() == [
        (today, 0),
        (today - timedelta(days=1), 3),
        (today - timedelta(days=40), 6),
    ]
    assert gallery.count.whole_text() == "7 pictures"


def test_thumbnails_are_painted_where_the_pictures_are(gallery, qtbot):
    grid = gallery.grid

    def colour_at(row: int) -> str:
        shot = grid.viewport().grab().toImage()
        ratio = shot.devicePixelRatio()
        return shot.pixelColor(
            (QPointF(grid.rect_on_screen(row).center()) * ratio).toPoint()
        ).name()

    def near(row: int) -> bool:
        ours, theirs = QImage(1, 1, QImage.Format.Format_RGB32), colour_at(row)
        ours.fill(COLOURS[row])
        want = ours.pixelColor(0, 0)
        got = int(theirs[1:3], 16), int(theirs[3:5], 16), int(theirs[5:7], 16)
        wanted = (want.red(), want.green(), want.blue())
        return all(abs(a - b) < 12 for a, b in zip(wanted, got, strict=True))

    qtbot.waitUntil(lambda: near(0) and near(1))


def test_the_gallery_takes_the_canvas_place_and_gives_it_back(workspace, gallery, files, qtbot):
    assert workspace.canvas.browsing and not workspace.filmstrip.isVisible()
    click(gallery.grid, 1)
    press(gallery.grid, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[1]))
    assert not workspace.canvas.browsing and workspace.filmstrip.isVisible()
    assert not workspace.actions_.gallery.isChecked()
    workspace.actions_.gallery.trigger()
    assert name(gallery.current()) == "001", "the picture on the canvas is the current one"
    press(gallery.grid, Qt.Key.Key_Right)
    press(gallery.grid, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[2]))


def test_a_filmstrip_that_was_put_away_stays_away(workspace, gallery, files):
    workspace.actions_.filmstrip.setChecked(False)
    workspace.actions_.gallery.trigger()
    assert not workspace.filmstrip.isVisible()
    workspace.studio.pictures.refreshed.emit()
    assert not workspace.filmstrip.isVisible()


def test_a_double_click_opens_a_picture(workspace, gallery, files, qtbot):
    at = gallery.grid.rect_on_screen(2).center()
    QTest.mouseDClick(gallery.grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[2]))


def test_clicks_choose_one_several_and_a_range(gallery):
    grid = gallery.grid
    click(grid, 1)
    assert chosen(gallery) == "1"
    click(grid, 4, CONTROL)
    assert chosen(gallery) == "1 4"
    assert gallery.count.whole_text() == "2 of 7 chosen"
    click(grid, 1, CONTROL)
    assert chosen(gallery) == "4"
    click(grid, 1)
    click(grid, 4, SHIFT)
    assert chosen(gallery) == "1 2 3 4"
    click(grid, 2, SHIFT)
    assert chosen(gallery) == "1 2"
    click(grid, 2)
    assert chosen(gallery) == "2", "of several that were chosen, the one that was clicked"


def test_keys_walk_and_extend(workspace, gallery):
    grid = gallery.grid
    press(grid, Qt.Key.Key_Home)
    assert chosen(gallery) == "0"
    press(grid, Qt.Key.Key_Right)
    press(grid, Qt.Key.Key_Right, SHIFT)
    assert chosen(gallery) == "1 2"
    press(grid, Qt.Key.Key_Left, SHIFT)
    assert chosen(gallery) == "1"
    press(grid, Qt.Key.Key_Down)
    assert grid.current_row() == grid.layout_.beside(1, 1)
    press(grid, Qt.Key.Key_End)
    assert chosen(gallery) == "6"
    assert grid.viewport().rect().contains(grid.rect_on_screen(6))
    press(grid, Qt.Key.Key_Left)
    press(grid, Qt.Key.Key_Home, SHIFT)
    assert chosen(gallery) == "0 1 2 3 4 5"
    workspace.editing.edit("selectAll")
    assert chosen(gallery) == "0 1 2 3 4 5 6"


def test_screen_readers_hear_the_current_picture(gallery):
    click(gallery.grid, 1)
    assert gallery.grid.accessibleDescription() == "Picture of “a red fox”, 2 of 7"


def test_a_band_chooses_what_it_touches(gallery):
    grid = gallery.grid
    first, second = grid.rect_on_screen(0), grid.rect_on_screen(1)
    drag_mouse(grid, QPoint(3, first.top() - 4), second.center())
    assert chosen(gallery) == "0 1"
    QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(3, first.top() - 4))
    assert chosen(gallery) == "", "a click beside the pictures chooses none"


def test_a_drag_takes_all_that_are_chosen_as_copies(gallery, files, monkeypatch):
    dragged = []

    class Drag:
        def __init__(self, _source) -> None:
            pass

        def setMimeData(self, data) -> None:
            dragged.extend(url.toLocalFile() for url in data.urls())

        def setPixmap(self, _pixmap) -> None:
            pass

        def setHotSpot(self, _at) -> None:
            pass

        def exec(self, actions) -> None:
            dragged.append(actions)

    monkeypatch.setattr("gui.ui.pictures.grid.QDrag", Drag)
    grid = gallery.grid
    click(grid, 0)
    click(grid, 2, CONTROL)
    start = grid.rect_on_screen(2).center()
    drag_mouse(grid, start, start + QPoint(60, 20))
    assert dragged == [str(files[0]), str(files[2]), Qt.DropAction.CopyAction]
    assert chosen(gallery) == "0 2"


def test_space_shows_a_picture_large_and_arrows_go_on(gallery, files, qtbot):
    grid, large = gallery.grid, gallery.large
    click(grid, 0)
    press(grid, Qt.Key.Key_Space)
    assert large.isVisible() and large.geometry() == gallery.rect()
    qtbot.waitUntil(lambda: large.view.path() == str(files[0]))
    QTest.keyClick(large, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: large.view.path() == str(files[1]))
    assert large.title.whole_text() == "a red fox"
    QTest.keyClick(large, Qt.Key.Key_Space)
    assert not large.isVisible() and grid.hasFocus() and chosen(gallery) == "1"


def test_favourites_by_key_and_heart_with_undo(workspace, gallery, qtbot):
    grid, pictures = gallery.grid, workspace.studio.gallery

    def marked() -> list[int]:
        return [row for row in range(7) if (p := pictures.picture(row)) and p.favourite]

    click(grid, 1)
    click(grid, 2, SHIFT)
    press(grid, Qt.Key.Key_F)
    qtbot.waitUntil(lambda: marked() == [1, 2])
    at = grid.heart_rect(1).center()
    QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: marked() == [2])
    assert chosen(gallery) == "1 2", "a click on the heart chooses nothing"
    assert workspace.actions_.undo.text() == "Undo Remove from Favourites"
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: marked() == [1, 2])
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: marked() == [])


def test_the_trash_takes_all_that_are_chosen_and_undo_brings_them_back(
    workspace, gallery, files, tmp_path, monkeypatch, qtbot
):
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    pictures = workspace.studio.gallery
    click(gallery.grid, 1)
    click(gallery.grid, 3, SHIFT)
    press(gallery.grid, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: pictures.rowCount() == 4)
    assert [file.exists() for file in files] == [True, False, False, False, True, True, True]
    assert chosen(gallery) == "4", "the picture in the place of those that went"
    assert workspace.canvas.banner.statement.text() == "3 pictures are in the Trash."
    assert workspace.canvas.banner.isVisible()
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: pictures.rowCount() == 7 and all(file.exists() for file in files))


def test_words_are_looked_for_as_they_are_typed(workspace, gallery, qtbot):
    pictures = workspace.studio.gallery
    gallery.focus_search()
    QTest.keyClicks(gallery.search, "fo")
    qtbot.waitUntil(lambda: pictures.rowCount() == 6)
    QTest.keyClicks(gallery.search, "g fox")
    qtbot.waitUntil(lambda: [name(p) for r in range(pictures.rowCount())
                             if (p := pictures.picture(r))] == ["002", "006"])  # fmt: skip
    assert workspace.studio.pictures.rowCount() == 7, "the strip shows them all"
    gallery.search.setText("zebra")
    QTest.keyClick(gallery.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: pictures.rowCount() == 0)
    assert gallery.message.isVisible() and gallery.message.title.text() == "Nothing matches."
    QTest.mouseClick(gallery.clear, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pictures.rowCount() == 7)
    assert gallery.search.text() == "" and gallery.grid.isVisible()


def test_filters_hold_pictures_back_and_chips_take_them_away(workspace, gallery, qtbot):
    pictures, popover = workspace.studio.gallery, gallery.filters.popover
    qtbot.waitUntil(lambda: popover.model_choice.count() == 2)
    assert popover.model_choice.itemText(1) == "dream (7)"
    popover.period.setCurrentIndex(popover.period.index_of(0))
    popover.period.activated.emit(popover.period.currentIndex())
    qtbot.waitUntil(lambda: pictures.rowCount() == 3)
    assert [chip.text() for chip in gallery.chips.chips()] == ["Today"]
    popover.kind.select_data(PictureKind.MADE)
    popover.kind.activated.emit(1)
    qtbot.waitUntil(lambda: gallery.message.isVisible())
    assert [chip.text() for chip in gallery.chips.chips()] == ["Made here", "Today", "Clear"]
    assert gallery.filters.button.accessibleName() == "Filters, 2 in force"
    QTest.mouseClick(gallery.chips.chips()[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pictures.rowCount() == 3)
    popover.clear.click()
    qtbot.waitUntil(lambda: pictures.rowCount() == 7)


def test_the_filters_show_all_they_hold_and_grow_with_the_days(workspace, gallery):
    popover = gallery.filters.popover
    QTest.mouseClick(gallery.filters.button, Qt.MouseButton.LeftButton)
    assert popover.isVisible()
    for widget in (popover.favourites, popover.tag, popover.period, popover.done):
        place = QRect(widget.mapTo(popover, QPoint(0, 0)), widget.size())
        assert (
            popover.rect().contains(place) and place.height() >= widget.minimumSizeHint().height()
        )
    height = popover.height()
    popover.period.setCurrentIndex(popover.period.count() - 1)
    popover.period.activated.emit(popover.period.currentIndex())
    assert popover.height() > height
    QTest.keyClick(popover, Qt.Key.Key_Escape)
    assert not popover.isVisible()


def test_chosen_days_include_both_ends(workspace, gallery, qtbot):
    popover = gallery.filters.popover
    popover.period.setCurrentIndex(popover.period.count() - 1)
    popover.period.activated.emit(popover.period.currentIndex())
    assert popover.days.isVisibleTo(popover)
    yesterday = TODAY.date() - timedelta(days=1)
    popover.until.setDate(yesterday)
    popover.since.setDate(yesterday)
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == 3)
    assert workspace.studio.gallery.days() == [(yesterday, 0)]


def test_the_size_of_thumbnails_is_one_choice_for_keys_and_slider(workspace, gallery):
    grid = gallery.grid
    click(grid, 2)
    before, columns = grid.side, grid.layout_.columns
    workspace.actions_.larger.trigger()
    assert grid.side > before and grid.layout_.columns <= columns
    assert gallery.slider.value() == 4
    gallery.slider.setValue(0)
    assert grid.side == 96 and grid.layout_.columns > columns
    assert grid.viewport().rect().contains(grid.rect_on_screen(2))
    workspace.actions_.smaller.trigger()
    assert grid.side == 96 and next_side(330, 1) == 330


def test_a_new_picture_leaves_what_is_looked_at_where_it_is(gallery, files, qtbot, workspace):
    grid, pictures = gallery.grid, workspace.studio.gallery
    for number in range(20, 50):
        write(files[0].parent, number, 3)
    qtbot.waitUntil(lambda: pictures.rowCount() == 37)
    gallery.slider.setValue(6)
    grid.verticalScrollBar().setValue(900)
    grid.viewport().repaint()
    row = grid.visible_rows()[0]
    number, place = pictures.id_at(row), grid.rect_on_screen(row)
    write(files[0].parent, 90, 0)
    qtbot.waitUntil(lambda: pictures.rowCount() == 38)
    assert grid.rect_on_screen(pictures.row_of_id(number)) == place


def test_the_context_menu_acts_on_the_picture_under_it(workspace, gallery, files, monkeypatch):
    click(gallery.grid, 1)
    workspace.actions_.use_as_start.trigger()
    assert workspace.prompt_panel.start.path() == str(files[1])
    texts = [action.text() for action in workspace.pictures_desk.menu().actions()]
    assert "Add to Favourites" in texts and "Move to Trash" in texts


def test_an_empty_gallery_says_so(open_workspace, qtbot):
    workspace, _ = open_workspace()
    workspace.actions_.gallery.trigger()
    gallery = workspace.gallery
    qtbot.waitUntil(lambda: gallery.message.title.text() == "No pictures yet.")
    assert gallery.message.isVisible() and not gallery.clear.isVisible()


def test_a_folder_that_comes_later_is_followed(open_workspace, qtbot):
    """Before the first picture there is no folder that could be watched."""
    workspace, _ = open_workspace()
    pictures = workspace.studio.gallery
    qtbot.waitUntil(lambda: workspace.studio.library._watcher is not None)
    write(paths.pictures_dir(), 0, 0)
    qtbot.waitUntil(lambda: pictures.rowCount() == 1)
    write(paths.pictures_dir(), 1, 0)
    qtbot.waitUntil(lambda: pictures.rowCount() == 2)


def test_generate_shows_what_is_being_made(workspace, gallery, queue):
    workspace.prompt_panel.prompt.edit.setPlainText("a boat")
    workspace.generate()
    assert not workspace.canvas.browsing
