"""Small pictures for tests of the window."""

from __future__ import annotations

from PySide6.QtGui import QColor, QImage


def picture(width: int = 64, height: int = 64, colour: str = "#b03020") -> QImage:
    """One colour with a mark in the top left corner, so that no flip or swap goes unseen."""
    image = QImage(width, height, QImage.Format.Format_RGB888)
    image.fill(QColor(colour))
    for x in range(width // 4):
        for y in range(height // 8):
            image.setPixelColor(x, y, QColor("#20c0f0"))
    return image
