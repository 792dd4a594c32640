"""Where two drawings of one picture part: the latents of every step in six bytes each.

Three sums of the latents under fixed random signs, divided by the latents' own size, stand for all
of them (Achlioptas, "Database-friendly random projections", 2003): latents that differ by the n-th
part of their size have sums that differ by about the n-th part of one.  Unlike a hash, such a
sketch says of two computers whose last digits differ that they drew the same.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SUMS = 3
MAX_KEPT = 40
"""Of more steps every second, third … is kept: at most some 330 characters in a picture."""
TOLERANCE = 0.02
"""Difference of two sums that counts: latents that are 30 dB apart."""
_SCALE = 2048
_SEED = 20


@dataclass(frozen=True)
class Sketch:
    """`sums[k]` belongs to the latents after step `steps[k]`; step 0 is the beginning."""

    steps: tuple[int, ...]
    sums: tuple[tuple[float, ...], ...]


class Sketcher:
    """Takes the sketch of one picture while it is drawn.

    Args:
        steps: the steps that are run.
        calls: how often the network runs; second-order schedulers run it more often than that.
    """

    def __init__(self, steps: int, calls: int) -> None:
        self._steps = steps
        self._calls = calls
        self._kept = iter(kept_steps(steps))
        self._next = next(self._kept, None)
        self._call = 0
        self._sums = bytearray()

    def before_call(self, latents: Any) -> None:
        """The network is about to run.  Latents in any scale, that of the scheduler's or not."""
        done = self._call * self._steps // self._calls
        self._call += 1
        if self._next is not None and done >= self._next:
            self._take(latents)

    def text(self, latents: Any) -> str:
        """The sketch, given the finished latents."""
        while self._next is not None:
            self._take(latents)
        return f"{self._steps}:{base64.b64encode(self._sums).decode()}"

    def _take(self, latents: Any) -> None:
        import numpy as np

        flat = np.asarray(latents, np.float32).reshape(-1)
        size = math.sqrt(float(flat @ flat)) or 1.0
        sums = _signs(flat.size) @ flat / size * _SCALE
        self._sums += struct.pack(f">{SUMS}h", *np.clip(np.rint(sums), -32768, 32767).astype(int))
        self._next = next(self._kept, None)


@cache
def _signs(size: int) -> np.ndarray:
    """float32 [SUMS, size] of ±1, from the generator whose numbers NumPy never changes."""
    import numpy as np

    return np.random.RandomState(_SEED).randint(0, 2, (SUMS, size)).astype(np.float32) * 2 - 1


def kept_steps(steps: int) -> list[int]:
    """The steps after which a sketch is kept, from 0 to the last."""
    stride = math.ceil(steps / MAX_KEPT) or 1
    return [*range(0, steps, stride), steps]


def read_sketch(text: str) -> Sketch | None:
    """What `Sketcher.text` gave; None where it is none."""
    number, colon, data = text.partition(":")
    try:
        steps = kept_steps(int(number)) if colon and len(number) < 6 else []
        raw = base64.b64decode(data, validate=True)
        flat = struct.unpack(f">{SUMS * len(steps)}h", raw)
    except (ValueError, binascii.Error, struct.error):
        return None
    if not steps:
        return None
    sums = [tuple(v / _SCALE for v in flat[k : k + SUMS]) for k in range(0, len(flat), SUMS)]
    return Sketch(tuple(steps), tuple(sums))


def first_difference(one: Sketch, other: Sketch) -> int | None:
    """The first step after which the latents differ, 0 for the beginning; None: they never do.

    Raises:
        ValueError: the two are of another number of steps.
    """
    if one.steps != other.steps:
        raise ValueError("sketches of another number of steps")
    for step, here, there in zip(one.steps, one.sums, other.sums, strict=True):
        if any(abs(a - b) > TOLERANCE for a, b in zip(here, there, strict=True)):
            return step
    return None
