"""Draw Sfumato's app icon: a ribbon of coloured smoke that writes an S, out of soft edges only.

Usage: ``make icon``; writes `resources/icon.png` (1024²) and `resources/icon.icns`.

The smoke is a sheet of thousands of fine strands that twists as it runs along the S.  Each strand
leaves a little light; where the sheet turns edge-on the strands crowd together and glow, as the
folds of real smoke do.  The body follows Apple's template for macOS icons: an 824-pixel rounded
square centred in 1024, with a soft shadow beneath.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIZE = 1024
BODY = 824
"""Side of the rounded square, by Apple's template."""
OVERSAMPLING = 2
SEED = 3

_TOP = (0.155, 0.125, 0.30)
_BOTTOM = (0.030, 0.040, 0.105)
# Colours of the smoke from the upper end of the S to the lower one.
_STOPS = (0.0, 0.28, 0.52, 0.76, 1.0)
_COLOURS = (
    (1.00, 0.80, 0.52),  # candle
    (1.00, 0.52, 0.47),  # rose
    (0.78, 0.43, 0.86),  # violet
    (0.38, 0.55, 1.00),  # dusk
    (0.32, 0.88, 0.90),  # mist
)


def draw() -> Image.Image:
    """The icon, RGBA, 1024 by 1024."""
    side = BODY * OVERSAMPLING
    light = _background(side) + _smoke(side)
    # Filmic shoulder: highlights roll off instead of clipping.
    colour = 1.0 - np.exp(-1.5 * light)
    pixels = (255.0 * np.clip(colour, 0.0, 1.0) ** (1 / 1.15) + 0.5).astype(np.uint8)
    body = Image.fromarray(pixels, "RGB").resize((BODY, BODY), Image.Resampling.LANCZOS)

    icon = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    margin = (SIZE - BODY) // 2
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(_rounded_square(), (margin, margin))
    shadow = Image.new("L", (SIZE, SIZE), 0)
    shadow.paste(mask.crop((0, 0, SIZE, SIZE - 12)), (0, 12))
    shadow = shadow.filter(ImageFilter.GaussianBlur(14)).point(lambda value: int(0.36 * value))
    icon.putalpha(shadow)
    canvas = Image.new("RGB", (SIZE, SIZE))
    canvas.paste(body, (margin, margin))
    icon.paste(canvas, (0, 0), mask)
    return icon


def _rounded_square() -> Image.Image:
    """Mask of the body: straight sides that flow into superelliptic corners."""
    side, corner, power = BODY * 4, 0.30, 2.8
    edge = np.abs(np.linspace(-0.5, 0.5, side))
    bend = np.clip((edge - (0.5 - corner)) / corner, 0.0, 1.0) ** power
    inside = (bend[:, None] + bend[None, :] <= 1.0).astype(np.uint8) * 255
    return Image.fromarray(inside, "L").resize((BODY, BODY), Image.Resampling.BOX)


def _background(side: int) -> np.ndarray:
    """Night air, float [side, side, 3]: darker below, a breath of light behind the smoke."""
    y, x = np.mgrid[0:side, 0:side] / side
    fade = y[..., None] ** 0.9
    air = (1 - fade) * np.array(_TOP) + fade * np.array(_BOTTOM)
    glow = np.exp(-(((x - 0.52) / 0.34) ** 2 + ((y - 0.46) / 0.36) ** 2))
    return air * 0.55 + glow[..., None] * np.array([0.16, 0.09, 0.22])


def _smoke(side: int) -> np.ndarray:
    """Light of the smoke, float [side, side, 3]."""
    rng = np.random.default_rng(SEED)
    light = np.zeros((side, side, 3))
    # Broad faint sheets first, then narrow bright ones.
    for width, strands, weight in ((0.112, 1500, 0.60), (0.078, 1300, 0.90), (0.040, 800, 0.85)):
        light += weight * _sheet(side, width, strands, rng)
    return light


