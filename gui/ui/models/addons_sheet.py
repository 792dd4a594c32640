"""What is installed beside models: ControlNets, LoRAs and upscalers, with what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.state import describe
from gui.state.addons import InstalledModel, addon_name
from gui.ui.widgets.controls import ElidedLabel, label

if TYPE_CHECKING:
    from gui.state.addons import AddonLibrary
    from gui.state.hub.state import HubState


NONE = (
    "There are none yet. ControlNets guide pictures by others, LoRAs change what a model makes, "
    "and upscalers enlarge."
)


class AddonRow(QFrame):
    """One of them: name, kind, size and where it is from; update, show, remove."""

    def __init__(self, entry: InstalledModel, has_update: bool) -> None:
        super().__init__()
        self.setObjectName("card")
        self.entry = entry
        name = addon_name(entry)
        self.name = ElidedLabel(name, "statement")
        kind = describe.KINDS.get(entry.kind, "")
        parts = [kind, words.size(entry.bytes), entry.repo or "Put there by hand"]
        self.facts = ElidedLabel(" · ".join(parts), "small")
        self.update_button = QPushButton("Update")
        self.update_button.setVisible(has_update)
        self.show_button = QPushButton("Show")
        self.trash = QPushButton("Move to Trash")
        for button in (self.update_button, self.show_button, self.trash):
            button.setAutoDefault(False)
            button.setAccessibleName(f"{button.text()}: {name}")
        text = QVBoxLayout()
        text.setSpacing(2)
        text.addWidget(self.name)
        text.addWidget(self.facts)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(6)
        row.addLayout(text, 1)
        for button in (self.update_button, self.show_button, self.trash):
            row.addWidget(button)


class AddonsSheet(QDialog):
    """Lists them; what goes to the Trash is brought back by undo.

    Args:
        library: what there is.
        hub: knows of newer revisions, and gets them.
        parent: the window it lies over.
    """

    hub_wanted = Signal()
    """The person looks for more."""

    def __init__(self, library: AddonLibrary, hub: HubState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._library = library
        self._hub = hub
        self._said = ""
        self.rows: list[AddonRow] = []
        self.setWindowTitle("ControlNets, LoRAs and Upscalers")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumSize(600, 360)
        self.text = label("", "secondary", wrap=True)
        inner = QWidget()
        inner.setObjectName("scrolled")
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setAccessibleName("ControlNets, LoRAs and upscalers")
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inner)
        self.undo = QPushButton("Undo")
        self.undo.setAutoDefault(False)
        self.undo.hide()
        self.find_more = QPushButton("Find on the Hub…")
        self.find_more.setAutoDefault(False)
        self.close_button = QPushButton("Close")
        self.close_button.setDefault(True)
        foot = QHBoxLayout()
        foot.addWidget(self.find_more)
        foot.addStretch(1)
        foot.addWidget(self.undo)
        foot.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(label("ControlNets, LoRAs and Upscalers", "heading"))
        column.addWidget(self.text)
        column.addWidget(scroll, 1)
        column.addLayout(foot)
        self.close_button.clicked.connect(self.accept)
        self.find_more.clicked.connect(self.accept)
        self.find_more.clicked.connect(self.hub_wanted)
        self.undo.clicked.connect(self._undo)
        library.changed.connect(self._fill)
        library.done.connect(self._on_done)
        hub.updates_changed.connect(self._fill)
        self._fill()
        library.refresh()

    def _fill(self) -> None:
        focused = next((k for k, row in enumerate(self.rows) if row.trash.hasFocus()), -1)
        for row in self.rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = []
        for entry in self._library.entries:
            row = AddonRow(entry, bool(self._hub.update_of(entry.folder)))
            row.update_button.clicked.connect(lambda _=False, e=entry: self._update(e))
            row.show_button.clicked.connect(lambda _=False, e=entry: self._library.reveal(e))
            row.trash.clicked.connect(lambda _=False, e=entry: self._library.trash(e))
            self._column.insertWidget(self._column.count() - 1, row)
            self.rows.append(row)
        size = sum(entry.bytes for entry in self._library.entries)
        told = f"They take {words.size(size)} in all." if self.rows else NONE
        self.text.setText(self._said or told)
        if focused >= 0:
            near = min(focused, len(self.rows) - 1)
            button = self.rows[near].trash if self.rows else self.close_button
            button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _update(self, entry: InstalledModel) -> None:
        self._hub.update(entry.folder)
        self.accept()  # its progress is seen in the window

    def _on_done(self, text: str) -> None:
        """Said here too, where the window's own place is out of sight."""
        self._said = text
        self.text.setText(text)
        self.undo.show()

    def _undo(self) -> None:
        self._said = ""
        self.undo.hide()
        self._library.undo()
