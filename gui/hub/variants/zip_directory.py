"""List a zip on the Hub, and read small files out of it, without downloading it.

A zip's directory stands at its end (PKWARE's APPNOTE 6.3, sections 4.3.12 to 4.3.16 for it, 4.3.7
for an entry's own header, 4.5.3 for sizes over 4 GB), so one ranged read usually gets all of it.
Written by strangers: every length and offset is checked, and nothing large is inflated.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import RemoteFile
from gui.hub.variants.probe import MAX_READ, Probe
from gui.hub.zip_rules import MAX_DIRECTORY, MAX_ENTRIES, NEWEST_VERSION, is_absurd

_TAIL = 22 + 65535
"""The end record with the longest comment."""
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA_SLACK = 256
"""Bytes more than the directory says that an entry's own header may be long."""
_STORED, _DEFLATED = 0, 8
_LINK = 0o120000


@dataclass(frozen=True)
class ZipEntry:
    """One file in a zip."""

    path: str
    size: int
    packed: int
    method: int
    crc: int
    offset: int
    """Of its header in the archive."""
    name_length: int
    """In bytes, as stored."""


def read_directory(probe: Probe, archive: RemoteFile) -> tuple[ZipEntry, ...]:
    """Every file of a zip, folders left out.

    Raises:
        SfumatoError: BAD_MODEL where the directory is damaged, cut short or hostile; NETWORK and
            the like where it cannot be read.
    """
    size = archive.size
    if size < _END.size:
        raise _bad(archive, "is cut short", f"{size} bytes")
    start = max(0, size - _TAIL)
    tail = probe.read(archive, start, size - start)
    count, length, offset, end = _locate(archive, tail, start, probe)
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise _bad(archive, "holds too many files", f"{count} entries, {length} bytes of them")
    # An archive may stand behind something else (a self-extracting one): offsets shift together.
    shift = end - length - offset
    if shift < 0 or count * _ENTRY.size > length:
        raise _bad(archive, "is damaged", f"directory of {length} at {offset}, end at {end}")
    place = end - length
    if not length:
        directory = b""
    elif place >= start:
        directory = tail[place - start : end - start]
    else:
        directory = probe.read(archive, place, length)
    return _entries(archive, directory, count, shift, place)


def _locate(
    archive: RemoteFile, tail: bytes, start: int, probe: Probe
) -> tuple[int, int, int, int]:
    """Number of entries, the directory's length and offset, and where it ends."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            record = _END.unpack_from(tail, at)
            if at + _END.size + record[7] == len(tail):
                break
        at = tail.rfind(b"PK\x05\x06", 0, at)
    else:
        raise _bad(archive, "is no zip or is cut short", "no end record")
    _, disk, first, here, count, length, offset, _ = record
    has_64 = at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\x06\x07")
    if not has_64:
        if count == 0xFFFF or length == 0xFFFFFFFF or offset == 0xFFFFFFFF:
            raise _bad(archive, "is damaged", "no 64-bit end record")
        if disk or first or here != count:
            raise _bad(archive, "is one part of several", f"disk {disk}")
        return count, length, offset, start + at
    _, _, place, disks = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    if disks > 1:
        raise _bad(archive, "is one part of several", f"{disks} disks")
    if not 0 <= place <= start + at - _LOCATOR.size - _END64.size:
        raise _bad(archive, "is damaged", f"64-bit end record at {place}")
    if place >= start:
        raw = tail[place - start : place - start + _END64.size]
    else:
        raw = probe.read(archive, place, _END64.size)
    mark, _, _, _, disk, _, here, count, length, offset = _END64.unpack(raw)
    if mark != b"PK\x06\x06" or disk or here != count:
        raise _bad(archive, "is damaged", "64-bit end record")
    return count, length, offset, place


def _entries(
    archive: RemoteFile, directory: bytes, count: int, shift: int, limit: int
) -> tuple[ZipEntry, ...]:
    found: list[ZipEntry] = []
    at = 0
    for _ in range(count):
        if at + _ENTRY.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
            raise _bad(archive, "is damaged", f"directory entry at {at}")
        (_, _, version, flags, method, _, _, crc, packed, size, name_length, extra_length,
         comment_length, _, _, attributes, offset) = _ENTRY.unpack_from(directory, at)  # fmt: skip
        at += _ENTRY.size
        raw = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        if at > len(directory):
            raise _bad(archive, "is damaged", "an entry runs over the end of the directory")
        size, packed, offset = _large(archive, extra, size, packed, offset)
        path = _name(raw, flags)
        if path.endswith("/") and size == 0:
            continue
        if version & 0xFF > NEWEST_VERSION:
            raise _bad(archive, "is of a newer kind than is known", f"{path}: {version}")
        if flags & 1:
            raise _bad(archive, "is locked with a password", path)
        if attributes >> 16 & 0o170000 == _LINK:
            raise _bad(archive, "holds links to other files", path)
        if offset + shift + _LOCAL.size + packed > limit:
            raise _bad(archive, "is damaged", f"{path} lies outside")
        found.append(ZipEntry(path, size, packed, method, crc, offset + shift, name_length))
    _check(archive, found)
    return tuple(found)


def _large(
    archive: RemoteFile, extra: bytes, size: int, packed: int, offset: int
) -> tuple[int, int, int]:
    """Sizes and offset, from the 64-bit extra field where they do not fit the plain ones."""
    wanted = [value == 0xFFFFFFFF for value in (size, packed, offset)]
    if not any(wanted):
        return size, packed, offset
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1 and at + 4 + length <= len(extra) and length >= 8 * sum(wanted):
            numbers = iter(struct.unpack_from(f"<{sum(wanted)}Q", extra, at + 4))
            size, packed, offset = (
                next(numbers) if want else value
                for want, value in zip(wanted, (size, packed, offset), strict=True)
            )
            return size, packed, offset
        at += 4 + length
    raise _bad(archive, "is damaged", "a 64-bit size is missing")


def _name(raw: bytes, flags: int) -> str:
    """UTF-8 where the entry says so or where it reads as that (macOS does not say), else the old
    code page 437."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8" if flags & 0x800 else "cp437", errors="replace")


