"""What window and engine say to each other.

A message is one frame: a 4-byte big-endian header length, a JSON header, and for previews a raw
RGB block.  Never pickle.  Standard library only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any

from gui import records
from gui.errors import SfumatoError
from gui.records import Mode, RecordError
from gui.request import PictureRecord, PictureRequest

MAX_FRAME = 256 * 2**20
"""Longest frame either side accepts, in bytes; a 8192 × 8192 preview would still fit."""

_LENGTH = struct.Struct(">I")


class ProtocolError(ValueError):
    """A frame that is not a message: the other side is broken or a different version."""


@dataclass(frozen=True)
class Preview:
    """A rough picture of the present latents.  `rgb` is row by row, 3 bytes per pixel."""

    width: int
    height: int
    rgb: bytes


# Window → engine.


@dataclass(frozen=True)
class Generate:
    """Make the pictures of `request`, from number `first` on (earlier ones exist already)."""

    job: str
    request: PictureRequest
    first: int = 0


# Engine → window.


@dataclass(frozen=True)
class Ready:
    """The engine has imported what it needs and waits for work."""

    pid: int
    runtime: str
    """``native`` or ``portable``."""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loading:
    """Component `index` (from 0) of `total` is being loaded; `elapsed` seconds since the first."""

    job: str
    component: str
    index: int
    total: int
    elapsed: float


@dataclass(frozen=True)
class Prepared:
    """The model is loaded; pictures will have this size in pixels."""

    job: str
    name: str
    width: int
    height: int


@dataclass(frozen=True)
class Step:
    """Step `step` (from 1) of `steps` of picture `picture_index` (from 0) is done."""

    job: str
    picture_index: int
    step: int
    steps: int
    seconds_per_step: float
    preview: Preview | None = None


@dataclass(frozen=True)
class Image:
    """Picture `picture_index` is finished and saved at `path`."""

    job: str
    picture_index: int
    path: str
    record: PictureRecord


@dataclass(frozen=True)
class Finished:
    job: str


@dataclass(frozen=True)
class Cancelled:
    job: str


@dataclass(frozen=True)
class Failed:
    """The job ended with an error; the engine is well and takes the next one."""

    job: str
    error: SfumatoError


Event = Ready | Loading | Prepared | Step | Image | Finished | Cancelled | Failed
JobEvent = Loading | Prepared | Step | Image | Finished | Cancelled | Failed
Message = Generate | Event

_TYPES: dict[str, type] = {
    t.__name__.lower(): t
    for t in (Generate, Ready, Loading, Prepared, Step, Image, Finished, Cancelled, Failed)
}


def encode(message: Message) -> bytes:
    """One frame."""
    preview = message.preview if isinstance(message, Step) else None
    if preview is not None:
        message = replace(message, preview=None)
    header = records.to_plain(message) | {"type": type(message).__name__.lower()}
    if preview is not None:
        header["preview"] = [preview.width, preview.height]
    text = records.dumps(header).encode("ascii")
    return b"".join((_LENGTH.pack(len(text)), text, preview.rgb if preview is not None else b""))


def decode(frame: bytes) -> Message:
    """The message in a frame.

    Raises:
        ProtocolError: for anything else.
    """
    try:
        (length,) = _LENGTH.unpack_from(frame)
        end = _LENGTH.size + length
        if end > len(frame):
            raise ProtocolError("the header is cut off")
        header = records.loads(dict[str, Any], frame[_LENGTH.size : end])
        kind = _TYPES[header.pop("type")]
        size = header.pop("preview", None)
        message = records.from_plain(kind, header, Mode.REFUSE)
        preview = _preview(size, frame[end:])
        return message if preview is None else replace(message, preview=preview)
    except ProtocolError:
        raise
    except (struct.error, RecordError, KeyError, TypeError) as error:
        raise ProtocolError(f"not a message: {error!r}") from error


def _preview(size: Any, payload: bytes) -> Preview | None:
    if size is None:
        if payload:
            raise ProtocolError(f"{len(payload)} bytes that belong to nothing")
        return None
    width, height = records.from_plain(tuple[int, int], size)
    if width < 1 or height < 1 or len(payload) != 3 * width * height:
        raise ProtocolError(f"a preview of {width} × {height} with {len(payload)} bytes")
    return Preview(width, height, payload)
