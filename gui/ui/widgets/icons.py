"""Line icons: our own SVG files, drawn in the colour of the text they stand beside."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from gui import paths
from gui.ui.widgets.appearance import current_palette


@lru_cache(maxsize=128)
def _renderer(name: str, colour: str) -> QSvgRenderer:
    text = (paths.resource("icons") / f"{name}.svg").read_text(encoding="utf-8")
    return QSvgRenderer(QByteArray(text.replace("currentColor", colour).encode()))


def paint_icon(painter: QPainter, name: str, rect: QRect | QRectF, colour: str | QColor) -> None:
    """Draw the icon `name` into `rect`."""
    text = colour.name() if isinstance(colour, QColor) else colour
    _renderer(name, text).render(painter, QRectF(rect))


@lru_cache(maxsize=256)
def icon_pixmap(name: str, size: int, colour: str, ratio: float) -> QPixmap:
    """The icon as a square pixmap, kept: lists paint it in every row.

    Args:
        name: file name without suffix in `resources/icons`.
        size: side in device-independent pixels.
        colour: ``#RRGGBB``.
        ratio: device pixel ratio of what it is painted on.
    """
    pixmap = QPixmap(round(size * ratio), round(size * ratio))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    paint_icon(painter, name, QRectF(0, 0, pixmap.width(), pixmap.height()), colour)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


class _Engine(QIconEngine):
    """Paints at the moment of use, so one icon serves both appearances and every scale."""

    def __init__(self, name: str, on: str, tone: str, on_tone: str) -> None:
        super().__init__()
        self._names = (name, on)
        self._palette = (tone, on_tone)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        palette = current_palette()
        on = state == QIcon.State.On
        colour = getattr(palette, "disabled" if mode == QIcon.Mode.Disabled else self._palette[on])
        paint_icon(painter, self._names[on], rect, colour)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return pixmap

    def clone(self) -> QIconEngine:
        return _Engine(*self._names, *self._palette)


def icon(name: str, *, on: str = "", tone: str = "text", on_tone: str = "") -> QIcon:
    """An icon by its file's name.

    Args:
        name: file name without suffix in `resources/icons`.
        on: icon of the checked state, if another.
        tone: field of `Palette` that colours it.
        on_tone: the same in the checked state, if another.
    """
    return QIcon(_Engine(name, on or name, tone, on_tone or tone))
