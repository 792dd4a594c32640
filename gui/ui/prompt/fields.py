"""The prompt panel's own fields: a text with its tokens counted, and the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QRegularExpression, QSize, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QKeySequence,
    QRegularExpressionValidator,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QTextEdit, QVBoxLayout, QWidget

from gui import words
from gui.parameters import Parameter
from gui.request import MAX_SEED
from gui.scheduler_names import grouped_schedulers
from gui.state.draft import random_seed
from gui.state.tokens import TokenCounter
from gui.syntax.remarks import remark_on_marks
from gui.syntax.types import PromptSyntax
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import LABEL_WIDTH, icon_button, label
from gui.ui.widgets.prompt_edit import PromptEdit, utf16_units

if TYPE_CHECKING:
    from gui.state.tokens import TokenCount


REST_MS = 700
"""A mark half typed is not told to be wrong: typing must rest this long."""


class TextField(QWidget):
    """A prompt with its title and the tokens it takes: ``12 / 75``.  What the model will not read
    is dimmed; below it stands what of its marks is not read as such."""

    edited = Signal(str)

    def __init__(self, told: Parameter, lines: int) -> None:
        super().__init__()
        self._count: TokenCount | None = None
        self._remarked = False
        self._syntax = PromptSyntax.PLAIN
        self._around: Callable[[str], tuple[str, int]] = lambda text: (text, 0)
        self.edit = PromptEdit(told.label, told.placeholder, lines)
        self.count_label = label("", "small")
        heading = label(told.label, "heading")
        heading.setBuddy(self.edit)
        native = QKeySequence.SequenceFormat.NativeText
        up, down = (QKeySequence(f"Ctrl+{key}").toString(native) for key in ("Up", "Down"))
        weighing = f"{up} and {down} weigh the words that are selected."
        heading.setToolTip(words.plain_tip(f"{told.help}\n{weighing}"))
        self._heading = QHBoxLayout()
        self._heading.addWidget(heading)
        self._heading.addStretch(1)
        self._heading.addWidget(self.count_label)
        self._replaced = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self._heading)
        layout.addWidget(self.edit)
        self.marks = label("", "small", wrap=True)
        self.marks.hide()
        layout.addWidget(self.marks)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._show_marks)
        self._counter = TokenCounter(self)
        self._counter.counted.connect(self._on_counted)
        self.edit.textChanged.connect(self._on_text)

    def text(self) -> str:
        return self.edit.toPlainText()

    def set_value(self, text: str) -> None:
        """Put a text in place of what is there; undo in the field brings that back."""
        self._replaced += self.edit.replace_text(text)

    def set_around(self, around: Callable[[str], tuple[str, int]]) -> None:
        """Count what the model reads of a text rather than the text itself.

        Args:
            around: gives that, and how many characters of it stand before the text.
        """
        self._around = around
        if self.text().strip():
            self._counter.set_text(self._read())

    def set_reading(self, syntax: PromptSyntax, chunks: int | None) -> None:
        """Count tokens as they are read.

        Args:
            syntax: whose marks the text is read by.
            chunks: how many times 75 tokens the model reads; None: as many as there are.
        """
        self._counter.set_reading(syntax, chunks)
        if syntax is not self._syntax:
            self._syntax = self.edit.syntax = syntax
            self._show_marks()

    def _show_marks(self) -> None:
        said = remark_on_marks(self.text(), self._syntax)
        self.marks.setText(said)
        self.marks.setVisible(bool(said))

    def _read(self) -> str:
        text = self.text()
        return self._around(text)[0] if text.strip() else ""

    def take_replaced(self) -> int:
        """Steps of the field's undo that `set_value` made since this was last asked."""
        replaced, self._replaced = self._replaced, 0
        return replaced

    def add_to_heading(self, widget: QWidget) -> None:
        """Put something at the end of the heading's row."""
        self._heading.addWidget(widget)
        self._heading.setContentsMargins(0, 0, -6, 0)  # a flat button's picture in line

    def remark(self, text: str) -> None:
        """Say something in the count's place until the text changes."""
        self._say(text, "", warn=False)
        self._remarked = True

    def _on_text(self) -> None:
        text = self.text()
        self._counter.set_text(self._read())
        if not text.strip() or self._remarked:
            self._count = None
            self._say("", "", warn=False)
            self._dim()
        self._remarked = False
        if remark_on_marks(text, self._syntax):
            self._rest.start()
        else:  # what is mended now needs no rest
            self._rest.stop()
            self._show_marks()
        self.edited.emit(text)

    def _on_counted(self, count: TokenCount) -> None:
        if not self.text().strip():
            return
        self._count = count
        what = "this text" if self._read() == self.text() else "this text with its styles"
        tip = f"Tokens of {what}. The model reads {count.limit}"
        tip += "." if count.fits else "; what is dimmed has no effect."
        self._say(f"{count.n} / {count.limit}", tip, warn=not count.fits)
        self.count_label.setAccessibleName(f"{count.n} of {count.limit} tokens")
        self._dim()

    def _say(self, text: str, tip: str, *, warn: bool) -> None:
        name = "warning" if warn else "small"
        self.count_label.setText(text)
        self.count_label.setToolTip(words.plain_tip(tip))
        self.count_label.setAccessibleName(text)
        if self.count_label.objectName() != name:
            self.count_label.setObjectName(name)
            self.count_label.style().polish(self.count_label)

    def _dim(self) -> None:
        count = self._count
        if count is None or count.fits:
            self.edit.setExtraSelections([])
            return
        kept = max(0, len(count.kept_text) - self._around(self.text())[1])
        begin = utf16_units(self.text()[:kept])
        cut = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.edit.document())
        cursor.setPosition(min(begin, self.edit.document().characterCount() - 1))
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        faint = QTextCharFormat()
        faint.setForeground(QColor(current_palette().disabled))
        cut.cursor = cursor  # type: ignore[attr-defined]
        cut.format = faint  # type: ignore[attr-defined]
        self.edit.setExtraSelections([cut])


