"""The left column: the models a person has, each on a card, with the facts of the chosen one; and,
on its other side, those of the Hub."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QMimeData, QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListView,
    QMenu,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.names import is_address, parse_repository
from gui.state import describe
from gui.state.desktop import REVEAL_LABEL
from gui.state.model_entry import ModelEntry
from gui.state.models import ModelLibrary
from gui.state.pictures.images import PICTURE_SUFFIXES
from gui.ui.hub.downloads_strip import DownloadsStrip
from gui.ui.models.card import ModelCardDelegate
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.cards import lay_as_cards
from gui.ui.widgets.controls import ElidedLabel, Section, Segments, icon_button
from gui.ui.widgets.drop_glow import DropGlow
from gui.ui.widgets.dropped import local_files
from gui.ui.widgets.facts import TechnicalDetails, facts_html, facts_label
from gui.ui.widgets.icons import icon
from gui.ui.widgets.palette import Palette

if TYPE_CHECKING:
    from gui.state.hub.state import HubState
    from gui.ui.hub.panel import HubPanel

DETAILS_HEIGHT = 264
INSTALLED, HUB = 0, 1


class ModelDetails(QWidget):
    """What a person wants to know of one model, the technical facts behind a disclosure, and the
    folder it lies in."""

    reveal_requested = Signal(str)
    menu_requested = Signal(ModelEntry, QPoint)
    """The model and a place on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._entry: ModelEntry | None = None
        self.text = facts_label()
        self.technical = TechnicalDetails()
        self._reveal = QPushButton(REVEAL_LABEL)
        self._reveal.setObjectName("flat")
        self._reveal.setIcon(icon("reveal", tone="accent"))
        self._reveal.clicked.connect(self._on_reveal)
        self.more = icon_button("more", "More for this model")
        self.more.clicked.connect(self._on_more)
        buttons = QHBoxLayout()
        buttons.addWidget(self._reveal)
        buttons.addStretch(1)
        buttons.addWidget(self.more)
        inner = QWidget()
        inner.setObjectName("scrolled")
        column = QVBoxLayout(inner)
        column.setContentsMargins(2, 0, 8, 0)
        column.addWidget(self.text)
        column.addWidget(self.technical)
        column.addLayout(buttons)
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
        self.text.setText(details_html(entry, current_palette()))
        if (info := entry.info) is not None and info.components:
            rows = describe.technical_rows(info, entry.sidecar)
            self.technical.show_facts([*rows, *_hub_rows(entry)], info.notes)
        else:
            self.technical.show_facts(())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._entry is not None:
            self.set_entry(self._entry)

    def _on_reveal(self) -> None:
        if self._entry is not None:
            self.reveal_requested.emit(str(self._entry.folder))

    def _on_more(self) -> None:
        at = self.more.mapToGlobal(QPoint(0, self.more.height()))
        self.menu_requested.emit(self._entry, at)


def details_html(entry: ModelEntry, palette: Palette) -> str:
    """What a person wants to know of a model.  Everything that came from files is escaped."""
    parts: list[str] = []
    if entry.problem:
        parts.append(
            f'<p style="color:{palette.warning}; margin-bottom:6px">{escape(entry.problem)}</p>'
        )
    if entry.info is not None and entry.info.components:
        rows = describe.model_rows(entry.info, entry.sidecar, entry.memory, entry.home)
        parts.append(facts_html(rows))
    return "".join(parts)


def _hub_rows(entry: ModelEntry) -> list[tuple[str, str]]:
    """What only a model from the Hub has."""
    if not entry.repo:
        return []
    rows = [("Variant", entry.variant_title)] if entry.variant_title else []
    update = ", a newer one is there" if entry.update else ""
    if entry.revision:
        rows.append(("Revision", f"{entry.revision[:8]}{update}"))
    return rows


class CardList(QListView):
    """The cards.  A click for the menu chooses no model: choosing one is using it."""

    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        plain = event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.KeypadModifier,
        )
        if plain and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
        else:
            event.accept()


