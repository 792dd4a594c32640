"""The place for a control picture: drop one, or click for where to take it from; it shows what the
network will be shown."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)

from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.picture_target import PictureTarget

SIDE = 104
_RADIUS = 8
_INSET = 6
_SQUARE = 8
"""Of the pattern that shows through what is clear."""


class ControlWell(PictureTarget):
    """A widget of buttons' manners: Tab reaches it, Space and Return open its menu, Delete takes
    the picture away."""

    menu_wanted = Signal(QPoint)
    """Where to take a picture from is to be chosen, at this place on the screen."""
    dropped = Signal(object)
    """Path of a picture, or its pixels as a `QImage`; an empty path: what came is no picture."""
    removed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._image = QImage()
        self._has_picture = False
        self._text = ""
        self.setFixedSize(SIDE, SIDE)
        self.setAccessibleName("Control picture")
        self.set_empty()

    @property
    def image(self) -> QImage:
        """What is shown; null while there is nothing."""
        return self._image

    def set_empty(self) -> None:
        """There is no picture."""
        self._has_picture = False
        self._show(QImage(), "Drop or choose a picture")

    def set_waiting(self) -> None:
        """The picture is being made; what was shown before stays until then."""
        self._has_picture = True
        self._show(self._image, "Preparing…" if self._image.isNull() else "")

    def set_image(self, image: QImage) -> None:
        """Show what the network will be shown."""
        self._has_picture = True
        self._show(image, "")

    def set_failed(self) -> None:
        """It could not be made."""
        self._has_picture = True
        self._show(QImage(), "No picture")

    def _show(self, image: QImage, text: str) -> None:
        self._image, self._text = image, text
        self.setAccessibleDescription(text or "Shown")
        self.update()

    def picture_rect(self) -> QRectF:
        """Where the picture is."""
        room = QRectF(self.rect()).adjusted(_INSET, _INSET, -_INSET, -_INSET)
        size = self._image.size().scaled(room.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
        rect = QRectF(0, 0, size.width(), size.height())
        rect.moveCenter(room.center())
        return rect

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        strong = self._hovering or shows_ring(self)
        pen = QPen(QColor(palette.accent if strong else palette.border_strong), 2 if strong else 1)
        if not self._has_picture and not strong:
            pen.setStyle(Qt.PenStyle.CustomDashLine)
            pen.setDashPattern([4, 3])
        painter.setPen(pen)
        ground = palette.accent_soft if self._hovering else palette.groove
        painter.setBrush(QColor(ground if self._has_picture else palette.field))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), _RADIUS, _RADIUS)
        if not self._image.isNull():
            self._paint_picture(painter)
        if self._text:
            self._paint_text(painter)

    def _paint_picture(self, painter: QPainter) -> None:
        rect = self.picture_rect()
        clip = QPainterPath()
        clip.addRoundedRect(rect, 4, 4)
        painter.save()
        painter.setClipPath(clip)
        if self._image.hasAlphaChannel():
            paint_clear(painter, rect)
        painter.drawImage(rect, self._image)
        painter.restore()

    def _paint_text(self, painter: QPainter) -> None:
        palette = current_palette()
        painter.setPen(QColor(palette.secondary))
        painter.setFont(sized_font(12))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
        room = self.rect().adjusted(8, 8, -8, -8)
        if not self._has_picture:
            place = QRect((self.width() - 22) // 2, 18, 22, 22)
            paint_icon(painter, "image-add", place, palette.secondary)
            room = self.rect().adjusted(8, 44, -8, -10)
        painter.drawText(room, flags | Qt.AlignmentFlag.AlignHCenter, self._text)

    # -- being used ---------------------------------------------------------------------------

    def ask(self) -> None:
        self.menu_wanted.emit(self.mapToGlobal(QPoint(0, self.height())))

    def holds_picture(self) -> bool:
        return self._has_picture

    def take_away(self) -> None:
        self.removed.emit()

    def take_dropped(self, found: str | QImage) -> bool:
        self.dropped.emit(found)
        return True


def paint_clear(painter: QPainter, rect: QRectF) -> None:
    """The pattern that shows through what is clear."""
    palette = current_palette()
    painter.fillRect(rect, QColor(palette.field))
    for row in range(int(rect.height() // _SQUARE) + 1):
        for column in range(row % 2, int(rect.width() // _SQUARE) + 1, 2):
            left, top = rect.left() + column * _SQUARE, rect.top() + row * _SQUARE
            square = QRectF(left, top, _SQUARE, _SQUARE).intersected(rect)
            painter.fillRect(square, QColor(palette.border))