_MORE_WIDTH = 24


class SchedulerChoice(Choice):
    """The schedulers under headings, the model's own as the first of them."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._default = "?"
        self.set_default("")

    def set_default(self, default: str) -> None:
        """Which one the model uses by itself; what is chosen stays."""
        if default == self._default:
            return
        self._default = default
        chosen = self.currentData()
        self.showing = True
        self.clear()
        own = f"{default} – default" if default else "The model’s default"
        for title, schedulers in grouped_schedulers(default):
            self.add_heading(title)
            if self.count() == 1:
                self.add(own, None, "Follows the model when you choose another one.")
            for each in schedulers:
                self.add(each.name, each.name, each.description)
        self.setCurrentIndex(max(1, self.index_of(chosen)))
        self.showing = False


class SeedRow(QWidget):
    """The seed: a number that is kept, or none, which is then drawn for every run.

    What is shown is what is used: without a number the field says that it will be random, and
    which one the last run had.
    """

    edited = Signal(object)
    """A number, or None for a random one."""

    def __init__(self, told: Parameter) -> None:
        super().__init__()
        self._last: int | None = None
        self.field = _seed_field(told)
        self.dice = icon_button("dice", "Draw a seed and keep it")
        self.pin = icon_button("pin", "", on="pin-on", checkable=True)
        self.more = icon_button(
            "chevron-right", "Variations of the seed", on="chevron-down", checkable=True
        )
        self.more.setIconSize(QSize(12, 12))
        self.more.setFixedWidth(_MORE_WIDTH)
        name = label(told.label)
        name.setFixedWidth(LABEL_WIDTH - _MORE_WIDTH - 2)
        name.setBuddy(self.field)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(name)
        row.addWidget(self.more)
        row.addSpacing(6)
        row.addWidget(self.field, 1)
        row.addSpacing(2)
        row.addWidget(self.dice)
        row.addWidget(self.pin)
        self.dice.clicked.connect(self.roll)
        self.field.textEdited.connect(self._on_typed)
        self.field.editingFinished.connect(self._tidy)
        self.pin.clicked.connect(self._on_pin)
        self.set_value(None)

    def value(self) -> int | None:
        """The seed; a number beyond the largest seed counts as the largest."""
        return _seed_of(self.field)

    def set_value(self, seed: int | None) -> None:
        if seed != self.value():
            self.field.setText("" if seed is None else str(seed))
            if not self.field.hasFocus():
                self.field.setCursorPosition(0)  # where it is cut, the beginning is seen
        self._show_state()

    def set_last(self, seed: int | None) -> None:
        """Which seed the last run had; None: there was none yet."""
        self._last = seed
        self._show_state()

    def roll(self) -> None:
        """Draw a seed and keep it."""
        self.edited.emit(random_seed())

    def _on_typed(self) -> None:
        self.edited.emit(self.value())

    def _tidy(self) -> None:
        value = self.value()
        self.field.setText("" if value is None else str(value))

    def _on_pin(self, kept: bool) -> None:
        last = random_seed() if self._last is None else self._last
        self.edited.emit(last if kept else None)

    def _show_state(self) -> None:
        kept = self.value() is not None
        self.pin.setChecked(kept)
        keep = "Keep a seed" if self._last is None else f"Keep the last seed, {self._last}"
        self.pin.setToolTip("A new seed for every run" if kept else keep)
        self.pin.setAccessibleName("Keep the seed")
        last = "" if self._last is None else f", last {self._last}"
        self.field.setPlaceholderText(f"Random{last}")


class OtherSeed(QWidget):
    """The seed towards which a variation goes: a number, or none, which is then drawn for every
    run."""

    edited = Signal(object)
    """A number, or None for a random one."""

    def __init__(self, told: Parameter) -> None:
        super().__init__()
        self.field = _seed_field(told)
        self.field.setPlaceholderText("Random")
        self.dice = icon_button("dice", "Draw a variation seed and keep it")
        name = label("Towards")
        name.setFixedWidth(LABEL_WIDTH)
        name.setBuddy(self.field)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(name)
        row.addSpacing(6)
        row.addWidget(self.field, 1)
        row.addSpacing(2)
        row.addWidget(self.dice)
        self.dice.clicked.connect(lambda: self.edited.emit(random_seed()))
        self.field.textEdited.connect(lambda _: self.edited.emit(_seed_of(self.field)))
        self.field.editingFinished.connect(lambda: self.set_value(_seed_of(self.field)))

    def set_value(self, seed: int | None) -> None:
        text = "" if seed is None else str(seed)
        if text != self.field.text():
            self.field.setText(text)


def _seed_field(told: Parameter) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(told.label)
    field.setToolTip(told.help)
    field.setValidator(QRegularExpressionValidator(QRegularExpression(r"\d{1,10}"), field))
    return field


def _seed_of(field: QLineEdit) -> int | None:
    text = field.text()
    return min(int(text), MAX_SEED) if text else None
