"""Painting finer detail into a picture that is larger than what its model draws.

The picture is cut into pieces of the model's size that overlap; each is noised a little and
denoised with the picture's own prompt (image-to-image), so that it gains detail and keeps what it
shows.
Neighbours are blended linearly over all of their overlap.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gui.errors import Cancelled
from gui.request import PictureRequest

OVERLAP = 0.25
"""Share of a piece's side that it has in common with the next one, at least."""

Paint = Callable[[np.ndarray, int], np.ndarray]
"""Paints a piece, uint8 [height, width, 3] of the model's size; told its number from 0."""


def only_detailed(request: PictureRequest) -> bool:
    """Whether a starting picture stays as it is, but for finer detail."""
    start = request.start_image
    whole = start is not None and not start.strength and not start.paints_in
    return whole and request.detail_strength > 0 and request.branch is None


def places(length: int, side: int) -> list[int]:
    """Where pieces begin along one axis: evenly, overlapping by `OVERLAP` or more."""
    if length <= side:
        return [0]
    step = max(1, side - round(side * OVERLAP))
    count = -(-(length - side) // step) + 1
    return [round(k * (length - side) / (count - 1)) for k in range(count)]


def painted(
    pixels: np.ndarray,
    side: tuple[int, int],
    paint: Paint,
    on_piece: Callable[[int, int], None] = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """The picture with every piece painted.

    Args:
        pixels: uint8 [height, width, 3]; where it is smaller than a piece, its edge is continued.
        side: height and width of a piece.
        on_piece: told (pieces done, pieces in all).

    Returns:
        uint8, as large as `pixels`.

    Raises:
        Cancelled: when `cancelled` says so.
    """
    height, width, _ = pixels.shape
    high, wide = side
    below, right = max(0, high - height), max(0, wide - width)
    whole = np.pad(pixels, ((0, below), (0, right), (0, 0)), "edge")
    rows, columns = places(whole.shape[0], high), places(whole.shape[1], wide)
    total, number = len(rows) * len(columns), 0
    made = np.zeros(whole.shape, np.float32)
    for top, down in zip(rows, _weights(rows, high), strict=True):
        for left, across in zip(columns, _weights(columns, wide), strict=True):
            if cancelled():
                raise Cancelled
            piece = paint(whole[top : top + high, left : left + wide], number)
            share = (down[:, None] * across[None, :])[..., None]
            made[top : top + high, left : left + wide] += share * piece.astype(np.float32)
            number += 1
            on_piece(number, total)
    return made[:height, :width].round().clip(0, 255).astype(np.uint8)


def _weights(begins: list[int], side: int) -> list[np.ndarray]:
    """How much of each piece counts at each of its pixels along one axis: falling to both
    neighbours, and 1 in all wherever pieces lie."""
    found: list[np.ndarray] = []
    for index, begin in enumerate(begins):
        weight = np.ones(side, np.float32)
        if index:
            overlap = begins[index - 1] + side - begin
            weight[:overlap] = _rising(overlap)
        if index + 1 < len(begins):
            overlap = begin + side - begins[index + 1]
            weight[side - overlap :] *= 1 - _rising(overlap)
        found.append(weight)
    return found


def _rising(length: int) -> np.ndarray:
    return (np.arange(length, dtype=np.float32) + 0.5) / max(length, 1)
