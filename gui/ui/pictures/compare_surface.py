"""Pictures in a pane that zooms and pans with others: one alone, or two with a divider between."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDrag,
    QFocusEvent,
    QImage,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from gui.state.pictures.drag import drag_data
from gui.state.pictures.levels import PictureLevels
from gui.state.pictures.types import IndexedPicture
from gui.ui.canvas.picture_surface import DRAG_PIXMAP, drag_pixmap
from gui.ui.pictures.linked_zoom import LinkedZoom, PanePlace
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.divider import HANDLE, paint_divider

WHEEL_STEP = 120.0
"""Of a mouse's wheel: one notch."""
NOTCH = 1.2
"""By which one notch zooms."""
CRISP = 2.0
"""Screen pixels per pixel of a picture from which on each is drawn as a square: what is compared
then are pixels."""


class ComparedPicture:
    """A picture and what has come of its pixels."""

    def __init__(self, picture: IndexedPicture, thumbnail: QImage | None) -> None:
        self.picture = picture
        self.thumbnail = thumbnail if thumbnail is not None else QImage()
        self.levels: PictureLevels | None = None
        self.unreadable = False

    @property
    def size(self) -> QSize:
        """In pixels; what the index says until the picture has come."""
        if self.levels is not None:
            return self.levels.whole.size()
        facts = self.picture.facts
        return QSize(max(1, facts.width), max(1, facts.height))

    def paint(self, painter: QPainter, place: PanePlace, rect: QRectF, clip: QRectF) -> None:
        """Draw what is seen of it: its thumbnail until its pixels have come."""
        seen = rect.intersected(clip)
        if seen.isEmpty():
            return
        palette = current_palette()
        scale = rect.width() * place.ratio / self.size.width()
        image = self.thumbnail if self.levels is None else self.levels.level_for(scale)
        if image.isNull():
            painter.fillRect(seen, QColor(palette.hover))
            return
        x, y = image.width() / rect.width(), image.height() / rect.height()
        source = QRectF(
            (seen.left() - rect.left()) * x,
            (seen.top() - rect.top()) * y,
            seen.width() * x,
            seen.height() * y,
        )
        smooth = self.levels is None or scale < CRISP
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(seen, image, source)


class ZoomSurface(QWidget):
    """What wheel, pinch, drag and double click do is the same in every pane.

    Args:
        zoom: what all panes go by.
    """

    focused = Signal()
    menu_requested = Signal(QPoint)

    def __init__(self, zoom: LinkedZoom) -> None:
        super().__init__()
        self.linked = zoom
        self._pressed: QPointF | None = None
        self._panned = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(120, 90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._ask_for_menu)
        zoom.changed.connect(self.update)

    @property
    def shown(self) -> ComparedPicture:
        """The picture that a drag takes, and whose pixels count for 100 %."""
        raise NotImplementedError

    def place(self, picture: ComparedPicture | None = None) -> PanePlace:
        """Where a picture is; None: the one that counts."""
        chosen = picture or self.shown
        return PanePlace(QSizeF(self.size()), chosen.size, self.devicePixelRatioF())

    def picture_rect(self, picture: ComparedPicture | None = None) -> QRectF:
        """The whole picture in this widget's coordinates, at the present zoom."""
        return self.place(picture).rect(self.linked.zoom, self.linked.centre)

    def middle(self) -> QPointF:
        return QPointF(self.width() / 2, self.height() / 2)

    def _ask_for_menu(self, at: QPoint) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.menu_requested.emit(self.mapToGlobal(at))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.focused.emit()
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    # -- zooming ------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Two fingers on a trackpad move the picture; a wheel, or ⌘ with either, zooms."""
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        fingers = not event.pixelDelta().isNull()
        if fingers and not control:
            self.linked.pan(self.place(), QPointF(event.pixelDelta()))
        else:
            notches = event.angleDelta().y() / WHEEL_STEP
            self.linked.zoom_at(self.place(), event.position(), NOTCH**notches)
        event.accept()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent):
            kind, position = event.gestureType(), event.position()
            if kind is Qt.NativeGestureType.ZoomNativeGesture:
                self.linked.zoom_at(self.place(), position, 1 + event.value())
                return True
            if kind is Qt.NativeGestureType.SmartZoomNativeGesture:
                self.toggle(position)
                return True
        return super().event(event)

    def toggle(self, at: QPointF) -> None:
        """Fitted, or one pixel of the picture to one of the screen, at a point."""
        if self.linked.fitted:
            place = self.place()
            true = place.true_zoom
            self.linked.zoom_to(place, at, true if abs(true - 1) > 0.01 else 2.0)
        else:
            self.linked.fit()

    # -- dragging -----------------------------------------------------------------------------

    def _movable(self) -> bool:
        """Whether there is more of the picture than is seen."""
        shown = self.place().shown_size(self.linked.zoom)
        return shown.width() > self.width() + 1 or shown.height() > self.height() + 1

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position()
            self._panned = self._movable()
            if self._panned:
                self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            return
        if self._panned:
            self.linked.pan(self.place(), event.position() - self._pressed)
            self._pressed = event.position()
        elif (event.position() - self._pressed).manhattanLength() >= (
            QApplication.startDragDistance()
        ):
            inside = self.picture_rect().contains(self._pressed)
            self._pressed = None
            if inside:
                start_drag(self, self.shown)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        self._pressed = None
        self.unsetCursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._pressed = None
        self.toggle(event.position())


