"""What a tool of the canvas is: the strip's button, the options beside it, what the pointer does.

A tool is one `Tool`.  The strip shows its symbol, the menu Tools its name and key, the bar above
the picture its options while it is in hand.  Whoever wants no pointer on the picture, only options
(as the ControlNets do), plugs a widget in and is done::

    canvas.tools.add(OptionsTool("control", "Control", "tool-control", ControlOptions(studio)))

`ControlOptions` is any widget: as wide as the bar (`BAR_WIDTH`) at most, a row or two high (a
`FlowLayout` wraps where the window is narrow); what needs more room opens from a button in it.  Its
key must have an entry in `TOOLS`, where its letter is.  ``tool.set_reason("This model has no …;
choose one that has.")`` puts one line in the place of the options, ``""`` brings them back, and
`set_present` takes the tool's button away and brings it back.

A tool that works on the picture is a `PictureTool` that overrides `press`, `move`, `release` and
`paint`.  The picture's surface hands it every pointer event as a `Touch`, in pixels of the picture
whatever zoom, place and screen, and takes care of panning (space, middle button), zooming and of
pens and mice being one thing.  It paints over the picture in `paint`, and says by `repaint` which
part of the picture must be painted again, so that a stroke on a large picture costs no more than
one on a small one.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import QCursor, QKeyEvent, QPainter
from PySide6.QtWidgets import QWidget

TOOLS = (
    ("look", "Look", "V"),
    ("mask", "Mask", "B"),
    ("frame", "Frame", "C"),
    ("control", "Control", "K"),
)
"""Keys in the window, in the strip's order; text and letter of their entries in the menu Tools.  A
text field keeps its letters to itself."""
BAR_WIDTH = 680
"""Device-independent pixels that the options may be wide."""


@dataclass(frozen=True)
class PicturePlace:
    """Where the picture lies on the surface that shows it.

    Args:
        rect: the whole picture, in the surface's device-independent pixels.
        size: of the picture, in its own pixels.
    """

    rect: QRectF
    size: QSize

    @property
    def scale(self) -> float:
        """Device-independent pixels per pixel of the picture."""
        return self.rect.width() / max(1, self.size.width())

    def to_picture(self, at: QPointF) -> QPointF:
        """A point of the surface in pixels of the picture; (0, 0) is its left upper corner."""
        return QPointF(
            (at.x() - self.rect.left()) * self.size.width() / self.rect.width(),
            (at.y() - self.rect.top()) * self.size.height() / self.rect.height(),
        )

    def to_surface(self, at: QPointF) -> QPointF:
        """The reverse of `to_picture`."""
        return QPointF(
            self.rect.left() + at.x() * self.rect.width() / self.size.width(),
            self.rect.top() + at.y() * self.rect.height() / self.size.height(),
        )

    def part_to_surface(self, part: QRectF) -> QRectF:
        """A part of the picture, in its pixels, on the surface."""
        return QRectF(self.to_surface(part.topLeft()), self.to_surface(part.bottomRight()))

    def part_to_picture(self, part: QRectF) -> QRectF:
        """A part of the surface in pixels of the picture."""
        return QRectF(self.to_picture(part.topLeft()), self.to_picture(part.bottomRight()))


@dataclass(frozen=True)
class Touch:
    """Where a mouse, a finger or a pen is, and how."""

    at: QPointF
    """In pixels of the picture; beyond it too, once a press has begun inside."""
    place: PicturePlace
    pressure: float = 1.0
    """Of a pen, from 0 to 1; of a mouse always 1."""
    eraser: bool = False
    """Whether it is a pen's other end."""
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier

    @property
    def on_surface(self) -> QPointF:
        return self.place.to_surface(self.at)

    def held(self, modifier: Qt.KeyboardModifier) -> bool:
        return bool(self.modifiers & modifier)


