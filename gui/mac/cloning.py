"""Copies that cost nothing until one of the two is changed: APFS' clones.

`clonefile` (sys/clonefile.h, macOS 10.12) shares a file's blocks with its copy.  macOS only.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NOFOLLOW = 1


def clone_file(source: Path, target: Path) -> None:
    """Make `target`, which must not exist, a clone of the file `source`.

    Raises:
        OSError: the disk cannot (ENOTSUP, EXDEV), or the file cannot be read or written.
    """
    library = ctypes.CDLL(None, use_errno=True)
    call = library.clonefile
    call.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32]
    if call(os.fsencode(source), os.fsencode(target), CLONE_NOFOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))
