"""Which bytes of a download are on disk: a record that survives the process being killed.

The journal is a file of fixed-size records, each appended *after* its bytes were written, so it
never claims bytes that are not there.  (After a power failure it may; the hash of the finished file
decides.)  A torn or foreign tail is cut off on opening.  Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from pathlib import Path

_RECORD = struct.Struct("<8sQQ")
_CHECK = struct.Struct("<I")
_SIZE = _RECORD.size + _CHECK.size


class Ranges:
    """A set of byte positions, as sorted half-open ranges that do not touch."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self.total = 0

    def __iter__(self):
        return iter(self._ranges)

    def add(self, start: int, end: int) -> int:
        """Add ``start … end``; returns how many of these positions are new."""
        if end <= start:
            return 0
        before = self.total
        kept: list[tuple[int, int]] = []
        low, high = start, end
        for a, b in self._ranges:
            if b < low or a > high:
                kept.append((a, b))
            else:
                low, high = min(low, a), max(high, b)
        kept.append((low, high))
        kept.sort()
        self._ranges = kept
        self.total = sum(b - a for a, b in kept)
        return self.total - before

    def clear(self) -> None:
        self._ranges, self.total = [], 0

    def prefix(self) -> int:
        """Length of the range that begins at 0."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def gaps(self, size: int) -> list[tuple[int, int]]:
        """What is missing of ``0 … size``."""
        missing, position = [], 0
        for a, b in self._ranges:
            if a > position:
                missing.append((position, min(a, size)))
            position = max(position, b)
        if position < size:
            missing.append((position, size))
        return missing


def file_key(path: str, digest: str, size: int) -> bytes:
    """What the journal calls a file: the same name, contents and size get the same key, so that a
    newer plan keeps what an older one fetched of unchanged files."""
    return hashlib.sha256(f"{path}\0{digest}\0{size}".encode()).digest()[:8]


def read_journal(path: Path) -> dict[bytes, Ranges]:
    """What a journal says, by `file_key`.  It is left as it is: another process may be writing it.

    Raises:
        OSError: it cannot be read.
    """
    return _replay(path.read_bytes())[0]


def _replay(data: bytes) -> tuple[dict[bytes, Ranges], int]:
    """Every whole record, and where the sound part ends."""
    found: dict[bytes, Ranges] = {}
    position = 0
    while position + _SIZE <= len(data):
        body = data[position : position + _RECORD.size]
        (check,) = _CHECK.unpack_from(data, position + _RECORD.size)
        if zlib.crc32(body) != check:
            break
        key, start, end = _RECORD.unpack(body)
        if end < start:
            found.pop(key, None)
        else:
            found.setdefault(key, Ranges()).add(start, end)
        position += _SIZE
    return found, position


class DownloadJournal:
    """The journal of one download.  `append` and `forget` may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(os.dup(self._fd), "rb") as file:
                self._ranges, self._end = _replay(file.read())
            os.ftruncate(self._fd, self._end)
        except OSError:
            os.close(self._fd)
            raise

    def written(self, key: bytes) -> Ranges:
        """The ranges an earlier process wrote of this file."""
        return self._ranges.get(key) or Ranges()

    def append(self, key: bytes, start: int, end: int) -> None:
        """Say that ``start … end`` of a file has been written.

        Raises:
            OSError: the journal cannot be written; nothing was claimed.
        """
        body = _RECORD.pack(key, start, end)
        record = body + _CHECK.pack(zlib.crc32(body))
        with self._lock:
            # One small write at a fixed place: one cut short is overwritten by the next.
            if os.pwrite(self._fd, record, self._end) == _SIZE:
                self._end += _SIZE

    def claim(self, key: bytes, start: int, end: int) -> None:
        """`append`, and let `written` know too: for bytes that did not come over the network."""
        self.append(key, start, end)
        self._ranges.setdefault(key, Ranges()).add(start, end)

    def forget(self, key: bytes) -> None:
        """Say that nothing of a file is to be trusted."""
        self.append(key, 1, 0)

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
