"""Disks: what is free, and what their errors mean to a person.  Standard library only."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from gui import words
from gui.errors import ErrorKind, SfumatoError

SPARE_BYTES = 64 << 20
"""Left free beyond what a download needs: journals, folders, and other programs."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE = {errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO, errno.ENOTDIR, errno.ESTALE}


def storage_error(error: OSError, path: Path) -> SfumatoError:
    """What an operating system's error about a file means."""
    detail = f"{path}: {error!r}"
    if error.errno in _FULL:
        sentence = "The disk is full; free some space, then resume the download."
    elif error.errno == errno.EFBIG:
        sentence = "The disk cannot hold files as large as this model's; choose another disk."
    elif error.errno in _READ_ONLY:
        sentence = (
            "The folder of the models cannot be written; check its permissions, then resume the "
            "download."
        )
    elif error.errno in _GONE:
        sentence = (
            "The disk that holds the models cannot be reached any more; connect it again, then "
            "resume the download."
        )
    elif error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model holds a file that cannot be stored on this disk: “{path.name}”.",
            detail,
        )
    else:
        sentence = "The model could not be written to the disk; resume the download to try again."
    return SfumatoError(ErrorKind.STORAGE, sentence, detail)


def free_bytes(folder: Path) -> int:
    """Free space on the disk of `folder`, or of its nearest parent that exists."""
    for candidate in (folder, *folder.parents):
        if candidate.exists():
            return shutil.disk_usage(candidate).free
    return 0


def reading_error(error: OSError, path: Path) -> SfumatoError:
    """A file that is there cannot be read."""
    return SfumatoError(
        ErrorKind.STORAGE,
        f"“{path.name}” cannot be read; check the permissions of the models' folder, and that its "
        "disk is connected.",
        f"{path}: {error!r}",
    )


def check_space(folder: Path, needed: int, promised: int = 0) -> None:
    """Refuse work for which the disk has no room.

    Args:
        folder: on the disk in question; it need not exist.
        needed: bytes that the work takes.
        promised: bytes that other work under way will still take.

    Raises:
        SfumatoError: STORAGE, saying how much is needed and how much there is.
    """
    if needed <= 0:
        return
    free = free_bytes(folder)
    if free < needed + promised + SPARE_BYTES:
        others = f" besides the {words.size(promised)} that other downloads still need"
        room = f"{words.size(max(0, free - promised))} is free{others if promised else ''}"
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"This needs {words.size(needed)} of disk space and {words.size(SPARE_BYTES)} to "
            f"spare, and {room}; free some space, then try again.",
            f"{folder}: {needed} bytes needed, {promised} promised, {free} free",
        )
