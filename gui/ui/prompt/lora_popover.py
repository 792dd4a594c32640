"""The LoRA library as a pop-over: covers, families and words, searched by typing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListView,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from gui.state.loras import LoraDetails
from gui.ui.prompt.lora_row import COVER, told
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.cards import paint_tile
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.list_popover import ListPopover
from gui.ui.widgets.rows import LINE, Line, paint_ground, paint_lines

_ROW = 56
_TICK = 16
USED_ROLE = Qt.ItemDataRole.UserRole + 1
"""Whether pictures are made with it already."""
_Index = QModelIndex | QPersistentModelIndex
Cover = Callable[[LoraDetails], QPixmap | None]


class LoraRows(QAbstractListModel):
    """LoRAs of the library that have every word looked for.  Rows carry `LoraDetails`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[LoraDetails, ...] = ()
        self._shown: tuple[LoraDetails, ...] = ()
        self._used: frozenset[str] = frozenset()

    def fill(self, entries: tuple[LoraDetails, ...], used: frozenset[str], text: str) -> None:
        """Show what of the library has these words."""
        wanted = text.casefold().split()
        self.beginResetModel()
        self._all, self._used = entries, used
        self._shown = tuple(
            entry for entry in entries if all(word in _searched(entry) for word in wanted)
        )
        self.endResetModel()

    def entry(self, row: int) -> LoraDetails | None:
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entry(index.row())
        if entry is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.name
        if role == Qt.ItemDataRole.UserRole:
            return entry
        if role == USED_ROLE:
            return entry.name in self._used
        if role == Qt.ItemDataRole.AccessibleTextRole:
            used = "in use" if entry.name in self._used else ""
            return ". ".join(filter(None, (entry.name, told(entry), _words(entry), used)))
        return None


def _searched(entry: LoraDetails) -> str:
    return " ".join((entry.name, entry.title, entry.base, *entry.triggers)).casefold()


def _words(entry: LoraDetails) -> str:
    return ", ".join(entry.triggers)


class LoraPainter(QStyledItemDelegate):
    """Cover, name, what is known, the words it was taught."""

    def __init__(self, view: QListView, cover: Cover) -> None:
        super().__init__(view)
        self._view = view
        self._cover = cover

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(100, _ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        lit = index.row() == self._view.currentIndex().row()
        entry: LoraDetails = index.data(Qt.ItemDataRole.UserRole)
        used = bool(index.data(USED_ROLE))
        painter.save()
        over = bool(state & QStyle.StateFlag.State_MouseOver)
        paint_ground(painter, rect, lit=lit, over=over)
        tile = QRect(rect.left() + 8, rect.top() + (_ROW - COVER) // 2, COVER, COVER)
        pixmap = self._cover(entry)
        if pixmap is not None:
            painter.drawPixmap(tile.topLeft(), pixmap)
        else:
            paint_tile(painter, QRectF(tile), entry.name)
        ink = palette.secondary if used else palette.text
        lines = [Line(entry.name, ink, bold=True), Line(told(entry), palette.secondary, 12)]
        if entry.triggers:
            lines.append(Line(_words(entry), palette.secondary, 12))
        room = rect.adjusted(8 + COVER + 10, (_ROW - LINE * len(lines)) // 2, -10, 0)
        paint_lines(painter, room, lines, spared=_TICK + 8 if used else 0)
        if used:
            where = QRect(rect.right() - _TICK - 10, rect.top() + 8, _TICK, _TICK)
            paint_icon(painter, "check", where, palette.accent)
        painter.restore()


class LoraPopover(ListPopover):
    """Opens at the list's button.

    Args:
        parent: the list.
        cover: the picture of an entry, if it is there yet.
    """

    chosen = Signal(LoraDetails)
    file_wanted = Signal()
    hub_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget, cover: Cover) -> None:
        super().__init__(parent, "LoRAs", "Search LoRAs")
        self._entries: tuple[LoraDetails, ...] = ()
        self._used: frozenset[str] = frozenset()
        self.rows = LoraRows(self)
        self.list.setModel(self.rows)
        self.list.setItemDelegate(LoraPainter(self.list, cover))
        self.file = _flat("Add File…")
        self.hub = _flat("Find on the Hub…")
        self.folder = _flat("Show Folder")
        foot = QWidget()
        line = QHBoxLayout(foot)
        line.setContentsMargins(0, 0, 0, 0)
        for button, signal in (
            (self.file, self.file_wanted),
            (self.hub, self.hub_wanted),
            (self.folder, self.folder_wanted),
        ):
            line.addWidget(button)
            button.clicked.connect(self.close)
            button.clicked.connect(signal)
        line.insertStretch(2, 1)
        self.lay_out(foot)

    def show_entries(self, entries: tuple[LoraDetails, ...], used: frozenset[str]) -> None:
        """The library, and the names of those that pictures are made with already."""
        self._entries, self._used = entries, used
        self.on_search(self.search.text())

    def on_search(self, text: str) -> None:
        self.rows.fill(self._entries, self._used, text)
        none = "No LoRA has these words." if self._entries else (
            "No LoRAs yet. Add a file, or find some on the Hub."
        )  # fmt: skip
        self.show_rows(none)

    def take(self, index: QModelIndex) -> None:
        entry = self.rows.entry(index.row())
        if entry is not None and entry.name not in self._used:
            self.close()
            self.chosen.emit(entry)


def _flat(text: str) -> QPushButton:
    made = QPushButton(text)
    made.setObjectName("flat")
    made.setAutoDefault(False)
    return made
