"""Control pictures from ordinary ones, by arithmetic alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from PIL.Image import Image as PillowImage

from gui.library.picture_reader import opaque, read_picture
from gui.request import Preprocessor

CANNY_LOW, CANNY_HIGH = 100, 200
"""Thresholds of diffusers' and web UIs' examples, for gradients of 0…255 values."""
_SIGMA_BLUR = 9.0
"""Of web UIs' blur, for pictures of 512 pixels."""
_TILE_SHRINK = 4


def control_picture(path: Path, width: int, height: int, kind: Preprocessor) -> PillowImage:
    """What a ControlNet is shown: the picture upright and in sRGB, cut to the model's proportions
    around its centre and resized, then prepared.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is missing, no picture, damaged or enormous.
    """
    picture = opaque(read_picture(path))
    if picture.size != (width, height):
        # edges and maps of few values are ruined by overshoot
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return prepared(picture, kind)


def prepared(picture: PillowImage, kind: Preprocessor) -> PillowImage:
    """An RGB picture of the same size."""
    match kind:
        case Preprocessor.NONE:
            return picture
        case Preprocessor.CANNY:
            edges = canny(np.asarray(picture.convert("L"), np.float32), CANNY_LOW, CANNY_HIGH)
            return Image.fromarray(edges.astype(np.uint8) * 255).convert("RGB")
        case Preprocessor.SCRIBBLE:
            return scribble(picture)
        case Preprocessor.INVERT:
            return ImageOps.invert(picture)
        case Preprocessor.BLUR:
            return picture.filter(ImageFilter.GaussianBlur(_SIGMA_BLUR * max(picture.size) / 512))
        case Preprocessor.TILE:
            small = [max(1, n // _TILE_SHRINK) for n in picture.size]
            shrunk = picture.resize((small[0], small[1]), Image.Resampling.BOX)
            return shrunk.resize(picture.size, Image.Resampling.BILINEAR)
        case Preprocessor.GREY:
            return picture.convert("L").convert("RGB")


def scribble(picture: PillowImage) -> PillowImage:
    """White strokes on black from a drawing of dark strokes on light paper, or the reverse."""
    grey = ImageOps.autocontrast(picture.convert("L"))
    if float(np.asarray(grey).mean()) > 127:
        grey = ImageOps.invert(grey)
    strokes = np.where(np.asarray(grey) > 127, 255, 0).astype(np.uint8)
    return Image.fromarray(strokes).convert("RGB")


def canny(grey: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges one pixel wide (Canny, "A computational approach to edge detection", 1986).

    Gradients by Sobel's 3 × 3 masks, their size as |gx| + |gy|, as OpenCV takes it by default; no
    smoothing beforehand.

    Args:
        grey: float32 [height, width] in 0…255.
        low: gradients above it are edges where they are connected to …
        high: … one above this.

    Returns:
        bool [height, width].
    """
    padded = np.pad(grey, 1, "edge")
    left, right = padded[:, :-2], padded[:, 2:]
    across = right - left
    gx = across[:-2] + 2 * across[1:-1] + across[2:]
    above, below = padded[:-2], padded[2:]
    down = below - above
    gy = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    size = np.abs(gx) + np.abs(gy)
    ridge = _is_ridge(size, gx, gy)
    return _connected(ridge & (size > low), ridge & (size > high))


def _is_ridge(size: np.ndarray, gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Where a gradient is not surpassed by its two neighbours in its own direction."""
    wide = np.pad(size, 1)

    def neighbour(dy: int, dx: int) -> np.ndarray:
        h, w = size.shape
        return wide[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]

    steep = np.tan(np.pi / 8)
    ax, ay = np.abs(gx), np.abs(gy)
    flat, upright = ay < steep * ax, ax < steep * ay
    rising = (gx > 0) == (gy > 0)
    pairs = (
        (flat, (0, -1), (0, 1)),
        (upright, (-1, 0), (1, 0)),
        (~flat & ~upright & rising, (-1, -1), (1, 1)),
        (~flat & ~upright & ~rising, (-1, 1), (1, -1)),
    )
    ridge = np.zeros(size.shape, bool)
    for where, before, after in pairs:
        one, other = neighbour(*before), neighbour(*after)
        # along rows and columns a ridge two pixels wide keeps one of them, as OpenCV has it
        straight = 0 in before
        ridge |= where & (size > one) & ((size >= other) if straight else (size > other))
    return ridge


def _connected(weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The weak ones that a chain of neighbours leads to a strong one."""
    from scipy import ndimage

    found: Any = ndimage.label(weak, np.ones((3, 3)))
    labels, count = found
    kept = np.zeros(count + 1, bool)
    kept[np.unique(labels[strong])] = True
    kept[0] = False
    return kept[labels]
