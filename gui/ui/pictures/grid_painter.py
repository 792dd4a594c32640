"""Draws the cells of the gallery's grid, a little at a time."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap

from gui import words
from gui.ui.pictures.grid_layout import HEADING, MARGIN, DaySection
from gui.ui.pictures.grid_surface import GridSurface, heart_in
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.card_pictures import square_pixmap
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.palette import Palette

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture

RADIUS = 6
FRAME_SECONDS = 0.010
"""How long one frame may cut thumbnails to size; the rest is cut in the next."""
LEAST_CACHE = 24 * 2**20
"""Bytes of thumbnails at their size on the screen that are kept at least."""


class GridPainter:
    """Paints a grid and keeps thumbnails at their size on the screen.

    Args:
        grid: whose pictures, places and choice are drawn.
    """

    def __init__(self, grid: GridSurface) -> None:
        self._grid = grid
        self._cuts: OrderedDict[tuple[int, int, int], QPixmap] = OrderedDict()
        self._bytes = 0

    def forget(self) -> None:
        """Let go of what was drawn."""
        self._cuts.clear()
        self._bytes = 0

    def paint(self, rows: list[int], view: QRect) -> bool:
        """Paint what is in view; whether some thumbnail was left out for want of time."""
        grid, palette = self._grid, current_palette()
        painter = QPainter(grid.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.translate(0, -view.top())
        for section in grid.layout_.sections_between(view.top(), view.bottom()):
            self._paint_heading(painter, section, palette)
        until = time.perf_counter() + FRAME_SECONDS
        late = False
        for row in rows:
            late = self._paint_cell(painter, row, palette, until) or late
        if (band := grid.band_rect()) is not None:
            fill = QColor(palette.accent)
            fill.setAlpha(40)
            painter.setBrush(fill)
            painter.setPen(QPen(QColor(palette.accent), 1))
            painter.drawRect(band)
        painter.end()
        return late

    def _paint_heading(self, painter: QPainter, section: DaySection, palette: Palette) -> None:
        grid = self._grid
        room = QRectF(MARGIN, section.top, grid.layout_.width - 2 * MARGIN, HEADING - 8)
        low = Qt.AlignmentFlag.AlignBottom
        lead, trail = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        if grid.isRightToLeft():
            lead, trail = trail, lead
        painter.setFont(sized_font(14, bold=True))
        painter.setPen(QColor(palette.text))
        painter.drawText(room, low | lead, words.day_heading(section.day))
        painter.setFont(sized_font(12))
        painter.setPen(QColor(palette.secondary))
        painter.drawText(room, low | trail, words.counted(section.count, "picture"))

    def _paint_cell(self, painter: QPainter, row: int, palette: Palette, until: float) -> bool:
        """Returns whether its thumbnail is there and was not cut to size for want of time."""
        grid = self._grid
        rect = grid.placed(grid.layout_.rect_of(row))
        number = grid.pictures.id_at(row)
        picture = grid.pictures.picture(row)
        cut, late = self._cut_of(picture, until)
        if number in grid.selection:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(palette.accent), 3))
            painter.drawRoundedRect(QRectF(rect).adjusted(-3.5, -3.5, 3.5, 3.5), 9, 9)
        if number == grid.selection.current and shows_ring(grid):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(palette.text), 1.5))
            painter.drawRoundedRect(QRectF(rect).adjusted(-1, -1, 1, 1), 7, 7)
        if cut is not None:
            painter.drawPixmap(rect.topLeft(), cut)
        else:
            painter.setPen(QPen(QColor(palette.border), 1))
            painter.setBrush(QColor(palette.hover))
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        if picture is not None and grid.shows_heart(row):
            circle = heart_in(rect)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(0, 0, 0, 120))
            painter.drawEllipse(QRectF(circle).adjusted(1, 1, -1, -1))
            name = "heart-on" if picture.favourite else "heart"
            paint_icon(painter, name, QRectF(circle).adjusted(5.5, 6, -5.5, -5), "#FFFFFF")
        return late

    def _cut_of(self, picture: IndexedPicture | None, until: float) -> tuple[QPixmap | None, bool]:
        """A picture's thumbnail at its size on the screen, and whether it is only late."""
        if picture is None:
            return None, False
        grid = self._grid
        key = (picture.id, picture.facts.modified_ns, grid.layout_.cell)
        cut = self._cuts.get(key)
        if cut is not None:
            self._cuts.move_to_end(key)
            return cut, False
        image = grid.pictures.thumbnail(picture)
        if image is None or image.isNull():
            return None, False
        if time.perf_counter() > until:
            return None, True
        ratio = grid.devicePixelRatioF()
        cut = cut_square(image, grid.layout_.cell, ratio, current_palette().border)
        self._cuts[key] = cut
        self._bytes += _bytes_of(cut)
        shown = grid.viewport().width() * grid.viewport().height() * 4 * ratio * ratio
        while self._bytes > max(LEAST_CACHE, 1.5 * shown) and len(self._cuts) > 1:
            _, old = self._cuts.popitem(last=False)
            self._bytes -= _bytes_of(old)
        return cut, False


def cut_square(image: QImage, side: int, ratio: float, edge: str) -> QPixmap:
    """The middle of an image as a rounded square with a fine edge.

    Args:
        side: in device-independent pixels.
        ratio: device pixel ratio.
        edge: colour of the edge, which a white picture has too.
    """
    made = square_pixmap(image, side, ratio, RADIUS)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(edge), 1))
    whole = QRectF(0, 0, made.width() / ratio, made.height() / ratio)
    painter.drawRoundedRect(whole.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
    painter.end()
    return made


def _bytes_of(pixmap: QPixmap) -> int:
    return pixmap.width() * pixmap.height() * 4
