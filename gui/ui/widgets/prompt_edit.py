"""The field that prompts are typed into."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit

from gui.syntax.types import PromptSyntax
from gui.syntax.weighing import weighed

MOST_EDITS = 40
"""So many are looked through for a text that undo or redo brings back."""


class PromptEdit(QPlainTextEdit):
    """A few lines of text; Tab moves on, as in a form.  ⌘↑ and ⌘↓ weigh the words that are
    selected; without any, the keys do what they do in every field."""

    stepped = Signal(int)
    """⌥↑ (1) or ⌥↓ (-1): an earlier text is wanted, or a later one."""

    def __init__(self, name: str, placeholder: str, lines: int) -> None:
        super().__init__()
        self.syntax = PromptSyntax.PLAIN
        """How words are weighed."""
        self.setAccessibleName(name)
        self.setPlaceholderText(placeholder)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.set_lines(lines)

    def set_lines(self, lines: int) -> None:
        """Room for so many lines; more are scrolled to."""
        self.setFixedHeight(QFontMetrics(self.font()).lineSpacing() * lines + 18)

    def replace_text(self, text: str) -> int:
        """Put a text in place of what is there, as one edit that undo takes back; where undo or
        redo of a few edits gives that text, these are undone or redone.

        Returns:
            By how much `QTextDocument.availableUndoSteps` has grown.
        """
        if text == self.toPlainText():
            return 0
        document = self.document()
        before = document.availableUndoSteps()
        with QSignalBlocker(self):
            found = self._walk_to(text)
            if not found:
                cursor = QTextCursor(document)
                cursor.beginEditBlock()
                cursor.select(QTextCursor.SelectionType.Document)
                cursor.insertText(text)
                cursor.endEditBlock()
        self.textChanged.emit()
        return document.availableUndoSteps() - before

    def _walk_to(self, text: str) -> bool:
        """Undo or redo edits until the text is this; False: nothing was done."""
        document = self.document()
        for go, back, can in (
            (document.undo, document.redo, document.isUndoAvailable),
            (document.redo, document.undo, document.isRedoAvailable),
        ):
            gone = 0
            while can() and gone < MOST_EDITS:
                go()
                gone += 1
                if self.toPlainText() == text:
                    return True
            for _ in range(gone):
                back()
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        by = (event.key() == Qt.Key.Key_Up) - (event.key() == Qt.Key.Key_Down)
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier  # arrows have it on a Mac
        if by and held == Qt.KeyboardModifier.AltModifier:
            self.stepped.emit(by)
        elif by and held == Qt.KeyboardModifier.ControlModifier and self._weigh(by):
            event.accept()
        else:
            super().keyPressEvent(event)

    def _weigh(self, steps: int) -> bool:
        """Give the words that are selected more weight or less; False: that cannot be done."""
        cursor = self.textCursor()
        if not cursor.hasSelection():
            return False
        text = self.toPlainText()
        start, end = (
            _characters(text, at) for at in (cursor.selectionStart(), cursor.selectionEnd())
        )
        made = weighed(text, start, end, steps, self.syntax)
        if made is None:
            return False
        cursor.beginEditBlock()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(made.text)
        cursor.endEditBlock()
        cursor.setPosition(utf16_units(made.text[: made.start]))
        cursor.setPosition(utf16_units(made.text[: made.end]), QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)
        return True

    def insertFromMimeData(self, source) -> None:  # type: ignore[no-untyped-def]
        """Paste text only; pictures and files dropped here are somebody else's."""
        if source.hasText() and not source.hasUrls():
            super().insertFromMimeData(source)

    def canInsertFromMimeData(self, source) -> bool:  # type: ignore[no-untyped-def]
        return source.hasText() and not source.hasUrls()


def utf16_units(text: str) -> int:
    """Qt counts UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _characters(text: str, units: int) -> int:
    """How many characters the first units are."""
    first = text.encode("utf-16-le", "surrogatepass")[: 2 * units]
    return len(first.decode("utf-16-le", "surrogatepass"))
