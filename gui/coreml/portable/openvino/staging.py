"""Where weights stand while OpenVINO compiles what reads them, and no longer.

The plugin brings a layer's weight into a layout of its own, but holds on to what it was given for
as long as the compiled model lives: every weight stands in memory twice.  So what it is given lies
in pages of ours, which are taken away once a segment is compiled, and the system tells afterwards
whether any of them was read again (``mincore``): a layer without a layout of its own would read
noughts then.  `Segment` looks after its first run, and is compiled anew for good where one was.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

LEAST_BYTES = 1 << 17
"""Of a weight that is worth pages of its own."""


Again = Callable[[], torch.Tensor]
"""Gives a weight once more."""


@dataclass
class _Staged:
    pages: mmap.mmap
    array: np.ndarray
    again: Again


class Staging:
    """The weights of one segment.

    Args:
        read: called with a weight that was copied, whose own pages need not stay; says how to have
            it once more, without keeping it.
    """

    def __init__(self, read: Callable[[torch.Tensor], Again] | None = None) -> None:
        self._read = read
        self._staged: list[_Staged] = []
        self.bytes = 0
        """Of all weights, as they are computed with."""

    def array(self, weight: torch.Tensor) -> np.ndarray | None:
        """The weight as float32 in pages that can be taken away; None: it should be a plain
        constant.

        Raises:
            MemoryError: there is not enough.
        """
        size = weight.numel() * 4
        self.bytes += size
        if size < LEAST_BYTES or not can_release():
            return None
        try:
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(str(error)) from error
        pages.madvise(mmap.MADV_HUGEPAGE)
        array = np.frombuffer(pages, np.float32).reshape(tuple(weight.shape))
        torch.from_numpy(array).copy_(weight)
        again = self._read(weight) if self._read else lambda: weight
        self._staged.append(_Staged(pages, array, again))
        return array

    def release(self) -> None:
        """Take the pages away: nobody reads them any more."""
        for staged in self._staged:
            staged.pages.madvise(mmap.MADV_DONTNEED)

    def was_read(self) -> bool:
        """Whether any page was read since."""
        return any(_resident(staged.array) for staged in self._staged)

    def restore(self) -> None:
        """The weights as they were."""
        for staged in self._staged:
            torch.from_numpy(staged.array).copy_(staged.again())

    def forget(self) -> None:
        """Let go of what they were made from."""
        self._staged = []


@functools.cache
def can_release() -> bool:
    """Whether the system takes pages away at once, and tells which are there."""
    if sys.platform != "linux" or not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array = np.frombuffer(pages, np.uint8)
    try:
        array[mmap.PAGESIZE] = 1
        before = _resident(array)
        pages.madvise(mmap.MADV_DONTNEED)
        return before and not _resident(array) and not array[mmap.PAGESIZE] and _resident(array)
    except OSError:
        return False


def _resident(array: np.ndarray) -> bool:
    """Whether any page of an array that begins at one is in memory.

    Raises:
        OSError: the system does not tell.
    """
    count = -(-array.nbytes // mmap.PAGESIZE)
    there = np.zeros(count, np.uint8)
    begin, found = (ctypes.c_void_p(each.ctypes.data) for each in (array, there))
    if _libc().mincore(begin, ctypes.c_size_t(array.nbytes), found) != 0:
        raise OSError(ctypes.get_errno(), "mincore")
    return bool(there.any())


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
