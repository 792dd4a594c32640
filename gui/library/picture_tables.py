"""The database of the picture index: its tables, and how it is opened.

An index is made from files, so one that is damaged or of another version is simply made again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gui import locks
from gui.library import database
from gui.library.database import MEMORY

SCHEMA = 3
PATIENCE = 10.0
"""Seconds to wait for another copy of Sfumato that is writing."""
AT_ONCE = 500
"""Values in one statement."""

log = logging.getLogger(__name__)

COLUMNS = (
    "path", "folder", "created", "day", "width", "height", "prompt", "negative", "model",
    "scheduler", "seed", "steps", "guidance_scale", "kind", "bytes", "modified_ns", "fingerprint",
    "favourite",
)  # fmt: skip

_TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
  created REAL NOT NULL, day INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  prompt TEXT NOT NULL, negative TEXT NOT NULL, model TEXT NOT NULL, scheduler TEXT NOT NULL,
  seed INTEGER, steps INTEGER, guidance_scale REAL, kind TEXT NOT NULL, bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL, favourite INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_date ON pictures (created DESC, id DESC, day);
CREATE INDEX IF NOT EXISTS by_folder ON pictures (folder);
CREATE INDEX IF NOT EXISTS by_fingerprint ON pictures (fingerprint);
CREATE INDEX IF NOT EXISTS by_model ON pictures (model);
CREATE INDEX IF NOT EXISTS by_favourite ON pictures (favourite) WHERE favourite;
CREATE TABLE IF NOT EXISTS refused (
  path TEXT PRIMARY KEY, folder TEXT NOT NULL, bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refused_in ON refused (folder);
CREATE TABLE IF NOT EXISTS tags (
  picture INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (picture, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_tag ON tags (tag);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
  prompt, negative, other, tokenize="unicode61 remove_diacritics 2", prefix='2 3');
"""


def _connect(name: str) -> sqlite3.Connection:
    connection = database.connect(name, PATIENCE)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class OpenedIndex:
    """An index that can be used now."""

    connection: sqlite3.Connection
    rebuilt: bool
    """It is empty: the folders must be read again."""
    notice: str = ""
    """A sentence for the person where it is not kept, or ""."""


def open_index(path: Path | None) -> OpenedIndex:
    """Open an index, or make one.

    Args:
        path: the database; None keeps everything in memory.
    """
    if path is None:
        return OpenedIndex(_connect(MEMORY), True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opening(path):
            return _open_file(path)
    except (sqlite3.Error, OSError) as error:
        log.warning("picture index in memory: %r", error)
        return OpenedIndex(
            _connect(MEMORY),
            True,
            f"The list of pictures cannot be kept in “{path.parent}”, so it is read anew at "
            "every start; check that the folder is writable and the disk is not full.",
        )


def _open_file(path: Path) -> OpenedIndex:
    missing = not path.exists()
    try:
        connection = _connect(str(path))
    except sqlite3.OperationalError:  # unwritable, full: not damaged
        raise
    except sqlite3.DatabaseError as damage:
        return _start_anew(path, damage)
    error = None
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
            # Every page of the table is looked at: damage behind a good beginning shows now.
            connection.execute("SELECT sum(length(prompt)) FROM pictures").fetchone()
            return OpenedIndex(connection, missing)
    except sqlite3.DatabaseError as damage:
        error = damage
    connection.close()
    return _start_anew(path, error)


def _start_anew(path: Path, error: Exception | None) -> OpenedIndex:
    log.warning("picture index %s is made anew: %r", path, error)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return OpenedIndex(_connect(str(path)), True)


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[None]:
    """One process at a time looks whether an index is whole, and makes another in its place."""
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + PATIENCE
    try:
        with contextlib.suppress(OSError):  # a disk that knows no locks
            while not locks.take(descriptor) and time.monotonic() < end:
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def writing(connection: sqlite3.Connection) -> AbstractContextManager[sqlite3.Connection]:
    """All that is written to the index within, or nothing of it.

    Raises:
        SfumatoError: STORAGE where it cannot be written.
    """
    return database.transaction(
        connection,
        "The list of pictures could not be written; see that the disk is not full, and try again.",
    )


def parts(values: list[int]) -> Iterator[list[int]]:
    """So many at a time as fit into one statement."""
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]


def each(db: sqlite3.Connection, ids: Iterable[int], column: str) -> Iterator[tuple[int, str]]:
    """One column of these pictures, in their order; those that are gone are left out."""
    for part in parts(list(ids)):
        marks = ",".join("?" * len(part))
        found = dict(db.execute(f"SELECT id, {column} FROM pictures WHERE id IN ({marks})", part))
        yield from ((number, found[number]) for number in part if number in found)
