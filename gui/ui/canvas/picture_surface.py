"""The plane that the picture lies on: paints it, pans, zooms, and hands the pointer to the tool."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import (
    QColor,
    QDrag,
    QImage,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QPointingDevice,
    QRadialGradient,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from gui.state.pictures.drag import drag_data
from gui.ui.canvas.original_layer import OriginalLayer
from gui.ui.canvas.resampling import MOST_KEPT, resample
from gui.ui.canvas.tools import PicturePlace, Tool, Touch
from gui.ui.widgets.appearance import current_palette

MARGIN = 28
RADIUS = 8
MAX_ENLARGEMENT = 4.0
"""Fitting enlarges no further than this: beyond it a small picture is only a blur."""
DRAG_PIXMAP = 160
CRISP = 2.0
"""Screen pixels per pixel of the picture from which on each is drawn as a square."""
WHEEL_STEP = 120.0
NOTCH = 1.2
"""By which one notch of the wheel zooms."""
_ALT, _CONTROL = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier


class Viewer(Protocol):
    """What the surface asks of the view that scrolls it."""

    hand: bool
    """Whether a drag moves the picture, whatever the tool."""

    @property
    def scale(self) -> float | None:
        """Screen pixels per pixel of the picture; None: fitted."""
        ...

    @property
    def fitted(self) -> bool: ...
    def set_fitted(self, fitted: bool) -> None: ...
    def zoom_at(self, at: QPointF, factor: float) -> None: ...
    def pan(self, by: QPoint) -> None: ...
    def refit(self) -> None: ...
    def take_focus(self) -> None: ...


class PictureSurface(QWidget):
    """What the view scrolls."""

    def __init__(self, view: Viewer) -> None:
        super().__init__()
        self._view = view
        self.image = QImage()
        self.path = ""
        self.tool: Tool | None = None
        self.original = OriginalLayer(self)
        self.original.repaint.connect(self.update)
        self._size = QSize()
        self._scaled = QPixmap()
        self._plain = QImage()  # as `image`, in the form that is painted fastest
        self._pressed_at: QPoint | None = None
        self._panned_at: QPoint | None = None
        self._touching = False
        self._pen = False
        self.setMouseTracking(True)
        self.setTabletTracking(True)

    def set_image(self, image: QImage, path: str, size: QSize | None = None) -> None:
        other = QSize(size) if size is not None else image.size()
        if (other, path) != (self._size, self.path):
            self.drop_touch()
        self.image = image
        self.path = path
        self._size = other
        self._scaled = QPixmap()
        self._plain = QImage()
        self.show_cursor()
        self.update()

    def set_fog(self, size: QSize) -> None:
        self.set_image(QImage(), "", size)

    def set_tool(self, tool: Tool | None) -> None:
        """What the pointer is; None: it drags the picture out."""
        if tool is self.tool:
            return
        self.drop_touch()
        for one, connect in ((self.tool, False), (tool, True)):
            if one is not None:
                for signal, slot in (
                    (one.repaint, self._on_repaint),
                    (one.extent_changed, self._view.refit),
                ):
                    (signal.connect if connect else signal.disconnect)(slot)
        self.tool = tool
        self._view.refit()
        self.show_cursor()
        self.update()

    @property
    def working(self) -> Tool | None:
        """The tool that the pointer is; None: it drags the picture out."""
        tool = self.tool
        usable = tool is not None and tool.works_on_picture and not tool.reason and self.path
        return tool if usable else None

    def size_in_pixels(self) -> QSize:
        """Size of the picture that is shown, or stood in for."""
        return self._size

    def extent(self) -> QRectF:
        """What of the plane is to be seen where it is fitted, in pixels of the picture."""
        whole = QRectF(QPointF(0, 0), QSizeF(self._size))
        tool = self.working
        if tool is None:
            return whole
        wanted = tool.extent()
        wanted = whole if wanted.isNull() else wanted.united(whole)
        more = tool.margin()
        x, y = wanted.width() * more.width(), wanted.height() * more.height()
        return wanted.adjusted(-x, -y, x, y)

    def scale(self) -> float:
        """Device-independent pixels per pixel of the picture."""
        if self._view.scale is not None:
            return self._view.scale / self.devicePixelRatioF()
        room = QSizeF(self.width() - 2 * MARGIN, self.height() - 2 * MARGIN)
        room = room.expandedTo(QSizeF(16, 16))
        extent = self.extent()
        scale = min(room.width() / extent.width(), room.height() / extent.height())
        return min(scale, MAX_ENLARGEMENT)

    def picture_rect(self) -> QRectF:
        if self._size.isEmpty():
            return QRectF()
        scale, extent = self.scale(), self.extent()
        width, height = (
            round(side * scale) if self._view.scale is None else side * scale
            for side in (self._size.width(), self._size.height())
        )
        left = (self.width() - extent.width() * scale) / 2 - extent.left() * scale
        top = (self.height() - extent.height() * scale) / 2 - extent.top() * scale
        return QRectF(round(left), round(top), max(1, width), max(1, height))

    def wanted_size(self) -> QSize:
        """At a scale of its own: the plane's size, with room around the picture."""
        extent, scale = self.extent(), self.scale()
        return QSize(
            round(extent.width() * scale) + 2 * MARGIN, round(extent.height() * scale) + 2 * MARGIN
        )

    def place(self) -> PicturePlace:
        return PicturePlace(self.picture_rect(), self._size)

    # -- painting -----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        rect = self.picture_rect()
        if rect.isEmpty():
            return
        exposed = event.rect()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not rect.contains(QRectF(exposed)):
            self._paint_shadow(painter, rect)
        if self.image.isNull():
            self._paint_fog(painter, rect)
            return
        painter.save()
        if not self._inside(rect).contains(exposed):
            clip = QPainterPath()
            clip.addRoundedRect(rect, RADIUS, RADIUS)
            painter.setClipPath(clip)
        self._paint_picture(painter, rect, QRectF(exposed))
        if self.path:
            self.original.paint(painter, self.place(), QRectF(exposed), self.devicePixelRatioF())
        painter.restore()
        tool = self.tool
        if tool is not None and tool.paints and not tool.reason and self.path:
            tool.paint(painter, self.place(), QRectF(exposed))

    def _inside(self, rect: QRectF) -> QRect:
        """What of the picture is far from its round corners."""
        return rect.adjusted(RADIUS, RADIUS, -RADIUS, -RADIUS).toRect()

    def _paint_picture(self, painter: QPainter, rect: QRectF, exposed: QRectF) -> None:
        seen = rect.intersected(exposed)
        if seen.isEmpty():
            return
        ratio = self.devicePixelRatioF()
        wanted = (rect.size() * ratio).toSize()
        crisp = self._view.scale is not None and self._view.scale >= CRISP
        if not crisp and wanted.width() * wanted.height() <= MOST_KEPT:
            part = QRectF((seen.topLeft() - rect.topLeft()) * ratio, seen.size() * ratio)
            painter.drawPixmap(seen, self._pixmap(wanted), part)
            return
        image = self._painted()
        x, y = image.width() / rect.width(), image.height() / rect.height()
        source = QRectF(
            (seen.left() - rect.left()) * x,
            (seen.top() - rect.top()) * y,
            seen.width() * x,
            seen.height() * y,
        )
        smooth = not crisp or image.size() != self._size
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(seen, image, source)

    def _painted(self) -> QImage:
        if self._plain.isNull():
            clear = self.image.hasAlphaChannel()
            form = QImage.Format.Format_ARGB32_Premultiplied
            self._plain = self.image.convertToFormat(form if clear else QImage.Format.Format_RGB32)
        return self._plain

    def _pixmap(self, wanted: QSize) -> QPixmap:
        """The picture at the size it is shown, kept until either changes."""
        if self._scaled.size() != wanted:
            image = self.image
            if not image.hasAlphaChannel():
                image = image.convertToFormat(QImage.Format.Format_RGB32)  # scales twice as fast
            self._scaled = QPixmap.fromImage(resample(image, wanted))
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

    def _on_repaint(self, part: QRectF) -> None:
        if part.isNull():
            self.update()
        elif not self.picture_rect().isEmpty():
            shown = self.place().part_to_surface(part)
            self.update(shown.toAlignedRect().adjusted(-1, -1, 1, 1))

    # -- the tool -----------------------------------------------------------------------------

    def touch(self, at: QPointF, modifiers: Qt.KeyboardModifier, **how: float | bool) -> Touch:
        """What a tool is told of a point of this surface."""
        place = self.place()
        return Touch(place.to_picture(at), place, modifiers=modifiers, **how)  # type: ignore[arg-type]

    def drop_touch(self) -> None:
        """What a press began is not gone on with."""
        if self._touching and self.tool is not None:
            self._touching = False
            self.tool.cancel()

    def show_cursor(self, touch: Touch | None = None) -> None:
        tool = self.working
        if self._view.hand or self._panned_at is not None:
            held = self._panned_at is not None
            shape = Qt.CursorShape.ClosedHandCursor if held else Qt.CursorShape.OpenHandCursor
            self.setCursor(shape)
        elif tool is not None:
            self.setCursor(tool.cursor(touch or self._touch_under_pointer()))
        else:
            shape = Qt.CursorShape.OpenHandCursor if self.path else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)

    def _touch_under_pointer(self) -> Touch:
        at = self.mapFromGlobal(self.cursor().pos())
        if self.picture_rect().isEmpty():
            return Touch(QPointF(), PicturePlace(QRectF(0, 0, 1, 1), QSize(1, 1)))
        return self.touch(QPointF(at), QApplication.keyboardModifiers())

    def _at_divider(self, at: QPointF) -> bool:
        """Whether a press there takes hold of what parts the original from the picture."""
        if not self.path or self._touching or self._pressed_at is not None:
            return False
        return self.original.takes(at, self.picture_rect(), self.working is not None)

    def _begin(self, touch: Touch) -> bool:
        tool = self.working
        self._touching = tool is not None and tool.press(touch)
        return self._touching

    # -- the pointer --------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        main = event.button() == Qt.MouseButton.LeftButton
        if event.button() == Qt.MouseButton.MiddleButton or (main and self._view.hand):
            self._panned_at = event.globalPosition().toPoint()
            self.show_cursor()
        elif main and self._at_divider(event.position()):
            self.original.press()
        elif main and self.working is not None:
            self._begin(self.touch(event.position(), event.modifiers()))
        elif main and self.path and self.picture_rect().contains(event.position()):
            self._pressed_at = event.position().toPoint()
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._panned_at is not None:
            at = event.globalPosition().toPoint()
            self._view.pan(self._panned_at - at)
            self._panned_at = at
        elif self.original.held:
            self.original.drag(event.position(), self.picture_rect())
        elif self._at_divider(event.position()):
            self.setCursor(Qt.CursorShape.SplitHCursor)
        elif (tool := self.working) is not None:
            touch = self.touch(event.position(), event.modifiers())
            if self._touching:
                tool.move(touch)
            else:
                tool.hover(touch)
                self.show_cursor(touch)
        elif self._pressed_at is None:
            self.show_cursor()
        else:
            moved = (event.position().toPoint() - self._pressed_at).manhattanLength()
            if moved >= QApplication.startDragDistance():
                self._pressed_at = None
                self._start_drag()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = None
        if self._panned_at is not None:
            self._panned_at = None
            self.show_cursor()
        elif self.original.held:
            self.original.release()
        elif self._touching and event.button() == Qt.MouseButton.LeftButton:
            self._touching = False
            if self.tool is not None:
                self.tool.release(self.touch(event.position(), event.modifiers()))
        else:
            super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.working is not None:
            self.mousePressEvent(event)  # two quick strokes
        else:
            self._view.set_fitted(not self._view.fitted)

    def tabletEvent(self, event: QTabletEvent) -> None:
        """A pen is a mouse that can be pressed more or less; where no tool wants it, Qt makes a
        mouse of it."""
        tool = self.working
        if tool is None or self._view.hand:
            event.ignore()
            return
        eraser = event.pointerType() == QPointingDevice.PointerType.Eraser
        touch = self.touch(
            event.position(), event.modifiers(), pressure=event.pressure(), eraser=eraser
        )
        kind = event.type()
        if kind == QEvent.Type.TabletPress:
            if event.button() != Qt.MouseButton.LeftButton:
                event.ignore()
                return
            self._view.take_focus()
            self._begin(touch)
        elif kind == QEvent.Type.TabletRelease and self._touching:
            self._touching = False
            tool.release(touch)
        elif kind == QEvent.Type.TabletMove:
            if self._touching:
                tool.move(touch)
            else:
                tool.hover(touch)
                self.show_cursor(touch)
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if self.working is not None:
            self.working.hover(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """⌘ zooms at the pointer, ⌥ is the tool's; else the view scrolls."""
        delta = event.angleDelta()
        notches = (delta.y() or delta.x()) / WHEEL_STEP  # ⌥ makes it a sideways one on some systems
        held = event.modifiers()
        tool = self.working
        if held & _CONTROL:
            self._view.zoom_at(event.position(), NOTCH**notches)
            event.accept()
        elif held & _ALT and tool and tool.wheel(notches, self.touch(event.position(), held)):
            event.accept()
        else:
            event.ignore()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent):
            kind = event.gestureType()
            if kind is Qt.NativeGestureType.ZoomNativeGesture:
                self._view.zoom_at(event.position(), 1 + event.value())
                return True
            if kind is Qt.NativeGestureType.SmartZoomNativeGesture:
                self._view.set_fitted(not self._view.fitted)
                return True
        return super().event(event)

    def _start_drag(self) -> None:
        drag = QDrag(self)
        drag.setMimeData(drag_data([self.path], self.image))
        drag.setPixmap(drag_pixmap(self.image, self.devicePixelRatioF()))
        drag.setHotSpot(QPoint(DRAG_PIXMAP // 4, DRAG_PIXMAP // 4))
        drag.exec(Qt.DropAction.CopyAction)


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
