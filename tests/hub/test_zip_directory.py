"""Looking into zips by ranges: against Python's own zipfile, and against hostile ones."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import RemoteFile
from gui.hub.variants.zip_directory import ZipProbe
from gui.hub.zip_rules import MAX_ENTRIES


class Bytes:
    """A probe over one archive in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[int] = []

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        assert 0 <= start <= start + length <= len(self.data)
        self.reads.append(length)
        return self.data[start : start + length]


def _opened(data: bytes) -> tuple[ZipProbe, Bytes]:
    probe = Bytes(data)
    return ZipProbe(probe, RemoteFile("models/tiny.zip", len(data), sha256="0" * 64)), probe


def _zip(
    files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return stream.getvalue()


FILES = {
    "Top/Unet.mlmodelc/metadata.json": b'[{"a": 1}]' * 50,
    "Top/Unet.mlmodelc/model.mil": b"program(1.0)" * 9000,
    "Top/Unet.mlmodelc/weights/weight.bin": bytes(range(256)) * 3000,
    "Top/Größe 絵.txt": b"",
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"made by a PK\x05\x06 tool" * 40])
def test_lists_and_reads_what_zipfile_wrote(method: int, comment: bytes) -> None:
    data = _zip(FILES, method, comment)
    opened, probe = _opened(data)
    assert {f.path: f.size for f in opened.files} == {n: len(d) for n, d in FILES.items()}
    assert len(probe.reads) <= 2
    for file in opened.files:
        assert opened.read(file, 0, file.size) == FILES[file.path]
    metadata = opened.files[0]
    assert opened.read(metadata, 3, 4) == FILES[metadata.path][3:7]


def test_small_entries_cost_one_short_read() -> None:
    opened, probe = _opened(_zip({**FILES, "big.bin": bytes(10**6)}, zipfile.ZIP_STORED))
    probe.reads.clear()
    opened.read(opened.files[0], 0, opened.files[0].size)
    assert len(probe.reads) == 1
    assert probe.reads[0] < 2000


def test_sizes_over_four_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """zipfile writes 64-bit records for anything above its limits; lowered, for small files too."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = _zip(FILES)
    assert b"PK\x06\x06" in data
    assert b"PK\x06\x07" in data
    opened, _ = _opened(data)
    assert {f.path: f.size for f in opened.files} == {n: len(d) for n, d in FILES.items()}
    for file in opened.files:
        assert opened.read(file, 0, file.size) == FILES[file.path]


def test_streamed_and_prefixed_archives(tmp_path: Path) -> None:
    class Stream(io.RawIOBase):
        """Cannot seek: zipfile then writes sizes behind each file."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += data
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, content in FILES.items():
            archive.writestr(name, content)
    for data in (bytes(stream.data), b"#!/bin/sh\nexit\n" + _zip(FILES)):
        opened, _ = _opened(data)
        for file in opened.files:
            assert opened.read(file, 0, file.size) == FILES[file.path]


def _end(data: bytes, **changes: int) -> bytes:
    """The archive with fields of its end record changed."""
    at = data.rindex(b"PK\x05\x06")
    names = ("disk", "first", "here", "count", "length", "offset", "comment")
    fields = dict(zip(names, struct.unpack_from("<4H2LH", data, at + 4), strict=True))
    fields |= changes
    return data[: at + 4] + struct.pack("<4H2LH", *fields.values()) + data[at + 22 :]


def _patch(data: bytes, offset: int, value: bytes) -> bytes:
    """The archive with bytes of its first directory entry changed."""
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + value + data[at + len(value) :]


def _link(data: bytes) -> bytes:
    return _patch(data, 38, struct.pack("<L", (stat.S_IFLNK | 0o777) << 16))


def _overlapping(data: bytes) -> bytes:
    """The second entry points at the first one's bytes."""
    first = data.index(b"PK\x01\x02")
    at = data.index(b"PK\x01\x02", first + 4) + 42
    return data[:at] + struct.pack("<L", 0) + data[at + 4 :]


