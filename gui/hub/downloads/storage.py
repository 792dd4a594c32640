"""Disks: what is free, and what their errors mean to a person.  Standard library only."""

from __future__ import annotations

import errno
from pathlib import Path

from gui import words
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import free_bytes

SPARE_BYTES = 64 << 20
"""Left free beyond what a download needs: journals, folders, and other programs."""


def storage_error(error: OSError, path: Path) -> SfumatoError:
    """What an operating system's error while a model is downloaded means."""
    detail = f"{path}: {error!r}"
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model holds a file that cannot be stored on this disk, “{path.name}”; choose "
            "another model, or keep models on another disk.",
            detail,
        )
    return disk_error(
        error, "The model cannot be written", then="resume the download", detail=detail
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
    if free is not None and free < needed + promised + SPARE_BYTES:
        others = f" besides the {words.size(promised)} that other downloads still need"
        room = f"{words.size(max(0, free - promised))} is free{others if promised else ''}"
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"This needs {words.size(needed)} of disk space and {words.size(SPARE_BYTES)} to "
            f"spare, and {room}; free some space, then try again.",
            f"{folder}: {needed} bytes needed, {promised} promised, {free} free",
        )
