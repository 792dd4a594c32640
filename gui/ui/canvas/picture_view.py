"""Shows one picture: smooth, fitted or at its true size, and draggable out of the window."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDrag,
    QImage,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QRadialGradient,
    QResizeEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QScrollArea, QWidget

from gui.state.pictures.drag import drag_data
from gui.ui.widgets.appearance import current_palette

MARGIN = 28
RADIUS = 8
MAX_ENLARGEMENT = 4.0
"""Fitting enlarges no further than this: beyond it a small picture is only a blur."""
DRAG_PIXMAP = 160


class PictureView(QScrollArea):
    """A picture in the middle of the canvas.

    Fitted, it fills the room it has; at true size one image pixel is one screen pixel, and the
    scroll bars and the wheel move it.
    """

    zoom_changed = Signal(bool)
    """True: fitted to the window."""

    def __init__(self) -> None:
        super().__init__()
        self.surface = _Surface(self)
        self._fit = True
        self.setWidget(self.surface)
        # Setting a widget makes it paint its own ground; the canvas column has one.
        self.surface.setAutoFillBackground(False)
        self.viewport().setAutoFillBackground(False)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Picture")
        self.setObjectName("view")

    @property
    def fitted(self) -> bool:
        return self._fit

    def set_fitted(self, fitted: bool) -> None:
        if fitted != self._fit:
            self._fit = fitted
            self._resize_surface()
            self.zoom_changed.emit(fitted)

    def show_image(self, image: QImage, *, path: str = "", size: QSize | None = None) -> None:
        """Show a picture.

        Args:
            image: the pixels.
            path: its file, which makes it draggable; a preview has none.
            size: size to show it as, in pixels of the finished picture; None: its own.  Previews
                come at the latents' size, an eighth of the picture's.
        """
        before = self.surface.size_in_pixels()
        self.surface.set_image(image, path, size)
        if before != self.surface.size_in_pixels():
            self._resize_surface()

    def show_fog(self, width: int, height: int) -> None:
        """Show an empty frame of this size, for a picture that is not there yet."""
        self.surface.set_fog(QSize(max(1, width), max(1, height)))
        self._resize_surface()

    def image(self) -> QImage:
        return self.surface.image

    def path(self) -> str:
        return self.surface.path

    def picture_rect(self) -> QRectF:
        """Where the picture is, in this widget's coordinates."""
        rect = self.surface.picture_rect()
        offset = self.surface.mapTo(self, QPoint(0, 0))
        return rect.translated(QPointF(offset))

    def _resize_surface(self) -> None:
        self.setWidgetResizable(self._fit)
        if not self._fit:
            self._apply_true_size()
        self.surface.update()

    def _apply_true_size(self) -> None:
        size = self.surface.logical_size()
        wanted = QSize(round(size.width()) + 2 * MARGIN, round(size.height()) + 2 * MARGIN)
        self.surface.resize(wanted.expandedTo(self.viewport().size()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self._fit:
            self._apply_true_size()


class _Surface(QWidget):
    """What the view scrolls: paints the picture and starts the drag."""

    def __init__(self, view: PictureView) -> None:
        super().__init__()
        self._view = view
        self.image = QImage()
        self.path = ""
        self._size = QSize()
        self._scaled = QPixmap()
        self._pressed_at: QPoint | None = None

    def set_image(self, image: QImage, path: str, size: QSize | None = None) -> None:
        self.image = image
        self.path = path
        self._size = QSize(size) if size is not None else image.size()
        self._scaled = QPixmap()
        cursor = Qt.CursorShape.OpenHandCursor if path else Qt.CursorShape.ArrowCursor
        self.setCursor(cursor)
        self.update()

    def set_fog(self, size: QSize) -> None:
        self.set_image(QImage(), "", size)

    def size_in_pixels(self) -> QSize:
        """Size of the picture that is shown, or stood in for."""
        return self._size

    def logical_size(self) -> QSizeF:
        """The picture's size in device-independent pixels at true size."""
        ratio = self.devicePixelRatioF()
        return QSizeF(self._size.width() / ratio, self._size.height() / ratio)

    def picture_rect(self) -> QRectF:
        size = QSizeF(self._size)
        if size.isEmpty():
            return QRectF()
        if self._view.fitted:
            room = QSizeF(self.width() - 2 * MARGIN, self.height() - 2 * MARGIN)
            room = room.expandedTo(QSizeF(16, 16))
            shown = size.scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
            if shown.width() > size.width() * MAX_ENLARGEMENT:
                shown = size * MAX_ENLARGEMENT
        else:
            shown = self.logical_size()
        left = round((self.width() - shown.width()) / 2)
        top = round((self.height() - shown.height()) / 2)
        return QRectF(left, top, round(shown.width()), round(shown.height()))

    # -- painting -----------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        rect = self.picture_rect()
        if rect.isEmpty():
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_shadow(painter, rect)
        if self.image.isNull():
            self._paint_fog(painter, rect)
            return
        clip = QPainterPath()
        clip.addRoundedRect(rect, RADIUS, RADIUS)
        painter.setClipPath(clip)
        painter.drawPixmap(rect.topLeft(), self._pixmap(rect))

    def _pixmap(self, rect: QRectF) -> QPixmap:
        """The picture at the size it is shown, kept until either changes."""
        ratio = self.devicePixelRatioF()
        wanted = (rect.size() * ratio).toSize()
        if self._scaled.size() != wanted:
            image = self.image
            if not image.hasAlphaChannel():
                image = image.convertToFormat(QImage.Format.Format_RGB32)  # scales twice as fast
            self._scaled = QPixmap.fromImage(resample(image, wanted))
            self._scaled.setDevicePixelRatio(ratio)
        return self._scaled

    def _paint_shadow(self, painter: QPainter, rect: QRectF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for spread, alpha in ((9, 5), (6, 7), (4, 9), (2, 12)):
            painter.setBrush(QColor(0, 0, 0, alpha))
            grown = rect.adjusted(-spread, -spread + 3, spread, spread + 3)
            painter.drawRoundedRect(grown, RADIUS + spread, RADIUS + spread)

    def _paint_fog(self, painter: QPainter, rect: QRectF) -> None:
        palette = current_palette()
        gradient = QRadialGradient(rect.center(), max(rect.width(), rect.height()) * 0.7)
        gradient.setColorAt(0.0, QColor(palette.pressed))
        gradient.setColorAt(1.0, QColor(palette.hover))
        painter.setBrush(gradient)
        painter.setPen(QPen(QColor(palette.border), 1))
        painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)

    # -- dragging out -------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        inside = self.picture_rect().contains(event.position())
        if event.button() == Qt.MouseButton.LeftButton and self.path and inside:
            self._pressed_at = event.position().toPoint()
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed_at is None:
            return
        moved = (event.position().toPoint() - self._pressed_at).manhattanLength()
        if moved >= QApplication.startDragDistance():
            self._pressed_at = None
            self._start_drag()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = None
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        self._view.set_fitted(not self._view.fitted)

    def _start_drag(self) -> None:
        drag = QDrag(self)
        drag.setMimeData(drag_data([self.path], self.image))
        drag.setPixmap(drag_pixmap(self.image, self.devicePixelRatioF()))
        drag.setHotSpot(QPoint(DRAG_PIXMAP // 4, DRAG_PIXMAP // 4))
        drag.exec(Qt.DropAction.CopyAction)


def resample(image: QImage, wanted: QSize) -> QImage:
    """`image` at another size, without the diamonds that plain bilinear enlarging leaves.

    Doubling by bilinear interpolation, again and again, is Chaikin's corner cutting: it tends to a
    quadratic spline, so a preview of 16 × 16 latents looks like fog and not like tiles.
    """
    smooth = Qt.TransformationMode.SmoothTransformation
    stretch = Qt.AspectRatioMode.IgnoreAspectRatio
    while 2 * image.width() <= wanted.width() and 2 * image.height() <= wanted.height():
        image = image.scaled(image.size() * 2, stretch, smooth)
    return image if image.size() == wanted else image.scaled(wanted, stretch, smooth)


def drag_pixmap(image: QImage, ratio: float) -> QPixmap:
    """A small, slightly transparent copy of a picture to follow the pointer."""
    side = round(DRAG_PIXMAP * ratio)
    small = image.scaled(
        side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
    pixmap = QPixmap(small.size())
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setOpacity(0.88)
    clip = QPainterPath()
    clip.addRoundedRect(QRectF(pixmap.rect()), 6 * ratio, 6 * ratio)
    painter.setClipPath(clip)
    painter.drawImage(0, 0, small)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
