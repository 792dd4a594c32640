"""Undo of what a person did to pictures, jobs, models and settings; text fields have their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

LIMIT = 100
"""Steps kept; the oldest goes."""

Notes = dict[Any, Any]


class _Step(QUndoCommand):
    """A step that was done before it was pushed: the stack's first `redo` does nothing."""

    def __init__(
        self, text: str, undo: Callable[[], object], redo: Callable[[], object], run: object
    ) -> None:
        super().__init__(text)
        self._undo = undo
        self._redo = redo
        self._run = run
        self._fresh = True
        self.notes: Notes = {}

    def id(self) -> int:
        return -1 if self._run is None else 0  # Qt asks for a merge only among these

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Step) or other._run is not self._run:
            return False
        self._redo = other._redo
        return True

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
    stepped = Signal()
    """Something was just done, and `notes` are those of this step."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stack = QUndoStack(self)
        self._stack.setUndoLimit(LIMIT)
        self._stack.indexChanged.connect(self._on_index)
        self._first_notes: Notes = {}
        self.stepping = False
        """Whether something is being taken back or done again just now."""

    def did(
        self,
        text: str,
        undo: Callable[[], object],
        redo: Callable[[], object],
        run: object = None,
    ) -> None:
        """Remember something that has just been done.

        Args:
            text: what was done, as in a menu after “Undo”: ``Move to Trash``.
            undo: takes it back.
            redo: does it again.
            run: steps of the same run that follow each other are taken back as one.
        """
        self._stack.push(_Step(text, undo, redo, run))
        self.stepped.emit()

    @property
    def notes(self) -> Notes:
        """What others note of the moment after the step that `undo` would take back."""
        return self._notes(self._stack.index() - 1)

    @property
    def next_notes(self) -> Notes | None:
        """The same of the step that `redo` would do; None: there is none."""
        return self._notes(self._stack.index()) if self._stack.canRedo() else None

    def _notes(self, number: int) -> Notes:
        step = self._stack.command(number) if number >= 0 else None
        return step.notes if isinstance(step, _Step) else self._first_notes

    def undo(self) -> None:
        self._step(self._stack.undo)

    def redo(self) -> None:
        self._step(self._stack.redo)

    def _step(self, way: Callable[[], object]) -> None:
        self.stepping = True
        try:
            way()
        finally:
            self.stepping = False

    def _on_index(self, _index: int) -> None:
        self.changed.emit()

    @property
    def undo_text(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._stack.undoText() if self._stack.canUndo() else ""

    @property
    def redo_text(self) -> str:
        return self._stack.redoText() if self._stack.canRedo() else ""
