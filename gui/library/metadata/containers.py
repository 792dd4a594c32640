"""The texts inside a picture file, whatever its form; pixels stay where they are.

PNG, JPEG and WebP are walked here, chunk by chunk with every length checked, so that a text of
several megabytes, a missing end or a damaged pixel block hides nothing; the other forms are opened
by Pillow, which does not decode pixels for that.  Odd metadata never is an error: it is left out.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gui.errors import ErrorKind, SfumatoError
from gui.library.metadata.exif import Exif, read_exif
from gui.library.metadata.xmp import read_xmp
from gui.library.picture_forms import open_picture, opened

MAX_CHUNK = 8 * 1024 * 1024
"""Largest chunk of text that is read, as it lies in the file, in bytes."""
MAX_INFLATED = 32 * 1024 * 1024
"""Largest text after decompression, in bytes."""
MAX_TOTAL = 48 * 1024 * 1024
"""Of all texts of one file together."""
MAX_TEXTS = 500
MAX_CHUNKS = 100_000

_PNG = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = "XML:com.adobe.xmp"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_JPEG_IPTC = b"Photoshop 3.0\0"
_IPTC_NAMES = {65: "program", 70: "program_version", 120: "caption"}


@dataclass
class Fields:
    """What a picture file says, by where it says it."""

    form: str = ""
    """``PNG``, ``JPEG``, ``WEBP`` … as Pillow names them."""
    width: int = 0
    height: int = 0
    """Pixels as stored, before any turn."""
    texts: dict[str, str] = field(default_factory=dict)
    """PNG's text chunks by keyword."""
    exif: Exif = field(default_factory=Exif)
    xmp: dict[str, str] = field(default_factory=dict)
    iptc: dict[str, str] = field(default_factory=dict)
    """``caption``, ``program``, ``program_version``."""
    left_out: list[str] = field(default_factory=list)
    """Sentences about what was there and could not be read."""
    room: int = MAX_TOTAL
    """Bytes of text that may still be taken."""

    def exif_text(self, tag: int) -> str:
        return self.exif.texts.get(tag, "")


def read_fields(path: Path) -> Fields:
    """Everything a picture file says of itself.

    Raises:
        SfumatoError: BAD_IMAGE where the file cannot be opened or is no picture.
    """
    try:
        with open_picture(path) as file:
            return read_fields_of(file, path.name)
    except OSError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{path.name}” cannot be opened; check that it is there and may be read.",
            repr(error),
        ) from error


def read_fields_of(file: BinaryIO, name: str = "This file") -> Fields:
    """As `read_fields`, from an open file that can seek."""
    head = file.read(16)
    file.seek(0)
    if head.startswith(_PNG):
        return _read_png(file)
    if head.startswith(b"\xff\xd8"):
        return _read_jpeg(file)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _read_webp(file)
    return _read_by_pillow(file, name)


# -- PNG --------------------------------------------------------------------------------------


