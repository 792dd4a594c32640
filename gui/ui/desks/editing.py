"""The Edit menu: cut, copy and paste where the person types, undo and redo."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication

from gui.ui.desks.parts import Parts, connect_commands
from gui.ui.widgets.controls import without_shortcut


class EditingDesk(QObject):
    """Gives each command to the text field in use, else to the window."""

    copy_wanted = Signal()
    """Copy was given where there is no text."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        parts.studio.undo.changed.connect(self._on_undo_changed)
        a = parts.actions
        connect_commands(
            (a.undo, lambda: self.undo_or_redo("undo")),
            (a.redo, lambda: self.undo_or_redo("redo")),
            *((action, partial(self.edit, method)) for method, action in a.editing.items()),
        )

    def edit(self, method: str) -> None:
        """Cut, copy … of the text field in use; Copy elsewhere copies the picture."""
        focus = QApplication.focusWidget()
        deed = getattr(focus, method, None)
        if callable(deed):
            deed()
        elif method == "copy":
            self.copy_wanted.emit()

    def undo_or_redo(self, name: str) -> None:
        self._parts.prompt.field_undo.undo_or_redo(name)

    def _on_undo_changed(self) -> None:
        undo, a = self._parts.studio.undo, self._parts.actions
        a.undo.setText(without_shortcut(f"Undo {undo.undo_text}".strip()))
        a.redo.setText(without_shortcut(f"Redo {undo.redo_text}".strip()))
