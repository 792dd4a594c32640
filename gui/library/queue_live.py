"""Where the job that is being made stands, for other processes: a file beside the queue.

Whoever runs the queue writes it at every step, and only while somebody looks (a lock that is shared
among those who do, and goes with them), so it costs nothing where nobody asks.  It is replaced
whole, so that it is never read half.  Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gui import paths, records
from gui.records import Record

_LENGTH = struct.Struct(">I")
_MOST = 16 * 2**20


@dataclass(frozen=True)
class LiveState(Record):
    """Where a job stands."""

    job: str
    picture_index: int = 0
    """From 0."""
    count: int = 1
    step: int = 0
    """Steps done of this picture."""
    steps: int = 0
    seconds_per_step: float = 0.0
    width: int = 0
    height: int = 0
    """Of the preview in pixels; 0: there is none."""
    loading: str = ""
    """The network that is being loaded; empty: none is."""


def _file() -> Path:
    return paths.data_dir() / "queue.live"


def _watched() -> Path:
    return paths.data_dir() / "queue.watched"


class LiveWriter:
    """The end of whoever runs the queue; from one thread."""

    def is_wanted(self) -> bool:
        """Whether somebody looks."""
        try:
            with _watched().open("rb") as file:
                return not _locked(file, fcntl.LOCK_EX)
        except OSError:
            return False

    def tell(self, state: LiveState, rgb: bytes = b"") -> None:
        """Say where the job stands, where somebody looks.  Never raises.

        Args:
            rgb: the preview, row by row, 3 bytes per pixel.
        """
        if not self.is_wanted():
            return
        text = records.dumps(state).encode("ascii")
        file = _file()
        scratch = file.with_name(f"{file.name}-{os.getpid()}")
        with contextlib.suppress(OSError):
            number = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(number, "wb") as out:
                out.write(b"".join((_LENGTH.pack(len(text)), text, rgb)))
            scratch.replace(file)


class LiveReader:
    """The end of those who look, until they close it."""

    def __init__(self) -> None:
        self._lock: IO[bytes] | None = None
        self._seen = (0, 0)
        with contextlib.suppress(OSError):
            _watched().parent.mkdir(parents=True, exist_ok=True)
            self._lock = _watched().open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def newer(self) -> tuple[LiveState, bytes] | None:
        """What was told since this was asked last, with the preview's pixels; None: nothing."""
        try:
            with _file().open("rb") as file:
                status = os.fstat(file.fileno())
                mark = (status.st_ino, status.st_mtime_ns)
                if mark == self._seen:
                    return None
                self._seen = mark
                data = file.read(_MOST)
            end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
            state, rgb = records.loads(LiveState, data[_LENGTH.size : end]), data[end:]
        except (OSError, ValueError, struct.error):
            return None
        if state.width < 0 or state.height < 0 or len(rgb) != 3 * state.width * state.height:
            return None
        return state, rgb

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _locked(file: IO[bytes], kind: int) -> bool:
    """Take a lock for the moment that the file is open; whether it was to be had."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
