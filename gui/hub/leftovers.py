"""All that may be cleared away, downloads that came to nothing among it."""

from __future__ import annotations

import os
from pathlib import Path

from gui import files, paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.plan import FOLDER, WorkFolder
from gui.library.models.leftovers import is_read, kept_sources, not_read, strays
from gui.library.models.records import Orphan
from gui.library.models.removal import delete, undeletable


def orphans(root: Path | None = None) -> tuple[Orphan, ...]:
    """What lies in the models' folder and belongs to no model and no download under way."""
    root = root or paths.models_dir()
    found = []
    for entry in _entries(root / FOLDER):
        work = WorkFolder(root, entry.name)
        if entry.is_dir() and (work.is_locked() or not _entries(entry)):
            continue  # under way, or just going away
        plan = work.load() if entry.is_dir() else None
        found.append(
            Orphan(
                path=str(entry),
                bytes=files.disk_bytes(entry, follow=False),
                repo=plan.repo if plan else "",
                download=plan.id if plan else "",
            )
        )
    return (*found, *strays(root))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def leftovers(root: Path | None = None) -> tuple[Orphan, ...]:
    """`orphans` of the models' folder, then `kept_sources` that no conversion
    reads."""
    return (*orphans(root), *(kept for kept in kept_sources() if not is_read(Path(kept.path))))


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
