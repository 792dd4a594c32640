"""A mask's pixels: brush, lasso and fill on them, and what takes each of these back.

White is painted anew, black stays.  A brush never adds up with itself: where its strokes cross, the
larger value counts (the smaller one of an eraser), so that a soft edge stays soft.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QImage,
    QLinearGradient,
    QPainter,
    QPolygonF,
    QRadialGradient,
    QTransform,
)

TILE = 256
"""Side of the squares that a change is remembered by."""
FULL = 255
_GREY = QImage.Format.Format_Grayscale8
_PROFILE = (
    (0.0, 1.0),
    (0.15, 0.93),
    (0.35, 0.72),
    (0.5, 0.5),
    (0.65, 0.28),
    (0.85, 0.07),
    (1, 0.0),
)
"""Of a brush's soft rim: how far out, and how much is left there; half a cosine wave."""
_MOST_CHANGE = 2.0
"""Pixels by which a pen's pressure may change the brush within one piece of a stroke."""


@dataclass(frozen=True)
class Brush:
    """Args:
    size: diameter in pixels of the picture.
    hardness: share of the radius that is full, from 0 (soft to the middle) to 1.
    erase: whether it takes away.
    """

    size: float
    hardness: float = 0.8
    erase: bool = False

    def radii(self, pressure: float) -> tuple[float, float]:
        """Within the first all is full, beyond the second nothing is; the rim is a pixel at
        least, so that a hard edge is smooth."""
        radius = max(0.5, self.size * max(0.1, pressure) / 2)
        inner = radius * min(1.0, max(0.0, self.hardness))
        outer = max(radius, inner + 1)
        if outer > radius:  # half of the rim on either side of the nominal edge
            return radius - 0.5, radius + 0.5
        return inner, outer


@dataclass
class MaskEdit:
    """One change of a mask, by the tiles as they are not now."""

    tiles: list[tuple[QRect, bytes]]

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return sum(len(data) for _rect, data in self.tiles)


