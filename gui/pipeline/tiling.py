"""Pictures that tile: whose edges go on at the opposite edge.

Core ML's convolutions have their zero padding fixed, so nothing is changed about the networks.
Once the composition is there, the UNet sees the latents rolled by another distance at every step,
and its prediction is rolled back: what was an edge at one step lies inside at the next, so the
edges grow together.  The decoder sees them rolled by half as well, and near an edge the picture in
which that lies inside is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import Tensor

from gui.coreml.model import UNetKind
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.prompts import PhasedUNet
from gui.request import PictureRequest, Tiling

_SETTLED = 700
"""Timestep from which on the latents are rolled: before it the picture finds its composition."""
_PLACES = (0.0, 0.25, -0.25)
"""Shares of the picture by which they are rolled in turn; by more, things come apart."""
_MARGIN = 8
"""One part in so many of a side, at each edge, is taken from the rolled picture."""
_HEIGHT, _WIDTH = -2, -1
_PICTURE = {_HEIGHT: 0, _WIDTH: 1}
"""The dimensions of a picture [height, width, 3] by those of its latents."""


def axes(tiling: Tiling) -> tuple[int, ...]:
    """The latents' dimensions that go on at the other edge."""
    by = {Tiling.X: (_WIDTH,), Tiling.Y: (_HEIGHT,), Tiling.BOTH: (_HEIGHT, _WIDTH)}
    return by.get(tiling, ())


def check(request: PictureRequest, kind: UNetKind | None) -> None:
    """See that a picture can be made to tile.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    if request.tiling is Tiling.OFF:
        return
    if request.leading:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "A picture that tiles cannot be led by ControlNets; turn them off, or turn tiling off.",
        )
    if kind not in (None, UNetKind.STANDARD):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "This model is shown a picture at every step, so its own cannot tile; turn tiling off, "
            "or choose another model.",
        )


class TiledUNet(PhasedUNet):
    """A UNet that sees its latents rolled.

    Args:
        inner: it, under its prompts.
        dimensions: to roll, see `axes`.
    """

    def __init__(self, inner: PhasedUNet, dimensions: tuple[int, ...]) -> None:
        self._inner = inner
        self._dimensions = dimensions
        self._step_now = 1

    def begin_step(self, step: int) -> None:
        self._step_now = step
        self._inner.begin_step(step)

    def show(self, shown: Tensor | None) -> None:
        self._inner.show(shown)

    def __call__(
        self, sample: Tensor, timestep: float, check: Callable[[], None] = lambda: None
    ) -> Tensor:
        settled = timestep <= _SETTLED
        share = _PLACES[self._step_now % len(_PLACES)] if settled else 0.0
        by = [round(share * sample.shape[d]) for d in self._dimensions]
        seen = torch.roll(sample, by, self._dimensions)
        prediction = self._inner(seen, timestep, check)
        return torch.roll(prediction, [-n for n in by], self._dimensions)


def decoded(
    latents: Tensor, dimensions: tuple[int, ...], decode: Callable[[Tensor], np.ndarray]
) -> np.ndarray:
    """A picture whose edges go on at the opposite ones.

    Args:
        latents: [1, channels, height, width].
        decode: gives a picture, [H, W, 3].
    """
    total: np.ndarray | None = None
    for rolled in product((False, True), repeat=len(dimensions)):
        moved = [d for d, by_half in zip(dimensions, rolled, strict=True) if by_half]
        half = [latents.shape[d] // 2 for d in moved]
        seen = decode(torch.roll(latents, half, moved) if moved else latents)
        scale = seen.shape[1] // latents.shape[_WIDTH]
        if moved:
            seen = np.roll(seen, [-n * scale for n in half], [_PICTURE[d] for d in moved])
        for dimension, by_half in zip(dimensions, rolled, strict=True):
            inside = _inside(seen.shape[_PICTURE[dimension]])
            weight = 1 - inside if by_half else inside
            seen = seen * (weight[:, None, None] if dimension == _HEIGHT else weight[:, None])
        total = seen if total is None else total + seen
    assert total is not None
    return total


def _inside(size: int) -> np.ndarray:
    """How much each place counts as inside: 0 at the edges, 1 from the margin on."""
    from_edge = np.minimum(np.arange(size), np.arange(size)[::-1])
    margin = max(2, size // _MARGIN)
    return np.clip((from_edge - margin / 4) / (margin * 3 / 4), 0, 1).astype(np.float32)


def wrapped(
    pixels: np.ndarray, tiling: Tiling, enlarge: Callable[[np.ndarray], np.ndarray], factor: int
) -> np.ndarray:
    """Enlarge a picture that tiles, [height, width, 3], so that it still does."""
    dimensions = axes(tiling)
    border = [min(32, size) if d in dimensions else 0 for d, size in
              zip((_HEIGHT, _WIDTH), pixels.shape[:2], strict=True)]  # fmt: skip
    if not any(border):
        return enlarge(pixels)
    around = [(n, n) for n in border]
    made = enlarge(np.pad(pixels, [*around, (0, 0)], mode="wrap"))
    top, left = (n * factor for n in border)
    height, width = (n * factor for n in pixels.shape[:2])
    return np.ascontiguousarray(made[top : top + height, left : left + width])
