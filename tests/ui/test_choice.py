"""The app's pop-up list, on every place that has one."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox

from gui.scheduler_names import SCHEDULER_NAMES, grouped_schedulers
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.choice import HEADING_ROLE, MAX_ROWS, Choice


@pytest.fixture
def choice(qtbot):
    made = Choice("Numbers")
    qtbot.addWidget(made)
    for number in range(30):
        if number % 10 == 0:
            made.add_heading(f"From {number}")
        made.add(f"Number {number}", number, "What it is for." if number == 3 else "")
    made.resize(180, 28)
    made.move(40, 40)
    made.show()
    return made


def shown(choice: Choice):
    """The list's box and the rows that can be seen, as rectangles in its viewport."""
    choice.showPopup()
    QApplication.processEvents()
    view = choice.view()
    rows = [view.visualRect(choice.model().index(k, 0)) for k in range(choice.count())]
    room = view.viewport().rect()
    return view.window(), room, [row for row in rows if row.intersects(room)]


@pytest.mark.parametrize("chosen", [0, 12, 29])
def test_no_row_is_ever_cut(choice, chosen):
    choice.select_data(chosen)
    box, room, rows = shown(choice)
    assert len(rows) == MAX_ROWS
    assert all(room.contains(row) for row in rows)
    assert rows[0].top() == room.top() and rows[-1].bottom() == room.bottom()
    assert choice.screen().availableGeometry().contains(box.geometry())
    current = choice.view().visualRect(choice.model().index(choice.currentIndex(), 0))
    assert room.contains(current)


def test_a_list_near_the_edge_opens_where_there_is_room(choice):
    room = choice.screen().availableGeometry()
    choice.move(room.right() - 120, room.bottom() - 40)
    QApplication.processEvents()
    box, _, rows = shown(choice)
    assert room.contains(box.geometry()) and len(rows) > 5
    assert box.geometry().bottom() <= choice.mapToGlobal(QPoint(0, 0)).y()


def test_the_present_choice_has_a_tick_and_the_pointer_leaves_a_mark(choice):
    choice.select_data(4)
    shown(choice)
    view = choice.view()
    other = view.visualRect(choice.model().index(choice.index_of(6), 0))
    view.setCurrentIndex(choice.model().index(choice.index_of(6), 0))
    image = view.viewport().grab().toImage()
    ratio = image.devicePixelRatio()

    def ink_at_left(number: int) -> set[str]:
        row = view.visualRect(choice.model().index(choice.index_of(number), 0))
        places = ((x, y) for x in range(10, 24) for y in range(row.top() + 4, row.bottom() - 4))
        return {image.pixelColor(round(x * ratio), round(y * ratio)).name() for x, y in places}

    assert len(ink_at_left(4)) > 3, "no tick"
    assert len(ink_at_left(5)) == 1
    place = (round((other.right() - 20) * ratio), round(other.center().y() * ratio))
    assert image.pixelColor(*place) == QColor(current_palette().accent)


def test_headings_cannot_be_chosen_and_keys_pass_over_them(choice):
    choice.select_data(9)
    choice.setFocus()
    QTest.keyClick(choice, Qt.Key.Key_Down)
    assert choice.currentData() == 10
    heading = choice.currentIndex() - 1
    assert choice.itemData(heading, HEADING_ROLE)
    assert not choice.model().index(heading, 0).flags() & Qt.ItemFlag.ItemIsEnabled
    seen = []
    choice.edited.connect(seen.append)
    choice.set_value(3)
    assert (choice.currentData(), seen) == (3, [])
    choice.select_data(5)
    assert seen == [5]


def test_every_list_of_the_app_is_this_one(workspace):
    workspace.window_desk.show_settings()
    workspace.convert_desk.show()
    workspace.models_panel.show_hub()
    QApplication.processEvents()
    lists = [w for top in QApplication.topLevelWidgets() for w in top.findChildren(QComboBox)]
    assert len(lists) >= 8
    assert [type(each).__name__ for each in lists if not isinstance(each, Choice)] == []


@pytest.mark.parametrize("default", ["", "Euler", "DPM++ 2M Karras", "LCM", "of my own"])
def test_every_scheduler_is_listed_once_those_for_the_model_first(default):
    groups = grouped_schedulers(default)
    names = [each.name for _, members in groups for each in members]
    assert sorted(names) == sorted(each.name for each in SCHEDULER_NAMES)
    title, first = groups[0]
    assert title == "Recommended for this model"
    recommended = {each.name for each in first}
    if default == "LCM":
        assert recommended == {"TCD"}
    else:
        assert "UniPC" in recommended and "LCM" not in recommended
    assert default not in recommended, "it stands there as the default already"
    assert all(each.description for _, members in groups for each in members)


def test_the_default_is_the_first_of_the_list_and_what_is_chosen_stays(workspace):
    scheduler = workspace.prompt_panel.scheduler
    assert scheduler.itemText(1) == "Euler – default"
    assert scheduler.currentIndex() == 1
    scheduler.select_data("DDIM")
    scheduler.set_default("UniPC")
    assert scheduler.currentText() == "DDIM"
    assert workspace.studio.draft.value("scheduler") == "DDIM"
    assert scheduler.itemText(1).startswith("UniPC")
