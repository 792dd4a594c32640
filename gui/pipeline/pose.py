"""People's joints drawn as the pose ControlNets were trained on them.

Joints, limbs and colours are OpenPose's 18-joint body as ControlNet's own annotator draws it: limbs
as lens shapes at six tenths of their colour, joints as dots.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw
from PIL.Image import Image as PillowImage

from gui.mac.vision import JOINTS, Person

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of joints, by their places in `JOINTS`."""
COLOURS = tuple(
    tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue / 18, 1.0, 1.0))
    for hue in range(18)
)
"""Of limbs and of joints, in their order."""
_HALF_WIDTH = 4.0
"""Of a limb, and radius of a joint, in a picture of 512 pixels."""
_SHADE = 0.6
_CORNERS = 24


def drawn_pose(people: Sequence[Person], width: int, height: int) -> PillowImage:
    """Skeletons on black, mode RGB."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    thick = max(1.0, _HALF_WIDTH * max(width, height) / 512)
    for person in people:
        places = [person.get(name) for name in JOINTS]
        points = [(p[0] * width, p[1] * height) if p is not None else None for p in places]
        for (first, last), colour in zip(LIMBS, COLOURS, strict=False):
            one, other = points[first], points[last]
            if one is not None and other is not None:
                shaded = tuple(int(_SHADE * part) for part in colour)
                draw.polygon(_lens(one, other, thick), fill=shaded)
        for point, colour in zip(points, COLOURS, strict=True):
            if point is not None:
                x, y = point
                draw.ellipse((x - thick, y - thick, x + thick, y + thick), fill=colour)
    return picture


def _lens(
    one: tuple[float, float], other: tuple[float, float], half: float
) -> list[tuple[float, float]]:
    """The corners of an ellipse from one point to another."""
    x, y = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
    dx, dy = (other[0] - one[0]) / 2, (other[1] - one[1]) / 2
    length = math.hypot(dx, dy) or 1.0
    across = (-dy / length * half, dx / length * half)
    turns = (2 * math.pi * n / _CORNERS for n in range(_CORNERS))
    return [
        (
            x + dx * math.cos(turn) + across[0] * math.sin(turn),
            y + dy * math.cos(turn) + across[1] * math.sin(turn),
        )
        for turn in turns
    ]
