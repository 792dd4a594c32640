"""The gallery's grid for screen readers: a list whose items are the pictures in view.

Those out of view are reached by moving, as with the arrow keys: nobody has a hundred thousand items
read out, and making them would take seconds.  Each item says its place among all.
"""

from __future__ import annotations

import atexit

from PySide6.QtCore import QObject, QPoint, QRect, Qt
from PySide6.QtGui import QAccessible, QAccessibleEvent, QAccessibleInterface, QWindow
from PySide6.QtWidgets import QAccessibleWidget

from gui.ui.pictures.grid_surface import GridSurface

_Text, _Role = QAccessible.Text, QAccessible.Role


def name_of(grid: GridSurface, row: int) -> str:
    """What a picture is called, and its place."""
    index = grid.pictures.index(row)
    name = index.data(Qt.ItemDataRole.AccessibleTextRole) or "Picture"
    return f"{name}, {row + 1:,} of {grid.pictures.rowCount():,}"


class CellAccessible(QAccessibleInterface):
    """One picture in view.

    Args:
        grid: where it is.
        number: the picture's id.
    """

    def __init__(self, grid: GridSurface, number: int) -> None:
        super().__init__()
        self._grid = grid
        self.number = number

    def row(self) -> int:
        return self._grid.pictures.row_of_id(self.number)

    def isValid(self) -> bool:
        return self.row() >= 0

    def object(self) -> QObject | None:  # type: ignore[override]
        return None

    def window(self) -> QWindow | None:  # type: ignore[override]
        return self._grid.window().windowHandle()

    def parent(self) -> QAccessibleInterface:
        return QAccessible.queryAccessibleInterface(self._grid)

    def child(self, _index: int) -> QAccessibleInterface | None:  # type: ignore[override]
        return None

    def childAt(self, _x: int, _y: int) -> QAccessibleInterface | None:  # type: ignore[override]
        return None

    def childCount(self) -> int:
        return 0

    def indexOfChild(self, _child: QAccessibleInterface) -> int:
        return -1

    def text(self, kind: QAccessible.Text) -> str:
        row = self.row()
        return name_of(self._grid, row) if kind == _Text.Name and row >= 0 else ""

    def setText(self, kind: QAccessible.Text, text: str) -> None:
        del kind, text

    def rect(self) -> QRect:
        row = self.row()
        if row < 0:
            return QRect()
        inside = self._grid.placed(self._grid.rect_on_screen(row))
        return QRect(self._grid.viewport().mapToGlobal(inside.topLeft()), inside.size())

    def role(self) -> QAccessible.Role:
        return _Role.ListItem

    def state(self) -> QAccessible.State:
        state = QAccessible.State()
        for name in ("selectable", "multiSelectable", "extSelectable", "focusable"):
            setattr(state, name, True)
        state.selected = self.number in self._grid.selection  # type: ignore[assignment]
        current = self.number == self._grid.selection.current
        state.focused = current and self._grid.hasFocus()  # type: ignore[assignment]
        return state


class GridAccessible(QAccessibleWidget):
    """The grid: a list."""

    def __init__(self, grid: GridSurface) -> None:
        super().__init__(grid, _Role.List, grid.accessibleName())
        self._grid = grid
        self._cells: dict[int, CellAccessible] = {}
        """By the picture's id.  Qt keeps what was registered, so a cell is made once."""

    def _rows(self) -> list[int]:
        return self._grid.visible_rows()

    def childCount(self) -> int:
        return len(self._rows())

    def child(self, index: int) -> QAccessibleInterface | None:  # type: ignore[override]
        rows = self._rows()
        return self._cell(rows[index]) if 0 <= index < len(rows) else None

    def childAt(self, x: int, y: int) -> QAccessibleInterface | None:  # type: ignore[override]
        row = self._grid.row_at(self._grid.viewport().mapFromGlobal(QPoint(x, y)))
        return self._cell(row) if row >= 0 else None

    def indexOfChild(self, child: QAccessibleInterface) -> int:
        rows = self._rows()
        row = child.row() if isinstance(child, CellAccessible) else -1
        return rows.index(row) if row in rows else -1

    def focusChild(self) -> QAccessibleInterface | None:  # type: ignore[override]
        row = self._grid.selection.current_row()
        return self._cell(row) if row in self._rows() else None

    def _cell(self, row: int) -> CellAccessible:
        number = self._grid.pictures.id_at(row)
        cell = self._cells.get(number)
        if cell is None:
            cell = self._cells[number] = CellAccessible(self._grid, number)
            QAccessible.registerAccessibleInterface(cell)
        return cell

    def let_go(self) -> None:
        """Take back what was registered.  Qt would delete it after Python's end, and crash."""
        while self._cells:
            _, cell = self._cells.popitem()
            QAccessible.deleteAccessibleInterface(QAccessible.uniqueId(cell))


_made: dict[int, GridAccessible] = {}
"""Python's hold on what Qt owns, by the grid's address; one for each grid that is there."""


_installed: list[bool] = []


def install() -> None:
    """Have Qt ask here for the interface of grids; it asks only while something reads the
    screen."""
    if not _installed:
        _installed.append(True)
        QAccessible.installFactory(_factory)
        atexit.register(_let_all_go)


def _factory(_name: str, thing: QObject) -> QAccessibleInterface | None:
    if not isinstance(thing, GridSurface):
        return None
    key = id(thing)
    made = _made[key] = GridAccessible(thing)
    thing.destroyed.connect(lambda: _let_go(key))
    return made


def _let_go(key: int) -> None:
    if key in _made:
        _made.pop(key).let_go()


def _let_all_go() -> None:
    for key in [*_made]:
        _let_go(key)


def tell_focus(grid: GridSurface) -> None:
    """Screen readers go to the current picture."""
    row = grid.selection.current_row()
    rows = grid.visible_rows()
    if QAccessible.isActive() and row in rows:
        event = QAccessibleEvent(grid, QAccessible.Event.Focus)
        event.setChild(rows.index(row))
        QAccessible.updateAccessibility(event)
