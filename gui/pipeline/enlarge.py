"""Enlarging pictures of any size with a network that takes small ones.

The picture is cut into square pieces that overlap.  At a cut a network sees less than it should, so
a margin of each enlarged piece is thrown away there, and what remains of two neighbours is blended
over a few pixels.  One row of pieces is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from gui.coreml.picture_network import PictureNetwork
from gui.coreml.runtime import LoadedModel, Runtime
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.library.picture_reader import MAX_PIXELS, MAX_SIDE
from gui.pipeline.vae import to_pixels
from gui.request import ComputeUnit

MARGIN = 20
"""Pixels at a cut that are not used: more than the 18 that Real-ESRGAN's small network sees around
a pixel, so that its pieces fit without a difference."""
BLEND = 8
"""Pixels over which two pieces are blended."""
FACTORS = (2, 4)
"""By how much pictures can be enlarged."""

_RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
"""Values of black and white that networks take, the usual ones first."""
_LARGEST_FACTOR = 16
_NEARLY = 0.002
"""Mean difference by which two ranges of values may part and do equally well."""
_MATCHES = 0.05
"""Mean difference, of a range of 1, up to which a network's answer is its picture enlarged."""


class Enlarger:
    """A loaded upscaler.  How it enlarges, and which values it takes, is found by trying.

    Args:
        network: which.
        runtime: what runs it.
        compute_unit: where.

    Raises:
        SfumatoError: as `Runtime.load`; UNSUPPORTED where it does not enlarge.
    """

    def __init__(
        self, network: PictureNetwork, runtime: Runtime, compute_unit: ComputeUnit
    ) -> None:
        self.network = network
        self._model: LoadedModel = runtime.load(network.component, compute_unit)
        self._input = network.component.inputs[0].name
        self._output = network.component.outputs[0].name
        self._low, self._high = _RANGES[0]
        self._swapped = False
        self.sides: tuple[int, ...] = ()
        """Of pieces that it takes."""
        self.factor = self._probe()

    def close(self) -> None:
        """Free the network."""
        self._model.close()

    def factors(self) -> tuple[int, ...]:
        """By how much it can enlarge."""
        return tuple(f for f in FACTORS if self.factor % f == 0) or (self.factor,)

    def enlarge(
        self,
        pixels: np.ndarray,
        factor: int,
        on_piece: Callable[[int, int], None] = lambda _done, _all: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        """Enlarge a picture.

        Args:
            pixels: uint8 [height, width, 3] RGB, or with alpha [height, width, 4]; the alpha is
                enlarged smoothly.
            factor: 1 or what the network's own factor is a multiple of; where it is less than
                that, the network's pixels are averaged.
            on_piece: told (pieces done, pieces in all).

        Returns:
            uint8 [height · factor, width · factor, channels].

        Raises:
            Cancelled: when `cancelled` says so.
            SfumatoError: BAD_REQUEST for a factor that cannot be, BAD_IMAGE for a result that
                would be too large, UNSUPPORTED where the network's numbers go out of range.
        """
        if factor < 1 or self.factor % factor:
            listed = " or ".join(map(str, self.factors()))
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"“{self.network.name}” enlarges by {listed}, not by {factor}; "
                "choose that, or another upscaler.",
            )
        check_size(pixels.shape[1], pixels.shape[0], factor)
        colour = self._colour(pixels[..., :3], factor, on_piece, cancelled)
        if pixels.shape[2] == 3:
            return colour
        return np.dstack([colour, _smooth(pixels[..., 3], factor)])

    def _colour(
        self,
        pixels: np.ndarray,
        factor: int,
        on_piece: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> np.ndarray:
        height, width, _ = pixels.shape
        side = self._side_for(max(height, width))
        padded = _padded(pixels, side)
        rows, columns = (starts(n, side) for n in padded.shape[:2])
        total, done = len(rows) * len(columns), 0

        def strips() -> Iterator[np.ndarray]:
            """Rows of pieces, each [side · own factor, width · own factor, 3]."""
            nonlocal done
            for top in rows:
                pieces = []
                for left in columns:
                    if cancelled():
                        raise Cancelled
                    pieces.append(self._run(padded[top : top + side, left : left + side]))
                    done += 1
                    on_piece(done, total)
                yield joined(pieces, columns, side, self.factor, axis=1)

        result = np.empty((height * factor, width * factor, 3), np.uint8)
        shrink = self.factor // factor
        at = 0
        for part in _joined_strips(strips(), rows, side, self.factor):
            small = _averaged(part, shrink)[:, : width * factor]
            room = result[at : at + len(small)]
            room[:] = to_pixels(small[: len(room)].clip(0, 1))
            at += len(small)
        return result

    def _side_for(self, longest: int) -> int:
        """The smallest piece that holds the whole picture; else the preferred one."""
        fits = [side for side in self.sides if side >= longest]
        return min(fits) if fits else self.sides[0]

    def _run(self, piece: np.ndarray) -> np.ndarray:
        """uint8 [side, side, 3] → float32 [side · factor, side · factor, 3] in 0…1."""
        return self._answer(piece.astype(np.float32) / 255)

    def _answer(self, picture: np.ndarray) -> np.ndarray:
        span = self._high - self._low
        x = (picture * span + self._low).transpose(2, 0, 1)[None]
        y = self._model({self._input: np.ascontiguousarray(x)})[self._output][0]
        y = (y.transpose(1, 2, 0) - np.float32(self._low)) / np.float32(span)
        if not np.isfinite(y).all():
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"The numbers of “{self.network.name}” went out of range on these compute units; "
                "try other compute units, or another upscaler.",
            )
        return y[..., ::-1] if self._swapped else y

    def _probe(self) -> int:
        """Find sides, range of values and order of channels, by a picture whose enlargement is
        known: soft ramps, a different one in each channel."""
        stated = self.network
        if stated.factor and stated.range:
            self.sides, (self._low, self._high) = stated.sides, stated.range
            return stated.factor
        self.sides, factor = self._working_sides()
        picture = _ramps(self.sides[-1])
        expected = _ramps(self.sides[-1] * factor)
        found: list[tuple[float, tuple[float, float], bool]] = []
        for self._low, self._high in _RANGES:
            try:
                answer = self._answer(picture)
            except SfumatoError:
                continue
            for swapped in (False, True):
                seen = answer[..., ::-1] if swapped else answer
                found.append((_difference(seen, expected), (self._low, self._high), swapped))
        least = min((difference for difference, *_ in found), default=np.inf)
        if least >= _MATCHES:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{stated.name}” does not give back the picture enlarged, so it is no "
                "upscaler; choose another.",
                f"differs by {least:.3f}",
            )
        # A network may do nearly as well with values it was not made for.
        _, (self._low, self._high), self._swapped = next(
            each for each in found if each[0] <= 2 * least + _NEARLY
        )
        return factor

    def _working_sides(self) -> tuple[tuple[int, ...], int]:
        """The sides to use, the smallest that works last, and the factor seen there."""
        refused: SfumatoError | None = None
        for side in sorted(self.network.sides):
            blank = np.zeros((1, 3, side, side), np.float32)
            try:
                shape = self._model({self._input: blank})[self._output].shape
            except SfumatoError as error:
                refused = error
                continue
            factor = shape[2] / side if shape[2] == shape[3] else 0.0
            if factor != int(factor) or not 1 < factor <= _LARGEST_FACTOR:
                raise SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    f"“{self.network.name}” does not enlarge: its pictures are {factor:g} times "
                    "as large as what it is given; choose another upscaler.",
                )
            larger = [each for each in self.network.sides if each > side]
            return (*larger, side), int(factor)
        raise refused or SfumatoError(ErrorKind.INTERNAL, "No size was tried; try again.")