class MaskImage:
    """Args:
    size: of the picture, in pixels.
    image: what is masked already, of this size in shades of grey; None: nothing.
    """

    def __init__(self, size: QSize, image: QImage | None = None) -> None:
        if image is None:
            self.image = QImage(size, _GREY)
            self.image.fill(0)
        else:
            self.image = image.convertToFormat(_GREY)
        self._before: dict[tuple[int, int], QImage] | None = None

    @property
    def size(self) -> QSize:
        return self.image.size()

    @property
    def empty(self) -> bool:
        """Whether nothing at all is masked."""
        return not _data(self.image).strip(b"\0")

    # -- changes ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Remember from here on what is changed, until `end`."""
        self._before = {}

    def end(self) -> MaskEdit | None:
        """What was changed since `begin`; None: nothing was."""
        before, self._before = self._before or {}, None
        tiles: list[tuple[QRect, bytes]] = []
        for at, tile in before.items():
            rect = self._tile(at)
            if tile != self.image.copy(rect):
                tiles.append((rect, zlib.compress(_data(tile), 1)))
        return MaskEdit(tiles) if tiles else None

    def cancel(self) -> QRect:
        """Take back what was changed since `begin`; where that was."""
        before, self._before = self._before or {}, None
        changed = QRect()
        for at, tile in before.items():
            changed = changed.united(self._put(self._tile(at), tile))
        return changed

    def swap(self, edit: MaskEdit) -> QRect:
        """Undo an edit, or redo it; it is the other one afterwards.  Where that was."""
        changed = QRect()
        for number, (rect, data) in enumerate(edit.tiles):
            now = self.image.copy(rect)
            raw = zlib.decompress(data)
            then = QImage(raw, rect.width(), rect.height(), now.bytesPerLine(), _GREY)
            changed = changed.united(self._put(rect, then))
            edit.tiles[number] = (rect, zlib.compress(_data(now), 1))
        return changed

    def _tile(self, at: tuple[int, int]) -> QRect:
        return QRect(at[0] * TILE, at[1] * TILE, TILE, TILE).intersected(self.image.rect())

    def _put(self, rect: QRect, tile: QImage) -> QRect:
        painter = QPainter(self.image)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(rect.topLeft(), tile)
        painter.end()
        return rect

    def _touch(self, rect: QRect) -> QRect:
        """This will change: what is there is remembered.  What of it is in the picture."""
        rect = rect.intersected(self.image.rect())
        if self._before is not None and not rect.isEmpty():
            for y in range(rect.top() // TILE, rect.bottom() // TILE + 1):
                for x in range(rect.left() // TILE, rect.right() // TILE + 1):
                    if (x, y) not in self._before:
                        self._before[x, y] = self.image.copy(self._tile((x, y)))
        return rect

    # -- painting -----------------------------------------------------------------------------

    def stroke(
        self, brush: Brush, start: QPointF, end: QPointF, pressures: tuple[float, float] = (1, 1)
    ) -> QRect:
        """Draw a brush along a line, on from where it is: of `start` only what lies ahead.

        Args:
            start, end: in pixels, anywhere.
            pressures: of a pen at both, from 0 to 1.

        Returns:
            What may have changed.
        """
        outer = max(brush.radii(pressure)[1] for pressure in pressures) + 1
        reach = QRectF(start, end).normalized().adjusted(-outer, -outer, outer, outer)
        changed = self._touch(reach.toAlignedRect())
        if changed.isEmpty():
            return changed
        painter = QPainter(self.image)
        modes = QPainter.CompositionMode
        painter.setCompositionMode(
            modes.CompositionMode_Darken if brush.erase else modes.CompositionMode_Lighten
        )
        painter.setPen(Qt.PenStyle.NoPen)
        for one, other, pressure in _pieces(brush, start, end, pressures):
            _draw_line(painter, brush, one, other, pressure)
        _draw_dab(painter, brush, end, pressures[1])
        painter.end()
        return changed

    def fill_outline(self, points: Sequence[QPointF], *, erase: bool = False) -> QRect:
        """Mask what lies within a closed line, or take it out; what may have changed."""
        shape = QPolygonF(list(points))
        changed = self._touch(shape.boundingRect().toAlignedRect().adjusted(-1, -1, 1, 1))
        painter = QPainter(self.image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_grey(0 if erase else FULL))
        painter.drawPolygon(shape, Qt.FillRule.WindingFill)
        painter.end()
        return changed

    def fill(self, value: int) -> QRect:
        """Mask everything (255), or nothing (0)."""
        changed = self._touch(self.image.rect())
        self.image.fill(value)
        return changed

    def invert(self) -> QRect:
        changed = self._touch(self.image.rect())
        self.image.invertPixels()
        return changed

    def take(self, image: QImage) -> QRect:
        """Put another mask, of any size, in the place of this one."""
        changed = self._touch(self.image.rect())
        stretch = Qt.AspectRatioMode.IgnoreAspectRatio
        smooth = Qt.TransformationMode.SmoothTransformation
        self._put(changed, image.scaled(self.size, stretch, smooth).convertToFormat(_GREY))
        return changed


def _data(image: QImage) -> bytes:
    return bytes(image.constBits())


def _grey(value: float) -> QColor:
    return QColor(round(value), round(value), round(value))


def _pieces(
    brush: Brush, start: QPointF, end: QPointF, pressures: tuple[float, float]
) -> Iterator[tuple[QPointF, QPointF, float]]:
    """A line in pieces along which the brush is of about one size."""
    first, last = pressures
    count = max(1, round(abs(last - first) * brush.size / 2 / _MOST_CHANGE))
    for number in range(count):
        yield (
            start + (end - start) * (number / count),
            start + (end - start) * ((number + 1) / count),
            first + (last - first) * (number + 0.5) / count,
        )


def _stops(brush: Brush, pressure: float) -> list[tuple[float, QColor]]:
    """Shades from the brush's middle to its rim, as shares of the outer radius."""
    inner, outer = brush.radii(pressure)
    shades = [(max(0.0, inner) / outer + (1 - inner / outer) * at, left) for at, left in _PROFILE]
    return [
        (min(1.0, at), _grey(FULL * (1 - left if brush.erase else left)))
        for at, left in [(0.0, shades[0][1]), *shades]
    ]


def _draw_dab(painter: QPainter, brush: Brush, at: QPointF, pressure: float) -> None:
    _inner, outer = brush.radii(pressure)
    gradient = QRadialGradient(at, outer)
    for where, colour in _stops(brush, pressure):
        gradient.setColorAt(where, colour)
    painter.setBrush(gradient)
    painter.drawRect(QRectF(at.x() - outer, at.y() - outer, 2 * outer, 2 * outer).toAlignedRect())


def _draw_line(
    painter: QPainter, brush: Brush, start: QPointF, end: QPointF, pressure: float
) -> None:
    """What the brush leaves between two points: a bar with the brush's section."""
    length = (end - start).manhattanLength()
    if length < 0.01:
        return
    _inner, outer = brush.radii(pressure)
    along = end - start
    length = (along.x() ** 2 + along.y() ** 2) ** 0.5
    gradient = QLinearGradient(0, -outer, 0, outer)
    for where, colour in _stops(brush, pressure):
        gradient.setColorAt(0.5 - where / 2, colour)
        gradient.setColorAt(0.5 + where / 2, colour)
    # a transform whose first axis runs along the line
    x, y = along.x() / length, along.y() / length
    painter.save()
    painter.setTransform(QTransform(x, y, -y, x, start.x(), start.y()))
    painter.setBrush(gradient)
    painter.drawRect(QRectF(0, -outer, length, 2 * outer))
    painter.restore()