class PictureZoomSurface(ZoomSurface):
    """One picture.

    Args:
        zoom: what all panes go by.
        picture: what it shows.
    """

    def __init__(self, zoom: LinkedZoom, picture: ComparedPicture) -> None:
        super().__init__(zoom)
        self._picture = picture
        self.chosen = False
        """Whether commands act on this one: it bears a frame."""

    @property
    def shown(self) -> ComparedPicture:
        return self._picture

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        room = QRectF(self.rect())
        self._picture.paint(painter, self.place(), self.picture_rect(), room)
        if self.chosen:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(palette.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            frame = self.picture_rect().adjusted(-3, -3, 3, 3).intersected(room)
            painter.drawRoundedRect(frame.adjusted(1, 1, -1, -1), 5, 5)


class WipeSurface(ZoomSurface):
    """Two pictures over each other; a divider that is dragged shows the one or the other.

    Args:
        zoom: what all panes go by.
        left, right: what is seen on either side of the divider.
    """

    def __init__(self, zoom: LinkedZoom, left: ComparedPicture, right: ComparedPicture) -> None:
        super().__init__(zoom)
        self._left, self._right = left, right
        self._share = 0.5
        self._held = False
        self.second = False
        """Whether commands act on the right one."""

    @property
    def shown(self) -> ComparedPicture:
        return self._right if self.second else self._left

    @property
    def share(self) -> float:
        """Where the divider is, from 0 at the left to 1."""
        return self._share

    def set_share(self, share: float) -> None:
        self._share = min(1.0, max(0.0, share))
        self.update()

    def _divider(self) -> float:
        """The divider goes across what is seen of the pictures."""
        low, high = self._span()
        return low + self._share * (high - low)

    def _span(self) -> tuple[float, float]:
        rects = [self.picture_rect(one) for one in (self._left, self._right)]
        low = max(0.0, min(rect.left() for rect in rects))
        high = min(float(self.width()), max(rect.right() for rect in rects))
        return low, max(low + 1, high)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        near = abs(event.position().x() - self._divider()) <= HANDLE
        self._held = near and event.button() == Qt.MouseButton.LeftButton
        if not self._held:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held:
            low, high = self._span()
            self.set_share((event.position().x() - low) / (high - low))
            return
        if self._pressed is None:
            near = abs(event.position().x() - self._divider()) <= HANDLE
            self.setCursor(Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor)
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = False
        super().mouseReleaseEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        at = round(self._divider())
        room = QRectF(self.rect())
        sides = (
            (self._left, QRectF(0, 0, at, room.height())),
            (self._right, QRectF(at, 0, room.width() - at, room.height())),
        )
        for picture, side in sides:
            picture.paint(painter, self.place(picture), self.picture_rect(picture), side)
        colour = palette.accent if self.hasFocus() else "#FFFFFF"
        paint_divider(painter, at, room, colour)


def start_drag(source: QWidget, shown: ComparedPicture) -> None:
    """Drag a picture's file out, as a copy, with its pixels where they have come."""
    image = shown.levels.whole if shown.levels is not None else QImage()
    drag = QDrag(source)
    drag.setMimeData(drag_data([shown.picture.path], image))
    small = shown.thumbnail if shown.levels is None else shown.levels.images[-1]
    if not small.isNull():
        drag.setPixmap(drag_pixmap(small, source.devicePixelRatioF()))
        drag.setHotSpot(QPoint(DRAG_PIXMAP // 4, DRAG_PIXMAP // 4))
    drag.exec(Qt.DropAction.CopyAction)
