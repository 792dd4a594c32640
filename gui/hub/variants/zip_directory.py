"""List a zip on the Hub, and read small files out of it, without downloading it.

Python's `zipfile` reads it, over a file that asks for byte ranges: a zip's directory stands at its
end, so one range usually gets all of it, and one more each file.  Written by strangers: what the
directory says is judged by `gui.hub.zip_rules` before anything else is read.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gui.errors import ErrorKind, SfumatoError
from gui.hub import zip_rules
from gui.hub.seeking import SoughtFile
from gui.hub.types import RemoteFile, Span
from gui.hub.variants.probe import MAX_READ, Probe
from gui.hub.zip_rules import END, END_64, LOCATOR, MAX_DIRECTORY, MAX_ENTRIES, ZIP_ERRORS
from gui.names import is_debris

_TAIL = END.size + 0xFFFF
"""The end record with the longest comment."""
_EXTRA_SLACK = 256
"""Bytes that are read of an entry's extra fields at once; its own header may have other ones than
the directory says."""

_NEAR = 256 << 10
"""Bytes between two stretches that are rather fetched than left out."""


@dataclass(eq=False)
class _Stretch:
    """Bytes that are at hand."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class RangeFile(SoughtFile):
    """A remote file, to be read and sought like one on disk.

    Only what is not at hand is asked for.  Several threads may have stretches of their own at hand
    at once; `read` and `seek` are for one at a time, as `zipfile` sees to by itself.

    Args:
        probe: reads the file by ranges; may be exchanged.
        file: which.
        start: from where on `tail` stands in for the file.
        tail: its end, with which the file is taken to end.
    """

    def __init__(self, probe: Probe, file: RemoteFile, start: int, tail: bytes) -> None:
        super().__init__(start + len(tail))
        self.probe = probe
        self.file = file
        self._stretches = [_Stretch(start, tail)]

    @contextlib.contextmanager
    def at_hand(self, start: int, length: int) -> Iterator[None]:
        """Have these bytes, asked for at one stroke, as long as the context lasts."""
        end = min(start + length, self._size)
        if any(s.start <= start and end <= s.end for s in self._stretches):
            yield
            return
        stretch = _Stretch(start, self.probe.read(self.file, start, end - start))
        self._stretches.append(stretch)
        try:
            yield
        finally:
            self._stretches.remove(stretch)

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._size - self._at)
        size = left if size < 0 else min(size, left)
        found = bytearray()
        while len(found) < size:
            piece = self._piece(self._at, size - len(found))
            self._at += len(piece)
            found += piece
        return bytes(found)

    def _piece(self, at: int, size: int) -> bytes:
        """Bytes from `at` on, at least one and at most `size`."""
        for stretch in tuple(self._stretches):
            if stretch.start <= at < stretch.end:
                return stretch.data[at - stretch.start :][:size]
            if at < stretch.start:
                size = min(size, stretch.start - at)
        before = next((s for s in self._stretches if s.end == at), None)
        if before is None:
            return self._fetch(at, size)
        # It goes on beyond what was thought enough: once more as much, rather than in small pieces.
        more = self._fetch(at, min(max(size, len(before.data)), MAX_READ, self._size - at))
        before.data += more
        return more[:size]

    def _fetch(self, start: int, length: int) -> bytes:
        data = self.probe.read(self.file, start, length)
        if not data:
            raise EOFError(f"{self.file.path} ends at {start}, not at {self._size}")
        return data


