"""What window and engine say to each other.

A message is one frame: a 4-byte big-endian header length, a JSON header, and for previews a raw
RGB block.  Never pickle.  Standard library only.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from gui.errors import SfumatoError
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
    header: dict[str, Any] = {}
    payload = b""
    for name in message.__dataclass_fields__:
        value = getattr(message, name)
        if isinstance(value, (PictureRequest, PictureRecord, SfumatoError)):
            value = value.to_json()
        elif isinstance(value, Preview):
            payload = value.rgb
            value = [value.width, value.height]
        header[name] = value
    header["type"] = type(message).__name__.lower()
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    return b"".join((_LENGTH.pack(len(text)), text, payload))


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
        header = json.loads(frame[_LENGTH.size : end])
        kind = _TYPES[header.pop("type")]
        return kind(**_values(header, frame[end:]))
    except ProtocolError:
        raise
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, SfumatoError) as error:
        raise ProtocolError(f"not a message: {error!r}") from error


def _values(header: dict[str, Any], payload: bytes) -> dict[str, Any]:
    values = dict(header)
    if "request" in values:
        values["request"] = PictureRequest.from_json(values["request"])
    if "record" in values:
        values["record"] = PictureRecord.from_json(values["record"])
    if "error" in values:
        values["error"] = SfumatoError.from_json(values["error"])
    if values.get("preview") is not None:
        width, height = (int(v) for v in values["preview"])
        if width < 1 or height < 1 or len(payload) != 3 * width * height:
            raise ProtocolError(f"a preview of {width} × {height} with {len(payload)} bytes")
        values["preview"] = Preview(width, height, payload)
    elif payload:
        raise ProtocolError(f"{len(payload)} bytes that belong to nothing")
    return values
