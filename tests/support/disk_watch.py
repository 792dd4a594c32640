"""Notices whoever touches a file on the thread that must not wait for a disk.

Opening, listing and changing are told by the interpreter's audit events; looking (``stat`` and its
kin) has none, so those functions of `os` are wrapped while a watch is on.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_LOOKS = ("stat", "lstat", "access", "readlink", "statvfs")
_EVENTS = frozenset(
    {
        "open", "os.listdir", "os.scandir", "os.mkdir", "os.rmdir", "os.remove", "os.rename",
        "os.link", "os.symlink", "os.truncate", "os.utime", "os.chmod", "sqlite3.connect",
    }
)  # fmt: skip
_on: list[Callable[[str, Any], None]] = []
_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _on and event in _EVENTS and arguments:
        for tell in list(_on):
            tell(event, arguments[0])


@contextlib.contextmanager
def heard(tell: Callable[[str, Any], None]) -> Iterator[None]:
    """Have `tell` called, on the thread in question, before anything is done to a file: with what
    is done, and the path."""
    global _hooked
    if not _hooked:  # one can be added, and never taken away
        sys.addaudithook(_hook)
        _hooked = True

    def wrapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def look(path: Any, *more: Any, **named: Any) -> Any:
            tell(name, path)
            return real(path, *more, **named)

        return look

    real = {name: getattr(os, name) for name in _LOOKS}
    for name, function in real.items():
        setattr(os, name, wrapped(function, name))
    _on.append(tell)
    try:
        yield
    finally:
        _on.remove(tell)
        for name, function in real.items():
            setattr(os, name, function)


def is_below(path: Any, roots: Sequence[Path]) -> bool:
    """Whether this is a path at or below one of these; no disk is asked."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    text = os.fsdecode(path)
    return any(text == str(root) or text.startswith(f"{root}{os.sep}") for root in roots)


@contextlib.contextmanager
def touched(*roots: Path, spare: tuple[Path, ...] = ()) -> Iterator[list[str]]:
    """Collect what the calling thread does to files at or below `roots`, those below `spare` left
    out: one line each, with the place in the program."""
    thread = threading.get_ident()
    found: list[str] = []

    def tell(what: str, path: Any) -> None:
        if threading.get_ident() == thread and is_below(path, roots) and not is_below(path, spare):
            found.append(f"{what} {os.fsdecode(path)} in {_place()}")

    with heard(tell):
        yield found


def _place() -> str:
    ours = [f for f in traceback.extract_stack() if f"{os.sep}gui{os.sep}" in f.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in ours[-1:-4:-1])
