"""Tags of several pictures at once: which all have, which some, and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.ui.widgets.controls import label

if TYPE_CHECKING:
    from gui.state.studio import Studio

WIDTH, HEIGHT = 340, 380
_STATE = Qt.ItemDataRole.UserRole
_Check = Qt.CheckState


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
        self.list = QListWidget()
        self.list.setAccessibleName("Tags")
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
        column.addWidget(self.list, 1)
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
        self.list.clear()
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

    def _add(self, tag: str, state: Qt.CheckState, row: int = -1) -> None:
        item = QListWidgetItem(tag)
        item.setFlags(
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsUserCheckable
        )
        item.setCheckState(state)
        item.setData(_STATE, state)
        self.list.insertItem(self.list.count() if row < 0 else row, item)

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(row) for row in range(self.list.count())]

    def _filter(self) -> None:
        """While a tag is typed, those that hold it are shown."""
        typed = " ".join(self.field.text().split()).casefold()
        for item in self._items():
            item.setHidden(typed not in item.text().casefold())
        self.note.setVisible(not self.list.count())

    def take_typed(self) -> None:
        """The tag in the field is ticked, and made where there is none."""
        typed = " ".join(self.field.text().split())
        if not typed:
            return
        for item in self._items():
            if item.text().casefold() == typed.casefold():
                item.setCheckState(_Check.Checked)
                break
        else:
            self._add(typed, _Check.Checked, 0)
            self.list.item(0).setData(_STATE, _Check.Unchecked)
        self.field.clear()

    def accept(self) -> None:
        self.take_typed()
        changed = [item for item in self._items() if item.checkState() != item.data(_STATE)]
        add = [item.text() for item in changed if item.checkState() is _Check.Checked]
        remove = [item.text() for item in changed if item.checkState() is _Check.Unchecked]
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