def _read_png(file: BinaryIO) -> Fields:
    fields = Fields("PNG")
    file.seek(len(_PNG))
    size = file.seek(0, io.SEEK_END)
    file.seek(len(_PNG))
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        length, kind = struct.unpack(">I4s", header)
        after = file.tell() + length + 4
        if kind in (b"IHDR", b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            if length > min(MAX_CHUNK, fields.room):
                _leave_out(fields, "A text of more than 8 MB was left out.")
            elif file.tell() + length <= size:
                _take_png_chunk(fields, kind, file.read(length))
        if kind == b"IEND" or after > size:
            break
        file.seek(after)
    if packet := fields.texts.pop(_XMP_KEYWORD, ""):
        fields.xmp = read_xmp(packet.encode("utf-8", "replace"))
    # ImageMagick and its kin keep EXIF as hexadecimal text.
    raw = fields.texts.pop("Raw profile type exif", "")
    if raw and not fields.exif.texts and not fields.exif.user_comment:
        with contextlib.suppress(ValueError, IndexError):
            fields.exif = read_exif(bytes.fromhex("".join(raw.split()[2:])))
    return fields


def _take_png_chunk(fields: Fields, kind: bytes, data: bytes) -> None:
    if kind == b"IHDR":
        if len(data) >= 8:
            fields.width, fields.height = struct.unpack(">II", data[:8])
    elif kind == b"eXIf":
        fields.exif = read_exif(data)
    elif len(fields.texts) < MAX_TEXTS and _keyword(data) not in fields.texts:
        limit = min(MAX_INFLATED, fields.room)
        found = _png_text(kind, data, limit)
        if found is None:
            fields.room -= limit if kind != b"tEXt" else 0  # it was unpacked so far
            _leave_out(fields, "A text that is damaged or too large was left out.")
        else:
            fields.texts[found[0]] = found[1]
            fields.room = max(0, fields.room - max(len(data), len(found[1])))


def _keyword(data: bytes) -> str:
    return data[:80].partition(b"\0")[0].decode("latin-1")


def _leave_out(fields: Fields, sentence: str) -> None:
    if sentence not in fields.left_out:
        fields.left_out.append(sentence)


def _png_text(kind: bytes, data: bytes, limit: int) -> tuple[str, str] | None:
    """Keyword and text of a chunk; None where it cannot be read or has more than `limit` bytes."""
    keyword, nul, rest = data.partition(b"\0")
    if not nul or len(keyword) > 79:
        return None
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, _utf8_or_latin(rest)
    if kind == b"zTXt":
        inflated = _inflate(rest[1:], limit) if rest[:1] == b"\0" else None
        return (name, _utf8_or_latin(inflated)) if inflated is not None else None
    compressed, method, rest = rest[:1], rest[1:2], rest[2:]
    _language, _, rest = rest.partition(b"\0")
    _translated, _, body = rest.partition(b"\0")
    if compressed == b"\1":
        inflated = _inflate(body, limit) if method == b"\0" else None
        if inflated is None:
            return None
        body = inflated
    return name, body.decode("utf-8", "replace")


def _inflate(data: bytes, limit: int) -> bytes | None:
    """Decompressed bytes; None where they are damaged or beyond the limit."""
    if limit <= 0:
        return None
    engine = zlib.decompressobj()
    try:
        result = engine.decompress(data, limit)
    except zlib.error:
        return None
    return None if engine.unconsumed_tail else result


def _utf8_or_latin(data: bytes) -> str:
    """Latin-1 by the standard, UTF-8 in practice."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# -- JPEG -------------------------------------------------------------------------------------


def _read_jpeg(file: BinaryIO) -> Fields:
    fields = Fields("JPEG")
    more: dict[int, bytes] = {}
    for marker, data in _jpeg_segments(file):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(data) >= 5:
            fields.height, fields.width = struct.unpack(">HH", data[1:5])
        elif marker == 0xE1 and data.startswith(b"Exif\0\0"):
            fields.exif = read_exif(data)
        elif marker == 0xE1 and data.startswith(_JPEG_XMP):
            fields.xmp = {**read_xmp(data[len(_JPEG_XMP) :]), **fields.xmp}
        elif marker == 0xE1 and data.startswith(_JPEG_XMP_MORE):
            body = data[len(_JPEG_XMP_MORE) :]  # a digest of 32 bytes, whole length, offset
            if len(body) > 40 and sum(map(len, more.values())) < MAX_CHUNK:
                more[struct.unpack(">I", body[36:40])[0]] = body[40:]
        elif marker == 0xED and data.startswith(_JPEG_IPTC):
            fields.iptc = _read_iptc(data[len(_JPEG_IPTC) :])
        elif marker == 0xFE:
            fields.texts.setdefault("comment", _utf8_or_latin(data).rstrip("\0"))
    if more:
        whole = b"".join(more[k] for k in sorted(more))
        fields.xmp = {**read_xmp(whole), **fields.xmp}
    return fields


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Marker and content of every segment before the pixels."""
    file.seek(2)
    for _ in range(MAX_CHUNKS):
        byte = file.read(1)
        if byte != b"\xff":
            return
        marker = file.read(1)
        while marker == b"\xff":
            marker = file.read(1)
        if not marker or marker[0] in (0xDA, 0xD9):
            return
        if 0xD0 <= marker[0] <= 0xD7 or marker[0] == 0x01:
            continue
        head = file.read(2)
        if len(head) < 2:
            return
        length = struct.unpack(">H", head)[0] - 2
        if length < 0:
            return
        data = file.read(length)
        yield marker[0], data
        if len(data) < length:
            return


def _read_iptc(data: bytes) -> dict[str, str]:
    """Caption and program out of Photoshop's image resources (IPTC IIM 4.2, record 2)."""
    at, iim = 0, b""
    while at + 12 <= len(data) and data[at : at + 4] == b"8BIM":
        number = struct.unpack(">H", data[at + 4 : at + 6])[0]
        name = data[at + 6] + 1
        at += 6 + name + name % 2
        if at + 4 > len(data):
            break
        size = struct.unpack(">I", data[at : at + 4])[0]
        if number == 0x0404:
            iim = data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
    found: dict[str, str] = {}
    at = 0
    while at + 5 <= len(iim) and iim[at] == 0x1C:
        record, dataset = iim[at + 1], iim[at + 2]
        size = struct.unpack(">H", iim[at + 3 : at + 5])[0]
        if size & 0x8000:
            break
        if record == 2 and dataset in _IPTC_NAMES:
            found[_IPTC_NAMES[dataset]] = _utf8_or_latin(iim[at + 5 : at + 5 + size])
        at += 5 + size
    return found


# -- WebP -------------------------------------------------------------------------------------


def _read_webp(file: BinaryIO) -> Fields:
    fields = Fields("WEBP")
    size = file.seek(0, io.SEEK_END)
    file.seek(12)
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        kind, length = struct.unpack("<4sI", header)
        after = file.tell() + length + length % 2
        if kind in (b"EXIF", b"XMP ") and length <= MAX_CHUNK:
            data = file.read(length)
            if kind == b"EXIF":
                fields.exif = read_exif(data)
            else:
                fields.xmp = read_xmp(data)
        elif kind in (b"VP8X", b"VP8 ", b"VP8L"):
            _take_webp_size(fields, kind, file.read(min(length, 16)))
        if after > size:
            break
        file.seek(after)
    return fields


def _take_webp_size(fields: Fields, kind: bytes, data: bytes) -> None:
    if kind == b"VP8X" and len(data) >= 10:
        fields.width = int.from_bytes(data[4:7], "little") + 1
        fields.height = int.from_bytes(data[7:10], "little") + 1
    elif fields.width:
        return
    elif kind == b"VP8 " and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        fields.width, fields.height = width & 0x3FFF, height & 0x3FFF
    elif kind == b"VP8L" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        fields.width, fields.height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


# -- the rest ---------------------------------------------------------------------------------


def _read_by_pillow(file: BinaryIO, name: str) -> Fields:
    try:
        with opened(file) as image:
            fields = Fields(image.format or "", image.width, image.height)
            info = dict(image.info)
            if image.format == "TIFF":
                info["exif"] = image.getexif().tobytes()
    except Exception as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{name}” is no picture that can be read; choose another file.",
            repr(error),
        ) from error
    for key in ("exif", "xmp"):
        raw = info.get(key)
        if isinstance(raw, str):
            raw = raw.encode("utf-8", "replace")
        if isinstance(raw, bytes) and len(raw) <= MAX_CHUNK:
            if key == "exif":
                fields.exif = read_exif(raw)
            else:
                fields.xmp = read_xmp(raw)
    comment = info.get("comment")
    if isinstance(comment, bytes):
        fields.texts["comment"] = _utf8_or_latin(comment)
    elif isinstance(comment, str):
        fields.texts["comment"] = comment
    return fields
