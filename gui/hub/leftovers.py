"""Checkpoints that were fetched to be converted, and all else that may be cleared away.

A checkpoint stays in the caches after its conversion, so that converting again (another size,
another compression) fetches nothing; it may be larger than the model made of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.origin import fetched_source
from gui.hub.downloads.plan import FOLDER, WorkFolder, sources_folder
from gui.hub.installed import delete, folder_bytes, orphans, undeletable
from gui.hub.types import Orphan

_STALE_SECONDS = 3600
"""A folder that nothing describes is being copied to its place, unless it is older than this."""


def kept_sources() -> tuple[Orphan, ...]:
    """Checkpoints kept for conversion, and what moving one into place left half-way."""
    found = []
    with contextlib.suppress(OSError):
        for entry in sorted(sources_folder().iterdir()):
            origin = None if entry.name.startswith(".") else fetched_source(entry)
            if origin is None and time.time() - entry.lstat().st_mtime < _STALE_SECONDS:
                continue
            repo = origin[0] if origin else ""
            found.append(
                Orphan(str(entry), folder_bytes(entry), repo, checkpoint=origin is not None)
            )
    return tuple(found)


def leftovers(root: Path | None = None) -> tuple[Orphan, ...]:
    """`gui.hub.installed.orphans` of the models' folder, then `kept_sources` that no conversion
    reads."""
    return (*orphans(root), *(kept for kept in kept_sources() if not is_read(Path(kept.path))))


def is_read(folder: Path) -> bool:
    """Whether a conversion reads a kept checkpoint: its process holds a lock on the folder."""
    try:
        with _to_itself(folder):
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def _to_itself(folder: Path) -> Iterator[None]:
    """Hold a folder's lock (`flock`), shared with nobody; it goes with the process.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def not_read(folder: Path) -> Iterator[None]:
    """Keep a folder that is about to be deleted from being read by a conversion.

    Raises:
        SfumatoError: BAD_REQUEST where a conversion reads it.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_to_itself(folder))
        except BlockingIOError as error:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "This checkpoint is being converted; wait for the end of that, or cancel it first.",
                str(folder),
            ) from error
        except OSError:
            pass  # deleting it will tell, or a disk without locks
        yield


def remove_leftover(path: Path, root: Path | None = None) -> None:
    """Delete something that `leftovers` listed.

    Raises:
        SfumatoError: BAD_REQUEST for anything else, and for a checkpoint that is being converted;
            STORAGE where it cannot be deleted.
    """
    with not_read(path):
        _remove_leftover(path, root)


def _remove_leftover(path: Path, root: Path | None) -> None:
    if path not in {Path(one.path) for one in (*orphans(root), *kept_sources())}:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "This is not a leftover any more; look at the leftovers again.",
            str(path),
        )
    if path.parent.name != FOLDER or not path.is_dir():
        delete(path)
        return
    # Another process may be about to go on with this download.
    work = WorkFolder(path.parent.parent, path.name)
    try:
        lock = work.lock()
    except OSError as error:
        raise undeletable(path, error) from error
    if lock is None:
        raise SfumatoError(
            ErrorKind.STORAGE,
            "Another Sfumato goes on with this download at the moment; look at the leftovers again "
            "when it is done.",
            str(path),
        )
    try:
        delete(path)
    finally:
        os.close(lock)
