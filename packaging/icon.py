"""Draw Sfumato's app icon: a ribbon of coloured smoke that writes an S, out of soft edges only.

Usage: ``make icon``; writes `resources/icon.png` (1024²) and `resources/icon.icns`, and below
`packaging/macos/icons` the icon of documents and `AppIcon.icon`, the layers that macOS 26 puts
together itself: `compile_icon.sh` makes what it reads of them, on a Mac.

The smoke is a sheet of thousands of fine strands that twists as it runs along the S.  Each strand
leaves a little light; where the sheet turns edge-on the strands crowd together and glow, as the
folds of real smoke do.  The body follows Apple's template for macOS icons: an 824-pixel rounded
square centred in 1024, with a soft shadow beneath.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

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


SHEETS = ((0.112, 1500, 0.60), (0.078, 1300, 0.90), (0.040, 800, 0.85))
"""Width, strands and weight of each sheet of smoke: broad faint ones first, then narrow bright."""


def draw(smoke: np.ndarray) -> Image.Image:
    """The icon, RGBA, 1024 by 1024.

    Args:
        smoke: its light, float [side, side, 3].
    """
    body = _pixels(_background(smoke.shape[0]) + smoke).resize(
        (BODY, BODY), Image.Resampling.LANCZOS
    )
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


def _pixels(light: np.ndarray) -> Image.Image:
    """Light as a picture.  Filmic shoulder: highlights roll off instead of clipping."""
    colour = np.clip(1.0 - np.exp(-1.5 * light), 0.0, 1.0) ** (1 / 1.15)
    return Image.fromarray((255.0 * colour + 0.5).astype(np.uint8), "RGB")


def layer(light: np.ndarray) -> Image.Image:
    """Light as a layer, RGBA, 1024 by 1024: as opaque as it is bright."""
    colour = np.asarray(_pixels(light), np.float64)
    alpha = colour.max(axis=-1, keepdims=True)
    pixels = np.concatenate([255.0 * colour / np.maximum(alpha, 1.0), alpha], axis=-1)
    whole = Image.fromarray((pixels + 0.5).astype(np.uint8), "RGBA")
    return whole.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def description() -> dict[str, Any]:
    """`icon.json` of the layered icon, in the form that Icon Composer writes; front comes first.

    The layers are full, without rounding or shadow: the system adds those, and its glass.
    """

    def colour(light: tuple[float, float, float]) -> str:
        pixel: Any = _pixels(np.array([[light]])).getpixel((0, 0))
        return "srgb:" + ",".join(f"{value / 255:.5f}" for value in pixel) + ",1.00000"

    def part(name: str) -> dict[str, Any]:
        return {
            "glass": False,
            "hidden": False,
            "image-name": f"{name}.png",
            "name": name,
            "position": {"scale": 1, "translation-in-points": [0, 0]},
        }

    def group(name: str, translucency: float) -> dict[str, Any]:
        return {
            "layers": [part(name)],
            "name": name,
            "shadow": {"kind": "none", "opacity": 0.5},
            "specular": False,
            "translucency": {"enabled": translucency > 0, "value": translucency},
        }

    top, bottom = (tuple(0.55 * value for value in tone) for tone in (_TOP, _BOTTOM))
    return {
        "fill": {
            "linear-gradient": [colour(top), colour(bottom)],  # type: ignore[arg-type]
            "orientation": {"start": {"x": 0.5, "y": 0}, "stop": {"x": 0.5, "y": 1}},
        },
        "groups": [group("threads", 0.0), group("veil", 0.3)],
        "supported-platforms": {"squares": ["macOS"]},
    }


def document(icon: Image.Image) -> Image.Image:
    """The icon of a file that Sfumato opens: a page with a turned corner, and the smoke on it."""
    scale = 2
    left, top, right, bottom, fold = (scale * value for value in (182, 60, 842, 964, 180))
    side = SIZE * scale
    outline = [(left, top), (right - fold, top), (right, top + fold), (right, bottom)]
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    pen.polygon([*outline, (left, bottom)], fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(14)).point([0] * 128 + [255] * 128)
    shadow = mask.filter(ImageFilter.GaussianBlur(22)).point(lambda value: int(0.34 * value))
    page = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    page.putalpha(shadow.transform((side, side), Image.Transform.AFFINE, (1, 0, 0, 0, 1, -16)))
    shade = np.linspace(255, 240, side)[:, None, None] * np.ones((1, side, 3))
    paper = Image.fromarray(shade.astype(np.uint8), "RGB")
    pen = ImageDraw.Draw(paper)
    corner = [(right - fold, top), (right, top + fold), (right - fold, top + fold)]
    pen.polygon(corner, fill=(214, 212, 222))
    page.paste(paper, (0, 0), mask)
    emblem = icon.resize((560 * scale, 560 * scale), Image.Resampling.LANCZOS)
    page.alpha_composite(emblem, ((side - emblem.width) // 2, 290 * scale))
    return page.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


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


def _sheets(side: int) -> list[np.ndarray]:
    """Light of each sheet of smoke, float [side, side, 3]."""
    rng = np.random.default_rng(SEED)
    return [weight * _sheet(side, width, strands, rng) for width, strands, weight in SHEETS]


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
    root = Path(__file__).resolve().parents[1]
    icons = root / "packaging" / "macos" / "icons"
    sheets = _sheets(BODY * OVERSAMPLING)
    veil, threads = sheets[0], sheets[1] + sheets[2]
    icon = draw(veil + threads)
    icon.save(root / "resources" / "icon.png", optimize=True)
    icon.save(root / "resources" / "icon.icns")
    document(icon).save(icons / "document.icns")
    assets = icons / "AppIcon.icon" / "Assets"
    assets.mkdir(parents=True, exist_ok=True)
    layer(threads).save(assets / "threads.png", optimize=True)
    layer(veil).save(assets / "veil.png", optimize=True)
    text = json.dumps(description(), indent=2)
    (assets.parent / "icon.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
