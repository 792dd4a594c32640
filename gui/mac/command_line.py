"""The command `sfumato` for terminals, from the bundle: a small script where shells look.

A script and no link: the bundle's program finds its bundle by the path that it is started by.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError

FOLDER = Path("/usr/local/bin")
"""On the path of every shell of macOS (`/etc/paths`)."""
NAME = "sfumato"
MARK = "# Sfumato's command line; remove this file to be rid of it."
PATIENCE_SECONDS = 300.0
"""For a person who is asked for a password."""


@dataclass(frozen=True)
class Installed:
    """What lies where the command should."""

    file: Path
    there: bool = False
    """Something of this name is there."""
    ours: bool = False
    """It is a script of ours …"""
    current: bool = False
    """… that starts this very app."""


def script(app: Path) -> str:
    program = app / "Contents" / "MacOS" / "Sfumato"
    return f'#!/bin/sh\n{MARK}\nexec {shlex.quote(str(program))} "$@"\n'


def look(app: Path, folder: Path = FOLDER) -> Installed:
    """What is there now.  Looks at the disk."""
    file = folder / NAME
    try:
        text = file.read_text("utf-8", "replace")[:10_000]
    except FileNotFoundError:
        return Installed(file)
    except OSError:
        return Installed(file, there=True)
    return Installed(file, there=True, ours=MARK in text, current=text == script(app))


def install(app: Path, folder: Path = FOLDER) -> Path:
    """Put the command where shells look; where only an administrator may write, macOS asks for one.
    Blocking, on any thread.

    Raises:
        SfumatoError: STORAGE where another program's file has the name, it cannot be written, or
            the person did not want to give a password.
    """
    found = look(app, folder)
    if found.there and not found.ours:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"Another program's command lies at {found.file}; move it away, and try again.",
        )
    with tempfile.TemporaryDirectory(prefix="sfumato-command-") as scratch:
        made = Path(scratch) / NAME
        made.write_text(script(app), encoding="utf-8")
        made.chmod(0o755)
        if os.access(folder, os.W_OK):
            try:
                shutil.copy2(made, found.file.with_suffix(".new"))
                found.file.with_suffix(".new").replace(found.file)
            except OSError as error:
                raise _cannot(found.file, str(error)) from error
        else:
            _as_administrator(
                f"mkdir -p {shlex.quote(str(folder))} && "
                f"install -m 755 {shlex.quote(str(made))} {shlex.quote(str(found.file))}",
                found.file,
            )
    return found.file


def remove(app: Path, folder: Path = FOLDER) -> None:
    """Take the command away again, if it is ours.

    Raises:
        SfumatoError: STORAGE as `install`.
    """
    found = look(app, folder)
    if not found.ours:
        return
    if os.access(folder, os.W_OK):
        try:
            found.file.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot(found.file, str(error)) from error
    else:
        _as_administrator(f"rm -f {shlex.quote(str(found.file))}", found.file)


def _as_administrator(command: str, file: Path) -> None:
    # The command comes as an argument, so nothing in it is ever read as AppleScript.
    lines = (
        "on run argv",
        "do shell script (item 1 of argv) with administrator privileges",
        "end run",
    )
    told = [argument for line in lines for argument in ("-e", line)]
    try:
        done = subprocess.run(
            ["osascript", *told, command],
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise _cannot(file, str(error)) from error
    if done.returncode:
        raise _cannot(file, done.stderr.strip()[:500])


def _cannot(file: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.STORAGE,
        f"The command could not be written to {file}; try again as an administrator of this Mac.",
        detail,
    )
