"""Subjects in other colours: the paint is changed, the drawing stays.

A subject is recoloured where one colour covers much of it: a car's red paint, a fox's coat. All
pixels near that colour move to the new one, keeping their light and shade; eyes, tyres, leaves and
white bellies stay. What has no such colour (a rainbow, the earth) is never shown in another one.

Colours are handled in Oklab (Björn Ottosson, 2020), where lightness and hue are apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: sRGB (linear) to cone response, and its cube root to Oklab, as published.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_CONES, _FROM_OKLAB = np.linalg.inv(_TO_CONES), np.linalg.inv(_TO_OKLAB)

#: Share of a subject's pixels that must be of its main colour, or it is left alone.
ENOUGH_PAINT = 0.4
#: Below this chroma a colour counts as white, gray or black.
GRAY_CHROMA = 0.045
#: The paint of "a <colour> thing" in sRGB 0…255, where it differs from a ground of that name.
PAINTS: dict[str, tuple[int, int, int]] = {
    "white": (238, 238, 240),
    "black": (52, 52, 58),
    "red": (222, 48, 48),
    "orange": (245, 140, 40),
    "yellow": (248, 208, 50),
    "green": (64, 168, 82),
    "blue": (58, 112, 222),
    "purple": (136, 78, 206),
    "pink": (246, 140, 184),
    "gray": (140, 144, 150),
    "brown": (124, 80, 48),
    "teal": (40, 164, 164),
}


def to_oklab(colors: np.ndarray) -> np.ndarray:
    """sRGB 0…255 [..., 3] to Oklab [..., 3]: lightness 0…1, then two axes of chroma."""
    value = np.asarray(colors, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONES.T) @ _TO_OKLAB.T


def from_oklab(colors: np.ndarray) -> np.ndarray:
    """The inverse of ``to_oklab``; colours outside sRGB are clipped."""
    linear = ((colors @ _FROM_OKLAB.T) ** 3) @ _FROM_CONES.T
    linear = linear.clip(0, 1)
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return value * 255


@dataclass(frozen=True)
class Paint:
    """The main colour of one subject.

    Attributes:
        share: Share of the subject's pixels that have it.
        center: Its Oklab colour, the median of those pixels.
        gray: Whether it has next to no hue.
    """

    share: float
    center: np.ndarray
    gray: bool

    @property
    def changes(self) -> bool:
        """Whether the subject may be shown in another colour."""
        return self.share >= ENOUGH_PAINT


def _smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, without a corner between."""
    x = ((value - low) / (high - low)).clip(0, 1)
    return x * x * (3 - 2 * x)


def _membership(pixels: np.ndarray, hue: float, gray: bool) -> np.ndarray:
    """How much each Oklab pixel belongs to the paint of this hue, 0…1."""
    chroma = np.hypot(pixels[..., 1], pixels[..., 2])
    if gray:
        # Outlines, pupils and tyres stay dark.
        return _smooth(-chroma, -2.0 * GRAY_CHROMA, -GRAY_CHROMA) * _smooth(
            pixels[..., 0], 0.3, 0.5
        )
    turn = np.arctan2(pixels[..., 2], pixels[..., 1]) - hue
    away = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
    near = _smooth(-away, -1.0, -0.6)
    return near * _smooth(chroma, 0.5 * GRAY_CHROMA, 1.2 * GRAY_CHROMA)


def find_paint(sprite: np.ndarray) -> Paint:
    """The main colour of a cut-out.

    Args:
        sprite: uint8 [size, size, 4], premultiplied.
    """
    solid = sprite[..., 3] > 200
    pixels = to_oklab(sprite[solid][:, :3])
    chroma = np.hypot(pixels[:, 1], pixels[:, 2])
    colored = chroma > GRAY_CHROMA
    hues = np.arctan2(pixels[:, 2], pixels[:, 1])
    best, center, gray = 0.0, pixels.mean(0), True
    if (share := float(_membership(pixels, 0.0, True).mean())) > 0:
        inside = _membership(pixels, 0.0, True) > 0.5
        if inside.any():
            best, center = share, np.median(pixels[inside], axis=0)
    if colored.any():
        counts, edges = np.histogram(hues[colored], 36, (-np.pi, np.pi), weights=chroma[colored])
        wide = sum(np.roll(counts, shift) for shift in (-2, -1, 0, 1, 2))
        peak = int(np.argmax(wide))
        hue = float((edges[peak] + edges[peak + 1]) / 2)
        member = _membership(pixels, hue, False)
        inside = member > 0.5
        # A coloured coat counts for more than white beside it.
        if inside.any() and (member.mean() >= ENOUGH_PAINT or member.mean() > best):
            best, center = float(member.mean()), np.median(pixels[inside], axis=0)
            gray = False
    return Paint(best, center, gray)


def own_colors(sprite: np.ndarray, share: float = 0.18) -> tuple[str, ...]:
    """The named colours that cover at least ``share`` of a cut-out, and always the largest one.

    Args:
        sprite: uint8 [size, size, 4], premultiplied.
    """
    pixels = to_oklab(sprite[sprite[..., 3] > 200][:, :3])
    known = to_oklab(np.asarray(list(PAINTS.values()), np.float64))
    # Light and shade say less than hue does.
    weights = np.array([0.6, 1.0, 1.0])
    away = np.square((pixels[:, None] - known) * weights).sum(-1)
    counts = np.bincount(away.argmin(1), minlength=len(PAINTS)) / len(pixels)
    names = list(PAINTS)
    order = np.argsort(-counts)
    return tuple(names[i] for i in order if counts[i] >= share or i == order[0])


def repaint(sprite: np.ndarray, paint: Paint, color: str) -> np.ndarray:
    """The subject in another colour.

    Args:
        sprite: uint8 [size, size, 4], premultiplied.

    Returns:
        The same shape and type; edges keep their transparency.
    """
    alpha = sprite[..., 3:].astype(np.float64) / 255
    straight = sprite[..., :3] / np.maximum(alpha, 1 / 255)
    pixels = to_oklab(straight.clip(0, 255))
    hue = float(np.arctan2(paint.center[2], paint.center[1]))
    weight = _membership(pixels, hue, paint.gray)[..., None]
    target = to_oklab(np.asarray(PAINTS[color], np.float64))
    # Light and shade keep their distance to the paint, less of it where the new paint is extreme.
    room = min(1.0, 1.6 * min(target[0], 1.05 - target[0]) / 0.5)
    lightness = (target[0] + room * (pixels[..., 0] - paint.center[0])).clip(0.02, 0.995)
    # Highlights and deep shade hold less colour.
    fade = (1 - np.abs(lightness - target[0]) / 0.75).clip(0.1, 1.0)
    painted = np.stack([lightness, target[1] * fade, target[2] * fade], axis=-1)
    mixed = from_oklab(pixels + weight * (painted - pixels))
    result = sprite.copy()
    result[..., :3] = (mixed * alpha).round().clip(0, 255).astype(np.uint8)
    return result