PLAIN = _zip(FILES)
BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "cut short"),
    "nothing": (lambda: bytes(500), "no zip"),
    "cut at the end": (lambda: PLAIN[:-30], "no zip or is cut short"),
    "cut at the start": (lambda: PLAIN[100:], "damaged"),
    "web page": (lambda: b"<html>" * 100, "no zip"),
    "part of several": (lambda: _end(PLAIN, disk=1), "one part of several"),
    "too many": (lambda: _end(PLAIN, here=MAX_ENTRIES + 1, count=MAX_ENTRIES + 1), "too many"),
    "count lies": (lambda: _end(PLAIN, here=5, count=5), "damaged"),
    "offset lies": (lambda: _end(PLAIN, offset=10**9), "damaged"),
    "length lies": (lambda: _end(PLAIN, length=60), "damaged"),
    "64-bit end missing": (lambda: _end(PLAIN, count=0xFFFF, here=0xFFFF), "damaged"),
    "entry outside": (lambda: _patch(PLAIN, 42, struct.pack("<L", 2**31)), "damaged"),
    "password": (lambda: _patch(PLAIN, 8, struct.pack("<H", 1)), "password"),
    "link": (lambda: _link(PLAIN), "a link"),
    "overlap": (lambda: _overlapping(PLAIN), "share their bytes"),
    "bomb": (lambda: _patch(PLAIN, 24, struct.pack("<L", 2**32 - 2)), "absurd size"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_hostile_and_damaged_directories_are_refused(case: str) -> None:
    make, words = BROKEN[case]
    data = make()
    with pytest.raises(SfumatoError) as caught:
        ZipProbe(Bytes(data), RemoteFile("a/b.zip", len(data)))
    assert caught.value.kind is ErrorKind.BAD_MODEL
    assert words in caught.value.message
    assert "b.zip" in caught.value.message


def test_contents_that_do_not_fit_their_entry_are_refused() -> None:
    name = b"x/metadata.json"
    data = bytearray(_zip({name.decode(): b"A" * 100}, zipfile.ZIP_STORED))
    data[30 + len(name)] ^= 1
    opened, _ = _opened(bytes(data))
    with pytest.raises(SfumatoError, match="damaged"):
        opened.read(opened.files[0], 0, 100)


def test_inflating_stops_at_the_stated_size() -> None:
    """An entry that states 10 bytes and inflates to 50 million is not inflated."""
    data = _zip({"a.json": bytes(50_000_000)})
    lying = _patch(data, 24, struct.pack("<L", 10))
    opened, _ = _opened(lying)
    with pytest.raises(SfumatoError, match="damaged"):
        opened.read(opened.files[0], 0, 10)


def test_an_empty_archive_with_64_bit_records_far_from_its_end() -> None:
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 0, 0, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
    probe, _ = _opened(end64 + bytes(70_000) + locator + end)
    assert probe.files == ()


def test_of_a_directory_longer_than_the_end_only_the_rest_is_fetched() -> None:
    files = {f"Top/Part{k:04}.mlmodelc/metadata.json": b"[{}]" * k for k in range(1500)}
    data = _zip(files)
    opened, probe = _opened(data)
    directory = len(data) - data.index(b"PK\x01\x02")
    assert directory > 2**16
    assert (len(probe.reads), sum(probe.reads)) == (2, directory)
    assert {f.path: f.size for f in opened.files} == {n: len(d) for n, d in files.items()}


def test_long_extra_fields_cost_one_read_more() -> None:
    """An entry's own header may have other extra fields than the directory says."""
    content = bytes(range(256)) * 40
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as archive:
        info = zipfile.ZipInfo("x/metadata.json")
        info.extra = struct.pack("<HH", 0x6375, 9000) + bytes(9000)
        archive.writestr(info, content)
        archive.writestr("weights.bin", bytes(10**5))
    opened, probe = _opened(stored.getvalue())
    probe.reads.clear()
    assert opened.read(opened.files[0], 0, len(content)) == content
    assert len(probe.reads) <= 2
    assert sum(probe.reads) < 2 * (len(content) + len(info.extra))


def test_a_file_that_ends_sooner_than_listed_is_an_error_not_a_wait() -> None:
    data = _zip(FILES, zipfile.ZIP_STORED)
    opened, probe = _opened(data)
    weights = next(f for f in opened.files if f.path.endswith("weight.bin"))

    def short(_file: RemoteFile, start: int, length: int) -> bytes:
        return data[: len(data) // 2][start : start + length]

    probe.read = short  # type: ignore[method-assign]
    with pytest.raises(SfumatoError, match="damaged"):
        opened.read(weights, 0, 100)


def test_entries_are_read_by_several_threads_at_once() -> None:
    files = {f"Part{k}.mlmodelc/metadata.json": bytes([k]) * 30_000 for k in range(20)}
    opened, _ = _opened(_zip(files, zipfile.ZIP_STORED))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda f: opened.read(f, 0, f.size), opened.files * 5))
    assert read == list(files.values()) * 5
