"""Paints a search result in the list: picture, name, author, popularity, verdict and size.

Made to scroll through ten thousand rows: every card has the same height, and fonts, cut texts,
icons and pictures are kept between paints.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

from PySide6.QtCore import (
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPixmap
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from gui import words
from gui.state import describe
from gui.state.hub.types import DownloadState, Level
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.card_pictures import CardPictures
from gui.ui.widgets.cards import GAP, PADDING, isolated, paint_ground, paint_tile, placing
from gui.ui.widgets.icons import icon_pixmap

if TYPE_CHECKING:
    from gui.state.hub.catalogue import CatalogueRow
    from gui.state.hub.types import DownloadStatus
    from gui.ui.widgets.palette import Palette

TILE = 52
LINE = 18
ROW_HEIGHT = TILE + 2 * PADDING + 2 * GAP
MARK = 15
"""Side of the small signs: verdict, lock, check."""
AUTHOR_ROOM = 72
"""Pixels that an author's name has before numbers are left out for it."""
COUNT_ROOM = 21
"""Beside a number: its sign and the space around."""
SHADES = 64
"""Different tiles in the places of pictures; gradients are slow to paint."""
LEVEL_MARKS = {
    Level.GOOD: ("good", "good"),
    Level.FAIR: ("fair", "warning"),
    Level.NO: ("no", "secondary"),
}
"""Icon and tone of each verdict."""

_Index = QModelIndex | QPersistentModelIndex
Place = Callable[[QRect], QRect]
"""See `placing`."""
_LEFT = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
_RIGHT = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight


@lru_cache(maxsize=16)
def _font(pixels: int, bold: bool) -> tuple[QFont, QFontMetrics]:
    font = sized_font(pixels, bold=bold)
    return font, QFontMetrics(font)


@lru_cache(maxsize=16384)
def _cut(text: str, pixels: int, bold: bool, width: int) -> str:
    mode = Qt.TextElideMode.ElideMiddle if bold else Qt.TextElideMode.ElideRight
    return _font(pixels, bold)[1].elidedText(text, mode, width)


@lru_cache(maxsize=16384)
def text_width(text: str, pixels: int = 12, bold: bool = False) -> int:
    return _font(pixels, bold)[1].horizontalAdvance(text)


def draw_line(
    painter: QPainter,
    rect: QRect,
    text: str,
    colour: str,
    *,
    pixels: int = 12,
    bold: bool = False,
    right: bool = False,
) -> None:
    """One line of text, cut with … where it does not fit."""
    painter.setFont(_font(pixels, bold)[0])
    painter.setPen(QColor(colour))
    shown = isolated(painter, _cut(text, pixels, bold, rect.width()))
    painter.drawText(rect, _RIGHT if right else _LEFT, shown)


def size_of(row: CatalogueRow) -> int:
    """Bytes of the download that is recommended, else the smallest; 0 while not known."""
    if row.details is None or not row.details.variants:
        return 0
    recommended = row.details.recommended
    return (
        recommended.download_bytes
        if recommended is not None
        else min(v.download_bytes for v in row.details.variants)
    )


def shade_of(name: str) -> int:
    """Which of the tiles a repository has while it has no picture."""
    return crc32(name.encode()) % SHADES


def facts_of(row: CatalogueRow, room: int | None = None) -> str:
    """Family, size and age, as far as they are known.

    Args:
        room: pixels; what would be cut off is left out, from the end on.  None: no matter.
    """
    size = size_of(row)
    parts = (
        describe.repository_kind(row.summary),
        words.size(size) if size else "",
        words.short_ago(row.summary.updated),
    )
    known = [part for part in parts if part]
    while room is not None and len(known) > 1 and text_width(" · ".join(known)) > room:
        known.pop()
    return " · ".join(known)


def counts_of(row: CatalogueRow, room: int) -> list[tuple[str, str]]:
    """Icon and number of downloads and likes, from the end of the line on; of both, one or none as
    there is room beside the author's name.

    Args:
        room: the line's width in pixels.
    """
    likes = ("heart", words.count(row.summary.likes))
    both: list[tuple[str, str]] = [("download", words.count(row.summary.downloads)), likes]
    author = min(text_width(row.summary.author), AUTHOR_ROOM)
    for counts in (both, both[1:]):
        used = sum(text_width(text, 11) + COUNT_ROOM for _, text in counts)
        if used + author <= room:
            return counts
    return []


