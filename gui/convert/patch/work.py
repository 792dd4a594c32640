"""Hidden folders in which models are made, beside the place they are renamed to.

Whenever the process is killed, nothing half made is ever listed; what it leaves behind is taken
away by the next one that works there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gui import locks

_WORK = ".sfumato-patch-"
_LOCK = "lock"


@contextlib.contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder that is gone afterwards; what killed processes left is taken away first."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    work = parent / f"{_WORK}{os.getpid()}-{secrets.token_hex(4)}"
    work.mkdir()
    try:
        with (work / _LOCK).open("wb") as lock:
            with contextlib.suppress(OSError):  # a disk without locks
                locks.take(lock.fileno())
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what killed processes left behind in a folder.  Never raises."""
    with contextlib.suppress(OSError):
        for stale in parent.glob(f"{_WORK}*"):
            with contextlib.suppress(OSError):
                if not _is_at_work(stale):
                    shutil.rmtree(stale, ignore_errors=True)


def _is_at_work(work: Path) -> bool:
    try:
        with (work / _LOCK).open("rb") as lock:
            return locks.is_taken(lock.fileno())
    except FileNotFoundError:
        return time.time() - work.stat().st_mtime < 60.0  # it is just being made