class ZipProbe:
    """Reads small files inside a zip; `files` lists them like a repository's.

    The `RemoteFile`s it lists have no hashes; their `blob` names the archive and the entry.  Safe
    to use from several threads.

    Args:
        probe: reads the archive's directory.
        archive: the zip.
        contents: reads the files in it; None: `probe` too.

    Raises:
        SfumatoError: BAD_MODEL where the directory is damaged, cut short or hostile; NETWORK and
            the like where it cannot be read.
    """

    def __init__(self, probe: Probe, archive: RemoteFile, contents: Probe | None = None) -> None:
        self._archive = archive
        self._file, count = _open(probe, archive)
        with _wording(archive):
            self._zip = zipfile.ZipFile(self._file)
        infos = self._zip.infolist()
        if len(infos) != count:
            raise _bad(archive, "is damaged", f"{len(infos)} entries, {count} stated")
        self._judge(infos)
        self._file.probe = contents or probe
        found = [(zip_rules.stated_name(i), i) for i in infos]
        found = [(name, i) for name, i in found if not name.endswith("/") or i.file_size]
        self._infos = dict(found)
        identity = archive.sha256 or archive.blob or archive.path
        self.files = tuple(
            RemoteFile(name, i.file_size, blob=f"{identity}!{i.CRC:08x}-{i.file_size}-{name}")
            for name, i in found
        )
        """Folders left out; duplicates included, which `gui.hub.variants.inventory` counts as
        unsafe."""

    def _judge(self, infos: list[zipfile.ZipInfo]) -> None:
        for info in infos:
            end = info.header_offset + zip_rules.LOCAL_HEADER + info.compress_size
            if info.header_offset < 0 or end > self._zip.start_dir:
                raise _bad(self._archive, "is damaged", f"{info.orig_filename} lies outside")
        fault = zip_rules.fault([i for i in infos if not is_debris(zip_rules.stated_name(i))])
        if fault is not None:
            raise _bad(self._archive, *fault)

    def spans(self, wanted: Sequence[str]) -> tuple[Span, ...]:
        """The bytes of the archive that hold these folders and files, and its directory."""
        infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)
        ends = [info.header_offset for info in infos[1:]] + [self._zip.start_dir]
        found: list[Span] = []
        for info, end in zip(infos, ends, strict=True):
            if not zip_rules.is_inside(zip_rules.stated_name(info), wanted):
                continue
            # Its own header may have other extra fields than the directory says.
            most = zip_rules.header_bytes(info) + info.compress_size
            most += zip_rules.MAX_EXTRA + zip_rules.DESCRIPTOR
            _add(found, Span(info.header_offset, min(end, info.header_offset + most)))
        size = self._archive.size
        tail = 1 + _TAIL + LOCATOR.size + END_64.size  # where the library looks for all of them
        _add(found, Span(min(self._zip.start_dir, max(0, size - tail)), size))
        return tuple(found)

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        info = self._infos[file.path]
        if info.file_size > MAX_READ or info.compress_size > MAX_READ - 2**17:
            raise _bad(self._archive, "is too long to look into", file.path)
        stretch = zip_rules.header_bytes(info) + _EXTRA_SLACK + info.compress_size
        with (
            self._file.at_hand(info.header_offset, stretch),
            _wording(self._archive, file.path),
            self._zip.open(info) as entry,
        ):
            data = entry.read(info.file_size)  # checks the sum; unpacks no more than that
        if len(data) != info.file_size:
            raise _bad(self._archive, "is damaged", f"{file.path}: {len(data)} bytes")
        return data[start : start + length]


def _add(spans: list[Span], span: Span) -> None:
    """Append a stretch that begins no sooner than the last one, which takes it in where they lie
    together: that costs less than another request."""
    if spans and span.start - spans[-1].end < _NEAR:
        spans[-1] = Span(spans[-1].start, max(spans[-1].end, span.end))
    else:
        spans.append(span)


def _open(probe: Probe, archive: RemoteFile) -> tuple[RangeFile, int]:
    """The archive without its comment, and how many entries it states.

    The library looks for the end record by its mark, which a comment may hold too; and it makes
    objects of however many entries there are, so they are counted before.
    """
    if archive.size < END.size:
        raise _bad(archive, "is cut short", f"{archive.size} bytes")
    start = max(0, archive.size - _TAIL)
    tail = probe.read(archive, start, archive.size - start)
    at = _end_record(tail)
    if at is None:
        raise _bad(archive, "is no zip or is cut short", "no end record")
    _, disk, first, here, count, length, _, _ = END.unpack_from(tail, at)
    file = RangeFile(probe, archive, start, tail[: at + END.size - 2] + b"\0\0")
    if start + at >= LOCATOR.size + END_64.size:
        file.seek(start + at - LOCATOR.size - END_64.size)
        record = END_64.unpack(file.read(END_64.size))
        if record[0] == b"PK\6\6" and file.read(4) == b"PK\6\7":
            disk, first, here, count, length = record[4:9]
    if disk or first or here != count:
        raise _bad(archive, "is one part of several", f"disk {disk}")
    if length > MAX_DIRECTORY or MAX_ENTRIES < count != 0xFFFF:
        raise _bad(archive, "holds too many files", f"{count} entries, {length} bytes of them")
    return file, count


def _end_record(tail: bytes) -> int | None:
    """Where the end record stands: the mark whose comment ends with the file."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if at + END.size <= len(tail):
            comment = END.unpack_from(tail, at)[7]
            if at + END.size + comment == len(tail):
                return at
        at = tail.rfind(b"PK\5\6", 0, at)
    return None


@contextlib.contextmanager
def _wording(archive: RemoteFile, path: str = "") -> Iterator[None]:
    """Words the zip library's errors for a person."""
    try:
        yield
    except NotImplementedError as error:
        raise _bad(archive, "is of a newer kind than is known", f"{path}: {error}") from error
    except (OSError, *ZIP_ERRORS) as error:
        raise _bad(archive, "is damaged", f"{path}: {error!r}") from error


def _bad(archive: RemoteFile, what: str, detail: str) -> SfumatoError:
    name = archive.path.rpartition("/")[2]
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The archive {name} {what}, so it cannot be used; choose another variant.",
        detail,
    )
