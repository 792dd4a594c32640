"""The few EXIF fields that carry settings, read without trusting a byte of them.

Source: CIPA DC-008 (Exif 2.32), which builds on TIFF 6.0: a header that says the byte order, then
directories of 12-byte entries.  Tags of a wrong type or with lying offsets are passed over: what a
camera or a program wrote oddly must never stop the rest from being read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

IMAGE_DESCRIPTION = 0x010E
MAKE = 0x010F
MODEL = 0x0110
ORIENTATION = 0x0112
SOFTWARE = 0x0131
EXIF_DIRECTORY = 0x8769
MAKER_NOTE = 0x927C
USER_COMMENT = 0x9286

MAX_ENTRIES = 2000
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
"""Bytes per value by TIFF type; 129 is Exif 3's UTF-8."""


@dataclass(frozen=True)
class Exif:
    """What was found; absent fields are empty."""

    texts: dict[int, str] = field(default_factory=dict)
    """Text fields by tag."""
    user_comment: str = ""
    orientation: int = 1


def read_exif(data: bytes) -> Exif:
    """Read a TIFF structure, with or without ``Exif\\0\\0`` before it.  Never raises."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return Exif()
    entries = _directory(data, order, struct.unpack(order + "I", data[4:8])[0])
    pointer = entries.get(EXIF_DIRECTORY)
    if pointer is not None and len(pointer[1]) >= 4:
        inner = _directory(data, order, struct.unpack(order + "I", pointer[1][:4])[0])
        entries = {**inner, **entries}
    texts = {}
    for tag in (IMAGE_DESCRIPTION, MAKE, MODEL, SOFTWARE, MAKER_NOTE):
        if tag in entries and (text := _text(entries[tag][1])):
            texts[tag] = text
    comment = entries.get(USER_COMMENT)
    kind, raw = entries.get(ORIENTATION, (0, b""))
    orientation = struct.unpack(order + "H", raw[:2])[0] if kind == 3 and len(raw) >= 2 else 1
    return Exif(
        texts,
        decode_comment(comment[1], big_endian=order == ">") if comment else "",
        orientation if 1 <= orientation <= 8 else 1,
    )


def decode_comment(raw: bytes, *, big_endian: bool) -> str:
    """A UserComment as text: eight bytes name its character set, and often lie.

    Both byte orders of UTF-16 and UTF-8 all occur behind ``UNICODE``; the likelier reading is the
    one without control characters and with fewer characters beyond the Latin block.
    """
    charset, body = raw[:8], raw[8:]
    if charset == b"UNICODE\0":
        orders = ("utf-16-be", "utf-16-le") if big_endian else ("utf-16-le", "utf-16-be")
        return _best(body, (*orders, "utf-8")).rstrip("\0 ")
    if charset == b"ASCII\0\0\0":
        return _best(body, ("utf-8", "latin-1")).rstrip("\0 ")
    if charset == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", "replace").rstrip("\0 ")
    if charset == bytes(8):
        return _best(body, ("utf-8", "utf-16-be", "utf-16-le")).rstrip("\0 ")
    return _best(raw, ("utf-8", "latin-1")).strip("\0 ")


def _best(body: bytes, encodings: tuple[str, ...]) -> str:
    """The first of the readings that are least odd."""
    readings: list[tuple[int, int, str]] = []
    for place, encoding in enumerate(encodings):
        whole = body[:-1] if encoding.startswith("utf-16") and len(body) % 2 else body
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError:
            continue
        seen = text.rstrip("\0 ")
        # A prompt may be all of another script; the parameters at the end are not.
        sample = seen[:300] + seen[-300:]
        readings.append((sum(map(_oddness, sample)), place, text))
    if not readings:
        return body.decode("utf-8", "replace")
    return min(readings)[2]


def _oddness(character: str) -> int:
    code = ord(character)
    if code == 0:
        return 3
    if (code < 32 and character not in "\t\n\r") or 0xE000 <= code < 0xF900:
        return 2
    return int(code > 0x2FFF)


def _directory(data: bytes, order: str, at: int) -> dict[int, tuple[int, bytes]]:
    """Type and raw value of each entry; what points outside is left out."""
    if at < 8 or at + 2 > len(data):
        return {}
    number = min(struct.unpack(order + "H", data[at : at + 2])[0], MAX_ENTRIES)
    found: dict[int, tuple[int, bytes]] = {}
    for k in range(number):
        entry = data[at + 2 + 12 * k : at + 14 + 12 * k]
        if len(entry) < 12:
            break
        tag, kind, count = struct.unpack(order + "HHI", entry[:8])
        size = _SIZES.get(kind, 0) * count
        if size <= 0 or size > len(data):
            continue
        if size <= 4:
            value = entry[8 : 8 + size]
        else:
            place = struct.unpack(order + "I", entry[8:12])[0]
            if place + size > len(data):
                continue
            value = data[place : place + size]
        found.setdefault(tag, (kind, value))
    return found


def _text(raw: bytes) -> str:
    return _best(raw, ("utf-8", "latin-1")).split("\0", 1)[0].strip()
