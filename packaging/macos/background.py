"""Draw the disk image's background: pale air, a breath of smoke that leads to Applications.

Usage: ``python packaging/macos/background.py``; writes `icons/background.tiff`.  Finder writes the
icons' names in black on it, in dark mode too, so it is always light.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos.image import BACKGROUND, LAYOUT, Layout

FONT = Path(__file__).resolve().parents[2] / "resources/fonts/Inter-Regular.ttf"
TEXT = "Drag Sfumato to Applications"
_COLOURS = ((1.00, 0.52, 0.47), (0.78, 0.43, 0.86), (0.38, 0.55, 1.00), (0.32, 0.80, 0.90))


def draw(scale: int, layout: Layout = LAYOUT) -> Image.Image:
    """The background at so many pixels a point, RGB."""
    width, height = layout.width * scale, layout.height * scale
    y, x = np.mgrid[0:height, 0:width].astype(np.float64) / scale
    fade = (y / layout.height)[..., None]
    air = (1 - fade) * np.array([0.985, 0.98, 0.99]) + fade * np.array([0.925, 0.925, 0.95])
    pixels = air - _smoke(x, y, layout)
    picture = Image.fromarray((255 * np.clip(pixels, 0, 1) + 0.5).astype(np.uint8), "RGB")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.truetype(str(FONT), 15 * scale)
    place = (width // 2, 52 * scale)
    pen.text(place, TEXT, font=font, fill=(92, 88, 110), anchor="mm")
    return picture


def _smoke(x: np.ndarray, y: np.ndarray, layout: Layout) -> np.ndarray:
    """What the smoke takes of the light: strands from the app's icon to the folder's."""
    left, right = layout.app[0] + 88.0, layout.applications[0] - 92.0
    t = np.clip((x - left) / (right - left), 0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    colour = np.stack(
        [np.interp(t, stops, [tone[channel] for tone in _COLOURS]) for channel in range(3)], -1
    )
    ends = np.clip((x - left) / 30, 0, 1) * np.clip((right - x) / 12, 0, 1)
    depth = np.zeros_like(x)
    for phase in np.linspace(0, np.pi, 14):
        # Strands that wind about one another and meet at the point.
        middle = layout.app[1] + 17 * (1 - t) ** 0.8 * np.sin(2.6 * np.pi * t + phase)
        depth += 0.11 * np.exp(-(((y - middle) / 1.5) ** 2))
    # The head of the arrow, which fades as it spreads.
    across = np.abs(y - layout.app[1])
    edge = np.exp(-(((x - (right - 2 - 0.85 * across)) / 2.0) ** 2))
    depth += 0.6 * edge * np.exp(-((across / 13) ** 4))
    return (np.clip(depth * ends, 0, 0.9))[..., None] * (1 - colour)


def main() -> None:
    plain, fine = draw(1), draw(2)
    plain.save(
        BACKGROUND, append_images=[fine], save_all=True, compression="tiff_lzw", dpi=(72, 72)
    )
    # Finder takes the page whose resolution fits the screen.
    _state_resolution(BACKGROUND, 1, 144)


def _state_resolution(path: Path, page: int, dpi: int) -> None:
    """Set a page's resolution in place: Pillow states the same for every page."""
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    place = struct.unpack_from(order + "I", data, 4)[0]
    for _ in range(page):
        count = struct.unpack_from(order + "H", data, place)[0]
        place = struct.unpack_from(order + "I", data, place + 2 + 12 * count)[0]
    for index in range(struct.unpack_from(order + "H", data, place)[0]):
        tag, _kind, _count, offset = struct.unpack_from(
            order + "HHII", data, place + 2 + 12 * index
        )
        if tag in (282, 283):  # XResolution, YResolution
            struct.pack_into(order + "II", data, offset, dpi, 1)
    path.write_bytes(data)


if __name__ == "__main__":
    main()
