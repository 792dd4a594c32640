"""A file to read that is not on this disk as it is read: what all such have in common."""

from __future__ import annotations

import errno
import io
import os


class SoughtFile(io.RawIOBase):
    """Where the next byte is read, and seeking, over `size` bytes.

    Whoever derives from it reads at `_at`, and moves it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """
        Raises:
            OSError: EINVAL before the beginning, as a file on disk does.
        """
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(errno.EINVAL, f"cannot seek to {origin + offset}")
        self._at = origin + offset
        return self._at
