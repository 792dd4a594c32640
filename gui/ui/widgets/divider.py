"""The divider between two pictures that lie over each other."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

HANDLE = 16
"""How near it is taken hold of, in device-independent pixels."""
KNOB = 26


def paint_divider(painter: QPainter, at: float, room: QRectF, colour: str = "#FFFFFF") -> None:
    """An upright line with a knob in its middle.

    Args:
        at: where it is, across.
        room: it goes from its upper to its lower edge.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for pen in (QPen(QColor(0, 0, 0, 90), 4), QPen(QColor(colour), 2)):
        painter.setPen(pen)
        painter.drawLine(QPointF(at, room.top()), QPointF(at, room.bottom()))
    knob = QRectF(0, 0, KNOB, KNOB)
    knob.moveCenter(QPointF(at, room.center().y()))
    painter.setPen(QPen(QColor(0, 0, 0, 90), 1))
    painter.setBrush(QColor("#FFFFFF"))
    painter.drawEllipse(knob)
    painter.setPen(QPen(QColor("#3A3A40"), 1.8, c=Qt.PenCapStyle.RoundCap))
    for way in (-1, 1):
        tip = knob.center() + QPointF(way * 7.5, 0)
        for up in (-1, 1):
            painter.drawLine(tip, tip + QPointF(-way * 3.5, up * 4))
