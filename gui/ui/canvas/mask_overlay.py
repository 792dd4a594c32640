"""How a mask is seen over its picture: tinted, so that what lies below is still made out."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPen

from gui.ui.canvas.tools import PicturePlace

OPACITY = 0.5
LINE = 110
"""How light the lines across it are, of 255 …"""
SPACING = 8
"""… and how far apart, in device-independent pixels."""
MOST_KEPT = 4_000_000
"""Pixels of the screen that are kept painted; of more, what is seen is painted each time."""
_FORM = QImage.Format.Format_ARGB32_Premultiplied


class MaskOverlay:
    """Keeps the tinted mask at the size it is shown, and renews of it what was changed."""

    def __init__(self) -> None:
        self._kept = QImage()
        self._colour = QColor()
        self._stale: list[QRect] = []  # in pixels of the mask
        self._of: QSize = QSize()

    def forget(self, part: QRect | None = None) -> None:
        """So much of the mask is something else now, in its pixels; None: all of it."""
        if part is None or part.isNull():
            self._kept = QImage()
            self._stale = []
        elif not self._kept.isNull():
            self._stale.append(part)

    def paint(
        self, painter: QPainter, mask: QImage, place: PicturePlace, exposed: QRectF, colour: QColor
    ) -> None:
        """Paint what of the mask lies in a part of the surface."""
        seen = place.rect.intersected(exposed)
        if seen.isEmpty():
            return
        device = painter.device()
        ratio = device.devicePixelRatioF() if device is not None else 1.0
        whole = QRectF(QPointF(0, 0), place.rect.size() * ratio)
        part = QRectF((seen.topLeft() - place.rect.topLeft()) * ratio, seen.size() * ratio)
        if whole.width() * whole.height() > MOST_KEPT:
            self._kept = QImage()
            on_screen = part.toAlignedRect()
            tinted = _tinted(mask, whole, on_screen, colour, ratio)
            target = QRectF(
                on_screen.x() / ratio,
                on_screen.y() / ratio,
                on_screen.width() / ratio,
                on_screen.height() / ratio,
            )
            painter.save()
            painter.setClipRect(seen, Qt.ClipOperation.IntersectClip)
            painter.drawImage(target.translated(place.rect.topLeft()), tinted)
            painter.restore()
            return
        self._renew(mask, whole, colour, ratio)
        painter.drawImage(seen, self._kept, part)

    def _renew(self, mask: QImage, whole: QRectF, colour: QColor, ratio: float) -> None:
        """Bring what is kept up to date."""
        wanted = whole.size().toSize()
        if self._kept.size() != wanted or self._colour != colour or self._of != mask.size():
            self._kept = QImage(wanted, _FORM)
            self._colour, self._of = colour, mask.size()
            self._stale = [mask.rect()]
        if not self._stale:
            return
        x, y = wanted.width() / mask.width(), wanted.height() / mask.height()
        painter = QPainter(self._kept)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        for part in self._stale:
            changed = QRectF(part.x() * x, part.y() * y, part.width() * x, part.height() * y)
            on_screen = changed.toAlignedRect().adjusted(-1, -1, 1, 1)
            on_screen = on_screen.intersected(self._kept.rect())
            painter.drawImage(on_screen, _tinted(mask, whole, on_screen, colour, ratio))
        painter.end()
        self._stale = []


def _tinted(mask: QImage, whole: QRectF, on_screen: QRect, colour: QColor, ratio: float) -> QImage:
    """A part of the mask as it is seen: the colour with fine light lines across it, so that it
    shows on every ground, its own colour's too.

    Args:
        whole: the mask's place, in pixels of the screen.
        on_screen: the part, likewise.
    """
    grey = QImage(on_screen.size(), QImage.Format.Format_Grayscale8)
    x, y = mask.width() / whole.width(), mask.height() / whole.height()
    source = QRectF(
        on_screen.x() * x, on_screen.y() * y, on_screen.width() * x, on_screen.height() * y
    )
    painter = QPainter(grey)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    painter.drawImage(QRectF(grey.rect()), mask, source)
    painter.end()
    grey.reinterpretAsFormat(QImage.Format.Format_Alpha8)
    made = QImage(on_screen.size(), _FORM)
    painter = QPainter(made)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    painter.setBrushOrigin(-on_screen.topLeft())
    painter.fillRect(made.rect(), _pattern(colour.name(), max(1, round(ratio))))
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationIn)
    painter.drawImage(0, 0, grey)
    painter.end()
    return made


@lru_cache(maxsize=8)
def _pattern(colour: str, ratio: int) -> QBrush:
    """The colour with light lines from left below to right above."""
    side = SPACING * ratio
    tile = QImage(side, side, _FORM)
    ground, line = QColor(colour), QColor(255, 255, 255, LINE)
    ground.setAlphaF(OPACITY)
    tile.fill(ground)
    painter = QPainter(tile)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(line, ratio))
    for shift in (-side, 0, side):  # what is cut off at one edge comes in at the other
        painter.drawLine(QPointF(shift - 1, side + 1), QPointF(shift + side + 1, -1))
    painter.end()
    return QBrush(tile)
