"""Copies of files and folders that share their bytes with the original where the disk can.

Linux' FICLONE (btrfs, XFS, bcachefs) and macOS' clonefile (APFS) make copies that take no space
until one of the two is written to, and then only for what differs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from pathlib import Path

_FICLONE = 0x40049409
"""_IOW(0x94, 9, int), linux/fs.h."""
_CANNOT = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
_PIECE = 8 << 20


def clone_file(source: Path, target: Path) -> bool:
    """Copy a file's contents and date to `target`, which must not exist.

    The date tells Core ML's cache of compiled packages that a file is the same.

    Returns:
        Whether its bytes are shared.

    Raises:
        OSError: it cannot be read or written.
    """
    shared = True
    try:
        _share(source, target)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        target.unlink(missing_ok=True)
        _copy(source, target)
        shared = False
    _keep_date(source, target)
    return shared


def _share(source: Path, target: Path) -> None:
    if sys.platform == "darwin":
        from gui.mac.cloning import clone_file as clone

        clone(source, target)
        target.chmod(0o644)
        return
    import fcntl

    with source.open("rb") as old, target.open("xb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())


def _keep_date(source: Path, target: Path) -> None:
    status = source.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy(source: Path, target: Path) -> None:
    """Byte by byte; the kernel does it where it can."""
    with source.open("rb") as old, target.open("xb") as new:
        with contextlib.suppress(AttributeError, OSError):
            while os.copy_file_range(old.fileno(), new.fileno(), 1 << 30):
                pass
            if os.fstat(new.fileno()).st_size == os.fstat(old.fileno()).st_size:
                return
        old.seek(0)
        new.seek(0)
        new.truncate()
        shutil.copyfileobj(old, new, _PIECE)


def link_or_clone(source: Path, target: Path) -> None:
    """A copy of a file that nobody changes: shared bytes, else a second name, else a copy.

    Raises:
        OSError: it cannot be read or written.
    """
    try:
        _share(source, target)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        target.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), target)
            return
        except OSError:
            _copy(source, target)
    _keep_date(source, target)


def copy_tree(source: Path, target: Path, *, linked: bool) -> None:
    """Copy a folder; links in it are followed, as a copy must stand alone.

    Args:
        target: must not exist.
        linked: unchanged files may be second names of the originals.

    Raises:
        OSError: something cannot be read or written.
    """
    target.mkdir()
    for entry in sorted(os.scandir(source), key=lambda e: e.name):
        path = target / entry.name
        if entry.is_dir():
            copy_tree(Path(entry.path), path, linked=linked)
        elif linked:
            link_or_clone(Path(entry.path), path)
        else:
            clone_file(Path(entry.path), path)


def sync_tree(folder: Path) -> None:
    """Have the disk keep what was written below a folder."""
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
