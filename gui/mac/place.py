"""Where the app lies on this Mac, and moving it to where it belongs.

An app that is opened out of a disk image, or out of the Downloads folder for the first time, runs
from a place that is read-only and goes away: macOS “translocates” it to a random folder (Apple,
“Gatekeeper path randomization”, WWDC 2016 session 706).  It works there, but cannot be updated, has
no lasting place in the Dock, and is asked for its permissions anew each time.

Everything here asks the system's own commands; nothing is imported that a Mac alone has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError

NAME = "Sfumato.app"
_TRANSLOCATED = "AppTranslocation"
COPY_SECONDS = 600.0


class PlaceKind(StrEnum):
    """How the app lies."""

    SETTLED = "settled"
    """Where it may stay: in a folder for applications, in a checkout, or wherever it was put."""
    IMAGE = "image"
    """On the disk image that it came on."""
    TRANSLOCATED = "translocated"
    """Run by macOS from a random place, since it was never moved after it was downloaded."""


def bundle(executable: str | Path = sys.executable) -> Path | None:
    """The bundle that a program lies in; None where it is no bundle's."""
    return next((p for p in Path(executable).parents if p.suffix == ".app"), None)


def kind_of(app: Path | None) -> PlaceKind:
    """How an app lies.  Looks at the disk."""
    if app is None:
        return PlaceKind.SETTLED
    if _TRANSLOCATED in app.parts:
        return PlaceKind.TRANSLOCATED
    try:
        read_only = bool(os.statvfs(app).f_flag & os.ST_RDONLY)
    except OSError:
        read_only = False
    return PlaceKind.IMAGE if read_only and app.parts[1:2] == ("Volumes",) else PlaceKind.SETTLED


def applications_folder(everyone: Path = Path("/Applications"), home: Path | None = None) -> Path:
    """Where apps go: the computer's folder, or the person's own where that may not be written."""
    if os.access(everyone, os.W_OK):
        return everyone
    return (home or Path.home()) / "Applications"


def move(app: Path, folder: Path) -> Path:
    """Copy the app into a folder for applications, and start the copy.  Blocking, on any thread.

    An app of the same name that is there already goes to the Trash once the copy is whole; where it
    cannot, it stays beside it as “Sfumato (earlier).app”.

    Returns:
        The copy; the process that asked should end now.

    Raises:
        SfumatoError: STORAGE where it cannot be copied; nothing is changed then.
    """
    target, scratch = folder / NAME, folder / f".{NAME}.copying"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        # ditto keeps what a signature depends on: links and extended attributes.
        _run(["ditto", str(app), str(scratch)])
        _run(["xattr", "-dr", "com.apple.quarantine", str(scratch)], must=False)
        _replace(target, scratch)
    except OSError as error:
        raise _cannot(folder, str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _run(["open", "-n", str(target)], must=False)
    return target


def _replace(target: Path, scratch: Path) -> None:
    earlier = target.with_name("Sfumato (earlier).app")
    if target.exists():
        shutil.rmtree(earlier, ignore_errors=True)
        target.rename(earlier)
    try:
        scratch.rename(target)
    except OSError:
        if earlier.exists():
            earlier.rename(target)
        raise
    if earlier.exists():
        with contextlib.suppress(OSError):
            earlier.rename(_free(Path.home() / ".Trash" / earlier.name))


def _free(path: Path) -> Path:
    number, free = 2, path
    while free.exists():
        free, number = path.with_stem(f"{path.stem} {number}"), number + 1
    return free


def _run(command: list[str], *, must: bool = True) -> None:
    """Run one of the system's commands.

    Raises:
        OSError: it is not there, or has failed, and `must` be done.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COPY_SECONDS, check=False
        )
    except subprocess.SubprocessError as error:
        if must:
            raise OSError(str(error)) from error
        return
    except OSError:
        if must:
            raise
        return
    if must and done.returncode:
        raise OSError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[:500]}")


def _cannot(folder: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.STORAGE,
        f"Sfumato could not be copied to “{folder}”; move its icon there in Finder instead.",
        detail,
    )
