"""Where a picture lies in the frame that was moved around it.

Standard library only.
"""

from __future__ import annotations

from gui.start_image import Outpaint, StartImage

MOST_FRAMES = 4
"""How many times as wide and high as its picture a frame may be."""
LEAST_KEPT = 64
"""Pixels of a picture's width and height that a frame leaves at least, of smaller ones all."""
_HAIR = 8
"""Pixels of new ground on a side that nobody moved: the picture is stretched over them instead."""


def frame_size(frame: Outpaint, width: int, height: int) -> tuple[int, int]:
    """Width and height of the frame of a picture, in its pixels."""
    return width + frame.left + frame.right, height + frame.top + frame.bottom


def kept_part(frame: Outpaint, width: int, height: int) -> tuple[int, int, int, int]:
    """What of a picture lies within its frame: left, top, right, bottom."""
    cut = frame.inwards
    return -cut.left, -cut.top, width + cut.right, height + cut.bottom


def placed(
    outpaint: Outpaint, own: tuple[int, int], target: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Where a picture lies in its new frame, when that is made at a given size.

    Args:
        outpaint: by how much each side was moved outwards, in the picture's pixels.
        own: the picture's width and height.
        target: of the whole frame.

    Returns:
        Left, top, width and height.  All of the picture is there; where the target's proportions
        are others than the frame's, there is more new ground.
    """
    margins = (outpaint.left, outpaint.right), (outpaint.top, outpaint.bottom)
    scale = _scale(margins, own, target)
    sides = [max(1, min(round(own[axis] * scale), target[axis])) for axis in (0, 1)]
    before = [0, 0]
    for axis, (first, last) in enumerate(margins):
        slack = target[axis] - sides[axis]
        if not first + last and slack < _HAIR:
            sides[axis], slack = target[axis], 0
        before[axis] = round(slack * first / (first + last)) if first + last else slack // 2
    return before[0], before[1], sides[0], sides[1]


def _scale(
    margins: tuple[tuple[int, int], ...], own: tuple[int, int], target: tuple[int, int]
) -> float:
    frame = [own[axis] + sum(margins[axis]) for axis in (0, 1)]
    contained = min(target[axis] / frame[axis] for axis in (0, 1))
    for axis in (0, 1):
        if not any(margins[axis]) and any(margins[1 - axis]):
            # the side that was not moved fits exactly, where the other keeps most of its ground
            exact = target[axis] / own[axis]
            if target[1 - axis] - own[1 - axis] * exact >= sum(margins[1 - axis]) * exact / 2:
                return exact
    return 1.0 if 1 <= contained < 1.25 else contained


def beginning_in_result(
    start: StartImage, own: tuple[int, int], drawn: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Where all of a starting picture lies in a picture that was made from it.

    Args:
        own: the starting picture's width and height.
        drawn: the other's, before it was enlarged.

    Returns:
        Left, top, width and height in pixels of `drawn`; what was cropped lies beyond it.
    """
    frame = start.outpaint
    if start.keeps_size:
        wide, high = frame_size(frame, *own)
        across, down = drawn[0] / wide, drawn[1] / high
        return frame.left * across, frame.top * down, own[0] * across, own[1] * down
    left, top, right, bottom = kept_part(frame, *own)
    kept = right - left, bottom - top
    if frame.outwards:
        x, y, width, height = map(float, placed(frame.outwards, kept, drawn))
    else:  # cut to the proportions around its centre
        scale = max(drawn[0] / kept[0], drawn[1] / kept[1])
        width, height = kept[0] * scale, kept[1] * scale
        x, y = (drawn[0] - width) / 2, (drawn[1] - height) / 2
    across, down = width / kept[0], height / kept[1]
    return x - left * across, y - top * down, own[0] * across, own[1] * down
