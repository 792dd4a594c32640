"""Files that this machine has already: in the Hugging Face cache, or in an installed model.

They are cloned where the file system can (APFS, Btrfs, XFS: no space, no time), else copied; never
linked, so that whatever happens to one of the two leaves the other alone.  Their hash is computed
from the copy, like that of any other file, so a damaged original does no harm.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from gui.hub.downloads.plan import digest_of
from gui.hub.types import RemoteFile
from gui.library.models.folders import model_folders
from gui.library.models.origin import file_hashes

_FICLONE = 0x40049409
"""Linux ``ioctl_ficlone(2)``."""
_PIECE = 4 << 20
_HEX = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class Known:
    """Finds files by the hash that the Hub states.

    Args:
        repo: repository that is being downloaded.
        models: folder of the installed models.
    """

    def __init__(self, repo: str, models: Path) -> None:
        from huggingface_hub import constants

        cache = Path(constants.HF_HUB_CACHE)
        own = cache / f"models--{repo.replace('/', '--')}" / "blobs"
        self._caches = [own] if own.is_dir() else []
        self._own = len(self._caches)
        with contextlib.suppress(OSError):
            self._caches += [
                blobs
                for folder in sorted(cache.glob("models--*"))
                if (blobs := folder / "blobs") != own and blobs.is_dir()
            ]
        self._installed = _installed_files(models)

    def find(self, file: RemoteFile) -> Path | None:
        """A file of that size which should have those contents; to be verified."""
        digest = digest_of(file)
        if not _HEX.fullmatch(digest):
            return None
        # Other repositories are looked at for the large files only: there may be many of both.
        caches = self._caches if file.sha256 else self._caches[: self._own]
        for candidate in (*self._installed.get(digest, ()), *(c / digest for c in caches)):
            with contextlib.suppress(OSError):
                if candidate.stat().st_size == file.size:
                    return candidate
        return None


def _installed_files(models: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for folder in model_folders(models):
        for path, digests in file_hashes(folder).items():
            for digest in digests:
                found.setdefault(digest, []).append(folder / path)
    return found


def clone_or_copy(source: Path, target: Path, stopped: Callable[[], bool]) -> bool:
    """Make `target` a file with the contents of `source`.

    Returns:
        False: `stopped` said so, and `target` is not there.

    Raises:
        OSError: it cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    source = source.resolve()
    if sys.platform == "darwin" and _clonefile(source, target):
        return True
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            if sys.platform == "linux" and _ficlone(reader.fileno(), writer.fileno()):
                return True
            while data := reader.read(_PIECE):
                if stopped():
                    target.unlink(missing_ok=True)
                    return False
                writer.write(data)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return True


def _clonefile(source: Path, target: Path) -> bool:
    """macOS ``clonefile(2)``; False where the disk cannot."""
    clonefile = getattr(ctypes.CDLL(None, use_errno=True), "clonefile", None)
    if clonefile is None:
        return False
    clonefile.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32)
    if clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
        return False
    target.chmod(0o644)  # what was protected from writing would be so here too
    return True


def _ficlone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        return False
    return True
