"""Crash reports: what ended a process of ours, each in a file of its own in one folder.

Nothing is sent anywhere; a person can look at a report, and pass it on.  A process that is watched
(`Watch`) has a file from its start, in which Python's fault handler can still write when nothing
else works; it is locked while the process lives, so the next start knows which ones are left.  Of
children that crash their parent keeps a report (`keep`).  Standard library only.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO

import gui
from gui import locks, paths

MOST = 20
"""Reports that are kept; the oldest go."""
_RUNNING = "running-"
_REPORT = "crash-"
SIGNALS = {
    int(getattr(signal, name))
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS")
}
"""Those that end a process which has crashed."""


def folder() -> Path:
    return paths.logs_dir() / "Crashes"


def head(role: str) -> str:
    """What every report begins with."""
    kernel = os.uname()  # `platform` and `gui.versions` would cost the first paint 100 ms
    return (
        f"Sfumato {gui.__version__}, {role}, process {os.getpid()}\n"
        f"{kernel.sysname} {kernel.release}, {kernel.machine}, Python {sys.version.split()[0]}\n"
        f"started {time.strftime('%Y-%m-%d %H:%M:%S')}\n\n"
    )


class Watch:
    """From now on what ends this process unexpectedly, or fails in it unnoticed, is written down.

    Where the disk cannot be written to, nothing is.

    Args:
        role: what this process is: ``window``.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        self._file: IO[bytes] | None = None
        self._begun = 0
        self._hooks = sys.excepthook, threading.excepthook
        with contextlib.suppress(OSError):
            self._file, self._path = _open(f"{_RUNNING}{role}-{os.getpid()}-{time.time_ns()}.txt")
            self._begun = self._file.write(head(role).encode())
            faulthandler.enable(self._file)
            sys.excepthook = self._on_exception
            threading.excepthook = self._on_thread_exception

    def end(self) -> None:
        """The process ends as it should; a report stays only where something was written."""
        sys.excepthook, threading.excepthook = self._hooks
        file, self._file = self._file, None
        if file is not None:
            faulthandler.disable()
            _settle(self._path, self._begun)
            file.close()

    def _write(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None and not issubclass(kind, KeyboardInterrupt):
            text = "".join(traceback.format_exception(kind, error, trace))
            with contextlib.suppress(OSError):
                self._file.write(f"{text}\n".encode(errors="replace"))

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self._write(kind, error, trace)
        self._hooks[0](kind, error, trace)

    def _on_thread_exception(self, told: threading.ExceptHookArgs) -> None:
        self._write(told.exc_type, told.exc_value, told.exc_traceback)
        self._hooks[1](told)


def keep(title: str, code: int | None, text: str) -> Path | None:
    """Keep a report of a child that has ended, if it crashed.

    Args:
        title: what a person calls it: ``The engine``.
        code: its exit status, negative where a signal ended it.
        text: what is known of it: the end of its log.

    Returns:
        The report; None where it was no crash, or cannot be written.
    """
    if code is None or not (-code in SIGNALS or code == 1):
        return None
    name = title.lower().removeprefix("the ").replace(" ", "-")
    with contextlib.suppress(OSError):
        file, path = _open(f"{_REPORT}{_stamp(time.time_ns())}-{name}.txt")
        with file:
            file.write(f"{head(title)}{text}\n".encode(errors="replace"))
        _trim()
        return path
    return None


def collect() -> list[Path]:
    """Make reports of what processes that are gone have left behind; those that are new, newest
    first.  Looks at the disk."""
    new: list[Path] = []
    with contextlib.suppress(OSError):
        for path in folder().glob(f"{_RUNNING}*.txt"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                if not locks.is_taken(file.fileno()):
                    begun = file.read().find(b"\n\n") + 2
                    report = _settle(path, begun)
                    new += [report] if report is not None else []
    _trim()
    return sorted(new, key=lambda path: path.name, reverse=True)


def reports() -> list[Path]:
    """Those that are kept, newest first.  Looks at the disk."""
    try:
        return sorted(folder().glob(f"{_REPORT}*.txt"), key=lambda path: path.name, reverse=True)
    except OSError:
        return []


def read(path: Path) -> str:
    """A report's text, the first 200 KB of it; empty where it is gone."""
    try:
        with path.open("rb") as file:
            return file.read(200_000).decode("utf-8", "replace")
    except OSError:
        return ""


def _open(name: str) -> tuple[IO[bytes], Path]:
    """A new file that nobody else may read, locked."""
    place = folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / name
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
    with contextlib.suppress(OSError):  # a disk without locks: the next start takes it for left
        locks.take(file.fileno())
    return file, path


def _settle(path: Path, begun: int) -> Path | None:
    """Call a file a report if more than its head was written, else remove it."""
    if path.stat().st_size <= begun:
        path.unlink()
        return None
    role = path.stem.removeprefix(_RUNNING).split("-")[0]
    return path.rename(path.with_name(f"{_REPORT}{_stamp(path.stat().st_mtime_ns)}-{role}.txt"))


def _stamp(moment: int) -> str:
    """A moment in nanoseconds as it stands in a report's name; their order is that of time."""
    seconds, rest = divmod(moment, 10**9)
    return f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(seconds))}-{rest // 1000:06d}"


def _trim() -> None:
    for old in reports()[MOST:]:
        with contextlib.suppress(OSError):
            old.unlink()
