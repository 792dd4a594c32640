"""The picture that is being made, in its own place at the head of the strip."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from gui.state.activity import Activity
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.focus import shows_ring

SIDE = 72
CELL = 84
RING = 26


class RunningTile(QAbstractButton):
    """Shows the newest preview with a ring of progress; checked while the canvas follows it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setFixedSize(CELL, CELL)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._preview: QImage | None = None
        self._share = 0.0
        self.setToolTip("The picture that is being made")

    def set_activity(self, activity: Activity) -> None:
        self._preview = activity.preview
        self._share = activity.step / activity.steps if activity.steps else 0.0
        where = f"step {activity.step} of {activity.steps}" if activity.steps else "preparing"
        self.setAccessibleName(f"The picture that is being made, {where}")
        self.update()

    def nextCheckState(self) -> None:
        """A click goes to the picture; only looking at another one leaves it."""
        self.setChecked(True)

    def sizeHint(self) -> QSize:
        return QSize(CELL, CELL)

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        inner = QRectF(0, 0, SIDE, SIDE)
        inner.moveCenter(QRectF(self.rect()).center())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self.isChecked() or shows_ring(self):
            painter.setPen(QPen(QColor(palette.accent), 3 if self.isChecked() else 1.5))
            painter.drawRoundedRect(inner.adjusted(-3.5, -3.5, 3.5, 3.5), 9, 9)
        clip = QPainterPath()
        clip.addRoundedRect(inner, 6, 6)
        painter.save()
        painter.setClipPath(clip)
        painter.fillRect(inner, QColor(palette.pressed))
        if self._preview is not None and not self._preview.isNull():
            side = min(self._preview.width(), self._preview.height())
            left, top = (self._preview.width() - side) / 2, (self._preview.height() - side) / 2
            painter.drawImage(inner, self._preview, QRectF(left, top, side, side))
        painter.restore()
        self._paint_ring(painter, inner)

    def _paint_ring(self, painter: QPainter, inner: QRectF) -> None:
        ring = QRectF(0, 0, RING, RING)
        ring.moveCenter(inner.center())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 110))
        painter.drawEllipse(ring.adjusted(-5, -5, 5, 5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(255, 255, 255, 90), 3))
        painter.drawEllipse(ring)
        pen = QPen(QColor("#FFFFFF"), 3)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawArc(ring, 90 * 16, -round(self._share * 360 * 16))
