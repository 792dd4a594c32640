"""Everything that a small model draws, by kinds, to search and to choose from."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QEvent, Qt, QUrl, Signal
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from gui.state.vocabulary import Category, Thing, Vocabulary
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import label, search_field
from gui.ui.widgets.palette import Palette
from gui.words import listed

SCHEME = "thing"


def found_kinds(vocabulary: Vocabulary, text: str) -> list[Category]:
    """The kinds with those of their things that have `text` in the name, or begin another word with
    it."""
    wanted = text.strip().casefold()
    kinds = []
    for kind in vocabulary.kinds:
        things = tuple(
            thing
            for thing in kind.things
            if wanted in thing.name or any(word.startswith(wanted) for word in thing.words)
        )
        if things:
            kinds.append(Category(kind.name, things))
    return kinds


def kinds_html(kinds: list[Category]) -> str:
    """A heading and a paragraph of links per kind."""
    parts = []
    for kind in kinds:
        links = "&nbsp;· ".join(
            f'<a href="{SCHEME}:{name}">{name.replace(" ", "&nbsp;")}</a>'
            for name in (escape(thing.name) for thing in kind.things)
        )
        parts.append(f'<p class="kind">{escape(kind.name)}</p><p class="things">{links}</p>')
    return "".join(parts)


def _style(palette: Palette) -> str:
    return (
        f"a {{ color: {palette.text}; text-decoration: none }}"
        f"p {{ color: {palette.secondary}; margin: 0 }}"
        "p.kind { font-size: 12px; margin: 14px 0 4px 0 } p.things { line-height: 165% }"
    )


class ThingList(QTextBrowser):
    """Words to click; Tab goes from one to the next, Return takes it."""

    taken = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.setAccessibleName("Things that it draws")
        self.setUndoRedoEnabled(False)
        self.anchorClicked.connect(self._on_link)

    def _on_link(self, url: QUrl) -> None:
        self.taken.emit(url.path())


class VocabularySheet(QDialog):
    """A sheet over the window.

    Args:
        model: what to call it, e.g. "The starter model".
        vocabulary: what it knows.
        parent: the window.
    """

    chosen = Signal(Thing)
    """A `Thing`, for the prompt."""

    def __init__(self, model: str, vocabulary: Vocabulary, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._vocabulary = vocabulary
        self._kinds: list[Category] = []
        self.setWindowTitle("What it draws")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumSize(480, 360)
        self.resize(600, 520)
        count = len(vocabulary.things)
        self.text = label(
            f"{model} draws one thing at a time on a plain background, as in “a cat on a yellow "
            f"background”. The backgrounds: {listed(vocabulary.colors)}.",
            "secondary",
            wrap=True,
        )
        self.search = search_field(f"Search {count} things", "Search the things")
        self.list = ThingList()
        self.close_button = QPushButton("Close")
        self.close_button.setAutoDefault(False)
        self._lay_out()
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self._take_first)
        self.list.taken.connect(self._take)
        self.close_button.clicked.connect(self.reject)
        self._fill()
        self.search.setFocus()

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.addWidget(label("A click puts it in the prompt.", "small"))
        foot.addStretch(1)
        foot.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(label("What it draws", "sheetTitle"))
        column.addWidget(self.text)
        column.addWidget(self.search)
        column.addWidget(self.list, 1)
        column.addLayout(foot)

    def found(self) -> tuple[Thing, ...]:
        """What is shown, in order."""
        return tuple(thing for kind in self._kinds for thing in kind.things)

    def _fill(self) -> None:
        self._kinds = found_kinds(self._vocabulary, self.search.text())
        none = "<p>It draws nothing of that name. A model from the Hub may.</p>"
        document = self.list.document()
        document.setDefaultStyleSheet(_style(current_palette()))
        self.list.setHtml(kinds_html(self._kinds) or none)

    def _take_first(self) -> None:
        if self.search.text().strip() and self.found():
            self._take(self.found()[0].name)

    def _take(self, name: str) -> None:
        thing = next(one for one in self._vocabulary.things if one.name == name)
        self.accept()
        self.chosen.emit(thing)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._fill()