class HubCardDelegate(QStyledItemDelegate):
    """Name and badges; author and popularity; verdict and facts, or the download under way."""

    def __init__(self, parent: QWidget, pictures: CardPictures | None = None) -> None:
        super().__init__(parent)
        self.pictures = pictures or CardPictures(parent, TILE)

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(120, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        row: CatalogueRow = index.data(Qt.ItemDataRole.UserRole)
        if row is None:
            return
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        card = rect.adjusted(8, GAP, -8, -GAP)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_ground(painter, QRectF(card), option.state, palette)  # type: ignore[attr-defined]
        place = placing(painter, option)
        self._paint_picture(painter, card, row, place)
        left = card.left() + PADDING + TILE + PADDING
        line = QRect(left, card.top() + PADDING - 1, card.right() - left - 6, LINE)
        self._paint_title(painter, line, row, palette, place)
        line.translate(0, LINE)
        self._paint_author(painter, line, row, palette, place)
        line.translate(0, LINE)
        if row.download is not None and row.download.state not in _ENDED:
            paint_progress(painter, line, row.download, palette, place)
        else:
            self._paint_facts(painter, line, row, palette, place)
        painter.restore()

    def _paint_picture(
        self, painter: QPainter, card: QRect, row: CatalogueRow, place: Place
    ) -> None:
        tile = place(QRect(card.left() + PADDING, card.top() + PADDING, TILE, TILE))
        pixmap = self.pictures.get(row.picture)
        if pixmap is not None:
            painter.drawPixmap(tile.topLeft(), pixmap)
        else:
            ratio = painter.device().devicePixelRatioF()
            shade = shade_of(row.summary.name)
            painter.drawPixmap(tile.topLeft(), _tile_pixmap(shade, ratio))

    @staticmethod
    def _paint_title(
        painter: QPainter, line: QRect, row: CatalogueRow, palette: Palette, place: Place
    ) -> None:
        marks = []
        if row.installed:
            marks.append(("check", palette.accent))
        if row.summary.gated:
            marks.append(("lock", palette.secondary))
        right = line.right()
        for name, colour in marks:
            right -= MARK
            _mark(painter, right + 2, line, name, colour, place)
        room = QRect(line)
        room.setRight(right - (3 if marks else 0))
        name = words.short_name(row.summary.name)
        draw_line(painter, place(room), name, palette.text, pixels=13, bold=True)

    @staticmethod
    def _paint_author(
        painter: QPainter, line: QRect, row: CatalogueRow, palette: Palette, place: Place
    ) -> None:
        right = line.right()
        for name, text in counts_of(row, line.width()):
            width = text_width(text, 11)
            where = QRect(right - width, line.top(), width + 1, line.height())
            draw_line(painter, place(where), text, palette.secondary, pixels=11)
            right -= width + 14
            _mark(painter, right, line, name, palette.secondary, place, 12)
            right -= COUNT_ROOM - 14
        room = QRect(line)
        room.setRight(right)
        draw_line(painter, place(room), row.summary.author, palette.secondary)

    @staticmethod
    def _paint_facts(
        painter: QPainter, line: QRect, row: CatalogueRow, palette: Palette, place: Place
    ) -> None:
        # The verdict's place is kept free from the start, so that nothing moves when it arrives.
        if row.details is not None:
            name, tone = verdict_mark(row)
            _mark(painter, line.left() - 1, line, name, getattr(palette, tone), place)
        room = line.adjusted(MARK + 4, 0, 0, 0)
        text = row.problem or facts_of(row, room.width())
        draw_line(painter, place(room), text, palette.warning if row.problem else palette.secondary)


_ENDED = (DownloadState.DONE, DownloadState.CANCELLED)


def verdict_mark(row: CatalogueRow) -> tuple[str, str]:
    """Icon and tone of the best variant's verdict."""
    details = row.details
    best = details.recommended if details is not None else None
    if best is None and details is not None and details.variants:
        best = details.variants[0]
    level = best.verdict.level if best is not None else Level.NO
    return LEVEL_MARKS[level]


def paint_progress(
    painter: QPainter, line: QRect, status: DownloadStatus, palette: Palette, place: Place
) -> None:
    """A thin bar and a word beside it."""
    text = describe.short_download_state(status)
    width = max(34, text_width(text, 11))
    failed = status.state is DownloadState.FAILED
    colour = palette.error if failed else palette.secondary
    where = QRect(line.right() - width, line.top(), width + 1, line.height())
    draw_line(painter, place(where), text, colour, pixels=11, right=True)
    track = QRect(line.left(), line.center().y() - 1, line.width() - width - 8, 4)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(palette.groove))
    painter.drawRoundedRect(QRectF(place(track)), 2, 2)
    track.setWidth(max(4, round(track.width() * describe.download_share(status))))
    moving = status.state.live
    painter.setBrush(
        QColor(palette.error if failed else palette.accent if moving else palette.secondary)
    )
    painter.drawRoundedRect(QRectF(place(track)), 2, 2)


@lru_cache(maxsize=2 * SHADES)
def _tile_pixmap(shade: int, ratio: float) -> QPixmap:
    pixmap = QPixmap(round(TILE * ratio), round(TILE * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    paint_tile(painter, QRectF(0, 0, TILE, TILE), str(shade))
    painter.end()
    return pixmap


def _mark(
    painter: QPainter,
    left: int,
    line: QRect,
    name: str,
    colour: str,
    place: Place,
    size: int = MARK,
) -> None:
    ratio = painter.device().devicePixelRatioF()
    top = line.top() + (line.height() - size) // 2
    at = place(QRect(left, top, size, size)).topLeft()
    painter.drawPixmap(at, icon_pixmap(name, size, colour, ratio))
