"""Pictures from elsewhere, copied among the person's own."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.fingerprint import FINGERPRINT_BYTES, fingerprint
from gui.library.picture_forms import open_picture
from gui.library.picture_reader import size_of
from gui.library.temporaries import copy_whole, sweep


def mark_of(path: Path) -> str:
    """What a picture file is known by in the index.

    Raises:
        SfumatoError: BAD_IMAGE where it is missing, may not be read or is no picture.
    """
    size_of(path)
    try:
        with open_picture(path) as file:
            return fingerprint(file.read(FINGERPRINT_BYTES), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{path.name}” cannot be read; check that it is there and may be read.",
            repr(error),
        ) from error


def add_copy(path: Path, root: Path) -> Path:
    """Copy a picture file, byte for byte, into the folder of the day below `root`, under its own
    name or the first free numbered one.  The copy is dated now, so that it shows where it is
    looked for.

    Raises:
        SfumatoError: BAD_IMAGE where it cannot be read; STORAGE where the copy cannot be written,
            and nothing is left behind.
    """
    folder = root / date.today().isoformat()
    with open_picture(path) as file:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            return copy_whole(file, folder, path.name)
        except OSError as error:
            raise disk_error(error, f"“{path.name}” cannot be copied to {folder}") from error
