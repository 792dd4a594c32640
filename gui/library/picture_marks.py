"""What only the person knows of a picture: favourite and tags, kept by the picture's fingerprint.

A journal of one line per change, the last of which counts.  It is the truth: the index can be lost,
and a file can be moved by another program, without a mark being lost.  Several copies of Sfumato
write to one journal: each adds its lines under a lock and reads those of the others (`refresh`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gui import locks
from gui.errors import ErrorKind, SfumatoError, disk_error

FILE_NAME = "picture-marks.jsonl"
SPARE_LINES = 1000
"""Lines beyond twice the marks, above which the journal is written anew at the start."""
PATIENCE = 5.0
"""Seconds to wait for another copy that is writing."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mark:
    """What the person says of one picture."""

    favourite: bool = False
    tags: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.favourite and not self.tags


UNMARKED = Mark()

Changes = dict[str, tuple[Mark, Mark]]
"""By fingerprint: what was said before, and what is said now."""


class MarkJournal:
    """All marks, in memory and in their file.

    Args:
        path: the journal; None keeps everything in memory.

    Attributes:
        notice: a sentence for the person where the file cannot be read, or "".
        missing: whether there was no file at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self.notice = ""
        self.missing = True
        self._path = path
        self._marks: dict[str, Mark] = {}
        self._file = (0, 0)  # device and inode of what was read
        self._end = 0  # bytes of it that were read
        self._lines = 0
        if path is not None:
            self._load(path)

    def __getitem__(self, picture: str) -> Mark:
        """The mark of a picture, by its fingerprint."""
        return self._marks.get(picture, UNMARKED)

    def marked(self) -> list[str]:
        """Fingerprints of all pictures of which something is said."""
        return [picture for picture, mark in self._marks.items() if not mark.empty]

    def _load(self, path: Path) -> None:
        try:
            self._read()
        except OSError as error:
            log.warning("marks cannot be read: %r", error)
            self.notice = (
                f"Favourites and tags in “{path}” cannot be read; check who may read that file."
            )
            return
        if self._lines > 2 * len(self._marks) + SPARE_LINES:
            try:
                with self.changing():
                    self._compact(path)
            except (OSError, SfumatoError) as error:
                log.warning("marks could not be compacted: %r", error)

    # -- reading ------------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Whether the file has been written to by others since it was read."""
        try:
            status = self._path.stat() if self._path is not None else None
        except OSError:
            return False
        if status is None:
            return False
        return ((status.st_dev, status.st_ino), status.st_size) != (self._file, self._end)

    def refresh(self) -> Changes:
        """Read what other copies wrote since; what is different now."""
        try:
            return self._read()
        except OSError as error:
            log.warning("marks cannot be read again: %r", error)
            return {}

    def _read(self) -> Changes:
        if self._path is None:
            return {}
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return {}
        with file:
            status = os.fstat(file.fileno())
            known = (status.st_dev, status.st_ino)
            whole = known != self._file or status.st_size < self._end
            start = 0 if whole else self._end
            if start == status.st_size and not self.missing:
                return {}
            file.seek(start)
            data = file.read()
        # A line without an end is being written, or was cut by a crash and ends with the next.
        data = data[: data.rfind(b"\n") + 1]
        self._file, self._end, self.missing = known, start + len(data), False
        lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
        self._lines = len(lines) + (0 if whole else self._lines)
        now = {} if whole else dict(self._marks)
        for line in lines:
            # A line that cannot be read costs that mark alone.
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    tags = tuple(str(tag) for tag in entry.get("tags", ()))
                    now[str(entry["picture"])] = Mark(bool(entry.get("favourite")), tags)
        before, self._marks = self._marks, now
        pictures = {*before, *now} if whole else {p for p in now if now[p] is not before.get(p)}
        both = {p: (before.get(p, UNMARKED), now.get(p, UNMARKED)) for p in pictures}
        return {p: (old, new) for p, (old, new) in both.items() if old != new}

    # -- writing ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def changing(self) -> Iterator[Changes]:
        """Within, no other copy changes the marks, and all that others said has been read: yields
        what was new of it.

        Raises:
            SfumatoError: STORAGE where another copy does not let go.
        """
        with self._locked():
            yield self.refresh()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._path is None:
            yield
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_name(f".{self._path.name}.lock")
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        end = time.monotonic() + PATIENCE
        try:
            while not locks.take(descriptor):
                if time.monotonic() > end:
                    raise SfumatoError(
                        ErrorKind.STORAGE,
                        "The mark could not be kept, because another copy of Sfumato holds the "
                        "file; close that copy, then try again.",
                    )
                time.sleep(0.01)
        except OSError as error:  # a disk that knows no locks
            log.info("marks are written without a lock: %r", error)

    def add(self, marks: Mapping[str, Mark]) -> None:
        """Write these marks, by fingerprint; to be called within `changing`.

        Raises:
            SfumatoError: STORAGE where they cannot be kept; then nothing has changed.
        """
        if self._path is not None and marks:
            if not self._path.exists():  # somebody deleted it; what is known is kept
                marks = {picture: self._marks[picture] for picture in self.marked()} | {**marks}
            text = "".join(f"{_line(picture, mark)}\n" for picture, mark in marks.items())
            try:
                self._append(self._path, text.encode("utf-8", "replace"))
            except OSError as error:
                raise self._unwritable(error) from error
        self._marks |= marks
        self._lines += len(marks)

    def _append(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data  # a line that was cut by a crash ends here
            try:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):  # a full disk takes no half of it
                    os.ftruncate(descriptor, size)
                raise
            status = os.fstat(descriptor)
        self._file, self._end = (status.st_dev, status.st_ino), status.st_size
        self.missing = False

    def _compact(self, path: Path) -> None:
        """Write the journal anew with one line for each mark that still says something."""
        temporary = path.with_name(f".{path.name}.part")
        kept = [f"{_line(picture, self._marks[picture])}\n" for picture in self.marked()]
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.writelines(kept)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._read()

    def _unwritable(self, error: OSError) -> SfumatoError:
        assert self._path is not None
        return disk_error(error, f"The mark could not be kept in “{self._path.parent}”")


def _line(picture: str, mark: Mark) -> str:
    entry: dict[str, object] = {"picture": picture, "at": round(time.time())}
    if mark.favourite:
        entry["favourite"] = True
    if mark.tags:
        entry["tags"] = list(mark.tags)
    return json.dumps(entry, ensure_ascii=False)
