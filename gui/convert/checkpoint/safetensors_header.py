"""Read the header of a `.safetensors` file: names, types, shapes and places of its tensors.

The format (https://huggingface.co/docs/safetensors): eight bytes, little-endian, give the length of
a JSON object that follows; it maps each name to `dtype`, `shape` and `data_offsets`, counted from
the end of the header; `__metadata__` maps text to text.  The tensors fill the rest of the file
without a gap.  Nothing else in the file is ever interpreted, and nothing of it is executed.

Standard library only.
"""

from __future__ import annotations

import math
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import UnreadableFile, parse_json

MAX_HEADER = 100_000_000
"""Bytes; the format's reference implementation accepts no longer header."""

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
    """One tensor as its header states it; `start` and `end` count from the file's beginning."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


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
        with self.path.open("rb") as file:
            file.seek(tensor.start)
            return struct.unpack(formats[tensor.dtype], file.read(tensor.end - tensor.start))[0]

    def numbers(self, name: str) -> tuple[float, ...]:
        """The values of a small tensor of floats; none if there is no such thing."""
        tensor = self.tensors.get(name)
        code = _FLOAT_CODES.get(tensor.dtype) if tensor else None
        if tensor is None or code is None or tensor.count > _MANY:
            return ()
        with self.path.open("rb") as file:
            file.seek(tensor.start)
            data = file.read(tensor.end - tensor.start)
        if tensor.dtype == "BF16":  # the upper half of a float32
            data = b"".join(b"\0\0" + data[n : n + 2] for n in range(0, len(data), 2))
        return struct.unpack(f"<{tensor.count}{code}", data)


def read_header(path: Path) -> Header:
    """The header of a `.safetensors` file, checked against the file's size.

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
        with path.open("rb") as file:
            start = file.read(512)
            refuse_foreign(path, start, size)
            length = int.from_bytes(start[:8], "little")
            if length > MAX_HEADER or length < 2:
                raise _no_safetensors(path, f"header length {length}")
            if 8 + length > size:
                raise _cut_short(path, 8 + length, size)
            file.seek(8)
            text = file.read(length)
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
    return _parsed(path, text, size)


def _parsed(path: Path, text: bytes, size: int) -> Header:
    try:
        data = parse_json(text, unique=True)
    except UnreadableFile as error:
        raise _damaged(path, f"header {error}") from error
    if not isinstance(data, dict):
        raise _damaged(path, "header is no JSON object")
    metadata = data.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise _damaged(path, "__metadata__ is no object")
    begin = 8 + len(text)
    tensors = {name: _tensor(path, name, entry, begin) for name, entry in data.items()}
    _check_places(path, tensors, begin, size)
    plain = {str(k): v for k, v in metadata.items() if isinstance(v, str)}
    return Header(path, tensors, plain, size)


def _tensor(path: Path, name: str, entry: Any, begin: int) -> Tensor:
    try:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        start, end = offsets
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, f"{name}: {error!r}") from error
    numbers = [*shape, start, end] if isinstance(shape, list) else [None]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise _damaged(path, f"{name}: shape {shape!r} at {offsets!r}")
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"“{path.name}” holds numbers of a type that cannot be converted; choose a version of "
            "the model in float16 or float32.",
            f"{path}: {name}: dtype {dtype!r}",
        )
    tensor = Tensor(dtype, tuple(shape), begin + start, begin + end)
    if tensor.count * DTYPE_BYTES[dtype] != end - start:
        raise _damaged(path, f"{name}: {dtype} {shape} in {end - start} bytes")
    return tensor


def _check_places(path: Path, tensors: dict[str, Tensor], begin: int, size: int) -> None:
    """Tensors must follow one another without overlap or gap, up to the end of the file."""
    place = begin
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != place:
            raise _damaged(path, f"{name}: starts at {tensor.start}, not {place}")
        place = tensor.end
    if place > size:
        raise _cut_short(path, place, size)
    if place < size:
        raise _damaged(path, f"{size - place} bytes after the last tensor")
    if not tensors:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"“{path.name}” holds no weights; choose another file.", str(path)
        )


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
