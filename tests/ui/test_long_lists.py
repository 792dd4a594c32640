"""Lists of thousands of rows: what changes in one costs nothing for the others."""

from __future__ import annotations

from typing import Any, cast

import pytest
from PySide6.QtCore import QAbstractListModel, QModelIndex, Qt, Signal

from gui.state.pictures.gallery import Gallery
from gui.ui.pictures.filmstrip import Filmstrip
from gui.ui.widgets.steady_list import SteadyList

ROWS = 3000


class Rows(QAbstractListModel):
    """Counts how often it is asked."""

    refreshed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.number = ROWS
        self.asked = 0

    def rowCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008
        self.asked += 1
        return self.number

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        self.asked += 1
        return f"row {index.row()}" if role == Qt.ItemDataRole.DisplayRole else None

    def add(self) -> None:
        self.beginInsertRows(QModelIndex(), 0, 0)
        self.number += 1
        self.endInsertRows()


@pytest.fixture
def rows(qtbot: Any) -> Rows:
    return Rows()


def test_a_row_that_changes_lays_no_other_out(rows: Rows, qtbot: Any) -> None:
    view = SteadyList()
    qtbot.addWidget(view)
    view.setModel(rows)
    view.resize(200, 300)
    with qtbot.waitExposed(view):
        view.show()
    rows.asked = 0
    rows.dataChanged.emit(rows.index(5), rows.index(5))
    qtbot.wait(20)
    view.viewport().repaint()
    assert 0 < rows.asked < ROWS / 4


def test_a_picture_that_comes_to_the_strip_asks_for_no_other(rows: Rows, qtbot: Any) -> None:
    strip = Filmstrip(cast("Gallery", rows))
    qtbot.addWidget(strip)
    strip.resize(600, 100)
    with qtbot.waitExposed(strip):
        strip.show()
    qtbot.wait(20)
    rows.asked = 0
    rows.add()
    rows.dataChanged.emit(rows.index(0), rows.index(0))
    qtbot.wait(20)
    strip.list.viewport().repaint()
    assert strip.list.model().rowCount() == ROWS + 1
    assert 0 < rows.asked < ROWS / 4
