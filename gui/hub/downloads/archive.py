"""Unpacking a downloaded zip, without trusting it.

Every entry is judged by the archive's directory before anything is written: names that would leave
the folder, links and devices, names a Mac would take for one file, absurd counts, sizes and
compression ratios are refused.  While unpacking, the declared sizes are held to, and checksums are
checked.  Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from gui import names
from gui.coreml.names import is_package_name
from gui.errors import ErrorKind, SfumatoError
from gui.hub import zip_rules
from gui.hub.downloads.storage import check_space
from gui.hub.zip_rules import END, END_64, LOCATOR, MAX_DIRECTORY, MAX_ENTRIES, ZIP_ERRORS

_PIECE = 1 << 20


def unpack(
    source: IO[bytes],
    folder: Path,
    inside: Sequence[str] = (),
    *,
    on_bytes: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, tuple[int, str]] | None:
    """Unpack a model's zip into `folder`, which must not exist.

    Finder's and Windows' litter is left out, and folders that only wrap the model are taken off:
    Core ML packages come to lie directly in `folder` where the archive holds one model.

    Args:
        source: the archive, open for reading.
        inside: folders and files in it that are wanted; none: all.  Nothing else is read.
        folder: made, and filled; on an error what has been written stays, for the caller to remove.
        on_bytes: told how many bytes were unpacked so far.
        stopped: asked often; True: give up.

    Returns:
        size and SHA-256 of each file by path relative to `folder`; None where `stopped` said so.

    Raises:
        SfumatoError: BAD_MODEL for a damaged, hostile or unreadable archive; STORAGE where the disk
            has no room for the contents.
        OSError: a file cannot be written.
        zipfile.BadZipFile, zlib.error, EOFError: damaged; `translated` words it.
    """
    _check_directory(source)
    with zipfile.ZipFile(source) as archive:
        entries = _entries(archive, inside)
        wrapper = _wrapper([name for name, _ in entries])
        kept = [(name[len(wrapper) :], info) for name, info in entries if name.startswith(wrapper)]
        check_space(folder, sum(info.file_size for _, info in kept))
        folder.mkdir(parents=True)
        found: dict[str, tuple[int, str]] = {}
        done = 0
        for name, info in kept:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with target.open("xb") as file:
                for data in _contents(archive, info):
                    if stopped():
                        return None
                    file.write(data)
                    digest.update(data)
                    done += len(data)
                    on_bytes(done)
            found[name] = (info.file_size, digest.hexdigest())
    return found


def declared_bytes(source: IO[bytes], inside: Sequence[str] = ()) -> int:
    """What the archive says its files (the wanted ones) will take; 0 where it cannot be read."""
    try:
        _check_directory(source)
        with zipfile.ZipFile(source) as archive:
            return sum(
                info.file_size
                for info in archive.infolist()
                if zip_rules.is_inside(zip_rules.stated_name(info), inside)
            )
    except (OSError, *ZIP_ERRORS, SfumatoError):
        return 0


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Words the zip library's errors for a person.

    Raises:
        SfumatoError: BAD_MODEL.
    """
    try:
        yield
    except ZIP_ERRORS as error:
        raise _damaged(name, error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a nonsensical offset
            raise
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The archive “{name}” is damaged and cannot be unpacked; tell its author, or choose "
        "another variant.",
        repr(error),
    )


def _refuse(what: str, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The archive {what}, so it was not unpacked; choose another variant.",
        detail,
    )


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a directory that would fill the memory, before the library makes objects of it.

    Looks for the end record where the library does: PKWARE's APPNOTE 6.3, 4.3.14 to 4.3.16.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - END.size - 0xFFFF - LOCATOR.size - END_64.size)
    file.seek(start)
    tail = file.read()
    place = len(tail) - END.size
    if place < 0 or tail[place : place + 4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        place = tail.rfind(b"PK\5\6")  # it has a comment
    if place < 0 or place + END.size > len(tail):
        return  # no archive; the library says so
    length = END.unpack_from(tail, place)[5]
    # The library takes the 64-bit record to stand right before its locator.
    place -= LOCATOR.size + END_64.size
    if place >= 0 and tail[place : place + 4] == b"PK\6\6":
        length = max(length if length < 0xFFFFFFFF else 0, END_64.unpack_from(tail, place)[8])
    if length > MAX_DIRECTORY:
        raise _refuse(f"holds more than {MAX_ENTRIES:,} files", f"a directory of {length} bytes")


def _entries(archive: zipfile.ZipFile, inside: Sequence[str]) -> list[tuple[str, zipfile.ZipInfo]]:
    """Every file worth having, its name checked; folders are made as files need them.  Files that
    are not wanted may be called anything, but share no bytes with others."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise _refuse(f"holds more than {MAX_ENTRIES:,} files", f"{len(infos)} entries")
    named = [(zip_rules.stated_name(info), info) for info in infos]
    named = [(name, info) for name, info in named if not names.is_debris(name)]
    fault = zip_rules.fault([info for _, info in named])
    if fault is not None:
        raise _refuse(*fault)
    named = [(name, info) for name, info in named if zip_rules.is_inside(name, inside)]
    for name, _ in named:
        names.checked_path(name.rstrip("/"))
    files = [(name, info) for name, info in named if not info.is_dir()]
    names.check_distinct(name for name, _ in files)
    if not files:
        raise _refuse("is empty", archive.filename or "")
    return files


def _contents(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """An entry's bytes; the library checks the CRC as the end is read."""
    size = 0
    with archive.open(info) as file:
        while data := file.read(_PIECE):
            size += len(data)
            if size > info.file_size:
                raise _refuse("holds more than it declares", info.orig_filename)
            yield data
    if size != info.file_size:
        raise zipfile.BadZipFile(f"{info.orig_filename}: {size} of {info.file_size} bytes")


def _wrapper(files: list[str]) -> str:
    """The prefix of folders that only wrap the model: ``Name/``, ``Name/compiled/`` or nothing."""
    prefix = ""
    while True:
        inside = {name[len(prefix) :].split("/")[0] for name in files if name.startswith(prefix)}
        folders = {
            part for part in inside if any(name.startswith(f"{prefix}{part}/") for name in files)
        }
        if any(is_package_name(part) for part in folders) or len(folders) != 1:
            return prefix
        (only,) = folders
        # Files beside the wrapper (a read-me) are not the model; they stay behind only when the
        # wrapper does hold the packages.
        if not any(
            is_package_name(part)
            for name in files
            if name.startswith(f"{prefix}{only}/")
            for part in name.split("/")
        ):
            return prefix
        prefix += only + "/"
