"""Undo of what a person did to pictures, jobs, models and settings; text fields have their own."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

LIMIT = 100
"""Steps kept; the oldest goes."""


class _Step(QUndoCommand):
    """A step that was done before it was pushed: the stack's first `redo` does nothing."""

    def __init__(self, text: str, undo: Callable[[], object], redo: Callable[[], object]) -> None:
        super().__init__(text)
        self._undo = undo
        self._redo = redo
        self._fresh = True

    def undo(self) -> None:
        self._undo()

    def redo(self) -> None:
        if self._fresh:
            self._fresh = False
        else:
            self._redo()


class UndoStack(QObject):
    """What was done in this window, to be taken back in turn.

    The callables must not raise: they tell of a failure the way the action itself does.
    """

    changed = Signal()
    """What can be undone or redone is another step now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stack = QUndoStack(self)
        self._stack.setUndoLimit(LIMIT)
        self._stack.indexChanged.connect(self._on_index)

    def did(self, text: str, undo: Callable[[], object], redo: Callable[[], object]) -> None:
        """Remember something that has just been done.

        Args:
            text: what was done, as in a menu after “Undo”: ``Move to Trash``.
            undo: takes it back.
            redo: does it again.
        """
        self._stack.push(_Step(text, undo, redo))

    def undo(self) -> None:
        self._stack.undo()

    def redo(self) -> None:
        self._stack.redo()

    def _on_index(self, _index: int) -> None:
        self.changed.emit()

    @property
    def undo_text(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._stack.undoText() if self._stack.canUndo() else ""

    @property
    def redo_text(self) -> str:
        return self._stack.redoText() if self._stack.canRedo() else ""
