"""The Hub's side of the left column: search, order, filters, and the results on cards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QRect, QSize, QSortFilterProxyModel, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.errors import ErrorKind
from gui.state.hub.types import ModelKind, SearchQuery, Sort
from gui.ui.hub.card import ROW_HEIGHT, TILE, HubCardDelegate
from gui.ui.hub.filters import FilterPopover, active_filters, without_filters
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.card_pictures import CardPictures
from gui.ui.widgets.cards import GAP, PADDING, lay_as_cards
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import (
    ElidedLabel,
    is_appearance_change,
    label,
    mirrored,
    search_field,
)
from gui.ui.widgets.filtering import FilterButton, FilterChips
from gui.ui.widgets.icons import icon
from gui.ui.widgets.message import Message
from gui.ui.widgets.steady_list import SteadyList

if TYPE_CHECKING:
    from PySide6.QtCore import QEvent

    from gui.state.hub.catalogue import CatalogueRow, CatalogueState, HubCatalogue

SORTS = (
    (Sort.LIKES, "Most liked"),
    (Sort.DOWNLOADS, "Most downloaded"),
    (Sort.TRENDING, "Trending"),
    (Sort.RECENT, "Recently updated"),
)
KINDS = (
    (None, "Models"),
    (ModelKind.CONTROLNET, "ControlNets"),
    (ModelKind.LORA, "LoRAs"),
    (ModelKind.UPSCALER, "Upscalers"),
)
"""What is looked for; models are whatever makes pictures."""
AUTHORS = (("", "Anyone"), ("apple", "Apple"), ("coreml-community", "Community"))
AHEAD_ROWS = 12
"""The next page is asked for when this few rows are left below what is seen."""
WANT_DELAY_MS = 60
"""Scrolling must rest this long before details of the visible rows are asked for."""
PLACEHOLDER = "Search or paste a link"
SEARCH_TIP = "Search the Hub, or paste the address of a model’s page or its name, owner/name"


class Skeleton(QWidget):
    """Grey shapes in the places of cards, while the first results are on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Searching the Hub")

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(palette.hover))
        left = 8 + PADDING + TILE + PADDING
        room = max(40, self.width() - left - 24)
        for top in range(0, self.height(), ROW_HEIGHT):
            painter.setOpacity(max(0.15, 1 - top / (6 * ROW_HEIGHT)))
            first = top + GAP + PADDING
            painter.drawRoundedRect(mirrored(self, QRect(8 + PADDING, first, TILE, TILE)), 9, 9)
            for line, share in enumerate((0.8, 0.55, 0.7)):
                bar = QRect(left, first + 3 + 18 * line, round(room * share), 10)
                painter.drawRoundedRect(mirrored(self, bar), 5, 5)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if is_appearance_change(event):
            self.update()


class HubMessage(Message):
    """Why there are no results, and what to do next."""

    def __init__(self) -> None:
        super().__init__()
        self.retry = self.add_button("Try Again")
        self.clear = self.add_button("Clear Filters")
        self.convert = self.add_button("Convert a model instead…", flat=True)

    def show_message(
        self, symbol: str, title: str, text: str, *, retry: bool, clear: bool, convert: bool
    ) -> None:
        self.say(symbol, title, text)
        self.retry.setVisible(retry)
        self.clear.setVisible(clear)
        self.convert.setVisible(convert)


