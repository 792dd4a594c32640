"""Parts of a file on the Hub: where their bytes lie on disk, and reading them as if all were there.

Of an archive of several gigabytes only the entries that are wanted are fetched, with the archive's
directory.  Their bytes lie one after another in a file of just their length; to whoever reads them
they are where they are in the archive.  Standard library only.
"""

from __future__ import annotations

import bisect
import errno
import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from gui.hub.seeking import SoughtFile
from gui.library.models.records import Span


class Layout:
    """Where bytes of a file on the Hub lie in the file on disk.

    Args:
        size: of the file on the Hub.
        spans: the bytes that are wanted, in order and apart; none: all.

    Raises:
        ValueError: the spans make no sense.
    """

    def __init__(self, size: int, spans: Sequence[Span] = ()) -> None:
        self.size = size
        self.spans = tuple(spans) or (Span(0, size),)
        self.in_parts = bool(spans)
        self._starts = [span.start for span in self.spans]
        self._places: list[int] = []
        self.bytes = 0
        """Of the file on disk."""
        end = 0
        for span in self.spans:
            if not (end <= span.start <= span.end <= size):
                raise ValueError(f"{span} of {size} bytes")
            end = span.end
            self._places.append(self.bytes)
            self.bytes += span.bytes

    def place(self, position: int) -> int:
        """Where a wanted byte lies on disk."""
        n = bisect.bisect_right(self._starts, position) - 1
        return self._places[n] + position - self.spans[n].start

    def within(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of ``start … end`` is wanted."""
        found = ((max(start, span.start), min(end, span.end)) for span in self.spans)
        return [(a, b) for a, b in found if a < b]

    def span_at(self, position: int) -> Span | None:
        """The wanted stretch that a byte is in."""
        n = bisect.bisect_right(self._starts, position) - 1
        return self.spans[n] if n >= 0 and position < self.spans[n].end else None


class SpanFile(SoughtFile):
    """A file of which only parts are there, to be read and sought like the whole of it.

    Args:
        file: the parts, one after another.
        layout: where they belong.
    """

    def __init__(self, file: IO[bytes], layout: Layout) -> None:
        super().__init__(layout.size)
        self._file = file
        self._layout = layout

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """
        Raises:
            OSError: EINVAL for bytes that are not there.
        """
        if self._at >= self._size or not len(buffer):
            return 0
        span = self._layout.span_at(self._at)
        if span is None:
            raise OSError(errno.EINVAL, f"byte {self._at} was not fetched")
        wanted = min(len(buffer), span.end - self._at)
        self._file.seek(self._layout.place(self._at))
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def open_parts(path: Path, layout: Layout) -> IO[bytes]:
    """The file at `path`, read as the one on the Hub.

    Raises:
        OSError: it cannot be opened.
    """
    file = path.open("rb")
    return io.BufferedReader(SpanFile(file, layout)) if layout.in_parts else file
