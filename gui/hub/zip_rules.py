"""What an archive from a stranger may hold: the same before it is downloaded and after.

Everything is judged from the archive's directory, before a byte of its files is read.  Standard
library only.
"""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence

MAX_ENTRIES = 50_000
MAX_DIRECTORY = 8 << 20
"""Bytes of the archive's directory: room for `MAX_ENTRIES` with long names."""
MAX_BYTES = 200 * 10**9
"""Of all files together: several times the largest published model."""
MAX_RATIO = 200
"""Unpacked size ÷ packed size, beyond `RATIO_FROM`.  Deflate reaches about 1000 on zeros; weights
compress by a few per cent and model text by about ten."""
RATIO_FROM = 16 << 20
"""Less than this, in one entry or in all of them, may compress as it likes."""
NEWEST_VERSION = 63
"""Version of the format that an entry may need, times ten: APPNOTE 6.3, as Python's `zipfile`
knows it."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of others (bzip2, LZMA) the library unpacks whatever it has read at one stroke: a megabyte may
become gigabytes in memory, whatever size is declared."""

ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""All that the library raises over an archive's contents."""

# PKWARE's APPNOTE 6.3: 4.3.7, 4.3.16, 4.3.15 and 4.3.14.
LOCAL_HEADER = 30
"""Bytes before an entry's name and contents."""
MAX_EXTRA = 0xFFFF
"""Bytes of an entry's extra fields, in its own header."""
DESCRIPTOR = 24
"""Bytes of the sums and sizes that may stand behind an entry's contents."""
END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END_64 = struct.Struct("<4sQ2H2L4Q")

Fault = tuple[str, str]
"""What is wrong with an archive, as the rest of “The archive …”, and a detail for a report."""


def is_absurd(packed: int, size: int) -> bool:
    """Whether so many bytes unpack to far too many: an archive made to fill a disk."""
    return size > MAX_BYTES or (size > RATIO_FROM and size > MAX_RATIO * max(1, packed))


def stated_name(info: zipfile.ZipInfo) -> str:
    """An entry's name as it is stated: the library cuts it at NUL, turns the system's separator,
    and takes it for code page 437 where nothing says UTF-8.  Finder writes that and says nothing.
    """
    name = info.orig_filename
    if not _says_utf8(info):
        with contextlib.suppress(UnicodeError):
            return name.encode("cp437").decode("utf-8")
    return name


def is_inside(name: str, wanted: Sequence[str]) -> bool:
    """Whether an entry is one of the wanted files, or in one of the wanted folders; all are where
    none are named."""
    return not wanted or any(name == one or name.startswith(f"{one}/") for one in wanted)


def header_bytes(info: zipfile.ZipInfo) -> int:
    """Length of an entry's own header with its name, without extra fields."""
    encoding = "utf-8" if _says_utf8(info) else "cp437"
    return LOCAL_HEADER + len(info.orig_filename.encode(encoding))


def fault(infos: Sequence[zipfile.ZipInfo]) -> Fault | None:
    """The first thing about an archive's files that no honest archive has."""
    for info in infos:
        found = _fault(info)
        if found:
            return found, f"{info.orig_filename}: {info!r}"
    size, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if is_absurd(packed, size):
        return "would unpack to an absurd size", f"in all: {packed} to {size} bytes"
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.header_offset < end:  # a small archive could unpack to anything
            return "holds files that share their bytes", info.orig_filename
        end = info.header_offset + header_bytes(info) + info.compress_size
    return None


def _fault(info: zipfile.ZipInfo) -> str:
    """Only plain files and folders, not encrypted, by a method that is known."""
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not made by a Unix
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "holds a link or a device"
    if info.flag_bits & 0x1:
        return "is protected by a password"
    if info.compress_type not in METHODS:
        return "uses a compression that is not known"
    if info.extract_version > NEWEST_VERSION:
        return "is of a newer kind than is known"
    if is_absurd(info.compress_size, info.file_size):
        return "would unpack to an absurd size"
    return ""


def _says_utf8(info: zipfile.ZipInfo) -> bool:
    return bool(info.flag_bits & 0x800)
