"""Rows of lists that paint themselves: a ground that lights up, and a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter

from gui.ui.widgets.appearance import current_palette, sized_font

LINE = 17
"""Height of a line."""


@dataclass(frozen=True)
class Line:
    """One line of text, which ends in … where it is too long."""

    text: str
    ink: str
    """A colour of the palette."""
    size: int = 13
    bold: bool = False


def paint_ground(painter: QPainter, rect: QRect, *, lit: bool, over: bool) -> None:
    """What is below a row that is chosen (`lit`) or under the mouse (`over`)."""
    if lit or over:
        palette = current_palette()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(palette.accent_soft if lit else palette.hover))
        painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 6, 6)


def paint_lines(painter: QPainter, room: QRect, lines: Sequence[Line], spared: int = 0) -> None:
    """Lines from the top of a place; the first leaves `spared` pixels free at its end."""
    for number, line in enumerate(lines):
        font = sized_font(line.size, bold=line.bold)
        width = room.width() - (spared if number == 0 else 0)
        place = QRect(room.left(), room.top() + number * LINE, width, LINE)
        shown = QFontMetrics(font).elidedText(line.text, Qt.TextElideMode.ElideRight, width)
        painter.setFont(font)
        painter.setPen(QColor(line.ink))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(place, flags | Qt.TextFlag.TextSingleLine, shown)
