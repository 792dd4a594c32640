"""The sizes of pictures that a model draws by itself, where it was made for more than one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.records import Record

Size = tuple[int, int]
"""Width and height in pixels."""
_NAMED = 5
"""Sizes that are told one by one."""


@dataclass(frozen=True)
class PictureSizes(Record):
    """Which sizes those are: a list, or all within two ranges."""

    own: Size
    """The one that is drawn where none is asked for."""
    listed: tuple[Size, ...] = ()
    """All there are; empty: any within the ranges."""
    widths: tuple[int, int] = (0, 0)
    """Least and most."""
    heights: tuple[int, int] = (0, 0)
    step: int = 64
    """Sides within the ranges are multiples of it."""

    def allows(self, size: Size) -> bool:
        """Whether the model draws this size."""
        if size == self.own or size in self.listed:
            return True
        return not self.listed and all(
            low <= side <= high and side % self.step == 0
            for side, (low, high) in zip(size, (self.widths, self.heights), strict=True)
        )

    def nearest(self, size: Size) -> Size:
        """The size that is drawn and is most like another: in its shape, then in its pixels."""
        if self.allows(size):
            return size

        (width, height) = (max(side, 1) for side in size)

        def missed(other: Size) -> float:
            shape = math.log(other[0] / other[1] * height / width)
            pixels = math.log(other[0] * other[1] / (width * height))
            return abs(shape) + 0.3 * abs(pixels)

        if self.listed:
            return min(self.every(), key=missed)
        width, height = (
            min(max(round(side / self.step) * self.step, low), high)
            for side, (low, high) in zip(size, (self.widths, self.heights), strict=True)
        )
        return width, height

    def check(self, size: Size) -> None:
        """
        Raises:
            SfumatoError: BAD_REQUEST for a size that the model does not draw.
        """
        if self.allows(size):
            return
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"This model draws no pictures of {words.pixels(*size)} pixels; choose "
            f"{words.pixels(*self.nearest(size))}, which is nearest.",
            self.told(),
        )

    def told(self) -> str:
        """``256 to 1024 × 256 to 1024 pixels, in steps of 64`` or the list."""
        if self.listed:
            return words.listed(words.pixels(*size) for size in self.every())
        (least, most), (low, high) = self.widths, self.heights
        sides = " × ".join(
            str(a) if a == b else f"{a} to {b}" for a, b in ((least, most), (low, high))
        )
        return f"{sides} pixels, in steps of {self.step}"

    def others(self) -> str:
        """``also 768 × 512`` or ``256 to 1024 × …``, to follow the model's own; empty: none."""
        if not self.listed:
            return self.told()
        rest = [words.pixels(*size) for size in self.every()[1:]]
        more = [f"{len(rest) - _NAMED} more"] if len(rest) > _NAMED + 1 else []
        return f"also {words.listed([*rest[:_NAMED], *more] if more else rest)}" if rest else ""

    def span(self) -> str:
        """In the least room: ``256–1024``, the shortest and the longest side."""
        sides = [side for size in self.every() for side in size]
        sides += [] if self.listed else [*self.widths, *self.heights]
        low, high = min(sides), max(sides)
        return f"{low}–{high}" if low != high else words.pixels(*self.own)

    def every(self) -> tuple[Size, ...]:
        """All of a list, the model's own first."""
        return tuple(dict.fromkeys((self.own, *self.listed)))
