"""What an unfinished conversion has done: `journal.json` in its work folder.

A component is noted once its files lie under their final names and have reached the disk, so that
a process may be killed at any moment: the next run finds what is noted and does the rest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gui import locks, records
from gui.convert.client import JOURNAL, LOCK
from gui.convert.types import ConvertRequest, Parity
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, read_json_object
from gui.records import Record, RecordError

FORMAT = 1


@dataclass(frozen=True)
class Done(Record):
    """One finished component."""

    files: dict[str, str]
    """SHA-256 by path relative to the model's folder."""
    sizes: dict[str, int]
    """Bytes, likewise."""
    parity: Parity | None = None
    seconds: float = 0.0

    def is_there(self, root: Path) -> bool:
        """Whether every file is still there at its full length."""
        for name, size in self.sizes.items():
            try:
                if (root / name).stat().st_size != size:
                    return False
            except OSError:
                return False
        return True


@dataclass
class ConversionJournal:
    """The journal of one work folder."""

    path: Path
    request: ConvertRequest
    fingerprint: str
    """Of the source's files: a changed source starts anew."""
    done: dict[str, Done] = field(default_factory=dict)

    @classmethod
    def open(cls, work: Path, request: ConvertRequest, fingerprint: str) -> ConversionJournal:
        """The journal of an interrupted run, or a new one where there is none (any more).

        Raises:
            SfumatoError: BAD_REQUEST where the folder holds another conversion's work; STORAGE
                where it cannot be written.
        """
        path = work / JOURNAL
        journal = cls(path, request, fingerprint)
        if path.exists():
            old = _read(path)
            if old is not None and _request_of(old) != request:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"{work.name} holds an unfinished conversion with other settings; finish "
                    "that one, delete its folder, or choose another name.",
                    str(work),
                )
            if old is not None and old.get("fingerprint") == fingerprint:
                with contextlib.suppress(RecordError, KeyError):
                    journal.done = records.from_plain(dict[str, Done], old["done"])
        journal.save()
        return journal

    def note(self, key: str, done: Done) -> None:
        """Remember a finished component for good."""
        self.done[key] = done
        self.save()

    def save(self) -> None:
        """Write atomically, and wait until the disk has it."""
        data = {
            "format": FORMAT,
            "request": self.request,
            "fingerprint": self.fingerprint,
            "done": self.done,
        }
        temporary = self.path.with_name(f".{JOURNAL}.{os.getpid()}")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(records.dumps(data, indent=1))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def _read(path: Path) -> dict[str, Any] | None:
    """The file's contents; None where they are damaged, which is as good as no journal."""
    try:
        data = read_json_object(path)
    except (FileNotFoundError, UnreadableFile):
        return None
    return data if data.get("format") == FORMAT else None


def _request_of(data: dict[str, Any]) -> ConvertRequest | None:
    """As an older version may have written it, without what is new."""
    try:
        return ConvertRequest.from_json(data.get("request") or {})
    except ValueError:
        return None


@contextlib.contextmanager
def locked(work: Path) -> Iterator[None]:
    """Hold the work folder for this process alone; the lock goes with the process, even killed.

    Raises:
        SfumatoError: BAD_REQUEST where another process holds it.
    """
    busy = SfumatoError(
        ErrorKind.BAD_REQUEST,
        "This model is being converted already; wait for it, or choose another name.",
        str(work),
    )
    with (work / LOCK).open("w") as file:
        # Whoever had it may have finished and removed the folder since: that lock guards nothing.
        if not locks.take(file.fileno()) or os.fstat(file.fileno()).st_nlink == 0:
            raise busy
        yield


@contextlib.contextmanager
def reading(places: Iterable[Path]) -> Iterator[None]:
    """Hold the folders that a conversion reads, so that the app does not clear them away meanwhile
    (`gui.hub.leftovers`).  Several may read at a time; the locks go with the process, even killed.

    Args:
        places: folders, or files in them.
    """
    import fcntl

    with contextlib.ExitStack() as held:
        for place in places:
            folder = place if place.is_dir() else place.parent
            # One that is gone is noticed on reading it; one on a disk without locks does without.
            with contextlib.suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
