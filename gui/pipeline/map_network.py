"""A depth or line network at work: a picture in, a grey or coloured map out."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from PIL.Image import Image as PillowImage

from gui.coreml.loaded import LoadedModel, Runtime
from gui.coreml.map_network import IMAGES, MapNetworkInfo
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit

_RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
"""Values of black and white that networks take, the usual ones first."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
"""Of ImageNet's pictures, by which most depth networks want theirs brought to zero and one."""
_SPREAD = "spread"
_BETTER = 0.02
"""By how much a less usual way of giving the picture must do better to be taken."""
_ENOUGH = 0.1
"""Spread of a map, as part of its values, from which it is no longer all but flat: a network that
is given what it was not made for mostly saturates."""
_SEES = 0.2
"""Correlation from which a map has to do with what is in the picture."""
_REACHES = 0.5
"""Part of a range that a map must span to be one of that range."""


class MapNetwork:
    """A loaded network.  Which values it takes and gives is found by trying.

    Args:
        info: which.
        runtime: what runs it.
        compute_unit: where.

    Raises:
        SfumatoError: as `Runtime.load`; UNSUPPORTED where what it gives is no map of its picture.
    """

    def __init__(self, info: MapNetworkInfo, runtime: Runtime, compute_unit: ComputeUnit) -> None:
        self.info = info
        self._model: LoadedModel = runtime.load(info.component, compute_unit)
        self._input = info.component.inputs[0].name
        self._output = info.component.outputs[0].name
        self._channels = info.component.inputs[0].shape[1] or 3
        self.range: tuple[float, float] | str = info.range or _RANGES[0]
        """Its values of black and white; ``spread``: by ImageNet's mean and deviation."""
        self.swapped = info.order == "BGR"
        """Whether it takes blue first."""
        self.gives: tuple[float, float] | None = None
        """Values of black and white of its maps; None: each map's own least and greatest."""
        self._probe()

    def close(self) -> None:
        """Free the network."""
        self._model.close()

    def map_of(self, picture: PillowImage) -> PillowImage:
        """The map of a picture of mode RGB, of the same size.

        Raises:
            SfumatoError: UNSUPPORTED where the network's numbers go out of range.
        """
        values = self._answer(_pixels(picture, self.info.size))
        low, high = self.gives or (float(values.min()), float(values.max()))
        spread = (high - low) or 1.0
        pixels = np.rint(((values - low) / spread).clip(0, 1) * 255).astype(np.uint8)
        made = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        return made.convert("RGB").resize(picture.size, Image.Resampling.BICUBIC)

    def _answer(self, pixels: np.ndarray) -> np.ndarray:
        """float32 [3, h, w] in 0…1 → float32 [1 or 3, h, w] as the network gives it."""
        given = pixels[::-1] if self.swapped else pixels
        if isinstance(self.range, str):
            mean, deviation = (a[::-1] if self.swapped else a for a in (_MEAN, _DEVIATION))
            given = (given - mean) / deviation
        else:
            low, high = self.range
            given = given * (high - low) + low
        if self._channels == 1:
            given = given.mean(0, keepdims=True)
        answer = self._model({self._input: np.ascontiguousarray(given[None])})[self._output]
        if not np.isfinite(answer).all():
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"The numbers of “{self.info.name}” went out of range on these compute units; "
                "try other compute units, or another network.",
            )
        found = answer.reshape(-1, *answer.shape[-2:]).astype(np.float32)
        return found[::-1] if self.swapped and len(found) == 3 else found

    def _probe(self) -> None:
        """Find range and order by a picture of which is known what is where: whatever a network
        looks for, depth, lines or light, its map has to do with it."""
        picture, truths = _scene(self.info.size)
        ways = [
            (each, swapped)
            for each in ([self.info.range] if self.info.range else [*_RANGES, _SPREAD])
            for swapped in ([self.swapped] if self.info.order else [False, True])
        ]
        best, seen = -1.0, np.zeros(1)
        for way, swapped in ways:
            before = self.range, self.swapped
            self.range, self.swapped = way, swapped
            try:
                answer = self._answer(picture)
            except SfumatoError:
                self.range, self.swapped = before
                continue
            flat = answer.mean(0)
            found = _contrast(flat) * max(_alike(flat, truth) for truth in truths)
            if found > best + _BETTER:
                best, seen = found, answer
            else:
                self.range, self.swapped = before
        if best < _SEES:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"What “{self.info.name}” gives has nothing to do with its picture, so it prepares "
                "none; choose another.",
                f"correlation {best:.3f}",
            )
        if self.info.component.outputs[0].dtype.startswith(IMAGES):
            self.gives = (0.0, 255.0)
        else:
            self.gives = next((r for r in _RANGES if _spans(seen, r)), None)


def _contrast(values: np.ndarray) -> float:
    """0 for a map that is all but flat, 1 from `_ENOUGH` on."""
    spread = float(values.std())
    return min(1.0, spread / (_ENOUGH * (spread + abs(float(values.mean())))) if spread else 0.0)


def _spans(values: np.ndarray, stated: tuple[float, float]) -> bool:
    """Whether values lie in a range and fill a good part of it."""
    low, high = stated
    slack = 0.02 * (high - low)
    inside = low - slack <= values.min() and values.max() <= high + slack
    return bool(inside and np.ptp(values) >= _REACHES * (high - low))


def _pixels(picture: PillowImage, size: tuple[int, int]) -> np.ndarray:
    """float32 [3, height, width] in 0…1."""
    fitted = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return np.asarray(fitted, np.float32).transpose(2, 0, 1) / 255


def _scene(size: tuple[int, int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """A ball and a box before a wall that darkens upwards, and maps that tell of it: where things
    stand out, where their outlines are, how light it is, and red, green and blue alone."""
    width, height = size
    picture = Image.new("RGB", size)
    wall = np.linspace(0.25, 0.55, height, dtype=np.float32)[:, None] * np.ones(width, np.float32)
    picture = Image.fromarray(np.rint(np.stack([wall] * 3, -1) * 255).astype(np.uint8))
    things = Image.new("L", size)
    for draw, fills in (
        (ImageDraw.Draw(picture), ((230, 120, 60), (240, 235, 200))),
        (ImageDraw.Draw(things), (255, 255)),
    ):
        draw.ellipse((0.1 * width, 0.3 * height, 0.5 * width, 0.75 * height), fill=fills[0])
        draw.rectangle((0.6 * width, 0.45 * height, 0.9 * width, 0.85 * height), fill=fills[1])
    edges = things.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    truths = [np.asarray(each, np.float32) for each in (things, edges, picture.convert("L"))]
    return pixels, truths


def _alike(found: np.ndarray, truth: np.ndarray) -> float:
    """How far two maps go together, 0 to 1, whichever of them is the other's negative."""
    if found.shape != truth.shape:
        small = Image.fromarray(truth).resize(found.shape[::-1], Image.Resampling.BILINEAR)
        truth = np.asarray(small)
    one, other = found - found.mean(), truth - truth.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return abs(float((one * other).sum())) / size if size > 0 else 0.0
