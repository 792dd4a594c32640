"""The entries of a shelf as an item model that is searched."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from gui import words
from gui.state.prompts.shelf import Entry, Shelf
from gui.state.prompts.types import PromptText

_Index = QModelIndex | QPersistentModelIndex

PAGE = 300
"""Rows that a view is given at a time: it lays out all that it has."""
TITLE_ROLE = Qt.ItemDataRole.UserRole + 1
"""A saved prompt's name; empty for one of the history."""


class PromptRows(QAbstractListModel):
    """Rows carry an `Entry` of `PromptText` as UserRole, newest first.

    Args:
        shelf: where they come from.
        named: whether their keys are names that people gave.
    """

    filled = Signal()
    """The rows are others now, and views know it."""

    def __init__(
        self, shelf: Shelf[PromptText], parent: QObject | None = None, *, named: bool = False
    ) -> None:
        super().__init__(parent)
        self.shelf = shelf
        self.named = named
        self._text = ""
        self._rows: list[Entry[PromptText]] = []
        self._given = 0
        shelf.changed.connect(self._fill)
        self._fill()

    def search(self, text: str) -> None:
        """Show only those in which every word occurs."""
        if text != self._text:
            self._text = text
            self._fill()

    def entry(self, row: int) -> Entry[PromptText] | None:
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def _fill(self) -> None:
        wanted = self._text.casefold().split()
        self.beginResetModel()
        self._rows = [
            entry
            for entry in self.shelf.entries()
            if entry.value.fits(wanted, entry.key if self.named else "")
        ]
        self._given = min(PAGE, len(self._rows))
        self.endResetModel()
        self.filled.emit()

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._given

    def canFetchMore(self, parent: _Index) -> bool:
        return not parent.isValid() and self._given < len(self._rows)

    def fetchMore(self, _parent: _Index) -> None:
        more = min(self._given + PAGE, len(self._rows))
        self.beginInsertRows(QModelIndex(), self._given, more - 1)
        self._given = more
        self.endInsertRows()

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entry(index.row()) if index.isValid() else None
        if entry is None:
            return None
        text = entry.value
        if role == Qt.ItemDataRole.UserRole:
            return entry
        if role == TITLE_ROLE:
            return entry.key if self.named else ""
        if role == Qt.ItemDataRole.DisplayRole:
            return text.prompt
        if role == Qt.ItemDataRole.ToolTipRole:
            return words.plain_tip("\n\n".join(part for part in (text.prompt, text.rest) if part))
        if role == Qt.ItemDataRole.AccessibleTextRole:
            title = f"{entry.key}: " if self.named else ""
            return f"{title}{text.prompt}. {text.rest}".strip()
        return None