def _check(archive: RemoteFile, entries: list[ZipEntry]) -> None:
    """Refuse bombs: files that share their bytes, or that unpack to out of all proportion."""
    end = 0
    for entry in sorted(entries, key=lambda e: e.offset):
        if entry.offset < end:
            raise _bad(archive, "is damaged", f"{entry.path} overlaps another file")
        end = entry.offset + _LOCAL.size + entry.name_length + entry.packed
    total = sum(e.size for e in entries)
    packed = sum(e.packed for e in entries)
    if is_absurd(packed, total) or any(is_absurd(e.packed, e.size) for e in entries):
        raise _bad(archive, "would unpack to far too much", f"{total} bytes from {archive.size}")


def _bad(archive: RemoteFile, what: str, detail: str) -> SfumatoError:
    name = archive.path.rpartition("/")[2]
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The archive {name} {what}, so it cannot be used; choose another variant.",
        detail,
    )


class ZipProbe:
    """Reads small files inside a zip; `files` lists them like a repository's.

    The `RemoteFile`s it lists have no hashes; their `blob` names the archive and the entry.

    Args:
        probe: reads the archive's directory.
        archive: the zip.
        contents: reads the files in it; None: `probe` too.

    Raises:
        SfumatoError: as `read_directory`.
    """

    def __init__(self, probe: Probe, archive: RemoteFile, contents: Probe | None = None) -> None:
        self._probe = contents or probe
        self._archive = archive
        entries = read_directory(probe, archive)
        self._entries = {e.path: e for e in entries}
        identity = archive.sha256 or archive.blob or archive.path
        self.files = tuple(
            RemoteFile(e.path, e.size, blob=f"{identity}!{e.crc:08x}-{e.size}-{e.path}")
            for e in entries
        )
        """Duplicates included, which `gui.hub.variants.inventory` counts as unsafe."""

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        entry = self._entries[file.path]
        if entry.size > MAX_READ or entry.packed > MAX_READ - 2**17:
            raise _bad(self._archive, "is too long to look into", entry.path)
        data = self._stored(entry)
        if entry.method == _DEFLATED:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                data = inflate.decompress(data, entry.size + 1)
            except zlib.error as error:
                raise _bad(self._archive, "is damaged", f"{entry.path}: {error}") from error
        elif entry.method != _STORED:
            raise _bad(self._archive, "is packed in an unusual way", f"method {entry.method}")
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise _bad(self._archive, "is damaged", f"{entry.path}: wrong checksum")
        return data[start : start + length]

    def _stored(self, entry: ZipEntry) -> bytes:
        """An entry's bytes as they lie in the archive; one read unless its header is unusual."""
        guess = _LOCAL.size + entry.name_length + _EXTRA_SLACK + entry.packed
        guess = min(guess, self._archive.size - entry.offset)
        raw = self._probe.read(self._archive, entry.offset, guess)
        if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
            raise _bad(self._archive, "is damaged", f"no header for {entry.path}")
        name_length, extra_length = _LOCAL.unpack_from(raw)[-2:]
        begin = _LOCAL.size + name_length + extra_length
        data = raw[begin : begin + entry.packed]
        if len(data) < entry.packed:
            data = self._probe.read(self._archive, entry.offset + begin, entry.packed)
        return data
