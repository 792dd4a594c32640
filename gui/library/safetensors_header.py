"""Read the header of a `.safetensors` file: names, types, shapes and places of its tensors.

The format's reference implementation, `safetensors.safe_open`, reads and judges the header: it
refuses one that is longer than the file or than 100 MB, no JSON, not UTF-8, nested deeply or of
another form; metadata that is no text; a shape that does not fill its bytes; bytes that overlap,
leave a gap or end elsewhere than the file does.  What it accepts, a conversion can read.  Opening a
file loads numpy (35 ms), but not torch; it is the converter's process that does.  Added here is
what it lacks:

- it follows any path, so a pipe or folder is kept from it;
- its errors speak of the format; a person is told what the file is instead (a pickle, a web page, a
  Git LFS pointer …), whether it is cut short or damaged, and what to do;
- of two tensors of one name it takes the last, and it knows types that no network is converted
  from (F4, F8_E8M0, C64 …): both are refused;
- it gives values through numpy, which has no bfloat16, or torch; the few that tell a model's kind
  are read from the file itself.  As tensors lie one after another, their places follow from
  `offset_keys`.
"""

from __future__ import annotations

import errno
import math
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import UnreadableFile, parse_json

MAX_HEADER = 100_000_000
"""Bytes; `safe_open` accepts no longer header."""

DTYPE_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})
"""Types that weights may have."""
_FLOAT_CODES = {"F16": "e", "BF16": "f", "F32": "f", "F64": "d"}
_MANY = 100_000

_HOW_TO_SAVE = (
    "Look for a “.safetensors” version of the model, or save it as one with the program it came "
    "from."
)


@dataclass(frozen=True)
class Tensor:
    """One tensor as its header states it."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Place of its first byte, from the file's beginning."""

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.count * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class Header:
    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    size: int
    """Bytes of the file."""

    def scalar(self, name: str) -> int | None:
        """The value of a whole number stored as a tensor; None if there is no such thing."""
        tensor = self.tensors.get(name)
        formats = {"I64": "<q", "I32": "<i"}
        if tensor is None or tensor.count != 1 or tensor.dtype not in formats:
            return None
        return struct.unpack(formats[tensor.dtype], self._data(tensor))[0]

    def numbers(self, name: str) -> tuple[float, ...]:
        """The values of a small tensor of floats; none if there is no such thing."""
        tensor = self.tensors.get(name)
        code = _FLOAT_CODES.get(tensor.dtype) if tensor else None
        if tensor is None or code is None or tensor.count > _MANY:
            return ()
        data = self._data(tensor)
        if tensor.dtype == "BF16":  # the upper half of a float32
            data = b"".join(b"\0\0" + data[n : n + 2] for n in range(0, len(data), 2))
        return struct.unpack(f"<{tensor.count}{code}", data)

    def _data(self, tensor: Tensor) -> bytes:
        with self.path.open("rb") as file:
            file.seek(tensor.start)
            return file.read(tensor.bytes)

    def array(self, name: str) -> np.ndarray:
        """A tensor's values as float32.

        Raises:
            OSError: the file cannot be read, or is another one by now.
        """
        tensor = self.tensors[name]
        data = self._data(tensor)
        if len(data) != tensor.bytes:
            raise OSError(errno.EIO, "the file was cut short", str(self.path))
        return _float32(data, tensor.dtype).reshape(tensor.shape)


def _float32(data: bytes, dtype: str) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype in _EIGHT_BITS:
        return _eight_bits(*_EIGHT_BITS[dtype])[np.frombuffer(data, np.uint8)]
    return np.frombuffer(data, _NUMPY[dtype]).astype(np.float32)


_NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4"}
_EIGHT_BITS = {"F8_E4M3": (3, 7), "F8_E5M2": (2, 15)}
"""Bits of the mantissa, and the exponent's bias."""


@cache
def _eight_bits(mantissa: int, bias: int) -> np.ndarray:
    """Every value of an 8-bit float: E4M3 without infinities, E5M2 as IEEE 754 would have it
    (Micikevicius et al., "FP8 Formats for Deep Learning", 2022)."""
    codes = np.arange(256)
    exponent = (codes & 0x7F) >> mantissa
    fraction = (codes & ((1 << mantissa) - 1)) / (1 << mantissa)
    values = np.where(
        exponent == 0,
        fraction * 2.0 ** (1 - bias),
        (1 + fraction) * 2.0 ** (exponent - bias),
    )
    if mantissa == 3:
        values[(codes & 0x7F) == 0x7F] = np.nan
    else:
        values[exponent == 31] = np.where(fraction[exponent == 31] == 0, np.inf, np.nan)
    return np.where(codes & 0x80, -values, values).astype(np.float32)


