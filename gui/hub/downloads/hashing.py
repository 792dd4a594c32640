"""Hashing a file while it arrives, in whatever order its parts do."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

from gui.hub.types import RemoteFile

_PIECE = 1 << 20


class FileHash:
    """The hashes of one file, computed from its front as far as it is there.

    Bytes that arrive just behind what has been hashed are hashed from memory; others are read back
    (from the system's cache, as a rule) once the gap before them has closed.

    Args:
        file: states what hash is expected.
    """

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start over.  Nobody else may be using it."""
        self.position = 0
        self._sha256 = hashlib.sha256()
        self._blob = None
        if not self._file.sha256:
            # git's hash of a blob; https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
            self._blob = hashlib.sha1(usedforsecurity=False)
            self._blob.update(b"blob %d\0" % self._file.size)

    def feed(self, start: int, data: bytes) -> None:
        """Take bytes that have just been written at `start`, where they are the next ones."""
        if start == self.position and self._lock.acquire(blocking=False):
            try:
                if start == self.position:
                    self._update(data)
            finally:
                self._lock.release()

    def catch_up(
        self, fd: int, prefix: Callable[[], int], stopped: Callable[[], bool], wait: bool = False
    ) -> None:
        """Read back and hash what lies between `position` and the end of the sound beginning.

        Args:
            fd: the file, open for reading.
            prefix: how many bytes from the front are there.
            stopped: True: give up.
            wait: where another thread is at it: wait for it, instead of leaving it to that one.

        Raises:
            OSError: the file cannot be read.
        """
        if not self._lock.acquire(blocking=wait):
            return
        try:
            while not stopped() and (left := prefix() - self.position) > 0:
                data = os.pread(fd, min(left, _PIECE), self.position)
                if not data:
                    return  # shorter than claimed; the check at the end finds out
                self._update(data)
        finally:
            self._lock.release()

    def _update(self, data: bytes) -> None:
        self._sha256.update(data)
        if self._blob is not None:
            self._blob.update(data)
        self.position += len(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def matches(self) -> bool:
        """Whether the whole file has been hashed and is the one the Hub states.

        A file of which the Hub states no hash is judged by its size alone.
        """
        if self.position != self._file.size:
            return False
        if self._file.sha256:
            return self.sha256 == self._file.sha256
        return (
            not self._file.blob or self._blob is None or self._blob.hexdigest() == self._file.blob
        )
