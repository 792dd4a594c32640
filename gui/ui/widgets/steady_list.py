"""A list that may be long, and whose rows are all of one size."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex
from PySide6.QtWidgets import QAbstractItemView, QListView, QWidget

_Index = QModelIndex | QPersistentModelIndex


class SteadyList(QListView):
    """Paints what has changed in its rows, and lays none out for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setUniformItemSizes(True)

    def dataChanged(self, first: _Index, last: _Index, roles: Sequence[int] = ()) -> None:
        """Qt's own lists lay every row out anew when one has changed, for its size may have: with
        thousands of rows each picture that comes in would hold the window up."""
        QAbstractItemView.dataChanged(self, first, last, list(roles))
