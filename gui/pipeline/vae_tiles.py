"""Pictures that are decoded and encoded in tiles, where the whole would not fit into memory.

The VAE's largest tensors grow with the picture: a decoder keeps two of 256 channels at its full
size, and attends to every place of its latents at once.  Tiles overlap by a quarter, and are
blended there; each is normalised by itself, so the picture is close to the one that is decoded
whole, and not the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gui.coreml.model import TensorSpec
from gui.coreml.tiles import tile_of, wants_tiles

PIXELS = 8
"""Per latent, of every VAE that is published."""
OVERLAP = 0.25
"""Share of a tile that it has in common with the next; as diffusers' `enable_tiling` has it."""


def in_tiles(
    whole: np.ndarray,
    spec: TensorSpec,
    pixels: int,
    run: Callable[[np.ndarray], np.ndarray],
    *,
    sparing: bool,
) -> np.ndarray:
    """What a half of the VAE makes of an array: at once, or in tiles where it has to be.

    Args:
        whole: float32 [1, channels, height, width]: latents, or a picture.
        spec: of the network's input; sides that are open take any size.
        pixels: of the picture per place of the array.
        run: the network.
        sparing: memory is short.
    """
    height, width = whole.shape[2:]
    tile = (height, width)
    if wants_tiles(width * pixels, height * pixels, sparing):
        wide, high = tile_of(width * pixels, height * pixels)
        tile = (high // pixels, wide // pixels)
    fixed = spec.shape[2:] if len(spec.shape) == whole.ndim else (None, None)
    tile = (fixed[0] or tile[0], fixed[1] or tile[1])
    if tile[0] >= height and tile[1] >= width:  # what is too small, the network refuses
        return run(whole)
    return blended(whole, tile, run, step=1 if pixels > 1 else PIXELS)


def places(whole: int, tile: int, overlap: float, step: int = 1) -> list[int]:
    """Where tiles begin along a side, evenly and at multiples of `step`, so that each has at least
    this share in common with the next."""
    if whole <= tile:
        return [0]
    if step > 1:
        return [step * n for n in places(whole // step, tile // step, overlap)]
    count = math.ceil((whole - tile) / (tile * (1 - overlap))) + 1
    return [round(n * (whole - tile) / (count - 1)) for n in range(count)]


def blended(
    whole: np.ndarray,
    tile: tuple[int, int],
    run: Callable[[np.ndarray], np.ndarray],
    step: int = 1,
) -> np.ndarray:
    """What a network makes of an array, tile by tile.

    From one tile to the next it goes over in a straight line.  Where four meet, the line between
    the upper two is applied twice, as it is in diffusers.

    Args:
        whole: float32 [1, channels, height, width].
        tile: height and width of what `run` takes.
        run: the network: [1, channels, *tile] → [1, other channels, scale · tile].
        step: places of the array per place of the result, where that is smaller.

    Returns:
        float32 [1, other channels, scale · height, scale · width].
    """
    sides = zip(whole.shape[2:], tile, strict=True)
    rows, columns = (places(size, of, OVERLAP, step) for size, of in sides)
    total: np.ndarray | None = None
    above: np.ndarray | None = None
    for top in rows:
        strip: np.ndarray | None = None
        twice: np.ndarray | None = None
        for left in columns:
            made = run(
                np.ascontiguousarray(whole[:, :, top : top + tile[0], left : left + tile[1]])
            )
            x = left * made.shape[3] // tile[1]
            strip = _joined(strip, made, x, strip)
            twice = _joined(twice, made, x, twice, power=2)
        assert strip is not None and twice is not None
        strip, twice = strip.swapaxes(2, 3), twice.swapaxes(2, 3)
        total = _joined(total, strip, top * strip.shape[3] // tile[0], above)
        above = twice
    assert total is not None
    return np.ascontiguousarray(total.swapaxes(2, 3))


def _joined(
    done: np.ndarray | None,
    piece: np.ndarray,
    begin: int,
    fading: np.ndarray | None,
    power: int = 1,
) -> np.ndarray:
    """What lies to the left, [1, channels, height, width], and a piece that goes on from it.

    Args:
        begin: where the piece begins.
        fading: its end is what goes over into the piece.
        power: of the share that the piece has there.
    """
    if done is None or fading is None:
        return piece
    size, end = piece.shape[3], done.shape[3]
    shared = end - begin
    ramp = min(round(size * OVERLAP), shared)
    first = (shared - ramp) // 2  # in the middle of what they have in common
    share = (np.arange(ramp, dtype=np.float32) / max(ramp, 1)) ** power
    of_left = fading[..., fading.shape[3] - shared + first :][..., :ramp]
    mixed = of_left * (1 - share) + piece[..., first : first + ramp] * share
    return np.concatenate([done[..., : begin + first], mixed, piece[..., first + ramp :]], axis=3)
