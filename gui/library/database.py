"""SQLite files of ours: opened for two programs at once, written whole or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError
from gui.private_files import keep_private

MEMORY = ":memory:"


def connect(name: str, patience: float) -> sqlite3.Connection:
    """Open a database for writing by more than one process; a new one is for nobody else to read.

    In WAL mode with synchronous=NORMAL a commit does not wait for the disk: a killed process loses
    nothing, a power cut at most the last moments.

    Args:
        name: the file, or `MEMORY`.
        patience: seconds to wait while another process writes.

    Raises:
        sqlite3.DatabaseError: it is damaged; `sqlite3.OperationalError`, one of these: it cannot be
            used now, for whatever other reason.
    """
    if name != MEMORY:
        keep_private(Path(name))
    connection = sqlite3.connect(name, timeout=patience)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, sentence: str) -> Iterator[sqlite3.Connection]:
    """All that is written within, or nothing of it.  What is read within stays true until its end:
    another process that writes has to wait.

    Args:
        sentence: what to tell the person where it cannot be written.

    Raises:
        SfumatoError: STORAGE with that sentence.
    """
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
    except sqlite3.Error as error:
        raise SfumatoError(ErrorKind.STORAGE, sentence, repr(error)) from error
