"""Names that come from outside (a repository's tree, a zip's directory), checked before use.

A name is made into a file only when it stays below the folder it is meant for, on every file
system this app meets: macOS folds case and Unicode normal forms, so that two names which differ
only by those would be one file there.  Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from gui.errors import ErrorKind, SfumatoError

MAX_COMPONENT_BYTES = 255
"""Longest name of one file in UTF-8: the limit of APFS (UTF-8) and ext4."""
MAX_PATH_BYTES = 900
"""Longest path below a model's folder: macOS's PATH_MAX of 1024, less room for that folder."""

_DRIVE = re.compile(r"^[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def checked_path(path: str) -> tuple[str, ...]:
    """The components of a relative POSIX path.

    Raises:
        SfumatoError: BAD_MODEL where the path leaves its folder or cannot be a file's name.
    """
    problem = _problem(path)
    if problem:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model holds a file whose name {problem}, so it was not downloaded; choose "
            "another variant.",
            repr(path),
        )
    return tuple(path.split("/"))


def _problem(path: str) -> str:
    if not path:
        return "is empty"
    if path.startswith("/") or _DRIVE.match(path):
        return "points outside its folder"
    if "\\" in path or _CONTROL.search(path):
        return "has characters that file names cannot have"
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not readable text"
    if len(encoded) > MAX_PATH_BYTES:
        return "is too long"
    for component in path.split("/"):
        if component == "..":
            return "points outside its folder"
        if component in ("", "."):
            return "has an empty part"
        if len(component.encode("utf-8")) > MAX_COMPONENT_BYTES:
            return "is too long"
    return ""


def folded(path: str) -> str:
    """What a file system that ignores case and Unicode normal forms takes the path for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def check_distinct(paths: Iterable[str]) -> None:
    """Check every path, and that no two of them (nor their folders) would be one file on a Mac.

    Raises:
        SfumatoError: BAD_MODEL, naming the two.
    """
    known: dict[str, str] = {}
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        components = checked_path(path)
        for length in range(1, len(components) + 1):
            part = "/".join(components[:length])
            other = known.setdefault(folded(part), part)
            if other != part:
                raise _clash(other, part)
            if length < len(components):
                folders.add(part)
            elif part in files:
                raise _clash(part, part)
            else:
                files.add(part)
    if both := files & folders:
        name = min(both)
        raise _clash(name, name + "/")


def _clash(one: str, other: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The model holds “{one}” and “{other}”, which would be the same file on a Mac, so it "
        "cannot be downloaded whole; choose another variant.",
        f"{one!r} and {other!r}",
    )


def file_name(text: str) -> str:
    """`text` as one file name: slashes become ``--``, other unusable characters ``-``."""
    text = _CONTROL.sub("-", text.replace("/", "--").replace("\\", "-").replace(":", "-"))
    while len(text.encode("utf-8", "replace")) > MAX_COMPONENT_BYTES - 16:
        text = text[:-1]
    text = text.strip(". ")
    return text or "model"