def _sheet(side: int, width: float, strands: int, rng: np.random.Generator) -> np.ndarray:
    """One twisting sheet of smoke along the S, normalised to a peak near 1."""
    t = np.linspace(0.0, 1.0, 3600)
    x, y, normal_x, normal_y = _letter(t)
    envelope = np.sin(np.pi * np.clip(t, 0, 1)) ** 0.55
    twist, waves = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi, 3)
    red, green, blue = (
        np.interp(t, _STOPS, [colour[channel] for colour in _COLOURS]) for channel in range(3)
    )
    planes = [np.zeros(side * side) for _ in range(3)]
    for u in np.linspace(-1.0, 1.0, strands):
        # Across the sheet the twist lags, so folds run diagonally like blown silk.
        angle = twist + 7.2 * t + 1.15 * u * np.sin(5.0 * t + waves[0])
        offset = u * np.cos(angle) + 0.30 * np.sin(9.0 * t + 1.7 * u + waves[1])
        offset = offset + 0.14 * np.sin(19.0 * t + 3.1 * u + waves[2])
        reach = width * envelope * offset
        jitter = rng.normal(0.0, 0.0006, t.size)
        column = ((x + normal_x * reach + jitter) * side).astype(int)
        row = ((y + normal_y * reach + jitter) * side).astype(int)
        good = (column >= 0) & (column < side) & (row >= 0) & (row < side)
        place = row[good] * side + column[good]
        strength = (envelope * (1.0 - 0.55 * u * u))[good]
        for plane, colour in zip(planes, (red, green, blue), strict=True):
            plane += np.bincount(place, strength * colour[good], minlength=side * side)
    sheet = np.stack([_blur(plane.reshape(side, side), side) for plane in planes], axis=-1)
    return sheet / np.percentile(sheet.max(axis=-1), 99.3)


def _letter(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centre line of the S in the unit square, and its unit normals.

    Two arcs that meet in the middle: over the upper bowl leftwards, then through the lower one.
    """
    radius, sweep, lean = 0.172, np.radians(238), 1.16
    along = np.linspace(0.0, 1.0, 2000)
    upper = np.pi / 2 + sweep * (1 - along)
    lower = -np.pi / 2 + sweep * along
    x = np.concatenate([np.cos(upper), np.cos(lower)[1:]]) * radius * lean
    y = np.concatenate([np.sin(upper) - 1, 1 + np.sin(lower)[1:]]) * radius
    # Let the ends drift outwards, like smoke that loosens.
    loose = np.linspace(-1.0, 1.0, x.size)
    x, y = x * (1 + 0.22 * loose**4), y * (1 + 0.05 * loose**4)
    # Even out the jump of curvature where the arcs meet.
    window = np.hanning(701) / np.hanning(701).sum()
    x, y = (np.convolve(np.pad(v, 350, "edge"), window, "valid") for v in (x, y))
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    x, y = (np.interp(t, steps / steps[-1], v) for v in (x, y))
    dx, dy = np.gradient(x), np.gradient(y)
    length = np.hypot(dx, dy)
    return 0.5 + x, 0.5 + y, -dy / length, dx / length


def _blur(plane: np.ndarray, side: int) -> np.ndarray:
    """Soften without losing the threads: a narrow and two wide Gaussians, mixed."""
    from scipy.ndimage import gaussian_filter

    scale = side / 1648
    fine = gaussian_filter(plane, 1.4 * scale)
    soft = gaussian_filter(plane, 9.0 * scale)
    haze = gaussian_filter(plane, 46.0 * scale)
    return 0.50 * fine + 0.34 * soft + 0.42 * haze


def main() -> None:
    resources = Path(__file__).resolve().parents[1] / "resources"
    icon = draw()
    icon.save(resources / "icon.png", optimize=True)
    icon.save(resources / "icon.icns")


if __name__ == "__main__":
    main()
