"""The mask tool: brush, eraser and lasso on the picture, by mouse, pen and keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QCursor, QImage, QKeyEvent, QPainter, QPen, QPolygonF

from gui.state.canvas.mask import MaskState
from gui.state.canvas.mask_image import FULL, Brush, MaskImage
from gui.state.pictures.images import ImageLoader
from gui.ui.canvas.mask_overlay import MaskOverlay
from gui.ui.canvas.tools import PicturePlace, PictureTool, Touch
from gui.ui.widgets.appearance import current_palette

FIRST_SIZE = 0.12
"""The brush's diameter at first, as a share of the picture's shorter side."""
LEAST, MOST = 1, 1000
"""Its diameter in pixels of the picture."""
STEP = 1.2
"""By which a key or a notch of the wheel makes it larger."""
_ALT = Qt.KeyboardModifier.AltModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
_WAYS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
"""Where an arrow moves the brush, in halves of its diameter."""
_SMALL = 5.0
"""Pixels of the screen below which the brush's circle says nothing, and a cross is shown."""


class Mode(StrEnum):
    BRUSH = "brush"
    ERASER = "eraser"
    LASSO = "lasso"


class MaskTool(PictureTool):
    """Args:
    mask: what is painted.
    """

    brush_changed = Signal()
    """Mode, size or hardness."""
    before_changed = Signal(bool)
    """Whether the picture is seen as it was before."""
    began = Signal()
    """A stroke was begun: the picture on show is to stay."""

    def __init__(self, mask: MaskState) -> None:
        super().__init__("mask", "Mask", "tool-mask")
        self.mask = mask
        self.mode = Mode.BRUSH
        self.hardness = 0.8
        self.shown = True
        """Whether the mask is seen."""
        self._share = FIRST_SIZE
        self._picture = QSize()  # size of that on show
        self._overlay = MaskOverlay()
        self._image: MaskImage | None = None  # while something is changed
        self._last: Touch | None = None
        self._erasing = False
        self._outline: list[QPointF] = []
        self._hover: Touch | None = None
        self._place: PicturePlace | None = None  # where it was painted last
        self._before = QImage()
        self._before_path = ""
        self.showing_before = False
        self._loader = ImageLoader(parent=self)
        self._loader.loaded.connect(self._on_before)
        self._loader.failed.connect(lambda _path, _error: self.set_before(False))
        mask.changed.connect(self._on_mask)

    def look(self, path: str, size: QSize) -> None:
        """This finished picture is on show; an empty path: none is."""
        if size != self._picture and not size.isEmpty():
            self._picture = QSize(size)
            self.brush_changed.emit()
        self.set_before(False)
        self.mask.look(path, size)

    @property
    def size(self) -> float:
        """The brush's diameter in pixels of the picture."""
        side = min(self._picture.width(), self._picture.height())
        return min(MOST, max(LEAST, self._share * side)) if side > 0 else LEAST

    def set_size(self, size: float) -> None:
        side = min(self._picture.width(), self._picture.height())
        if side > 0:
            self._renew_ring(lambda: setattr(self, "_share", min(MOST, max(LEAST, size)) / side))
            self.brush_changed.emit()

    def set_hardness(self, hardness: float) -> None:
        self.hardness = min(1.0, max(0.0, hardness))
        self.brush_changed.emit()

    def set_mode(self, mode: Mode) -> None:
        if mode is not self.mode:
            self.cancel()
            self._renew_ring(lambda: setattr(self, "mode", mode))
            self.brush_changed.emit()

    def set_shown(self, shown: bool) -> None:
        """Whether the mask is seen; painting shows it again."""
        if shown != self.shown:
            self.shown = shown
            self.brush_changed.emit()
            self.repaint.emit(QRectF())

    def grow(self, steps: float) -> None:
        """Make the brush larger, or smaller; by a pixel at least."""
        now = self.size
        wanted = now * STEP**steps
        if abs(wanted - now) < 1:
            wanted = now + math.copysign(1, steps)
        self.set_size(wanted if wanted < 3 else round(wanted))

    # -- the mask as a whole --------------------------------------------------------------------

    def invert(self) -> None:
        self._change("Invert Mask", MaskImage.invert)

    def clear(self) -> None:
        self._change("Clear Mask", lambda image: image.fill(0))

    def fill(self) -> None:
        self._change("Mask Everything", lambda image: image.fill(FULL))

    def _change(self, what: str, deed: Callable[[MaskImage], QRect]) -> None:
        self.cancel()
        self.began.emit()
        self.set_shown(True)
        self.mask.change(what, deed)

    # -- the picture before ---------------------------------------------------------------------

    def set_before(self, on: bool) -> None:
        """Show the picture that the one on show was made from in its place."""
        path = self.mask.before
        on = on and bool(path)
        if on == self.showing_before:
            return
        self.showing_before = on
        if on and path != self._before_path:
            self._before, self._before_path = QImage(), path
            self._loader.load(path)
        self.before_changed.emit(on)
        self.repaint.emit(QRectF())

    def _on_before(self, path: str, image: QImage) -> None:
        if path == self._before_path:
            self._before = image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
            self.repaint.emit(QRectF())

    # -- the pointer ----------------------------------------------------------------------------

    def take(self) -> None:
        super().take()
        self.changed.emit()

    def lay_down(self) -> None:
        super().lay_down()
        self.set_before(False)
        self._hover = self._place = None

    def cursor(self, touch: Touch) -> QCursor | Qt.CursorShape:
        if self.mode is Mode.LASSO or self.size * touch.place.scale < _SMALL:
            return Qt.CursorShape.CrossCursor
        inside = touch.place.rect.contains(touch.on_surface)
        return Qt.CursorShape.BlankCursor if inside else Qt.CursorShape.ArrowCursor

    def _brush(self, erase: bool) -> Brush:
        return Brush(self.size, self.hardness, erase)

    def press(self, touch: Touch) -> bool:
        self.set_before(False)
        if self.mode is not Mode.LASSO and not self._reaches(touch):
            return False
        image = self.mask.begin()
        if image is None:
            return False
        self.began.emit()
        self.set_shown(True)
        self._image = image
        self._erasing = touch.eraser or (self.mode is Mode.ERASER) != touch.held(_ALT)
        if self.mode is Mode.LASSO and not touch.eraser:
            self._erasing = touch.held(_ALT)
            self._outline = [touch.at]
        elif touch.held(_SHIFT) and self._last is not None:
            self._stroke(self._last, touch)
        else:
            self._stroke(touch, touch)
        self._last = touch
        self._move_ring(touch)
        return True

    def _reaches(self, touch: Touch) -> bool:
        """Whether the brush touches the picture at all."""
        half = self.size / 2 + 1
        whole = QRectF(0, 0, touch.place.size.width(), touch.place.size.height())
        return whole.adjusted(-half, -half, half, half).contains(touch.at)

    def move(self, touch: Touch) -> None:
        if self._image is None or self._last is None:
            return
        if self._outline:
            self.repaint.emit(self._around_outline(touch))
            self._outline.append(touch.at)
        else:
            self._stroke(self._last, touch)
        self._last = touch
        self._move_ring(touch)

    def _stroke(self, start: Touch, end: Touch) -> None:
        assert self._image is not None
        changed = self._image.stroke(
            self._brush(self._erasing), start.at, end.at, (start.pressure, end.pressure)
        )
        self.mask.touched(changed)

    def release(self, touch: Touch) -> None:
        image, self._image = self._image, None
        if image is None:
            return
        outline, self._outline = self._outline, []
        if len(outline) > 2:
            self.mask.touched(image.fill_outline(outline, erase=self._erasing))
        what = "Erase Mask" if self._erasing else "Paint Mask"
        self.mask.end("Lasso Mask" if outline and not self._erasing else what)
        if outline:
            self.repaint.emit(QRectF())

    def cancel(self) -> None:
        if self._image is not None:
            self._image, self._outline = None, []
            self.mask.cancel()
            self.repaint.emit(QRectF())

    def hover(self, touch: Touch | None) -> None:
        self._move_ring(touch)

    def wheel(self, notches: float, touch: Touch) -> bool:
        self.grow(notches)
        return True

    def key_press(self, event: QKeyEvent) -> bool:
        key = event.key()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return False
        step = (key == Qt.Key.Key_BracketRight) - (key == Qt.Key.Key_BracketLeft)
        braced = (key == Qt.Key.Key_BraceRight) - (key == Qt.Key.Key_BraceLeft)
        if braced or (step and event.modifiers() & _SHIFT):
            self.set_hardness(round(self.hardness + 0.1 * (braced or step), 2))
        elif step:
            self.grow(step)
        elif key == Qt.Key.Key_X and not event.isAutoRepeat():
            self.set_mode(Mode.BRUSH if self.mode is Mode.ERASER else Mode.ERASER)
        elif key == Qt.Key.Key_Backslash and self.mask.before:
            self.set_before(True)
        elif key == Qt.Key.Key_Escape and self._image is not None:
            self.cancel()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.mask.image is not None:
            self.clear()
        else:
            return self._brush_by_key(event)
        return True

    def _brush_by_key(self, event: QKeyEvent) -> bool:
        """An arrow moves the brush, with ⇧ it paints on its way, and ↩ paints where it is."""
        key, place = event.key(), self._place
        way = _WAYS.get(key)  # type: ignore[call-overload]
        dabs = key in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if place is None or not (way or dabs) or self.mode is Mode.LASSO or self._image is not None:
            return False
        if event.modifiers() & _ALT:
            return False
        middle = QPointF(place.size.width() / 2, place.size.height() / 2)
        start = end = Touch(self._hover.at if self._hover is not None else middle, place)
        if way is not None:
            by = max(1.0, self.size / 2)
            x = min(max(0.0, start.at.x() + by * way[0]), float(place.size.width()))
            y = min(max(0.0, start.at.y() + by * way[1]), float(place.size.height()))
            end = Touch(QPointF(x, y), place)
        if (dabs or event.modifiers() & _SHIFT) and self.press(start):
            self.move(end)
            self.release(end)
        self._move_ring(end)
        return True

    def key_release(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Backslash and self.showing_before:
            self.set_before(False)
            return True
        return False

    # -- painting -------------------------------------------------------------------------------

    def _on_mask(self, part: QRect) -> None:
        self._overlay.forget(part)
        if part.isNull():
            if not self.mask.before:
                self.set_before(False)
            self.changed.emit()
        if self.in_hand:
            self.repaint.emit(QRectF(part))

    def _ring(self, touch: Touch) -> QRectF:
        """The brush's circle, in pixels of the picture."""
        half = self.size / 2 * (touch.pressure if self._image is not None else 1)
        return QRectF(touch.at.x() - half, touch.at.y() - half, 2 * half, 2 * half)

    def _move_ring(self, touch: Touch | None) -> None:
        self._renew_ring(lambda: setattr(self, "_hover", touch))

    def _renew_ring(self, change: Callable[[], object]) -> None:
        """Change where the circle is, or how large, and have both places painted again."""
        before = self._hover
        places = [self._ring(before)] if before is not None else []
        change()
        if self._hover is not None:
            places.append(self._ring(self._hover))
        for ring, touch in zip(places, (before or self._hover, self._hover), strict=False):
            rim = 3 / (touch.place.scale if touch is not None else 1)
            self.repaint.emit(ring.adjusted(-rim, -rim, rim, rim))

    def _around_outline(self, touch: Touch) -> QRectF:
        points = QPolygonF([self._outline[0], self._outline[-1], touch.at])
        rim = 3 / touch.place.scale
        return points.boundingRect().adjusted(-rim, -rim, rim, rim)

    def paint(self, painter: QPainter, place: PicturePlace, exposed: QRectF) -> None:
        self._place = place
        if self.showing_before:
            if not self._before.isNull():
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                painter.drawImage(place.rect, self._before)
            return
        image = self._image or self.mask.image
        if image is not None and self.shown:
            colour = QColor(current_palette().mask)
            self._overlay.paint(painter, image.image, place, exposed, colour)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self._outline:
            shape = QPolygonF([place.to_surface(point) for point in self._outline])
            for pen in _double_pen():
                painter.setPen(pen)
                painter.drawPolyline(shape)
        touch = self._hover
        if touch is None or self.mode is Mode.LASSO or self.size * place.scale < _SMALL:
            return
        for pen in _double_pen():
            painter.setPen(pen)
            painter.drawEllipse(place.part_to_surface(self._ring(touch)))

    def close(self) -> None:
        """Wait for the worker that reads pictures."""
        self._loader.close()


def _double_pen() -> tuple[QPen, QPen]:
    """A light line on a dark one, seen on every ground."""
    return QPen(QColor(0, 0, 0, 120), 3), QPen(QColor(255, 255, 255, 230), 1.4)
