"""Tags of several pictures at once: which all have, which some, and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.ui.widgets.controls import label, without_shortcut

if TYPE_CHECKING:
    from gui.state.studio import Studio

WIDTH, HEIGHT = 340, 320
_Check = Qt.CheckState


class _Tick(QCheckBox):
    """One tag.

    Args:
        before: what the pictures say.
    """

    def __init__(self, tag: str, state: Qt.CheckState, before: Qt.CheckState) -> None:
        super().__init__(without_shortcut(tag))
        self.tag = tag
        self.before = before
        self.setTristate(before is _Check.PartiallyChecked)
        self.setCheckState(state)

    def nextCheckState(self) -> None:
        """“Some” is where it begins, nothing that can be asked for."""
        on = self.checkState() is not _Check.Checked
        self.setCheckState(_Check.Checked if on else _Check.Unchecked)


class TagsSheet(QDialog):
    """A tick: all have the tag; a dash: some do, and that stays unless it is changed."""

    def __init__(self, studio: Studio, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Tags")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._studio = studio
        self._ids: list[int] = []
        self.title = label("", "heading")
        self.field = QLineEdit()
        self.field.setPlaceholderText("New tag")
        self.field.setAccessibleName("New tag")
        self.ticks: dict[str, _Tick] = {}
        self._column = QVBoxLayout()
        inner = QWidget()
        inner.setObjectName("scrolled")
        inner.setLayout(self._column)
        self._column.setContentsMargins(2, 4, 8, 4)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroller.setAccessibleName("Tags")
        self.scroller.setWidget(inner)
        self.note = label("No tags yet: type one above.", "small")
        self.apply = QPushButton("Apply")
        self.apply.setObjectName("sheetPrimary")
        self.cancel = QPushButton("Cancel")
        for button in (self.apply, self.cancel):
            button.setAutoDefault(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 16)
        column.setSpacing(9)
        for widget in (self.title, self.field, self.note):
            column.addWidget(widget)
        column.addWidget(self.scroller, 1)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.apply)
        column.addLayout(foot)
        self.resize(WIDTH, HEIGHT)
        self.cancel.clicked.connect(self.reject)
        self.apply.clicked.connect(self.accept)
        self.field.textChanged.connect(lambda _: self._filter())

    def open_for(self, ids: list[int]) -> None:
        """Show the tags of these pictures; what they are comes a moment later."""
        self._ids = list(ids)
        self.title.setText(f"Tags of {words.plural(len(ids), 'picture')}")
        self.field.clear()
        for tick in self.ticks.values():
            tick.deleteLater()
        self.ticks = {}
        asked = self._ids
        self._studio.library.with_tags(
            asked, lambda found: self._fill(*found) if asked is self._ids else None
        )
        self.open()
        self.field.setFocus()

    def _fill(self, tags: list[tuple[str, int]], every: list[str]) -> None:
        have = dict(tags)
        for tag, number in tags:
            all_ = number >= len(self._ids)
            self._add(tag, _Check.Checked if all_ else _Check.PartiallyChecked)
        for tag in every:
            if tag not in have:
                self._add(tag, _Check.Unchecked)
        self._filter()

    def _add(self, tag: str, state: Qt.CheckState, *, new: bool = False) -> None:
        tick = self.ticks[tag] = _Tick(tag, state, _Check.Unchecked if new else state)
        self._column.insertWidget(0 if new else self._column.count() - 1, tick)

    def _filter(self) -> None:
        """While a tag is typed, those that hold it are shown."""
        typed = " ".join(self.field.text().split()).casefold()
        for tag, tick in self.ticks.items():
            tick.setVisible(typed in tag.casefold())
        self.note.setVisible(not self.ticks)

    def take_typed(self) -> None:
        """The tag in the field is ticked, and made where there is none."""
        typed = " ".join(self.field.text().split())
        if not typed:
            return
        for tag, tick in self.ticks.items():
            if tag.casefold() == typed.casefold():
                tick.setCheckState(_Check.Checked)
                break
        else:
            self._add(typed, _Check.Checked, new=True)
        self.field.clear()

    def accept(self) -> None:
        self.take_typed()
        changed = [tick for tick in self.ticks.values() if tick.checkState() is not tick.before]
        add = [tick.tag for tick in changed if tick.checkState() is _Check.Checked]
        remove = [tick.tag for tick in changed if tick.checkState() is _Check.Unchecked]
        self._studio.marks.tag(self._ids, add, remove)
        super().accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return takes what is typed; with nothing typed it applies."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.field.text().strip():
                self.take_typed()
            else:
                self.accept()
        else:
            super().keyPressEvent(event)
