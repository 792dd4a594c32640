"""Files that are being written, under names that say so, and what becomes of those left behind.

A process that is killed while it writes leaves its temporary file; nobody but us knows what it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_PREFIX = ".sfumato-"
_SUFFIX = ".part"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_PIECE = 1024 * 1024
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


def write_whole(folder: Path, name: str, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file so that it has its name only when it is whole and on the disk.

    Args:
        overwrite: replace a file of that name; else the first free numbered name is taken.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    return _write(folder, name, [data], overwrite=overwrite)


def copy_whole(source: BinaryIO, folder: Path, name: str) -> Path:
    """As `write_whole`, with what is left to read of another file, under a name that is free."""
    pieces = iter(lambda: source.read(_PIECE), b"")
    return _write(folder, name, pieces, overwrite=False)


def _write(folder: Path, name: str, pieces: Iterable[bytes], *, overwrite: bool) -> Path:
    temporary = temporary_file(folder)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if overwrite:
            target = folder / name
            temporary.replace(target)
        else:
            target = _name_exclusively(temporary, folder / name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    _sync_folder(folder)
    return target


def move_whole(source: Path, target: Path) -> None:
    """Move a file, to another disk too, so that it has its new name only when it is whole there and
    its old one until then.

    Raises:
        FileExistsError: there is something of that name; it stays as it is.
        OSError: it cannot be moved; it stays where it is.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        temporary = temporary_file(target.parent)
        try:
            shutil.copy2(source, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            _name(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)
    source.unlink()


def _name(temporary: Path, target: Path) -> None:
    """Give a finished file its name.

    Raises:
        FileExistsError: there is something of that name.
        OSError: it cannot be named.
    """
    try:
        os.link(temporary, target)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    # No hard links here (exFAT, network shares): reserve the name, then move onto it.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        temporary.replace(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _name_exclusively(temporary: Path, wished: Path) -> Path:
    """Give `temporary` the wished name, or the first free numbered one; never replaces a file."""
    number = 1
    while True:
        target = wished if number == 1 else wished.with_stem(f"{wished.stem}-{number}")
        number += 1
        try:
            _name(temporary, target)
        except FileExistsError:
            continue
        return target


def _sync_folder(folder: Path) -> None:
    """Make the new name durable where the file system can; the picture itself is already."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
