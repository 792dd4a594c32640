"""Which pictures a VAE decodes and encodes in tiles, and how large these are."""

from __future__ import annotations

SIDE = 512
"""Pixels of a tile: what the VAE of Stable Diffusion 1 and 2 was trained at."""
LARGEST_WHOLE = 1024 * 1024
"""Pixels of a picture that is still decoded whole, unless memory is short."""


def wants_tiles(width: int, height: int, sparing: bool) -> bool:
    """Whether a picture is to be decoded in tiles.

    Args:
        sparing: memory is short.
    """
    return width * height > (SIDE * SIDE if sparing else LARGEST_WHOLE)


def tile_of(width: int, height: int) -> tuple[int, int]:
    """Width and height in pixels of the tiles of a picture."""
    return min(width, SIDE), min(height, SIDE)
