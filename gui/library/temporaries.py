"""Files that are being written, under names that say so, and what becomes of those left behind.

A process that is killed while it writes leaves its temporary file; nobody but us knows what it is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

_PREFIX = ".sfumato-"
_SUFFIX = ".part"
_STALE_SECONDS = 3600.0
"""So old that no running process can still own it."""


def temporary_file(folder: Path) -> Path:
    """A name for a file in the making; nothing is made."""
    return folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"


def sweep(folder: Path) -> None:
    """Remove what was left behind in a folder an hour ago or longer.  Never raises.  Blocking."""
    limit = time.time() - _STALE_SECONDS
    with contextlib.suppress(OSError):
        for stale in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if stale.lstat().st_mtime < limit:
                    stale.unlink()


def sweep_pictures(roots: Iterable[Path]) -> None:
    """`sweep` folders of pictures and the folders of days within.  Never raises.  Blocking."""
    for root in roots:
        sweep(root)
        with contextlib.suppress(OSError):
            for item in list(os.scandir(root)):
                with contextlib.suppress(OSError):
                    if item.is_dir(follow_symlinks=False):
                        sweep(Path(item.path))