class Tool(QObject):
    """A tool of the canvas; this one does nothing on the picture, which can be dragged out.

    Args:
        key: by which the window knows it, an entry of `TOOLS`.
        name: on the button's tip, to VoiceOver and in the options.
        symbol: file name without suffix in ``resources/icons``.
    """

    changed = Signal()
    """What it can do, or why it cannot, is something else now."""
    repaint = Signal(QRectF)
    """This part of the picture, in its pixels, is to be painted again; a null one: all there is."""
    extent_changed = Signal()
    """What of the plane around the picture is to be seen is something else now."""

    def __init__(self, key: str, name: str, symbol: str) -> None:
        super().__init__()
        self.key = key
        self.name = name
        self.symbol = symbol
        self.in_hand = False
        self._reason = ""
        self._present = True

    # -- what the strip and the bar ask ---------------------------------------------------------

    @property
    def options(self) -> QWidget | None:
        """What is set of it, shown while it is in hand; None: nothing is."""
        return None

    @property
    def reason(self) -> str:
        """Why it cannot be used, with the way out, in one line; empty: it can."""
        return self._reason

    def set_reason(self, reason: str) -> None:
        if reason != self._reason:
            self._reason = reason
            self.changed.emit()

    @property
    def present(self) -> bool:
        """Whether it has a button at all."""
        return self._present

    def set_present(self, present: bool) -> None:
        if present != self._present:
            self._present = present
            self.changed.emit()

    def take(self) -> None:
        """It was taken in hand."""
        self.in_hand = True

    def lay_down(self) -> None:
        """Another one was taken."""
        self.in_hand = False

    # -- what the picture's surface asks --------------------------------------------------------

    @property
    def works_on_picture(self) -> bool:
        """Whether the pointer is its own while it is in hand; else the picture is dragged out."""
        return False

    @property
    def paints(self) -> bool:
        """Whether it paints over the picture while it is in hand."""
        return self.works_on_picture

    def extent(self) -> QRectF:
        """What is to be seen when the picture is fitted, in its pixels; a null one: the picture."""
        return QRectF()

    def margin(self) -> QSizeF:
        """Room that it wants around that for being dragged into, in parts of its size."""
        return QSizeF(0, 0)

    def cursor(self, touch: Touch) -> QCursor | Qt.CursorShape:
        return Qt.CursorShape.ArrowCursor

    def press(self, touch: Touch) -> bool:
        """A press, of the main button or a pen's tip; True: it is taken, and `move` and `release`
        follow."""
        return False

    def move(self, touch: Touch) -> None:
        """The pointer moved after a press that was taken."""

    def release(self, touch: Touch) -> None:
        """It was let go."""

    def cancel(self) -> None:
        """What a press began is not gone on with: the picture went, or the tool was laid down."""

    def hover(self, touch: Touch | None) -> None:
        """The pointer is over the picture, without a press; None: it went away."""

    def wheel(self, notches: float, touch: Touch) -> bool:
        """The wheel was turned with ⌥ held; True: it is taken."""
        return False

    def key_press(self, event: QKeyEvent) -> bool:
        """A key went down while the canvas has the focus; True: it is taken."""
        return False

    def key_release(self, event: QKeyEvent) -> bool:
        return False

    def paint(self, painter: QPainter, place: PicturePlace, exposed: QRectF) -> None:
        """Paint over the picture, in the surface's coordinates.

        Args:
            exposed: the part of the surface that is painted.
        """


class OptionsTool(Tool):
    """A tool that is its options alone.

    Args:
        key, name, symbol: as `Tool`.
        options: its widget.
    """

    def __init__(self, key: str, name: str, symbol: str, options: QWidget) -> None:
        super().__init__(key, name, symbol)
        self._options = options

    @property
    def options(self) -> QWidget | None:
        return self._options


class PictureTool(Tool):
    """A tool whose pointer works on the picture; what is set of it is given to it once both are
    there.

    Args:
        key, name, symbol: as `Tool`.
    """

    def __init__(self, key: str, name: str, symbol: str) -> None:
        super().__init__(key, name, symbol)
        self._widget: QWidget | None = None

    @property
    def options(self) -> QWidget | None:
        return self._widget

    def set_options(self, widget: QWidget) -> None:
        """What is shown of it above the picture."""
        self._widget = widget
        self.changed.emit()

    @property
    def works_on_picture(self) -> bool:
        return True