class ResultList(SteadyList):
    """The cards.  Return and a click open one; arrow keys only move."""

    opened = Signal(QModelIndex)
    moved = Signal()
    """Other rows have come into view."""
    pasted = Signal()
    """Paste was chosen while the cards had the focus."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Models on the Hub")
        lay_as_cards(self)
        # Always there: the width of a card does not change when the first results arrive.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(ROW_HEIGHT // 3)
        self.verticalScrollBar().valueChanged.connect(lambda _: self.moved.emit())
        self.verticalScrollBar().rangeChanged.connect(lambda *_: self.moved.emit())
        self.clicked.connect(self.opened)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if event.key() in keys and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex())
            return
        super().keyPressEvent(event)

    def paste(self) -> None:
        """The Edit menu asks the widget with the focus to paste."""
        self.pasted.emit()

    def visible_rows(self) -> range:
        """Rows of which at least a part is in view."""
        count = self.model().rowCount() if self.model() is not None else 0
        top = self.verticalScrollBar().value()
        height = self.viewport().height()
        return range(max(0, top // ROW_HEIGHT), min(count, (top + height) // ROW_HEIGHT + 1))


class HubPanel(QWidget):
    """Bound to a `HubCatalogue`.

    Args:
        catalogue: the results.
    """

    opened = Signal(str)
    """A card was chosen: ``owner/name``."""
    convert_requested = Signal()
    tabs_changed = Signal()
    """`tab_order` is another now."""
    unreachable_said = Signal()
    """It is said here, in sight, that the Hub cannot be reached."""

    def __init__(self, catalogue: HubCatalogue) -> None:
        super().__init__()
        self.catalogue = catalogue
        self._open_when_found = ""
        self._entering = False
        self.search = search_field(PLACEHOLDER, "Search the Hub", SEARCH_TIP)
        self.sort = Choice("Sort by")
        for value, text in SORTS:
            self.sort.addItem(text, value)
        self.kind = Choice("Look for")
        for value, text in KINDS:
            self.kind.addItem(text, value)
        self.author = Choice("Made by")
        for name, text in AUTHORS:
            self.author.addItem(text, name)
        self.filters = FilterButton(FilterPopover, active_filters)
        self.chips = FilterChips(active_filters, without_filters)
        self.list = ResultList()
        self.pictures = CardPictures(self.list, TILE)
        self.list.setItemDelegate(HubCardDelegate(self.list, self.pictures))
        # The list asks how many rows there are once for every row whenever some are added, and in
        # Python that takes longer than all the rest: this answers without asking there.
        self._shown = QSortFilterProxyModel(self)
        self._shown.setSourceModel(catalogue)
        self.list.setModel(self._shown)
        self.message = HubMessage()
        self.foot = ElidedLabel("", "small")
        self.further = QPushButton("Look Further")
        self.further.setObjectName("flat")
        self.further.setToolTip("Look through more models for some that fit")
        self.further.hide()
        self._want_timer = QTimer(self)
        self._want_timer.setSingleShot(True)
        self._want_timer.setInterval(WANT_DELAY_MS)
        self._make_offline_row()
        self._lay_out()
        self._connect()
        self._show_query(catalogue.query)
        self._on_state(catalogue.state)

    # -- construction -------------------------------------------------------------------------

    def _make_offline_row(self) -> None:
        self.offline = QFrame()
        self.offline.setObjectName("offline")
        mark = QLabel()
        mark.setPixmap(icon("cloud-off", tone="secondary").pixmap(18, 18))
        self.offline_text = label("", "small", wrap=True)
        self.offline_retry = QPushButton("Try Again")
        self.offline_retry.setObjectName("flat")
        row = QHBoxLayout(self.offline)
        row.setContentsMargins(8, 6, 4, 6)
        row.setSpacing(6)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        text = QVBoxLayout()
        text.setSpacing(2)
        text.addWidget(self.offline_text)
        text.addWidget(self.offline_retry, 0, Qt.AlignmentFlag.AlignLeft)
        row.addLayout(text, 1)
        self.offline.hide()

    def _lay_out(self) -> None:
        for choice in (self.kind, self.sort, self.author):
            choice.setObjectName("compact")
            choice.setMinimumContentsLength(4)
            choice.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        first = QHBoxLayout()
        first.setSpacing(4)
        first.addWidget(self.search, 1)
        first.addWidget(self.filters)
        second = QHBoxLayout()
        second.setSpacing(6)
        second.addWidget(self.kind, 11)
        second.addWidget(self.sort, 13)
        head = QVBoxLayout()
        head.setContentsMargins(12, 4, 12, 8)
        head.setSpacing(7)
        head.addLayout(first)
        head.addLayout(second)
        head.addWidget(self.author)
        head.addWidget(self.chips)
        head.addWidget(self.offline)
        self.stack = QStackedWidget()
        self.skeleton = Skeleton()
        for page in (self.list, self.skeleton, self.message):
            self.stack.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.stack, 1)
        self.foot.setContentsMargins(14, 4, 14, 6)
        column.addWidget(self.foot)
        column.addWidget(self.further, 0, Qt.AlignmentFlag.AlignHCenter)

    def _connect(self) -> None:
        self.search.textEdited.connect(self._on_text)
        self.search.returnPressed.connect(self._on_return)
        self.kind.activated.connect(lambda _: self._look_for(self.kind.currentData()))
        self.sort.activated.connect(lambda _: self._change(sort=self.sort.currentData()))
        self.author.activated.connect(lambda _: self._change(author=self.author.currentData()))
        self.filters.changed.connect(self._on_filters)
        self.chips.changed.connect(self._on_filters)
        self.message.clear.clicked.connect(
            lambda: self._on_filters(without_filters(self.catalogue.query))
        )
        for button in (self.message.retry, self.offline_retry):
            button.clicked.connect(self.catalogue.retry)
        self.message.convert.clicked.connect(self.convert_requested)
        self.further.clicked.connect(self.catalogue.look_further)
        self.list.opened.connect(self._on_opened)
        self.list.moved.connect(self._want_timer.start)
        self._want_timer.timeout.connect(self._want_visible)
        self.pictures.changed.connect(self.list.viewport().update)
        self.catalogue.state_changed.connect(self._on_state)
        for signal in (
            self.catalogue.rowsInserted,
            self.catalogue.rowsRemoved,
            self.catalogue.modelReset,
        ):
            signal.connect(self._want_timer.start)
        self.catalogue.rowsInserted.connect(lambda *_: self._on_state(self.catalogue.state))

    # -- for the workspace --------------------------------------------------------------------

    @property
    def says_unreachable(self) -> bool:
        """Whether it is said here, in sight, that the Hub cannot be reached."""
        state = self.catalogue.state
        failed = state.error is not None and state.error.kind is ErrorKind.NETWORK
        return self.isVisible() and (
            state.phase == "offline" or (state.phase == "error" and failed)
        )

    def begin(self) -> None:
        """Search for the first time, when this side is first shown."""
        if self.catalogue.state.phase == "idle":
            self.catalogue.refresh()

    def focus_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def search_for(self, query: SearchQuery) -> None:
        """Show what answers to `query`, as if it had been entered here."""
        self._open_when_found = ""
        self._entering = False
        self._show_query(query)
        self._set_query(query)
        self.list.setFocus()

    def open_reference(self, text: str) -> None:
        """Look a repository up by its name or address, and open it when it is found."""
        self.search.setText(text.strip())
        self._open_when_found = text.strip()
        self._change(text=text.strip())
        self.catalogue.refresh()  # now, not when typing has come to rest

    def tab_order(self) -> list[QWidget]:
        """What Tab goes through, in the order in which it is read."""
        head = [
            self.search,
            self.filters.button,
            self.kind,
            self.sort,
            self.author,
            *self.chips.chips(),
        ]
        message = [self.message.retry, self.message.clear, self.message.convert]
        return [*head, self.offline_retry, self.list, *message, self.further]

    def close_down(self) -> None:
        self._want_timer.stop()
        self.pictures.close()

    def sizeHint(self) -> QSize:
        return QSize(260, 400)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._want_timer.start()  # what came while another side was shown has asked for nothing
        if self.says_unreachable:
            self.unreachable_said.emit()

    # -- the query ----------------------------------------------------------------------------

    def _look_for(self, kind: ModelKind | None) -> None:
        """Another kind of thing, for which the filters of the one before mean nothing."""
        kinds = (kind,) if kind is not None else ()
        query = self.catalogue.query
        self._set_query(replace(without_filters(query), kinds=kinds, families=query.families))

    def _change(self, **fields: object) -> None:
        self._set_query(replace(self.catalogue.query, **fields))  # type: ignore[arg-type]

    def _set_query(self, query: SearchQuery) -> None:
        self._show_kind(query)
        self.filters.set_query(query)
        self.chips.set_query(query)
        self.tabs_changed.emit()
        self.catalogue.set_query(query)

    def _on_filters(self, query: SearchQuery) -> None:
        # The pop-over knows the filters alone; text, author and order may have moved since.
        now = self.catalogue.query
        self._set_query(replace(query, text=now.text, author=now.author, sort=now.sort))

    def _on_text(self, text: str) -> None:
        self._open_when_found = ""
        self._entering = False
        self._change(text=text.strip())

    def _on_return(self) -> None:
        """Search at once for what was typed last, and go to the results; a lone one is opened."""
        self._entering = True
        self.catalogue.search_now()
        self._enter_results(self.catalogue.state)

    def _enter_results(self, state: CatalogueState) -> None:
        """Go on with Return as soon as it is known what was found."""
        count = self.catalogue.rowCount()
        if not self._entering or state.phase in ("idle", "loading"):
            return
        if count == 1 and (state.checking or state.loading_more):
            return  # whether it is the only one is not known yet
        self._entering = False
        if count and self.search.hasFocus():
            self.list.setFocus()
            self.list.setCurrentIndex(self._shown.index(0, 0))
            if count == 1 and not state.more:
                self._on_opened(self.catalogue.index(0))

    def _show_query(self, query: SearchQuery) -> None:
        self.search.setText(query.text)
        self.sort.select_data(query.sort)
        self.author.select_data(query.author)
        self._show_kind(query)
        self.filters.set_query(query)
        self.chips.set_query(query)

    def _show_kind(self, query: SearchQuery) -> None:
        kind = query.kinds[0] if len(query.kinds) == 1 else None
        shown = kind if kind in dict(KINDS) else None
        self.kind.select_data(shown)
        # Those who make models for Macs are few, and known; others are anyone.
        self.author.setVisible(shown is None or bool(query.author))

    # -- the results --------------------------------------------------------------------------

    def _on_opened(self, index: QModelIndex) -> None:
        row: CatalogueRow | None = index.data(Qt.ItemDataRole.UserRole)
        if row is not None:
            self.opened.emit(row.summary.id)

    def _want_visible(self) -> None:
        """Ask for what the rows in view lack, and for the next page before the end is seen."""
        if not self.isVisible():
            return
        rows = self.list.visible_rows()
        found = (self.catalogue.index(row).data(Qt.ItemDataRole.UserRole) for row in rows)
        self.catalogue.want([row.summary.id for row in found if row is not None])
        near_end = rows.stop + AHEAD_ROWS >= self.catalogue.rowCount()
        if near_end and self.catalogue.canFetchMore(QModelIndex()):
            self.catalogue.fetchMore(QModelIndex())

    def _on_state(self, state: CatalogueState) -> None:
        query, has_rows = self.catalogue.query, self.catalogue.rowCount() > 0
        filtered = bool(active_filters(query))
        self.offline.setVisible(state.phase in ("offline", "error") and has_rows)
        self.offline_text.setText(state.message)
        self.foot.set_text(state.message if state.phase in ("ready", "loading") else "")
        self.foot.setVisible(bool(self.foot.whole_text()))
        self.further.setVisible(state.resting)
        if has_rows:
            self.stack.setCurrentWidget(self.list)
        elif state.phase in ("idle", "loading"):
            self.stack.setCurrentWidget(self.skeleton)
        elif state.phase == "empty":
            self.message.show_message(
                "search", state.message or "No model was found.", _next_step(query, filtered),
                retry=False, clear=filtered, convert=True,
            )  # fmt: skip
            self.stack.setCurrentWidget(self.message)
        else:
            offline = state.phase == "offline"
            sentence = state.error.message if state.error is not None else state.message
            self.message.show_message(
                "cloud-off" if offline else "warning", sentence, "",
                retry=True, clear=False, convert=False,
            )  # fmt: skip
            self.stack.setCurrentWidget(self.message)
        if self.says_unreachable:
            self.unreachable_said.emit()
        self._open_what_was_dropped(state)
        self._enter_results(state)
        self._want_timer.start()

    def _open_what_was_dropped(self, state: CatalogueState) -> None:
        if not self._open_when_found or state.phase in ("idle", "loading"):
            return
        if self._open_when_found == self.catalogue.query.text and self.catalogue.rowCount() == 1:
            self._on_opened(self.catalogue.index(0))
        self._open_when_found = ""


def _next_step(query: SearchQuery, filtered: bool) -> str:
    if filtered:
        return "Fewer filters may find more."
    if query.author:
        return "Others may have what you look for: choose “Anyone” above."
    if query.text:
        return "Try other words, or paste the address of a model’s page."
    return ""
