"""Control pictures from ordinary ones: by arithmetic, by a network of the person's, or by macOS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from PIL.Image import Image as PillowImage

from gui.control_use import USUAL, Preprocessor, PreprocessorSettings
from gui.coreml.loaded import Runtime
from gui.coreml.map_network import MapNetworkInfo, find_map_network
from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_reader import opaque, read_picture
from gui.mac import Vision, mac_vision
from gui.pipeline.map_network import MapNetwork
from gui.pipeline.pose import drawn_pose
from gui.request import ComputeUnit

_SEEN = 128
"""Alpha below which a place is to be filled (Apple's apps count 0 alone, which soft edges are
not)."""
TO_FILL = -1.0
"""What stands for a place to be filled (lllyasviel's control_v11p_sd15_inpaint)."""


class Preprocessing:
    """Makes control pictures; keeps the network that it used last.

    Args:
        runtime: gives what runs networks, once one is needed.
        compute_unit: where it runs them.
        vision: what finds people and subjects; None: this machine's.
    """

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        compute_unit: ComputeUnit,
        vision: Vision | None = None,
    ) -> None:
        self._runtime = runtime
        self._compute_unit = compute_unit
        self._vision = vision or mac_vision()
        self._network: tuple[MapNetworkInfo, MapNetwork] | None = None

    def picture(
        self,
        path: Path,
        width: int,
        height: int,
        kind: Preprocessor,
        network: str = "",
        settings: PreprocessorSettings = USUAL,
    ) -> PillowImage:
        """What a ControlNet is shown: the picture upright and in sRGB, cut to the model's
        proportions around its centre and resized, then prepared.

        Args:
            network: of `Preprocessor.NETWORK`: name or path.
            settings: of the others.

        Returns:
            Mode RGB; of `Preprocessor.INPAINT` RGBA, clear where it is to be filled.

        Raises:
            SfumatoError: BAD_IMAGE for a file that is missing, no picture, damaged or enormous, or
                has nothing of what is looked for; BAD_REQUEST or UNSUPPORTED for a network that is
                not there or none, or for what this computer cannot find.
        """
        picture = read_picture(path)
        if kind is not Preprocessor.INPAINT:
            picture = opaque(picture)
        if picture.size != (width, height):
            # edges and maps of few values are ruined by overshoot
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
        match kind:
            case Preprocessor.NETWORK:
                return self._loaded(network).map_of(picture)
            case Preprocessor.POSE:
                people = self._vision.people(picture.tobytes(), width, height)
                if not people:
                    raise _nothing(path, "person")
                return drawn_pose(people, width, height)
            case Preprocessor.SUBJECT:
                mask = self._vision.subject(picture.tobytes(), width, height)
                if not any(mask):
                    raise _nothing(path, "subject")
                return Image.frombytes("L", (width, height), mask).convert("RGB")
            case _:
                return prepared(picture, kind, settings)

    def close(self) -> None:
        """Free the network."""
        if self._network is not None:
            self._network[1].close()
            self._network = None

    def _loaded(self, name: str) -> MapNetwork:
        info = find_map_network(name)
        if self._network is None or self._network[0] != info:
            self.close()
            self._network = info, MapNetwork(info, self._runtime(), self._compute_unit)
        return self._network[1]


def _nothing(path: Path, what: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_IMAGE,
        f"No {what} was found in “{path.name}”; choose another picture, or another preparation.",
    )


def condition(picture: PillowImage, channels: int = 3) -> np.ndarray:
    """A control picture as networks take it.

    Args:
        picture: as `Preprocessing.picture` gives it.
        channels: 3, or 1 (of some T2I-Adapters).

    Returns:
        float32 [1, channels, height, width] in 0…1, −1 where it is to be filled.
    """
    colours = picture.convert("RGB")
    pixels = np.asarray(colours.convert("L") if channels == 1 else colours, np.float32) / 255
    pixels = pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1)
    if picture.mode == "RGBA":
        pixels = np.where(np.asarray(picture.getchannel("A")) < _SEEN, np.float32(TO_FILL), pixels)
    return np.ascontiguousarray(pixels[None])


def prepared(
    picture: PillowImage, kind: Preprocessor, settings: PreprocessorSettings = USUAL
) -> PillowImage:
    """A picture of the same size, made by arithmetic alone; RGB, where not said otherwise."""
    match kind:
        case Preprocessor.INPAINT:
            return with_holes(picture)
        case Preprocessor.DEPTH:
            return ImageOps.autocontrast(picture.convert("L")).convert("RGB")
        case Preprocessor.CANNY:
            grey = np.asarray(picture.convert("L"), np.float32)
            edges = canny(grey, settings.canny_low, settings.canny_high)
            return Image.fromarray(edges.astype(np.uint8) * 255).convert("RGB")
        case Preprocessor.SCRIBBLE:
            return scribble(picture, settings.scribble_threshold)
        case Preprocessor.INVERT:
            return ImageOps.invert(picture)
        case Preprocessor.BLUR:
            sigma = settings.blur_radius * max(picture.size) / 512
            return picture.filter(ImageFilter.GaussianBlur(sigma))
        case Preprocessor.TILE:
            small = [max(1, n // settings.tile_size) for n in picture.size]
            shrunk = picture.resize((small[0], small[1]), Image.Resampling.BOX)
            return shrunk.resize(picture.size, Image.Resampling.BILINEAR)
        case Preprocessor.GREY:
            return picture.convert("L").convert("RGB")
        case _:
            return picture


def with_holes(picture: PillowImage) -> PillowImage:
    """RGBA, wholly clear or wholly opaque everywhere."""
    found = picture.convert("RGBA")
    found.putalpha(found.getchannel("A").point([0] * _SEEN + [255] * (256 - _SEEN)))
    return found


def scribble(picture: PillowImage, threshold: int = USUAL.scribble_threshold) -> PillowImage:
    """White strokes on black from a drawing of dark strokes on light paper, or the reverse.

    Args:
        threshold: how far from the paper's shade a stroke begins, of 255.
    """
    grey = ImageOps.autocontrast(picture.convert("L"))
    if float(np.asarray(grey).mean()) > 127:
        grey = ImageOps.invert(grey)
    strokes = np.where(np.asarray(grey) > threshold, 255, 0).astype(np.uint8)
    return Image.fromarray(strokes).convert("RGB")


def canny(grey: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges one pixel wide (Canny, "A computational approach to edge detection", 1986).

    Gradients by Sobel's 3 × 3 masks, their size as |gx| + |gy|, as OpenCV takes it by default; no
    smoothing beforehand.

    Args:
        grey: float32 [height, width] in 0…255.
        low: gradients above it are edges where they are connected to …
        high: … one above this; given in the wrong order, they change places.

    Returns:
        bool [height, width].
    """
    low, high = sorted((low, high))
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
