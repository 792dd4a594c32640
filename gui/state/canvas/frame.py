"""The frame of the picture on the canvas: how far each side is moved, and to what sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Signal

from gui import framing
from gui.framing import LEAST_KEPT, MOST_FRAMES
from gui.start_image import MAX_CROP, MAX_OUTPAINT, InpaintArea, Outpaint

if TYPE_CHECKING:
    from gui.state.draft import DraftState
    from gui.state.undo import UndoStack

STEP = 64
"""Sides of pictures are multiples of this, in pixels."""
START, FRAME, MASK = "start_image.path", "start_image.outpaint", "start_image.mask"
AREA = "start_image.inpaint_area"
SIDES = ("left", "top", "right", "bottom")
_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
RATIOS = ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (4, 5), (3, 4), (2, 3), (9, 16), (1, 2))
"""Of width to height, that a frame can be made to have."""


def length(size: QSize, side: str) -> int:
    """Of the picture along which a side is moved."""
    return size.width() if side in ("left", "right") else size.height()


def framed(size: QSize, frame: Outpaint) -> QSize:
    """Of the whole, in pixels of the picture."""
    return QSize(*framing.frame_size(frame, size.width(), size.height()))


def limits(size: QSize, frame: Outpaint, side: str) -> tuple[int, int]:
    """How far in (below zero) and how far out a side can be moved, the opposite one being where it
    is."""
    whole, other = length(size, side), getattr(frame, _OPPOSITE[side])
    least = max(-MAX_CROP, min(LEAST_KEPT, whole) - whole - min(0, other))
    return min(0, least), max(0, min(MAX_OUTPAINT, (MOST_FRAMES - 1) * whole - max(0, other)))


def moved(
    size: QSize, frame: Outpaint, side: str, by: float, *, snap: bool = True, both: bool = False
) -> Outpaint:
    """A frame with one side at another place.

    Args:
        size: of the picture.
        side: ``left``, ``top``, ``right`` or ``bottom``.
        by: how far it is out, in pixels of the picture; below zero it crops.
        snap: whether the whole is to be a multiple of 64 long, or the side the picture's own.
        both: whether the opposite side goes as far.
    """
    whole, other = length(size, side), _OPPOSITE[side]
    kept = 0 if both else getattr(frame, other)
    times = 2 if both else 1
    if snap:
        wanted = round((whole + kept + times * by) / STEP) * STEP
        near = (wanted - whole - kept) / times
        by = near if abs(near - by) < abs(by) else 0
    least, most = limits(size, frame, side)
    if both:  # neither may go so far that there is no room for the other
        least = -((whole - min(LEAST_KEPT, whole)) // 2)
        most = min(MAX_OUTPAINT, (MOST_FRAMES - 1) * whole // 2)
    far = int(min(most, max(least, round(by))))
    return replace(frame, **{side: far, **({other: far} if both else {})})


def stepped(size: QSize, frame: Outpaint, side: str, steps: int) -> Outpaint:
    """A frame with one side so many steps of 64 further out, or in."""
    return moved(size, frame, side, getattr(frame, side) + steps * STEP)


def shifted(frame: Outpaint, x: float, y: float) -> Outpaint:
    """A frame of the same size that lies so many pixels further right and down; a larger one stays
    around the picture, a smaller one in it."""
    wide, high = frame.left + frame.right, frame.top + frame.bottom
    left = min(max(0, wide, frame.left), max(min(0, wide, frame.left), round(frame.left - x)))
    top = min(max(0, high, frame.top), max(min(0, high, frame.top), round(frame.top - y)))
    return Outpaint(left=left, right=wide - left, top=top, bottom=high - top)


def with_length(size: QSize, frame: Outpaint, across: bool, wanted: int) -> Outpaint:
    """A frame so many pixels wide, or high, what is new or cropped parted as it was; evenly at
    first."""
    first, last = ("left", "right") if across else ("top", "bottom")
    whole = length(size, first)
    most = min((MOST_FRAMES - 1) * whole, 2 * MAX_OUTPAINT)
    room = int(min(max(min(LEAST_KEPT, whole) - whole, wanted - whole), most))
    one, other = getattr(frame, first), getattr(frame, last)
    parted = one * other >= 0 and (one + other) * room > 0
    share = one / (one + other) if parted else 0.5
    near = min(MAX_OUTPAINT, max(room - MAX_OUTPAINT, round(room * share)))
    return replace(frame, **{first: near, last: room - near})


def with_ratio(size: QSize, width: int, height: int) -> Outpaint:
    """The smallest frame around a picture that is so wide in proportion to its height, the picture
    in its middle."""
    wide = max(size.width(), math.ceil(size.height() * width / height))
    high = max(size.height(), math.ceil(size.width() * height / width))
    return with_length(size, with_length(size, Outpaint(), True, wide), False, high)


def cropped_to(size: QSize, width: int, height: int) -> Outpaint:
    """The largest frame within a picture that is so wide in proportion to its height, in its
    middle."""
    wide = min(size.width(), round(size.height() * width / height))
    high = min(size.height(), round(size.width() * height / width))
    return with_length(size, with_length(size, Outpaint(), True, wide), False, high)


class FrameState(QObject):
    """The frame of the picture on show, kept in the draft.

    Args:
        draft: gets picture and frame.
        undo: knows whether something is being undone.
    """

    changed = Signal()
    """The picture on show has another frame, or another picture is on show."""

    def __init__(self, draft: DraftState, undo: UndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.area_for: Callable[[QSize], InpaintArea | None] = lambda _size: None
        """What of a picture of this size is best drawn; None: as it was before."""
        self._draft = draft
        self._undo = undo
        self._last = self._values()
        self.path = ""
        """Of the picture on show."""
        self.size = QSize()
        draft.changed.connect(self._on_draft)

    def look(self, path: str, size: QSize) -> None:
        """This finished picture is on show; an empty path: none is."""
        self.path, self.size = path, QSize(size)
        self.changed.emit()

    @property
    def frame(self) -> Outpaint:
        """Of the picture on show."""
        mine = self.path and self._draft.value(START) == self.path
        return self._draft.value(FRAME) if mine else Outpaint()

    def set(self, frame: Outpaint, what: str = "Move Frame") -> None:
        """Give the picture on show another frame, which makes it the starting picture.

        Args:
            what: after “Undo” in the menu.
        """
        if not self.path or frame == self.frame:
            return
        draft = self._draft.draft
        if draft.value(START) != self.path:
            draft = draft.with_value(START, self.path).with_value(MASK, "")
        if not self.frame and (area := self.area_for(self.size)) is not None:
            draft = draft.with_value(AREA, area)
        self._last = (self.path, frame)
        self._draft.replace(draft.with_value(FRAME, frame), what)

    def _values(self) -> tuple[str, Outpaint]:
        return str(self._draft.value(START) or ""), self._draft.value(FRAME) or Outpaint()

    def _on_draft(self, name: str) -> None:
        if name not in (START, FRAME):
            return
        before, now = self._last, self._values()
        self._last = now
        # what was moved around one picture is not meant for another; settings that are used bring
        # a frame of their own
        other = bool(before[0]) and before[0] != now[0] and before[1] == now[1]
        if other and now[1] and not self._undo.stepping:
            draft = self._draft.draft.with_value(FRAME, Outpaint())
            self._draft.replace(draft, "Change Starting Picture")
        self.changed.emit()
