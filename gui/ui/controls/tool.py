"""The tool Control of the canvas: its options, and the control picture over the picture."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QWidget

from gui.ui.canvas.tools import PicturePlace, Tool
from gui.ui.controls.bar import ControlBar
from gui.ui.controls.well import paint_clear


class ControlTool(Tool):
    """While it is in hand, what the chosen control's network will be shown lies over the picture,
    until there is a new one to look at.

    Args:
        bar: its options.
    """

    def __init__(self, bar: ControlBar) -> None:
        super().__init__("control", "Control", "tool-control")
        self.bar = bar
        bar.control_shown.connect(lambda _image: self.repaint.emit(QRectF()))
        bar.editor.eye.toggled.connect(lambda _on: self.repaint.emit(QRectF()))

    @property
    def options(self) -> QWidget | None:
        return self.bar

    @property
    def paints(self) -> bool:
        return True

    def take(self) -> None:
        super().take()
        self.bar.editor.eye.setChecked(True)
        self.repaint.emit(QRectF())

    def lay_down(self) -> None:
        super().lay_down()
        self.repaint.emit(QRectF())

    def paint(self, painter: QPainter, place: PicturePlace, exposed: QRectF) -> None:
        image = self.bar.image
        if not self.in_hand or not self.bar.editor.eye.isChecked() or image.isNull():
            return
        rect = _within(image, place.rect)
        painter.save()
        painter.setClipRect(exposed)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if image.hasAlphaChannel():
            paint_clear(painter, rect)
        painter.drawImage(rect, image)
        painter.restore()


def _within(image: QImage, room: QRectF) -> QRectF:
    """Where it lies: it has the next picture's proportions, which need not be this one's."""
    size = image.size().scaled(room.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
    rect = QRectF(0, 0, size.width(), size.height())
    rect.moveCenter(room.center())
    return rect