def read_header(path: Path, limit: int = MAX_HEADER) -> Header:
    """The header of a `.safetensors` file, checked against the file's size.

    Args:
        limit: bytes that it may have.

    Raises:
        SfumatoError: BAD_MODEL where the file is damaged, cut short or something else altogether;
            UNSUPPORTED for weights in a form that is not read on purpose (pickle, GGUF, ONNX);
            NOT_FOUND or STORAGE where it cannot be opened.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise _no_safetensors(path, "no regular file")
        size = status.st_size
        text = _header_text(path, size, limit)
        stated = _parsed(path, text)
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = dict(_tensors(path, file, 8 + len(text)))
    except SafetensorError as error:
        raise _refusal(path, stated, 8 + len(text), size, str(error)) from error
    except FileNotFoundError as error:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no file “{path.name}”; check its path, and that its disk is there.",
            str(path),
        ) from error
    except OSError as error:
        raise disk_error(
            error, f"“{path.name}” cannot be read", detail=f"{path}: {error}"
        ) from error
    if not tensors:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"“{path.name}” holds no weights; choose another file.", str(path)
        )
    return Header(path, tensors, metadata, size)


def _header_text(path: Path, size: int, limit: int) -> bytes:
    with path.open("rb") as file:
        start = file.read(512)
        refuse_foreign(path, start, size)
        length = int.from_bytes(start[:8], "little")
        if not 2 <= length <= MAX_HEADER:
            raise _no_safetensors(path, f"header length {length}")
        if 8 + length > size:
            raise _cut_short(path, 8 + length, size)
        if length > limit:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{path.name}” lists more tensors than can be of use; choose another file.",
                f"{path}: a header of {length} bytes",
            )
        file.seek(8)
        return file.read(length)


def _parsed(path: Path, text: bytes) -> Any:
    """What the header states, where it states nothing twice."""
    try:
        return parse_json(text, unique=True)
    except UnreadableFile as error:
        raise _damaged(path, f"header {error}") from error


def _tensors(path: Path, file: safe_open, place: int) -> Iterator[tuple[str, Tensor]]:
    """Every tensor by its name.

    Args:
        place: where the header ends.
    """
    for name in file.offset_keys():
        part = file.get_slice(name)
        dtype = part.get_dtype()
        if dtype not in DTYPE_BYTES:
            raise _strange_type(path, f"{name}: {dtype}")
        tensor = Tensor(dtype, tuple(part.get_shape()), place)
        yield name, tensor
        place += tensor.bytes


def _refusal(path: Path, stated: Any, begin: int, size: int, reason: str) -> SfumatoError:
    """What the refusal of `safe_open` means to a person.

    Args:
        stated: the header.
        begin: where it ends.
        reason: in the library's words.
    """
    if "unknown variant" in reason:  # of the types it knows
        return _strange_type(path, reason)
    if "not fully covered" in reason:  # the last check: all entries are sound
        ends = [e["data_offsets"][1] for name, e in stated.items() if name != "__metadata__"]
        if begin + max(ends, default=0) > size:
            return _cut_short(path, begin + max(ends), size)
    return _damaged(path, reason)


def refuse_foreign(path: Path, start: bytes, size: int) -> None:
    """Raise for a file that its first bytes or its name show to be something else.

    Args:
        start: the file's first bytes, up to 512.
    """
    name, suffix = path.name, path.suffix.lower()
    if not size:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"“{name}” is empty; download or copy it again.", str(path)
        )
    if start.startswith(b"version https://git-lfs"):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{name}” is a Git LFS pointer, not the weights; run “git lfs pull”, or download the "
            "file itself.",
            str(path),
        )
    if start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{name}” is a web page, not a model: the download went wrong (it may need signing "
            "in); download it again.",
            str(path),
        )
    pickled = start.startswith(b"PK\x03\x04") or _is_pickle(start)
    if pickled or suffix in (".ckpt", ".pt", ".pth", ".bin", ".pkl"):
        raise pickle_refusal(name, str(path))
    for magic, suffixes, what in (
        (b"GGUF", (".gguf", ".ggml"), "a GGUF file, whose weights are already compressed"),
        (b"\x08\x07\x12\x07pytorch", (".onnx",), "an ONNX network"),
    ):
        if start.startswith(magic) or suffix in suffixes:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{name}” is {what}, which cannot be converted. {_HOW_TO_SAVE}",
                str(path),
            )
    if size < 10:
        raise _no_safetensors(path, f"{size} bytes")


def _is_pickle(start: bytes) -> bool:
    """A pickle begins with PROTO and a protocol number; as a header's length, such bytes would be
    followed by the JSON's brace."""
    return start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05" and start[8:9] != b"{"


def pickle_refusal(name: str, detail: str) -> SfumatoError:
    """Why a pickle is never opened, and what to do."""
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"“{name}” is a pickle checkpoint, which can run hidden programs when opened, so Sfumato "
        f"never opens one. {_HOW_TO_SAVE}",
        detail,
    )


def _strange_type(path: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"“{path.name}” holds numbers of a type that cannot be converted; choose a version of the "
        "model in float16 or float32.",
        f"{path}: {detail[:500]}",
    )


def _no_safetensors(path: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"“{path.name}” is not a safetensors file; choose a diffusers folder or a “.safetensors” "
        "checkpoint.",
        f"{path}: {detail}",
    )


def _cut_short(path: Path, wanted: int, size: int) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"“{path.name}” is cut short; download or copy it again.",
        f"{path}: {size} bytes of {wanted}",
    )


def _damaged(path: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"“{path.name}” is damaged; download or copy it again.",
        f"{path}: {detail[:500]}",
    )
