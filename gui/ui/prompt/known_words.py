"""Below the prompt: what a model with a small vocabulary does not know of it, and where to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from gui.state.vocabulary import ModelVocabulary, PromptReading, Thing, Vocabulary, with_thing
from gui.syntax.reading import words_alone
from gui.syntax.remarks import without_other_marks
from gui.syntax.types import PromptSyntax
from gui.ui.prompt.vocabulary_sheet import VocabularySheet
from gui.ui.widgets.controls import label, without_shortcut
from gui.words import listed, plain_tip, plural, shortened

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry

REST_MS = 700
"""A word half typed is not told to be unknown: typing must rest this long."""
MOST_NAMED = 3
LONGEST = 24


def unknown_text(model: str, reading: PromptReading, vocabulary: Vocabulary) -> str:
    """One sentence or two about what is beyond the model; empty where nothing is.

    Args:
        model: what to call it, e.g. "The starter model".
    """
    draws = f"It draws {len(vocabulary.things)} things"
    if reading.unknown:
        quoted = [f"“{shortened(word, LONGEST)}”" for word in reading.unknown[:MOST_NAMED]]
        more = len(reading.unknown) - MOST_NAMED
        if more > 0:
            quoted.append(plural(more, "more word"))
        such = f", such as {listed(vocabulary.examples, 'or')}" if vocabulary.examples else ""
        return f"{model} doesn’t know {listed(quoted)}. {draws}{such}."
    if len(reading.subjects) > 1:
        named = listed(reading.subjects[:MOST_NAMED])
        return f"{model} draws one thing at a time, not {named} together."
    if (pair := vocabulary.not_in(reading)) is not None:
        return f"{model} can’t make the {pair[0]} {pair[1]} and keeps the usual colours."
    return ""


class KnownWords(QWidget):
    """Takes no room while the model knows every word that matters, or has no vocabulary.

    Args:
        edit: the prompt.
    """

    hub_requested = Signal()
    """The person wants a model that knows more."""

    def __init__(self, edit: QPlainTextEdit) -> None:
        super().__init__()
        self._edit = edit
        self._name = ""
        self._syntax = PromptSyntax.PLAIN
        self._sheet: VocabularySheet | None = None
        self._vocabulary = ModelVocabulary(self)
        self.text = label("", "small", wrap=True)
        self.browse = _link("What it draws…", "Choose among everything that this model draws")
        self.hub = _link("Get a real model…", "Find a model on the Hub that knows more words")
        links = QHBoxLayout()
        links.setSpacing(0)
        links.addWidget(self.browse)
        links.addWidget(self.hub)
        links.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.text)
        column.addLayout(links)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._show)
        edit.textChanged.connect(self._on_text)
        self._vocabulary.changed.connect(self._show)
        self.browse.clicked.connect(self.show_sheet)
        self.hub.clicked.connect(self.hub_requested)
        self.hide()

    def set_model(self, entry: ModelEntry) -> None:
        self._name = "The starter model" if entry.starter else f"“{entry.name}”"
        self._vocabulary.set_folder(entry.folder)
        self._show()

    def set_syntax(self, syntax: PromptSyntax) -> None:
        """Whose marks the prompt is read by; they are no words."""
        if syntax is not self._syntax:
            self._syntax = syntax
            self._show()

    def close_down(self) -> None:
        """Wait for the worker that reads the vocabulary."""
        self._vocabulary.close()

    def show_sheet(self) -> None:
        """Everything that the model draws, to choose from."""
        if self._vocabulary.vocabulary is None:
            return
        sheet = VocabularySheet(self._name, self._vocabulary.vocabulary, self.window())
        sheet.chosen.connect(self.use)
        sheet.finished.connect(sheet.deleteLater)
        self._sheet = sheet
        sheet.show()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What the model knows; None while that is read, and where it doesn't say."""
        return self._vocabulary.vocabulary

    @property
    def sheet(self) -> VocabularySheet | None:
        """The one shown last."""
        return self._sheet

    def use(self, thing: Thing) -> None:
        """Put a thing in the prompt's place, with the ground that was asked for; Undo takes it
        back."""
        cursor = self._edit.textCursor()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(with_thing(self._vocabulary.read(self._words()), thing))
        self._edit.setTextCursor(cursor)
        self._edit.setFocus()

    def _said(self) -> str:
        vocabulary = self._vocabulary.vocabulary
        if vocabulary is None:
            return ""
        return unknown_text(self._name, vocabulary.read(self._words()), vocabulary)

    def _words(self) -> str:
        text = without_other_marks(self._edit.toPlainText(), self._syntax)
        return words_alone(text, self._syntax)

    def _on_text(self) -> None:
        if self._said():
            self._rest.start()
        else:  # what is understood now needs no rest
            self._rest.stop()
            self._show()

    def _show(self) -> None:
        said = self._said()
        self.text.setText(said)
        self.setVisible(bool(said))


def _link(text: str, tip: str) -> QPushButton:
    made = QPushButton(without_shortcut(text))
    made.setObjectName("link")
    made.setToolTip(plain_tip(tip))
    return made
