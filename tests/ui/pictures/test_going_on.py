"""Closed and opened again, the window is where the person was among the pictures."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gui import paths
from gui.state.pictures.place import KeptPlace
from gui.state.pictures.types import PictureFilter, PictureKind
from gui.state.settings import Settings
from tests.ui.pictures.hands import TODAY, click, write


@pytest.fixture
def many(files):
    """Enough of a week ago to scroll, none of which is of those seven."""
    return [*files, *(write(files[0].parent, number, 7) for number in range(100, 160))]


def reopened(workspace, open_workspace):
    workspace.main_window.close()
    return open_workspace()[0]


def test_the_picture_on_the_canvas_comes_back(workspace, files, open_workspace, qtbot):
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 7 and pictures.picture(3) is not None)
    workspace.canvas.look_at(pictures.picture(3))
    again = reopened(workspace, open_workspace)
    qtbot.waitUntil(lambda: again.canvas.view.path() == str(files[3]))
    qtbot.waitUntil(lambda: again.studio.pictures.rowCount() == 7)
    assert not again.canvas.browsing and not again.canvas.following
    qtbot.waitUntil(lambda: again.filmstrip.selected_paths() == [str(files[3])])
    assert again.prompt_panel.prompt.edit.hasFocus()


def test_the_gallery_comes_back_as_it_was(many, open_workspace, qtbot):
    workspace, _ = open_workspace()
    workspace.actions_.gallery.trigger()
    gallery, pictures = workspace.gallery, workspace.studio.gallery
    qtbot.waitUntil(lambda: pictures.rowCount() == 67)
    wanted = PictureFilter("fox", until=TODAY.date() - timedelta(days=1), size=(96, 64))
    pictures.set_filter(wanted)
    qtbot.waitUntil(lambda: 30 < pictures.rowCount() < 67)
    total, grid = pictures.rowCount(), gallery.grid
    gallery.zoom(1)
    qtbot.waitUntil(lambda: all(pictures.picture(row) for row in range(total)))
    click(grid, grid.visible_rows()[1])
    current = gallery.current().path
    grid.verticalScrollBar().setValue(grid.verticalScrollBar().maximum() - 137)
    rows, top = grid.visible_rows(), grid.rect_on_screen(grid.visible_rows()[0]).top()
    side = grid.side

    again = reopened(workspace, open_workspace)
    grid, pictures = again.gallery.grid, again.studio.gallery
    assert again.canvas.browsing and again.actions_.gallery.isChecked() and grid.hasFocus()
    assert pictures.filter == wanted and again.gallery.search.text() == "fox"
    assert len(again.gallery.chips.chips()) >= 2 and grid.side == side
    qtbot.waitUntil(lambda: pictures.rowCount() == total)
    qtbot.waitUntil(lambda: again.gallery.current() is not None)
    assert again.gallery.current().path == current
    # The window's size is the screen's affair; the topmost picture is where it was.
    qtbot.waitUntil(lambda: grid.rect_on_screen(rows[0]).top() == top)


def test_a_picture_that_is_gone_costs_nothing(workspace, files, open_workspace, qtbot):
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 7 and pictures.picture(3) is not None)
    workspace.canvas.look_at(pictures.picture(3))
    workspace.main_window.close()
    files[3].unlink()
    again, _ = open_workspace()
    qtbot.waitUntil(lambda: again.studio.pictures.rowCount() == 6)


@pytest.mark.parametrize(
    "odd",
    ["{", "[1]", '{"size": "large", "since": 3, "browsing": "yes", "offset": []}',
     '{"since": "yesterday", "kind": "stolen", "side": -5, "shown": "\\u0000"}'],
)  # fmt: skip
def test_odd_places_stop_no_window(home, odd, open_workspace, qtbot):
    settings = Settings()
    settings.store.setValue("session/pictures", odd)
    settings.sync()
    workspace, _ = open_workspace()
    qtbot.waitUntil(lambda: workspace.studio.gallery._number > 0)
    assert workspace.studio.gallery.filter == PictureFilter()
    assert paths.pictures_dir() is not None and not workspace.canvas.browsing


def test_a_place_is_written_and_read_whole():
    wanted = ("fox", "SD", "DDIM", (8, 9), "2026-11-02", "2026-11-03", True, "made", "still life")
    place = KeptPlace("a.png", False, True, "b.png", "c.png", 7, 220, *wanted)
    assert KeptPlace.from_json(place.to_json()) == place
    wanted = place.filter()
    assert (wanted.kind, wanted.size) == (PictureKind.MADE, (8, 9))
