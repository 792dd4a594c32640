"""The frame tool: the picture's edges are dragged outwards, where what is new is painted, or
inwards, which crops it."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import QColor, QCursor, QFontMetrics, QKeyEvent, QPainter, QPainterPath, QPen

from gui import words
from gui.start_image import Outpaint
from gui.state.canvas.frame import FrameState, framed, moved, shifted, stepped
from gui.ui.canvas.tools import PicturePlace, PictureTool, Touch
from gui.ui.widgets.appearance import current_palette, sized_font

REACH = 14.0
"""How near an edge is taken hold of, in device-independent pixels."""
ROOM = 0.1
"""Around the frame there is room to drag it into, as a share of it on each side."""
KNOB, BAR = 9.0, 34.0
_CONTROL, _ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
_ARROWS = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Up: "top",
    Qt.Key.Key_Down: "bottom",
}
_CURSORS = {
    frozenset(("left",)): Qt.CursorShape.SizeHorCursor,
    frozenset(("right",)): Qt.CursorShape.SizeHorCursor,
    frozenset(("top",)): Qt.CursorShape.SizeVerCursor,
    frozenset(("bottom",)): Qt.CursorShape.SizeVerCursor,
    frozenset(("left", "top")): Qt.CursorShape.SizeFDiagCursor,
    frozenset(("right", "bottom")): Qt.CursorShape.SizeFDiagCursor,
    frozenset(("right", "top")): Qt.CursorShape.SizeBDiagCursor,
    frozenset(("left", "bottom")): Qt.CursorShape.SizeBDiagCursor,
}
CROPPED = QColor(0, 0, 0, 150)
"""Over what is cut off."""
MOVE = frozenset(("move",))


class FrameTool(PictureTool):
    """Args:
    state: whose frame it is, and where it is kept.
    """

    moved = Signal()
    """The frame as it is seen is another one."""
    began = Signal()
    """It was taken hold of: the picture on show is to stay."""
    said = Signal(str)
    """To be read aloud."""

    def __init__(self, state: FrameState) -> None:
        super().__init__("frame", "Frame", "tool-frame")
        self.state = state
        self._held: frozenset[str] = frozenset()
        self._from = QPointF()
        self._dragged: Outpaint | None = None
        state.changed.connect(self._on_state)

    @property
    def frame(self) -> Outpaint:
        """As it is seen: while it is dragged, the draft's is still the earlier one."""
        return self._dragged if self._dragged is not None else self.state.frame

    @property
    def size(self) -> QSize:
        """Of the whole, in pixels of the picture."""
        return framed(self.state.size, self.frame)

    def look(self, path: str, size: QSize) -> None:
        """This finished picture is on show; an empty path: none is."""
        self.cancel()
        self.state.look(path, size)

    def _on_state(self) -> None:
        self.extent_changed.emit()
        self.moved.emit()
        self.repaint.emit(QRectF())

    def set(self, frame: Outpaint, what: str = "Move Frame") -> None:
        """Give the picture this frame."""
        self.began.emit()
        self.state.set(frame, what)
        self.said.emit(words.pixels(self.size.width(), self.size.height()))

    # -- the surface --------------------------------------------------------------------------

    def _rect(self) -> QRectF:
        """The frame in pixels of the picture."""
        frame, size = self.frame, self.state.size
        whole = QRectF(QPointF(0, 0), QSizeF(size))
        return whole.adjusted(-frame.left, -frame.top, frame.right, frame.bottom)

    def extent(self) -> QRectF:
        frame, size = self.state.frame.outwards, self.state.size
        whole = QRectF(QPointF(0, 0), QSizeF(size))
        return whole.adjusted(-frame.left, -frame.top, frame.right, frame.bottom)

    def margin(self) -> QSizeF:
        return QSizeF(ROOM, ROOM)

    def _hit(self, touch: Touch) -> frozenset[str]:
        """Which sides are taken hold of there; `MOVE` inside of one that was moved."""
        rect, at = touch.place.part_to_surface(self._rect()), touch.on_surface
        if not rect.adjusted(-REACH, -REACH, REACH, REACH).contains(at):
            return frozenset()
        near = {
            "left": abs(at.x() - rect.left()),
            "right": abs(at.x() - rect.right()),
            "top": abs(at.y() - rect.top()),
            "bottom": abs(at.y() - rect.bottom()),
        }
        sides = frozenset(side for side, away in near.items() if away <= REACH)
        if sides:
            return sides if sides in _CURSORS else frozenset((min(near, key=lambda s: near[s]),))
        return MOVE if self.frame else frozenset()

    def cursor(self, touch: Touch) -> QCursor | Qt.CursorShape:
        held = self._held or self._hit(touch)
        if held == MOVE:
            return Qt.CursorShape.SizeAllCursor
        return _CURSORS.get(held, Qt.CursorShape.ArrowCursor)

    def press(self, touch: Touch) -> bool:
        self._held = self._hit(touch)
        if not self._held:
            return False
        self.began.emit()
        self._from = touch.at
        self._dragged = self.state.frame
        return True

    def move(self, touch: Touch) -> None:
        if self._dragged is None:
            return
        size, frame, begun = self.state.size, self._dragged, self.state.frame
        if self._held == MOVE:
            by = touch.at - self._from
            frame = shifted(begun, by.x(), by.y())
        else:
            away = {
                "left": -touch.at.x(),
                "top": -touch.at.y(),
                "right": touch.at.x() - size.width(),
                "bottom": touch.at.y() - size.height(),
            }
            snap, both = not touch.held(_CONTROL), touch.held(_ALT)
            for side in self._held:
                frame = moved(size, frame, side, away[side], snap=snap, both=both)
        if frame != self._dragged:
            self._dragged = frame
            self.moved.emit()
            self.repaint.emit(QRectF())

    def release(self, touch: Touch) -> None:
        frame, self._dragged, self._held = self._dragged, None, frozenset()
        if frame is not None:
            self.set(frame)
            self._on_state()

    def cancel(self) -> None:
        if self._dragged is not None:
            self._dragged, self._held = None, frozenset()
            self._on_state()

    def key_press(self, event: QKeyEvent) -> bool:
        """An arrow moves its side outwards, with ⇧ inwards again."""
        if event.key() == Qt.Key.Key_Escape and self._dragged is not None:
            self.cancel()
            return True
        side = _ARROWS.get(event.key())  # type: ignore[call-overload]
        if side is None or event.modifiers() & (_CONTROL | _ALT) or self._dragged is not None:
            return False
        steps = -1 if event.modifiers() & _SHIFT else 1
        self.set(stepped(self.state.size, self.state.frame, side, steps))
        return True

    # -- painting -----------------------------------------------------------------------------

    def paint(self, painter: QPainter, place: PicturePlace, exposed: QRectF) -> None:
        palette = current_palette()
        rect = place.part_to_surface(self._rect())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        accent = QColor(palette.accent)
        if self.frame:
            ground, inner = QPainterPath(), QPainterPath()
            ground.addRect(rect)
            inner.addRect(place.rect)
            tint = QColor(accent)
            tint.setAlpha(36)
            painter.fillPath(ground.subtracted(inner), tint)
            painter.fillPath(inner.subtracted(ground), CROPPED)
        for colour, width in ((QColor(0, 0, 0, 70), 3.0), (accent, 1.5)):
            painter.setPen(QPen(colour, width))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(rect)
        self._paint_handles(painter, rect, accent)
        self._paint_size(painter, rect)

    def _paint_handles(self, painter: QPainter, rect: QRectF, accent: QColor) -> None:
        middle = rect.center()
        shapes = [QRectF(0, 0, KNOB, KNOB) for _ in range(4)]
        corners = (rect.topLeft(), rect.topRight(), rect.bottomLeft(), rect.bottomRight())
        for shape, at in zip(shapes, corners, strict=True):
            shape.moveCenter(at)
        long_x, long_y = min(BAR, rect.width() / 3), min(BAR, rect.height() / 3)
        for x, y, width, height in (
            (middle.x(), rect.top(), long_x, 6), (middle.x(), rect.bottom(), long_x, 6),
            (rect.left(), middle.y(), 6, long_y), (rect.right(), middle.y(), 6, long_y),
        ):  # fmt: skip
            bar = QRectF(0, 0, width, height)
            bar.moveCenter(QPointF(x, y))
            shapes.append(bar)
        painter.setPen(QPen(accent, 1.5))
        painter.setBrush(QColor("#FFFFFF"))
        for shape in shapes:
            radius = min(shape.width(), shape.height()) / 2
            painter.drawRoundedRect(shape, radius, radius)

    def _paint_size(self, painter: QPainter, rect: QRectF) -> None:
        """How large the whole is, below the middle of its lower edge."""
        palette, size = current_palette(), self.size
        text = f"{size.width()} × {size.height()}"
        font = sized_font(12, bold=True)
        width = QFontMetrics(font).horizontalAdvance(text) + 18
        pill = QRectF(0, 0, width, 22)
        pill.moveCenter(QPointF(rect.center().x(), rect.bottom() + 19))
        ground = QColor(palette.overlay)
        ground.setAlpha(235)
        painter.setPen(QPen(QColor(palette.border_strong), 1))
        painter.setBrush(ground)
        painter.drawRoundedRect(pill, 11, 11)
        painter.setFont(font)
        painter.setPen(QColor(palette.text))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
