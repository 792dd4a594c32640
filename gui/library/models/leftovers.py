"""What lies about in the models folder and belongs to no model, and checkpoints that were fetched
to be converted.

A checkpoint stays in the caches after its conversion, so that converting again (another size,
another compression) fetches nothing; it may be larger than the model made of it.  Downloads under
way are `gui.hub.leftovers`' to tell.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from gui import files, names, paths
from gui.errors import ErrorKind, SfumatoError
from gui.library.models.folders import PARTIAL_SUFFIX, holds_files, holds_packages, model_folders
from gui.library.models.origin import fetched_source, origin_of
from gui.library.models.records import Orphan

_STALE_SECONDS = 3600
"""A folder that nothing describes is being copied to its place, unless it is older than this."""
_LITTER = re.compile(r"\.removed-|\..*\.old-")
"""What a model is called while it is deleted, or has made room for its successor."""


def strays(root: Path | None = None) -> tuple[Orphan, ...]:
    """Folders in the models folder that are left of models from the Hub; unfinished downloads
    aside."""
    root = root or paths.models_dir()
    found: list[Orphan] = []
    models = set(model_folders(root))
    for top in _children(root):
        if top in models or not top.is_dir() or top.is_symlink():
            continue  # a link is somebody's, wherever it leads
        inner = [child for child in _children(top) if child.is_dir() and not child.is_symlink()]
        owner = any(child in models or _is_litter(child) for child in inner)
        found += [
            Orphan(path=str(folder), bytes=files.disk_bytes(folder, follow=False))
            for folder in (inner if owner else [top])
            if folder not in models and _is_leftover(folder)
        ]
    return tuple(found)


def _is_litter(folder: Path) -> bool:
    """Whether a deletion or an exchange of folders was ended before it could tidy up."""
    return bool(_LITTER.match(folder.name))


def _is_leftover(folder: Path) -> bool:
    """Not what a person may have put there: files that did not come from the Hub, other hidden
    folders, models deeper down than the library looks, or a conversion under way."""
    if folder.name.startswith("."):
        return _is_litter(folder)
    if folder.name.endswith(PARTIAL_SUFFIX) or holds_packages(folder):
        return False
    return _is_ours(folder)


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds no files, or what is left of models from the Hub and nothing else."""
    if not holds_files(folder) or origin_of(folder) is not None:
        return True
    return all(
        child.is_dir() and (not holds_files(child) or origin_of(child) is not None)
        for child in _children(folder)
        if not names.is_systems(child.name)
    )


def kept_sources() -> tuple[Orphan, ...]:
    """Checkpoints kept for conversion, and what moving one into place left half-way."""
    found = []
    with contextlib.suppress(OSError):
        for entry in sorted(paths.sources_dir().iterdir()):
            origin = None if entry.name.startswith(".") else fetched_source(entry)
            if origin is None and time.time() - entry.lstat().st_mtime < _STALE_SECONDS:
                continue
            repo = origin[0] if origin else ""
            size = files.disk_bytes(entry, follow=False)
            found.append(Orphan(str(entry), size, repo, checkpoint=origin is not None))
    return tuple(found)


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


def _children(folder: Path) -> list[Path]:
    """Hidden ones too."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