def check_size(width: int, height: int, factor: int) -> None:
    """Make sure that a picture of this size may be enlarged.

    Raises:
        SfumatoError: BAD_IMAGE.
    """
    w, h = width * factor, height * factor
    if max(w, h) > MAX_SIDE or w * h > MAX_PIXELS:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"Enlarged by {factor}, the picture would have {w} × {h} pixels, more than can be "
            "opened; enlarge by less, or take a smaller picture.",
        )


def starts(length: int, side: int) -> list[int]:
    """Where pieces begin along one axis: evenly, and never past the end."""
    if length <= side:
        return [0]
    step = side - 2 * MARGIN - BLEND if side > 2 * MARGIN + BLEND else side
    count = -(-(length - side) // step) + 1
    return [round(k * (length - side) / (count - 1)) for k in range(count)]


def joined(
    pieces: list[np.ndarray], places: list[int], side: int, factor: int, axis: int
) -> np.ndarray:
    """Pieces side by side along `axis`, blended where they overlap."""
    length = (places[-1] + side) * factor
    shape = list(pieces[0].shape)
    shape[axis] = length
    result = np.empty(shape, np.float32)
    whole = np.moveaxis(result, axis, 0)
    whole[: side * factor] = np.moveaxis(pieces[0], axis, 0)
    for (before, place), piece in zip(pairwise(places), pieces[1:], strict=True):
        new = np.moveaxis(piece, axis, 0)
        first, last = seam(before, place, side)
        mixed_from, mixed_to = first * factor, last * factor
        offset = place * factor
        weights = ramp(mixed_to - mixed_from)[:, None, None]
        old = whole[mixed_from:mixed_to]
        whole[mixed_from:mixed_to] = (
            old + (new[mixed_from - offset : mixed_to - offset] - old) * weights
        )
        whole[mixed_to : offset + side * factor] = new[mixed_to - offset :]
    return result


def seam(before: int, place: int, side: int) -> tuple[int, int]:
    """Where two pieces that begin at `before` and `place` are blended: from, to (in pixels of the
    small picture), in the middle of their overlap."""
    overlap = before + side - place
    middle = place + overlap // 2
    half = min(BLEND, overlap) // 2
    return middle - half, middle + half


def ramp(length: int) -> np.ndarray:
    """Weights of the second of two pieces: rising, without 0 and 1, as many as `length`."""
    return (np.arange(length, dtype=np.float32) + 0.5) / max(length, 1)


def _joined_strips(
    strips: Iterator[np.ndarray], rows: list[int], side: int, factor: int
) -> Iterator[np.ndarray]:
    """The strips one below the other, each part yielded when nothing will change it."""
    held = next(strips)
    top = rows[0]
    for before, place in pairwise(rows):
        first, last = seam(before, place, side)
        new = next(strips)
        yield held[: (first - top) * factor]
        old = held[(first - top) * factor : (last - top) * factor]
        over = new[(first - place) * factor : (last - place) * factor]
        yield old + (over - old) * ramp(len(old))[:, None, None]
        held, top = new[(last - place) * factor :], last
    yield held


def _padded(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture of at least one piece, its last row and column repeated."""
    height, width, _ = pixels.shape
    below, right = max(0, side - height), max(0, side - width)
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), "edge") if below or right else pixels


def _averaged(picture: np.ndarray, factor: int) -> np.ndarray:
    """Smaller by a whole factor, each pixel the mean of those it stands for."""
    if factor == 1:
        return picture
    height, width, channels = picture.shape
    parts = picture.reshape(height // factor, factor, width // factor, factor, channels)
    return parts.mean((1, 3), dtype=np.float32)


def _smooth(alpha: np.ndarray, factor: int) -> np.ndarray:
    from PIL import Image

    height, width = alpha.shape
    size = (width * factor, height * factor)
    return np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BICUBIC))


def _ramps(side: int) -> np.ndarray:
    """float32 [side, side, 3] in 0…1: the same picture at every size."""
    along = (np.arange(side, dtype=np.float32) + 0.5) / side
    y, x = np.meshgrid(along, along, indexing="ij")
    return np.stack([0.2 + 0.6 * x, 0.2 + 0.6 * y, 0.8 - 0.6 * x * y], -1)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference, the edges left out."""
    edge = max(1, len(one) // 8)
    inner = (slice(edge, -edge), slice(edge, -edge))
    return float(np.abs(one[inner] - other[inner]).mean())
