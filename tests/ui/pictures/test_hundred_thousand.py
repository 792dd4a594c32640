"""A hundred thousand pictures: found properly, and read only where they are looked at."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui import paths
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.state.pictures import gallery as gallery_state
from gui.state.pictures.types import PictureFilter
from tests.support.many_pictures import DAYS, PICTURES, WORDS, fill_index, prompt_of
from tests.ui.pictures.hands import SHIFT, press


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """How many pictures were read each time some were."""
    numbers: list[int] = []
    rows = PictureIndex.rows

    def counted(self, ids):
        found = rows(self, ids)
        numbers.append(len(found))
        return found

    monkeypatch.setattr(PictureIndex, "rows", counted)
    return numbers


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """The index's file, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFUMATO_HOME", str(tmp_path_factory.mktemp("filled")))
        fill_index()
        return paths.data_dir() / FILE_NAME


@pytest.fixture
def gallery(filled, home, read, open_workspace, qtbot):
    paths.data_dir().mkdir(parents=True, exist_ok=True)
    shutil.copyfile(filled, paths.data_dir() / FILE_NAME)
    workspace, _ = open_workspace()
    pictures = workspace.studio.gallery
    qtbot.waitUntil(lambda: pictures.rowCount() == PICTURES)
    workspace.actions_.gallery.trigger()
    qtbot.waitUntil(lambda: pictures.picture(0) is not None)
    return workspace.gallery


def prompts(pictures, qtbot, rows) -> list[str]:
    qtbot.waitUntil(lambda: all(pictures.picture(row) is not None for row in rows))
    return [pictures.picture(row).facts.prompt for row in rows]


def test_all_are_there_and_only_those_in_view_are_read(gallery, read, qtbot):
    pictures, grid = gallery._pictures, gallery.grid
    few = 4 * gallery_state.PAGE  # strip and grid, and what is a page further
    assert sum(read) <= few
    assert gallery.count.whole_text() == "100k pictures"
    days = pictures.days()
    assert DAYS <= len(days) <= DAYS + 1 and days[0] == (date.today(), 0)
    assert len(set(pictures.ids())) == PICTURES

    press(grid, Qt.Key.Key_End)
    last = range(PICTURES - 5, PICTURES)
    assert prompts(pictures, qtbot, last) == [prompt_of(number) for number in last]
    middle = range(54_321, 54_326)
    grid.scroll_to(middle[0])
    assert prompts(pictures, qtbot, middle) == [prompt_of(number) for number in middle]
    assert sum(read) <= few + 6 * gallery_state.PAGE

    before = sum(read)
    grid.selectAll()
    assert grid.chosen_count == PICTURES and len(gallery.chosen_ids()) == PICTURES
    press(grid, Qt.Key.Key_Home)
    press(grid, Qt.Key.Key_End, SHIFT)
    assert grid.chosen_count == PICTURES
    assert sum(read) <= before + 4 * gallery_state.PAGE, "nothing is read to be chosen"
    assert len(pictures._rows) <= gallery_state.KEPT_ROWS


def test_words_and_filters_find_exactly_what_they_should(gallery, read, qtbot):
    pictures = gallery._pictures
    gallery.focus_search()
    QTest.keyClicks(gallery.search, "sailor fox")
    wanted = [k for k in range(PICTURES) if {WORDS[k % 10], WORDS[k // 10 % 10]}
              == {"sailor", "fox"}]  # fmt: skip
    qtbot.waitUntil(lambda: pictures.rowCount() == len(wanted))
    before = sum(read)
    some = (0, 1, len(wanted) // 2, len(wanted) - 1)
    assert prompts(pictures, qtbot, some) == [prompt_of(wanted[row]) for row in some]
    assert sum(read) - before <= 4 * gallery_state.PAGE
    pictures.set_filter(PictureFilter("-snow light", model="SDXL", size=(512, 768)))
    wanted = [k for k in range(PICTURES) if k % 3 == 0 and k % 2 == 1 and "light" in prompt_of(k)
              and "snow" not in prompt_of(k)]  # fmt: skip
    qtbot.waitUntil(lambda: pictures.rowCount() == len(wanted))
    assert prompts(pictures, qtbot, [7]) == [prompt_of(wanted[7])]
    pictures.set_filter(PictureFilter('"number 99999"'))
    qtbot.waitUntil(lambda: pictures.rowCount() == 1)
    assert prompts(pictures, qtbot, [0]) == [prompt_of(99_999)]


def test_thousands_are_marked_at_once_and_none_is_read_for_it(gallery, read, qtbot, home):
    pictures, grid = gallery._pictures, gallery.grid
    gallery._pictures.set_filter(PictureFilter("snow"))
    wanted = sum("snow" in prompt_of(k) for k in range(PICTURES))
    qtbot.waitUntil(lambda: pictures.rowCount() == wanted)
    grid.selectAll()
    before = sum(read)
    with qtbot.waitSignal(gallery._studio.undo.changed):
        press(grid, Qt.Key.Key_F)
    assert grid.chosen_count == wanted
    pictures.set_filter(PictureFilter(favourites=True))
    qtbot.waitUntil(lambda: pictures.rowCount() == wanted and pictures.filter.favourites)
    assert sum(read) - before <= 10 * gallery_state.PAGE
    with qtbot.waitSignal(gallery._studio.library.changed):
        gallery._studio.undo.undo()
    qtbot.waitUntil(lambda: pictures.rowCount() == 0)
