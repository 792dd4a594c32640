"""⌘Z in a prompt field: what was typed and what was done in the window are taken back in the order
in which they happened.

A step of the window (Use Settings, a prompt of the history, a preset) may put other words in the
fields, whose own undo would bring back one field's words alone.  So every step notes how far each
field's own undo had come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit

from gui.state.undo import UndoStack

if TYPE_CHECKING:
    from gui.ui.prompt.fields import TextField


class FieldUndo:
    """Tells whose turn it is.

    Args:
        undo: what was done in the window.
        fields: those that its steps may change.
    """

    def __init__(self, undo: UndoStack, fields: Sequence[TextField]) -> None:
        self._undo = undo
        self._fields = {field.edit: field for field in fields}
        undo.stepped.connect(self._on_step)

    def _on_step(self) -> None:
        for edit, field in self._fields.items():
            after = edit.document().availableUndoSteps()
            self._undo.notes.setdefault((edit, "before"), after - field.take_replaced())
            self._undo.notes[edit, "after"] = after
            # Qt joins what is typed next to what was put there, unless the text is unmodified.
            edit.document().setModified(False)

    def undo_or_redo(self, name: str) -> None:
        """What ⌘Z (``undo``) and ⇧⌘Z (``redo``) mean: in a text field with something to take back
        that, unless the window's last step came later; else that step."""
        focus = QApplication.focusWidget()
        if isinstance(focus, QLineEdit):
            able = focus.isUndoAvailable() if name == "undo" else focus.isRedoAvailable()
        elif isinstance(focus, QPlainTextEdit):
            text = focus.document()
            able = text.isUndoAvailable() if name == "undo" else text.isRedoAvailable()
            able = able and self.is_field_next(focus, name)
        else:
            able = False
        getattr(focus if able else self._undo, name)()

    def is_field_next(self, edit: object, name: str) -> bool:
        """Whether ``undo`` or ``redo`` (the name) in a field is for what was typed there."""
        field = self._fields.get(edit)  # type: ignore[arg-type]
        if field is None:
            return True
        document = field.edit.document()
        steps = document.availableUndoSteps()
        if name == "undo":
            return document.isUndoAvailable() and steps > self._undo.notes.get((edit, "after"), 0)
        following = self._undo.next_notes
        typed = following is None or steps < following.get((edit, "before"), 0)
        return document.isRedoAvailable() and typed
