"""Constants in ``weight.bin``: memory-mapped, read when first needed.

File format (MILBlob storage, version 2, as written by coremltools and Apple's compiler): a 64-byte
header, then per blob a 64-byte record {u32 sentinel 0xDEADBEEF, u32 data type, u64 size in bytes,
u64 offset of the data, u64 padding in bits} and its data at a multiple of 64.  Elements smaller
than a byte are packed least significant bit first, across byte borders for 3 and
6 bits.
"""

from __future__ import annotations

import math
import mmap
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gui.coreml.names import weight_file


class WeightFileError(Exception):
    """The weight file is missing, truncated or not a weight file."""


class ElementType(NamedTuple):
    """How a MIL element type is stored: numpy type of the unpacked value, and bits per element."""

    numpy: type[np.generic]
    bits: int


ELEMENT_TYPES: dict[str, ElementType] = {
    "fp16": ElementType(np.float16, 16),
    "fp32": ElementType(np.float32, 32),
    "fp64": ElementType(np.float64, 64),
    "int4": ElementType(np.int8, 4),
    "int8": ElementType(np.int8, 8),
    "int16": ElementType(np.int16, 16),
    "int32": ElementType(np.int32, 32),
    "int64": ElementType(np.int64, 64),
    "uint1": ElementType(np.uint8, 1),
    "uint2": ElementType(np.uint8, 2),
    "uint3": ElementType(np.uint8, 3),
    "uint4": ElementType(np.uint8, 4),
    "uint6": ElementType(np.uint8, 6),
    "uint8": ElementType(np.uint8, 8),
    "uint16": ElementType(np.uint16, 16),
    "uint32": ElementType(np.uint32, 32),
    "uint64": ElementType(np.uint64, 64),
    "bool": ElementType(np.bool_, 8),
}

_SENTINEL = 0xDEADBEEF
_RECORD = struct.Struct("<IIQQQ")


def unpack_bits(packed: np.ndarray, bits: int, count: int, *, signed: bool = False) -> np.ndarray:
    """Unpack `count` elements of `bits` bits each.

    Args:
        packed: uint8, at least ceil(count · bits / 8) elements.
        signed: sign-extend to int8; otherwise uint8.

    Raises:
        WeightFileError: where `packed` is too short.
    """
    packed = np.ascontiguousarray(packed).view(np.uint8).reshape(-1)
    if packed.size * 8 < count * bits:
        raise WeightFileError(f"{packed.size} bytes cannot hold {count} elements of {bits} bits")
    mask = (1 << bits) - 1
    if bits == 8:
        values = packed[:count]
    elif 8 % bits == 0:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        values = ((packed[:, None] >> shifts) & mask).reshape(-1)[:count]
    else:  # 3 and 6: every 24 bits begin anew at a byte border
        triples = np.zeros((-(-packed.size // 3), 3), np.uint8)
        triples.reshape(-1)[: packed.size] = packed
        words = triples[:, 0].astype(np.uint32)
        words |= triples[:, 1].astype(np.uint32) << 8
        words |= triples[:, 2].astype(np.uint32) << 16
        values = np.empty((words.size, 24 // bits), np.uint8)
        for column in range(values.shape[1]):
            values[:, column] = (words >> (column * bits)) & mask
        values = values.reshape(-1)[:count]
    if signed:
        sign = 1 << (bits - 1)
        values = ((values.astype(np.int16) ^ sign) - sign).astype(np.int8)
    return values


class WeightFile:
    """One memory-mapped weight file.

    The mapping is private (copy on write): arrays over it are writable, as torch wants them, and
    the file is never changed.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                if path.stat().st_size == 0:
                    raise WeightFileError(f"{path} is empty")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise WeightFileError(f"{path}: {error.strerror or error}") from error
        self.path = path

    def place(self, offset: int) -> tuple[int, int]:
        """Where the data begins whose record stands at `offset`, and how many bytes it has.

        Raises:
            WeightFileError: no record there, or the data ends beyond the file.
        """
        place = f"{self.path} at {offset}"
        if offset < 0 or offset + _RECORD.size > len(self._map):
            raise WeightFileError(f"{place}: beyond the end ({len(self._map)} bytes)")
        sentinel, _, size, start, _ = _RECORD.unpack_from(self._map, offset)
        if sentinel != _SENTINEL:
            raise WeightFileError(f"{place}: no weight record")
        if start + size > len(self._map):
            raise WeightFileError(f"{place}: data ends at {start + size} of {len(self._map)} bytes")
        return start, size

    def read(self, offset: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """The array whose record stands at `offset`; sub-byte elements are unpacked.

        Raises:
            WeightFileError: no record there, or the data ends before the array does.
        """
        place = f"{self.path} at {offset}"
        start, size = self.place(offset)
        if dtype not in ELEMENT_TYPES:
            raise WeightFileError(f"{place}: unknown element type {dtype}")
        numpy_type, bits = ELEMENT_TYPES[dtype]
        count = math.prod(shape)
        if size * 8 < count * bits:
            raise WeightFileError(f"{place}: {size} bytes are too few for {dtype} {list(shape)}")
        if bits < 8:
            raw = np.frombuffer(self._map, np.uint8, size, start)
            return unpack_bits(raw, bits, count, signed=dtype == "int4").reshape(shape)
        return np.frombuffer(self._map, numpy_type, count, start).reshape(shape)

    def release(self, offset: int) -> None:
        """Let go of the pages of what stands at `offset`; a later reader gets them again."""
        advice = getattr(mmap, "MADV_DONTNEED", None)
        if advice is None or sys.platform != "linux":  # elsewhere it would drop nothing, or more
            return
        start, size = self.place(offset)
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (start + size - first) // mmap.PAGESIZE * mmap.PAGESIZE
        if length > 0:
            self._map.madvise(advice, first, length)


@dataclass(frozen=True, slots=True)
class Blob:
    """A constant in a weight file."""

    file: WeightFile
    offset: int
    dtype: str
    shape: tuple[int, ...]

    def numpy(self) -> np.ndarray:
        """Read it; free of copies unless its elements are smaller than a byte."""
        return self.file.read(self.offset, self.dtype, self.shape)

    def release(self) -> None:
        """It was copied: its pages need not stay in memory as well."""
        self.file.release(self.offset)


class WeightFolder:
    """Finds the files that a program calls ``@model_path/weights/…``, below `root` only."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, WeightFile] = {}

    def blob(self, name: str, offset: int, dtype: str, shape: tuple[int, ...]) -> Blob:
        """A constant by the file name and offset that the program states.

        Raises:
            WeightFileError: the file is missing, or its name leads out of the model's folder.
        """
        file = self._files.get(name)
        if file is None:
            path = weight_file(self.root, name)
            if path is None:
                raise WeightFileError(f"{name} leads out of the model's folder")
            file = self._files[name] = WeightFile(path)
        return Blob(file, offset, dtype, shape)
