"""The left column: the models a person has, each on a card, and the facts of the chosen one."""

from __future__ import annotations

from html import escape
from pathlib import Path

from PySide6.QtCore import QEvent, QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.state import describe
from gui.state.desktop import REVEAL_LABEL
from gui.state.models import ModelEntry, ModelLibrary
from gui.ui.appearance import current_tones
from gui.ui.controls import Section, icon_button, label
from gui.ui.icons import icon
from gui.ui.model_card import ModelCardDelegate
from gui.ui.tones import Tones

DETAILS_HEIGHT = 264


class ModelDetails(QWidget):
    """Every fact of one model, guessed ones marked, and the folder it lies in."""

    reveal_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._entry: ModelEntry | None = None
        self.text = label("", "", wrap=True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._reveal = QPushButton(REVEAL_LABEL)
        self._reveal.setObjectName("flat")
        self._reveal.setIcon(icon("reveal", tone="accent"))
        self._reveal.clicked.connect(self._on_reveal)
        inner = QWidget()
        inner.setObjectName("scrolled")
        column = QVBoxLayout(inner)
        column.setContentsMargins(2, 0, 8, 0)
        column.addWidget(self.text)
        column.addWidget(self._reveal, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAccessibleName("Details of the model")
        scroll.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.setFixedHeight(DETAILS_HEIGHT)

    def set_entry(self, entry: ModelEntry) -> None:
        self._entry = entry
        self.text.setText(details_html(entry, current_tones()))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._entry is not None:
            self.set_entry(self._entry)

    def _on_reveal(self) -> None:
        if self._entry is not None:
            self.reveal_requested.emit(str(self._entry.folder))


def details_html(entry: ModelEntry, tones: Tones) -> str:
    """The facts as a small table.  Everything that came from files is escaped."""
    parts: list[str] = []
    if entry.problem:
        parts.append(
            f'<p style="color:{tones.warning}; margin-bottom:6px">{escape(entry.problem)}</p>'
        )
    if entry.info is not None:
        rows = "".join(
            f'<tr><td style="color:{tones.secondary}; padding:0 12px 5px 0">{escape(name)}</td>'
            f'<td style="padding-bottom:5px">{escape(value)}</td></tr>'
            for name, value in describe.detail_rows(entry.info, entry.sidecar)
        )
        parts.append(f'<table cellspacing="0">{rows}</table>')
        parts += [
            f'<p style="color:{tones.secondary}">{escape(note)}</p>' for note in entry.info.notes
        ]
    return "".join(parts)


class ModelsPanel(QFrame):
    """Bound to a `ModelLibrary`; folders can be dropped anywhere on it."""

    model_chosen = Signal(object)
    add_requested = Signal()
    convert_requested = Signal()
    folder_dropped = Signal(str)
    remove_requested = Signal(object)
    reveal_requested = Signal(str)

    def __init__(self, models: ModelLibrary) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAcceptDrops(True)
        self._models = models
        self._current = models.entries()[0].folder
        self.list = QListView()
        self.list.setModel(models)
        self.list.setItemDelegate(ModelCardDelegate(self.list))
        self.list.setAccessibleName("Installed models")
        self.list.setMouseTracking(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.add_button = icon_button("folder-plus", "Add a model folder")
        self.details = ModelDetails()
        self.details_section = Section("Details", self.details)
        self._lay_out()
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.list.customContextMenuRequested.connect(self._on_menu)
        self.add_button.clicked.connect(self.add_requested)
        self.details.reveal_requested.connect(self.reveal_requested)
        models.modelReset.connect(self._mark_current)

    def _lay_out(self) -> None:
        heading: QLabel = label("Models", "heading")
        heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 10, 4)
        head.addWidget(heading)
        head.addWidget(self.add_button)
        separator = QFrame()
        separator.setObjectName("separator")
        foot = QVBoxLayout()
        foot.setContentsMargins(10, 6, 6, 6)
        foot.addWidget(self.details_section)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.list, 1)
        column.addWidget(separator)
        column.addLayout(foot)

    def minimumSizeHint(self) -> QSize:
        return QSize(220, 300)

    def set_current(self, entry: ModelEntry) -> None:
        """Mark the model in use and show its details; nothing is said to have been chosen."""
        self._current = entry.folder
        self.details.set_entry(entry)
        self._mark_current()

    def _mark_current(self) -> None:
        row = self._models.row_of(self._current)
        if row >= 0 and self.list.currentIndex().row() != row:
            blocked = self.blockSignals(True)
            self.list.setCurrentIndex(self._models.index(row))
            self.blockSignals(blocked)

    def _on_current(self, index: QModelIndex, *_: object) -> None:
        entry: ModelEntry | None = index.data(Qt.ItemDataRole.UserRole)
        if entry is not None and not self.signalsBlocked():
            self.model_chosen.emit(entry)

    def _on_menu(self, at: QPoint) -> None:
        entry: ModelEntry | None = self.list.indexAt(at).data(Qt.ItemDataRole.UserRole)
        menu = self.menu_for(entry)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.list.viewport().mapToGlobal(at))

    def menu_for(self, entry: ModelEntry | None) -> QMenu:
        """The menu of a card, or of the free ground below the cards."""
        menu = QMenu(self)
        if entry is not None:
            menu.addAction("Use This Model", lambda: self.model_chosen.emit(entry))
            menu.addAction(REVEAL_LABEL, lambda: self.reveal_requested.emit(str(entry.folder)))
            if entry.added:
                menu.addAction("Remove from List", lambda: self.remove_requested.emit(entry))
            menu.addSeparator()
        menu.addAction("Add Model Folder…", self.add_requested.emit)
        menu.addAction("Convert a Model…", self.convert_requested.emit)
        return menu

    # -- folders dropped in -------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped_folders(event):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        for folder in _dropped_folders(event):
            self.folder_dropped.emit(folder)


def _dropped_folders(event: QDropEvent) -> list[str]:
    files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    return [file for file in files if Path(file).is_dir()]
