"""What cards in lists have in common: ground, tile and direction."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from zlib import crc32

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QRadialGradient
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QListView,
    QStyle,
    QStyleOptionViewItem,
)

from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.palette import Palette

TILE = 40
PADDING = 10
GAP = 3
"""Free space around a card."""


@lru_cache(maxsize=64)
def tile_hues(name: str) -> tuple[int, int, int]:
    """Three hues of a model's tile, always the same for the same name."""
    digest = crc32(name.encode()).to_bytes(4, "big")
    base = digest[0] * 360 // 256
    return base, (base + 30 + digest[1] % 50) % 360, (base + 320 - digest[2] % 40) % 360


def lay_as_cards(view: QListView) -> None:
    """How lists of cards and rows behave: one is chosen, the mouse is followed, nothing is edited
    in place or scrolled sideways, and they follow the list's width."""
    view.setMouseTracking(True)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setResizeMode(QListView.ResizeMode.Adjust)


def placing(painter: QPainter, option: QStyleOptionViewItem) -> Callable[[QRect], QRect]:
    """Where a part of a card goes, given its place in a card that is read from left to right; from
    now on the painter's texts begin where reading does."""
    whole: QRect = option.rect  # type: ignore[attr-defined]
    direction: Qt.LayoutDirection = option.direction  # type: ignore[attr-defined]
    painter.setLayoutDirection(direction)
    return lambda rect: QStyle.visualRect(direction, whole, rect)


def isolated(painter: QPainter, text: str) -> str:
    """A text whose words stay in their own order where the layout is mirrored: “1.6 GB” begins
    with a number, which would else go to the end."""
    mirrored = painter.layoutDirection() is Qt.LayoutDirection.RightToLeft
    return f"\u2068{text}\u2069" if mirrored else text


def paint_ground(
    painter: QPainter, card: QRectF, state: QStyle.StateFlag, palette: Palette
) -> None:
    """The ground of a card that is chosen or under the pointer, and the focus ring."""
    painter.setPen(Qt.PenStyle.NoPen)
    if state & QStyle.StateFlag.State_Selected:
        painter.setBrush(QColor(palette.accent_soft))
        painter.drawRoundedRect(card, 9, 9)
    elif state & QStyle.StateFlag.State_MouseOver:
        painter.setBrush(QColor(palette.hover))
        painter.drawRoundedRect(card, 9, 9)
    if state & QStyle.StateFlag.State_HasFocus and shows_ring(QApplication.focusWidget()):
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(palette.accent), 2))
        painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), 8, 8)


def paint_tile(painter: QPainter, tile: QRectF, name: str, opacity: float = 1.0) -> None:
    """Soft colours in the place of a picture, always the same for the same name."""
    side = tile.width()
    clip = QPainterPath()
    clip.addRoundedRect(tile, 9, 9)
    painter.save()
    painter.setClipPath(clip)
    painter.setOpacity(opacity)
    hues = tile_hues(name)
    painter.fillRect(tile, QColor.fromHsl(hues[0], 95, 132))
    places = ((0.15, 0.2), (0.9, 0.35), (0.4, 1.0))
    for hue, (x, y), light in zip(hues, places, (176, 150, 96), strict=True):
        centre = QPointF(tile.left() + x * side, tile.top() + y * side)
        gradient = QRadialGradient(centre, side * 0.75)
        gradient.setColorAt(0, QColor.fromHsl(hue, 130, light, 230))
        gradient.setColorAt(1, QColor.fromHsl(hue, 130, light, 0))
        painter.fillRect(tile, gradient)
    painter.restore()