class ModelsPanel(QFrame):
    """Bound to a `ModelLibrary` and to the Hub; folders and addresses can be dropped on it.

    Args:
        models: those installed.
        hub: the other side, made when it is first shown.
    """

    model_chosen = Signal(ModelEntry)
    add_requested = Signal()
    folder_dropped = Signal(str)
    remove_requested = Signal(ModelEntry)
    """Off the list with this `ModelEntry`, which was added by reference."""
    trash_requested = Signal(ModelEntry)
    """To the Trash with the files of this `ModelEntry`."""
    reveal_requested = Signal(str)
    repo_opened = Signal(str)
    """A model of the Hub was chosen: ``owner/name``."""
    convert_requested = Signal()
    updates_requested = Signal()
    leftovers_requested = Signal()
    addons_requested = Signal()
    hub_made = Signal()
    unreachable_said = Signal()
    """The Hub's side says, in sight, that the Hub cannot be reached."""

    def __init__(self, models: ModelLibrary, hub: HubState) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAcceptDrops(True)
        self._models = models
        self._hub_state = hub
        self.hub: HubPanel | None = None
        self.actions_of: Callable[[ModelEntry], list[tuple[str, Callable[[], object]]]] = (
            lambda _entry: []
        )
        """Words and deeds that a model's menu offers besides the panel's own."""
        self._current = models.entries()[0].folder
        self._leaving = False
        self.list = CardList()
        # Before the view, which goes on to the next card when the chosen one leaves the list: that
        # is nobody's choice.
        models.rowsAboutToBeRemoved.connect(self._on_leaving)
        self.list.setModel(models)
        self.list.setItemDelegate(ModelCardDelegate(self.list))
        self.list.setAccessibleName("Installed models")
        lay_as_cards(self.list)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.segments = Segments("Models", ("Installed", "Hub"))
        self.segments.buttons[HUB].setToolTip("Find models on the Hugging Face Hub")
        self.add_button = icon_button("plus", "Add or convert a model")
        self.library_text = ElidedLabel("", "small")
        self.library_menu = icon_button("more", "More for the library")
        self.leftovers = QPushButton()
        self.leftovers.setObjectName("flat")
        self.leftovers.hide()
        self.details = ModelDetails()
        self.details_section = Section("Details", self.details)
        self.downloads = DownloadsStrip(hub.downloads)
        self._lay_out()
        self.glow = DropGlow(self)
        self._connect()
        self._sum_up()

    def _connect(self) -> None:
        models = self._models
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.list.customContextMenuRequested.connect(self._on_menu)
        self.list.delete_pressed.connect(self._on_delete)
        self.add_button.clicked.connect(self._show_add_menu)
        self.segments.chosen.connect(self._on_segment)
        self.library_menu.clicked.connect(self._on_library_menu)
        self.leftovers.clicked.connect(self.leftovers_requested)
        self.details.reveal_requested.connect(self.reveal_requested)
        self.details.menu_requested.connect(self._pop_up)
        self.downloads.opened.connect(self.repo_opened)
        self.downloads.rebuilt.connect(self._order_tabs)
        models.modelReset.connect(self._mark_current)
        models.rowsRemoved.connect(self._on_left)
        for signal in (
            models.modelReset, models.rowsInserted, models.rowsRemoved, models.dataChanged
        ):  # fmt: skip
            signal.connect(self._sum_up)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(12, 10, 10, 6)
        head.setSpacing(8)
        head.addWidget(self.segments, 1)
        head.addWidget(self.add_button)
        foot = QHBoxLayout()
        foot.setContentsMargins(16, 2, 10, 4)
        foot.addWidget(self.library_text, 1)
        foot.addWidget(self.library_menu)
        installed = QWidget()
        inner = QVBoxLayout(installed)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        inner.addWidget(self.list, 1)
        inner.addWidget(self.leftovers)
        inner.addLayout(foot)
        separator = QFrame()
        separator.setObjectName("separator")
        self.stack = QStackedWidget()
        self.stack.addWidget(installed)
        self.details_part = QWidget()
        part = QVBoxLayout(self.details_part)
        part.setContentsMargins(0, 0, 0, 0)
        part.setSpacing(0)
        part.addWidget(separator)
        section = QVBoxLayout()
        section.setContentsMargins(10, 6, 6, 6)
        section.addWidget(self.details_section)
        part.addLayout(section)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.stack, 1)
        column.addWidget(self.downloads)
        column.addWidget(self.details_part)

    def minimumSizeHint(self) -> QSize:
        return QSize(220, 300)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.downloads.fit()

    # -- the two sides ------------------------------------------------------------------------

    def show_installed(self) -> None:
        self.segments.choose(INSTALLED)

    def show_hub(self) -> HubPanel:
        """Turn to the Hub; its side is made now if it has not been."""
        panel = self._made_hub()
        self.segments.choose(HUB)
        return panel

    def _made_hub(self) -> HubPanel:
        if self.hub is None:
            # Here, so that a start does not make what may never be looked at.
            from gui.ui.hub.panel import HubPanel

            self.hub = HubPanel(self._hub_state.catalogue)
            self.hub.opened.connect(self.repo_opened)
            self.hub.convert_requested.connect(self.convert_requested)
            self.hub.list.pasted.connect(self.paste)
            self.hub.tabs_changed.connect(self._order_tabs)
            self.hub.unreachable_said.connect(self.unreachable_said)
            self.stack.addWidget(self.hub)
            self._order_tabs()
            self.hub_made.emit()
        return self.hub

    @property
    def says_unreachable(self) -> bool:
        """Whether the Hub's side says, in sight, that the Hub cannot be reached."""
        return self.hub is not None and self.hub.says_unreachable

    def _on_segment(self, number: int) -> None:
        if number == HUB:
            panel = self._made_hub()
            self.stack.setCurrentWidget(panel)
            panel.begin()
        else:
            self.stack.setCurrentIndex(INSTALLED)
        self.details_part.setVisible(number == INSTALLED)

    def _order_tabs(self) -> None:
        """Tab goes down the column, through what was made late as well: Qt puts it at the end."""
        chain: list[QWidget] = [self.add_button, self.list, self.leftovers, self.library_menu]
        if self.hub is not None:
            chain += self.hub.tab_order()
        for row in self.downloads.rows():
            chain += row.buttons()
        for one, other in itertools.pairwise([*chain, self.details_section.button]):
            QWidget.setTabOrder(one, other)

    def close_down(self) -> None:
        if self.hub is not None:
            self.hub.close_down()

    def set_leftovers(self, text: str) -> None:
        """Offer to look at what lies about in the models folder; empty: nothing does."""
        self.leftovers.setText(text)
        self.leftovers.setVisible(bool(text))

    def _sum_up(self, *_: object) -> None:
        installed, added = self._models.installed_count, self._models.added_count
        parts = []
        if installed:
            size = words.size(self._models.disk_use)
            parts.append(f"{words.plural(installed, 'model')} installed · {size}")
        if added:
            number = f"{added:,}" if installed else words.plural(added, "model")
            parts.append(f"{number} in other folders")
        self.library_text.set_text(" · ".join(parts) or "Only the starter model")

    # -- the installed models -----------------------------------------------------------------

    def set_current(self, entry: ModelEntry) -> None:
        """Mark the model in use; nothing is said to have been chosen."""
        self._current = entry.folder
        self._mark_current()

    def reveal(self, entry: ModelEntry) -> None:
        """Bring a model's card into sight."""
        row = self._models.row_of(entry.folder)
        if row >= 0:
            self.list.scrollTo(self._models.index(row))

    def _mark_current(self) -> None:
        row = self._models.row_of(self._current)
        if row >= 0 and self.list.currentIndex().row() != row:
            blocked = self.blockSignals(True)
            self.list.setCurrentIndex(self._models.index(row))
            self.blockSignals(blocked)

    def _on_current(self, index: QModelIndex, *_: object) -> None:
        entry: ModelEntry | None = index.data(Qt.ItemDataRole.UserRole)
        if entry is not None and not self._leaving and not self.signalsBlocked():
            self.model_chosen.emit(entry)

    def _on_leaving(self, *_: object) -> None:
        self._leaving = True

    def _on_left(self, *_: object) -> None:
        self._leaving = False
        self._mark_current()

    def _on_delete(self) -> None:
        """Delete or Backspace on a card: what its menu offers."""
        entry: ModelEntry | None = self.list.currentIndex().data(Qt.ItemDataRole.UserRole)
        if entry is not None and entry.added:
            self.remove_requested.emit(entry)
        elif entry is not None and entry.removable:
            self.trash_requested.emit(entry)

    def _on_menu(self, at: QPoint) -> None:
        entry: ModelEntry | None = self.list.indexAt(at).data(Qt.ItemDataRole.UserRole)
        self._pop_up(entry, self.list.viewport().mapToGlobal(at))

    def _on_library_menu(self) -> None:
        button = self.library_menu
        self._pop_up(None, button.mapToGlobal(QPoint(0, button.height())))

    def _pop_up(self, entry: ModelEntry | None, at: QPoint) -> None:
        menu = self.menu_for(entry)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def _show_add_menu(self) -> None:
        menu = self.add_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.add_button.mapToGlobal(self.add_button.rect().bottomLeft()))

    def add_menu(self) -> QMenu:
        """What the button with the plus offers."""
        menu = QMenu(self)
        menu.addAction("Add Model Folder…", self.add_requested.emit)
        menu.addAction("Convert a Model…", self.convert_requested.emit)
        return menu

    def menu_for(self, entry: ModelEntry | None) -> QMenu:
        """The menu of a card, or of the free ground below the cards."""
        menu = QMenu(self)
        if entry is not None:
            menu.addAction("Use This Model", lambda: self.model_chosen.emit(entry))
            menu.addAction(REVEAL_LABEL, lambda: self.reveal_requested.emit(str(entry.folder)))
            if entry.added:
                menu.addAction("Remove from List", lambda: self.remove_requested.emit(entry))
            offers = self.actions_of(entry)
            if offers:
                menu.addSeparator()
            for text, deed in offers:
                menu.addAction(text, deed)
            menu.addSeparator()
        menu.addAction("Add Model Folder…", self.add_requested.emit)
        if entry is None:
            menu.addAction("ControlNets, LoRAs and Upscalers…", self.addons_requested.emit)
            menu.addAction("Check for Updates", self.updates_requested.emit)
            menu.addAction("Look for Leftovers…", self.leftovers_requested.emit)
        menu.addAction("Convert a Model…", self.convert_requested.emit)
        return menu

    # -- folders and addresses dropped in -----------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped_folders(event) or dropped_reference(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.glow.light_up()

    def dropEvent(self, event: QDropEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        folders = _dropped_folders(event)
        for folder in folders:
            self.folder_dropped.emit(folder)
        if not folders and (reference := dropped_reference(event.mimeData())):
            self.open_reference(reference)

    def open_reference(self, text: str) -> None:
        """Look up a model by its name or its page's address, and open it."""
        self.show_hub().open_reference(text)

    def paste(self) -> None:
        """A model's address from the clipboard opens the model."""
        if reference := dropped_reference(QGuiApplication.clipboard().mimeData()):
            self.open_reference(reference)


def _dropped_folders(event: QDropEvent) -> list[str]:
    """What may be folders with models, by their names: a disk may let one wait.  Pictures and
    checkpoints are the window's."""
    files = local_files(event.mimeData())
    others = (*PICTURE_SUFFIXES, ".safetensors")
    return [file for file in files if not file.lower().endswith(others)]


def dropped_reference(data: QMimeData) -> str:
    """The address or name of a model on the Hub that a drag or the clipboard holds, or nothing."""
    if local_files(data):
        return ""
    text = data.urls()[0].toString() if data.urls() else data.text().strip()
    return text if is_address(text) or parse_repository(text) else ""
