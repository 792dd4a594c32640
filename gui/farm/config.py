"""What this Mac knows of its farm: one small file, and private ones beside it.

While `Config.on` stands there, the farm runs this Mac's queue, and no window or command does.
Standard library only, and light: the window reads it at its start.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gui import locks, paths, records
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.queue_file import FARM_MARK
from gui.library.temporaries import temporary_file
from gui.records import Range, Record

PORT = 47866
"""Where a farm is found unless it is told otherwise."""

BRINGS = 4 * 10**9
"""What may be brought from other Macs without asking where that is switched on, in bytes each."""

FILE_NAME = "farm.json"
LOCK_FILE = "agent.lock"
"""Held by the process that is the farm on this Mac."""
_MAX_BYTES = 200_000


@dataclass(frozen=True)
class Config(Record):
    """This Mac's part in a farm."""

    starts: bool
    """Whether the scheduler is on this Mac."""
    farm: str
    """`authority.farm_id`."""
    farm_name: str
    name: str
    """This Mac's, as the others see it."""
    addresses: tuple[str, ...]
    """Where the scheduler may be."""
    port: Annotated[int, Range(1, 65535)] = PORT
    draws: bool = True
    """Whether its engine draws for the others."""
    bind: str = ""
    """The address that the scheduler listens on; empty: on all."""
    found: bool = True
    """Whether it tells the network of itself, and looks for the scheduler there."""
    member: str = ""
    """Serial number of its certificate."""
    stopped: bool = False
    """Whether a person has stopped it on this Mac, until it is started again."""
    brings: Annotated[int, Range(0, 2**53)] = 0
    """What this Mac lacks for a picture it may bring from the others by itself, up to so many bytes
    each; 0: a person is asked."""


def patience(seconds: float, least: float = 0.0) -> float:
    """How long is waited where `seconds` are usual: a part of that where the environment says so,
    for tests that should not last as long, but `least` seconds."""
    try:
        return max(least, seconds * float(os.environ.get("SFUMATO_FARM_PATIENCE", "1")))
    except ValueError:
        return seconds


def folder() -> Path:
    """Of all files of the farm; private."""
    return paths.data_dir() / "Farm"


def load() -> Config | None:
    """None where there is no farm, or its file cannot be read."""
    try:
        with (folder() / FILE_NAME).open("rb") as file:
            return records.loads(Config, file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return None


def save(config: Config) -> None:
    """Raises SfumatoError, STORAGE."""
    write_private(FILE_NAME, records.dumps(config, indent=1))


def is_stopped() -> bool:
    """Whether a person has stopped the farm on this Mac, or it is in none.  Never raises."""
    config = load()
    return config is None or config.stopped


def meanwhile(draws: bool) -> str:
    """What becomes of this Mac's queue while the scheduler is away, for people."""
    if draws:
        return "Until then this Mac makes its own queue by itself."
    return "Until then what is in line here waits, as this Mac draws nothing."


def is_on() -> bool:
    """Whether the farm runs this Mac's queue."""
    return (paths.data_dir() / FARM_MARK).exists()


def is_run() -> bool:
    """Whether some process is the farm on this Mac.  Never raises."""
    try:
        with (folder() / LOCK_FILE).open("rb") as file:
            return locks.is_taken(file.fileno())
    except OSError:
        return False


def turn_on() -> None:
    """From now on it does.  Raises SfumatoError, STORAGE."""
    mark = paths.data_dir() / FARM_MARK
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise disk_error(error, f"The farm cannot be kept in {mark.parent}") from error


def turn_off() -> None:
    """From now on whoever opens the queue runs it.  Never raises."""
    with contextlib.suppress(OSError):
        (paths.data_dir() / FARM_MARK).unlink(missing_ok=True)


def forget() -> None:
    """Leave the farm for good; certificates and keys of this Mac go."""
    turn_off()
    for name in (FILE_NAME, "member.pem", "member-key.pem"):
        with contextlib.suppress(OSError):
            (folder() / name).unlink(missing_ok=True)


def mac_name() -> str:
    """What this machine calls itself."""
    return socket.gethostname().removesuffix(".local").partition(".")[0] or "Mac"


def read_private(name: str) -> str:
    """A private file's text.

    Raises:
        SfumatoError: STORAGE where it cannot be read.
    """
    try:
        with (folder() / name).open(encoding="utf-8") as file:
            return file.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        raise SfumatoError(
            ErrorKind.STORAGE,
            "The keys of the farm are missing or cannot be read; leave the farm and join it again.",
            str(error),
        ) from error


def write_private(name: str, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all.

    Raises:
        SfumatoError: STORAGE.
    """
    place = folder()
    temporary = temporary_file(place)
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.chmod(0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place / name)
    except OSError as error:
        raise disk_error(error, f"The farm cannot be kept in {place}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
