"""Shows one picture: smooth, fitted or at any scale, draggable out, or under a tool's pointer."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QImage, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea

from gui.ui.canvas.picture_surface import PictureSurface
from gui.ui.canvas.tools import Tool

MOST, LEAST = 16.0, 0.05
"""Screen pixels per pixel of the picture."""


class PictureView(QScrollArea):
    """A picture in the middle of the canvas.

    Fitted, it fills the room it has; at true size one image pixel is one screen pixel.  Pinching
    and the wheel with ⌘ go to any scale, and scroll bars, wheel, and dragging with the space bar
    held move it.
    """

    zoom_changed = Signal(bool)
    """It has another scale now; true: fitted to the window."""

    def __init__(self) -> None:
        super().__init__()
        self._scale: float | None = None
        self.hand = False
        self.surface = PictureSurface(self)
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

    # -- zoom ---------------------------------------------------------------------------------

    @property
    def fitted(self) -> bool:
        return self._scale is None

    @property
    def scale(self) -> float | None:
        """Screen pixels per pixel of the picture; None: fitted."""
        return self._scale

    def set_fitted(self, fitted: bool) -> None:
        """Fitted, or at true size."""
        if fitted != self.fitted:
            self.set_scale(None if fitted else 1.0)

    def set_scale(self, scale: float | None, at: QPointF | None = None) -> None:
        """Zoom.

        Args:
            scale: screen pixels per pixel of the picture; None: fit it.
            at: a point of the surface that stays where it is; None: the middle of what is seen.
        """
        fitted = scale is None
        if scale is not None:
            scale = min(MOST, max(LEAST, scale))
        if scale == self._scale or self.surface.size_in_pixels().isEmpty():
            if self._scale != scale:
                self._scale = scale
                self.zoom_changed.emit(fitted)
            return
        if at is None:
            at = QPointF(self.surface.mapFrom(self, QPoint(self.width() // 2, self.height() // 2)))
        kept = self.surface.place().to_picture(at)
        seen_at = QPointF(self.surface.mapTo(self.viewport(), QPoint(0, 0))) + at
        self._scale = scale
        self.refit()
        if scale is not None:
            moved = self.surface.place().to_surface(kept) - seen_at
            self.horizontalScrollBar().setValue(round(moved.x()))
            self.verticalScrollBar().setValue(round(moved.y()))
        self.zoom_changed.emit(fitted)

    def zoom_at(self, at: QPointF, factor: float) -> None:
        """Zoom by a factor so that what is at a point of the surface stays there."""
        now = self.surface.scale() * self.devicePixelRatioF()
        self.set_scale(now * factor, at)

    def pan(self, by: QPoint) -> None:
        """Move what is seen, in device-independent pixels."""
        for bar, way in ((self.horizontalScrollBar(), by.x()), (self.verticalScrollBar(), by.y())):
            bar.setValue(bar.value() + way)

    def take_focus(self) -> None:
        """Keys are for the picture now."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)

    def refit(self) -> None:
        """What is to be seen of the plane, or how large, is something else now."""
        self.setWidgetResizable(self.fitted)
        if not self.fitted:
            self._apply_scale()
        self.surface.update()

    def _apply_scale(self) -> None:
        self.surface.resize(self.surface.wanted_size().expandedTo(self.viewport().size()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self.fitted:
            self._apply_scale()

    # -- what is shown ------------------------------------------------------------------------

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
            self.refit()

    def show_fog(self, width: int, height: int) -> None:
        """Show an empty frame of this size, for a picture that is not there yet."""
        self.surface.set_fog(QSize(max(1, width), max(1, height)))
        self.refit()

    def image(self) -> QImage:
        return self.surface.image

    def path(self) -> str:
        return self.surface.path

    def picture_rect(self) -> QRectF:
        """Where the picture is, in this widget's coordinates."""
        rect = self.surface.picture_rect()
        offset = self.surface.mapTo(self, QPoint(0, 0))
        return rect.translated(QPointF(offset))

    # -- the tool -----------------------------------------------------------------------------

    def set_tool(self, tool: Tool | None) -> None:
        """What the pointer is on the picture; None: it drags the picture out."""
        self.surface.set_tool(tool)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        tool = self.surface.working
        if tool is not None and event.key() == Qt.Key.Key_Space:
            self._set_hand(True)
        elif tool is not None and tool.key_press(event):
            return
        elif event.key() == Qt.Key.Key_Backslash and self.surface.original.there:
            self.surface.original.hold(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        tool = self.surface.working
        if event.isAutoRepeat():
            super().keyReleaseEvent(event)
        elif event.key() == Qt.Key.Key_Space:
            self._set_hand(False)
        elif tool is None or not tool.key_release(event):
            super().keyReleaseEvent(event)
        if event.key() == Qt.Key.Key_Backslash and not event.isAutoRepeat():
            self.surface.original.hold(False)
        if tool is not None:
            self.surface.show_cursor()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.surface.original.hold(False)
        self._set_hand(False)

    def _set_hand(self, on: bool) -> None:
        if on != self.hand:
            self.hand = on
            self.surface.show_cursor()
