"""Files and folders that a person or a stranger named or wrote: looking at them, reading their
text, following their links.  Whatever is wrong with one is a `SfumatoError` or a plain no.

Everything here may wait for a disk, so the window's thread keeps away from it.  Standard library
only.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gui import names, paths, records
from gui.errors import ErrorKind, SfumatoError

# -- paths that were typed, dropped or restored ------------------------------------------------


def expanded(text: str | Path) -> Path:
    """A path that came from outside as an absolute one; the disk is not asked for it.

    ``~`` and ``~somebody`` mean home folders, and themselves where there is no such person.  Links
    and ``..`` stay: the name that a person knows is the name in every message.

    Raises:
        SfumatoError: BAD_REQUEST for what can be no path (empty, a NUL, a name of over 255 bytes).
    """
    text = str(text)
    fault = "" if text else "is empty"
    try:
        parts = os.fsencode(text).split(b"/")
    except UnicodeEncodeError:  # half of a character, as JSON may hold
        fault, parts = "is not readable text", []
    if "\0" in text:
        fault = "holds a character that no name can have"
    elif any(len(part) > names.MAX_NAME_BYTES for part in parts):
        fault = f"holds a name of more than {names.MAX_NAME_BYTES} bytes, which no disk can store"
    if not fault:
        try:
            return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111 - it never raises
        except OSError as error:  # the current folder has been deleted
            raise path_error(text, error) from error
        except ValueError as error:
            fault = f"is no path ({error})"
    raise SfumatoError(
        ErrorKind.BAD_REQUEST, f"The path “{_shown(text)}” {fault}; give another one.", repr(text)
    )


def checked(text: str | Path) -> Path:
    """`expanded`, and looked at: what is there may be used, and what is not there could be.

    Raises:
        SfumatoError: BAD_REQUEST for what can be no path here; STORAGE where one may not look.
    """
    path = expanded(text)
    try:
        path.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise path_error(text, error) from error
    except ValueError as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{_shown(str(text))}” is no path; give another one.",
            str(error),
        ) from error
    return path


def found(text: str | Path) -> Path | None:
    """What there is under a path from outside; None: nothing, or nothing that one may look at."""
    try:
        path = expanded(text)
    except SfumatoError:
        return None
    return path if exists(path) else None


def path_error(path: str | Path, error: OSError) -> SfumatoError:
    """What a system's refusal to look at a path means to a person."""
    shown, detail = _shown(str(path)), f"{path!r}: {error!r}"
    if error.errno == errno.ENAMETOOLONG:
        return SfumatoError(
            ErrorKind.BAD_REQUEST, f"The path “{shown}” is too long; give a shorter one.", detail
        )
    if error.errno == errno.ELOOP:
        return SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{shown}” is a link that leads back to itself; choose what it should lead to.",
            detail,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SfumatoError(
            ErrorKind.STORAGE,
            f"“{shown}” is closed to Sfumato; give it the permission to look there, or choose "
            "another place.",
            detail,
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SfumatoError(
            ErrorKind.BAD_REQUEST, f"“{shown}” does not exist; check how it is written.", detail
        )
    return SfumatoError(
        ErrorKind.STORAGE,
        f"“{shown}” cannot be looked at ({error.strerror or error}); check that its disk is "
        "connected.",
        detail,
    )


def exists(path: str | Path) -> bool:
    """Whether there is anything, a link's target counting; no for whatever cannot be looked at."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib's raises


def is_file(path: str | Path) -> bool:
    """Whether it is a file that can be read without waiting: no pipe, no device."""
    return os.path.isfile(path)  # noqa: PTH113 - pathlib's raises


def is_folder(path: str | Path) -> bool:
    """Whether it is a folder, or leads to one."""
    return os.path.isdir(path)  # noqa: PTH112 - pathlib's raises


def children(folder: Path) -> list[Path]:
    """What is in a folder, by name, debris left out; nothing where it cannot be looked at."""
    try:
        return sorted(child for child in folder.iterdir() if not names.is_debris(child.name))
    except (OSError, ValueError):
        return []


def free_bytes(place: Path) -> int | None:
    """Free space on the disk that holds a file or folder, or would: its nearest parent counts.

    Returns:
        None where that cannot be known.
    """
    place = place.absolute()
    for there in (place, *place.parents):
        try:
            return shutil.disk_usage(there).free
        except ValueError:  # a name that cannot be
            continue
        except OSError as error:
            if error.errno not in _NOT_THERE:
                return None
    return None


_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


def same(one: str | Path, other: str | Path) -> bool:
    """Whether two paths are one file or folder, or spell the same missing one."""
    try:
        one, other = expanded(one), expanded(other)
        return one == other or one.samefile(other)
    except (OSError, ValueError, SfumatoError):
        return False


def _shown(text: str) -> str:
    """A path in a sentence: without control characters, and not longer than a line or two."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= 120 else f"{text[:60]}…{text[-59:]}"


# -- text ---------------------------------------------------------------------------------------

MAX_JSON_BYTES = 64 << 20
"""Longest JSON file that is read: a tokenizer of 250,000 words takes 17 MB."""
_LEAST_READ = 65536
"""Files of the system's own say that they are empty."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class UnreadableFile(ValueError):  # noqa: N818 - reads as what it says
    """A file's contents make no sense; the text is the rest of a sentence that begins with the
    file's name (“is not JSON: …”)."""


def read_bytes(path: Path, limit: int) -> bytes:
    """A whole file of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: it is too long, no plain file, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFile("is no plain file")
            if status.st_size > limit:
                raise UnreadableFile(f"is too long ({status.st_size} bytes)")
            # Not `limit` at once: room for as much is asked of the system, which may not have it.
            length = max(status.st_size, _LEAST_READ)
            return file.read(min(length, limit))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except OSError as error:
        raise UnreadableFile(f"cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(f"cannot be read ({error})") from error


def decoded(data: bytes) -> str:
    """Text as editors save it: UTF-8 with or without a byte-order mark, or UTF-16 with one; lines
    end in ``\\n``.

    Raises:
        UnreadableFile: it is something else.
    """
    try:
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"is not text in UTF-8 (byte {error.start})") from error
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def read_text(path: Path, limit: int = MAX_JSON_BYTES) -> str:
    """`decoded` contents of a file.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: it is too long, no text, or cannot be read.
    """
    return decoded(read_bytes(path, limit))


def parse_json(data: bytes | str, *, finite: bool = False, unique: bool = False) -> Any:
    """What JSON from outside says (`gui.records.parse`).  Halves of characters become U+FFFD, so
    that what comes out can be written anywhere.

    Args:
        data: text, or bytes as `decoded` takes them.
        finite: refuse NaN and the infinities; diffusers' schedulers hold some.
        unique: refuse a name that an object states twice.

    Raises:
        UnreadableFile: it is no JSON, or nested deeper than `gui.records.MAX_DEPTH`.
    """
    text = decoded(data) if isinstance(data, bytes) else data
    try:
        value = records.parse(text, finite=finite, unique=unique)
    except records.RecordError as error:
        raise UnreadableFile(error.problem) from error
    if _HALF.search(text) or any("\ud800" <= c <= "\udfff" for c in text):
        return _whole_characters(value)
    return value


def read_json(path: Path, limit: int = MAX_JSON_BYTES, *, finite: bool = False) -> Any:
    """`parse_json` of a file.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: it is too long, no JSON, nested too deeply, or cannot be read.
    """
    return parse_json(read_bytes(path, limit), finite=finite)


def read_json_object(
    path: Path, limit: int = MAX_JSON_BYTES, *, finite: bool = False
) -> dict[str, Any]:
    """`read_json` of a file that must hold an object.

    Raises:
        FileNotFoundError, UnreadableFile: as `read_json`; also for JSON that is no object.
    """
    value = read_json(path, limit, finite=finite)
    if not isinstance(value, dict):
        raise UnreadableFile("is no JSON object")
    return value


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(one) for one in value]
    if isinstance(value, dict):
        return {_whole_characters(k): _whole_characters(v) for k, v in value.items()}
    return value


# -- links --------------------------------------------------------------------------------------

MAX_MODEL_FILES = 5000
"""A folder of more files and folders is no model."""


def check_links(folder: Path) -> None:
    """The rule about links in models, for every reader and both runtimes.

    A model that a person keeps somewhere may be made of links, as in the Hugging Face cache, whose
    snapshots lead to files in ``blobs``, or where large files moved to another disk: they may lead
    to any file or folder.  What lies below Sfumato's own models folder was downloaded or unpacked,
    that is, written by strangers, and no link in it may leave its package.  Nowhere may one lead
    nowhere, or to a pipe or device, reading which may never end.

    Args:
        folder: a `.mlpackage`, a `.mlmodelc`; it may be a link itself.

    Raises:
        SfumatoError: BAD_MODEL, naming the link.
    """
    try:
        root = folder.resolve()
        inside = root if root.is_relative_to(paths.models_dir().resolve()) else None
    except (OSError, RuntimeError, ValueError) as error:
        raise _bad_link(folder, folder, "leads nowhere", error) from error
    for path in everything(folder):
        try:
            mode = path.stat().st_mode
            real = path.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # dangling, or in a circle
            raise _bad_link(folder, path, "leads nowhere", error) from error
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _bad_link(folder, path, "is neither a file nor a folder", "")
        if inside is not None and not real.is_relative_to(inside):
            raise _bad_link(folder, path, "leads outside itself", real)


def below(folder: Path) -> Iterator[Path]:
    """Every file and folder below a folder, what systems left there aside; links are not
    entered."""
    for base, folders, found in os.walk(folder):
        folders[:] = [name for name in folders if not names.is_systems(name)]
        for name in (*folders, *found):
            if not names.is_systems(name):
                yield Path(base, name)


def has_links(folder: Path) -> bool:
    """Whether there is a link in a folder."""
    return any(path.is_symlink() for path in everything(folder))


def copy_without_links(folder: Path, target: Path) -> None:
    """Make `target`, which must not exist, the same folder with files where there were links: hard
    links to them where the disk can, which take no room, else copies.

    Raises:
        OSError: it cannot be written.
    """
    target.mkdir(parents=True)
    for child in sorted(folder.iterdir()):
        if child.is_dir():
            copy_without_links(child, target / child.name)
            continue
        try:
            os.link(child.resolve(), target / child.name)
        except OSError:
            shutil.copyfile(child, target / child.name)


def _bad_link(folder: Path, path: Path, what: str, detail: object) -> SfumatoError:
    place = path.relative_to(folder).as_posix() if path != folder else "it is a link"
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"A part of {folder.name} {what} ({place}); get the model again.",
        f"{path}: {detail}",
    )


def everything(folder: Path) -> Iterator[Path]:
    """Every file and folder below a folder, linked folders entered, each of them once.

    Raises:
        SfumatoError: BAD_MODEL for more than `MAX_MODEL_FILES`.
    """
    count = 0
    entered: set[tuple[int, int]] = set()
    for base, folders, files in os.walk(folder, followlinks=True):
        count += len(folders) + len(files)
        if count > MAX_MODEL_FILES:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"“{folder.name}” holds too many files to be a model; choose another folder.",
            )
        place = Path(base)
        yield from (place / name for name in (*folders, *files))
        folders[:] = [name for name in folders if _is_new(place / name, entered)]


def _is_new(folder: Path, entered: set[tuple[int, int]]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    key = status.st_dev, status.st_ino
    return key not in entered and not entered.add(key)


# -- sizes --------------------------------------------------------------------------------------


def content_bytes(path: Path) -> int:
    """Length of a file, or of all files in a folder; links count as what they lead to."""
    return sum(status.st_size for status in _stats(path, follow=True))


def disk_bytes(path: Path, *, follow: bool = True) -> int:
    """Room on the disk that a file or folder takes; parts of a file not written yet take none.

    Args:
        follow: count what links lead to (a model's size), each file once; else the links alone
            (what would be free without it).
    """
    return sum(status.st_blocks * 512 for status in _stats(path, follow=follow))


def _stats(path: Path, *, follow: bool) -> Iterator[os.stat_result]:
    seen: set[tuple[int, int]] = set()

    def look(file: str) -> Iterator[os.stat_result]:
        try:
            status = os.stat(file, follow_symlinks=follow)  # noqa: PTH116 - there may be thousands
        except (OSError, ValueError):
            return
        key = status.st_dev, status.st_ino
        if not stat.S_ISDIR(status.st_mode) and key not in seen:
            seen.add(key)
            yield status

    if not is_folder(path) or (path.is_symlink() and not follow):
        yield from look(str(path))
        return
    entered: set[tuple[int, int]] = set()
    for base, folders, files in os.walk(path, followlinks=follow):
        for name in files:
            yield from look(os.path.join(base, name))  # noqa: PTH118
        if follow:
            folders[:] = [name for name in folders if _is_new(Path(base, name), entered)]
        else:
            for name in folders:
                if os.path.islink(linked := os.path.join(base, name)):  # noqa: PTH114, PTH118
                    yield from look(linked)
