"""The file of the job queue: opened, owned by one process at a time, brought up to date.

Every window and command has the same file before it; one process owns the running of its jobs (an
advisory lock beside the file, which the system lifts however that process ends), so no job is ever
run twice.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from gui.library import database, queue_grids
from gui.library.database import MEMORY

SCHEMA = 4
FARM_MARK = "Farm/on"
"""While this file stands beside the queue, a farm of several Macs runs it, and nobody else."""

log = logging.getLogger(__name__)


class _NewerFile(Exception):  # noqa: N818 - nothing is wrong with it
    """A later version of Sfumato wrote the database."""


class QueueFile:
    """The queue's database.  Not thread-safe: use it from the thread that made it.

    Args:
        path: the database; None keeps everything in memory.
        own: whether to own the running of it, if nobody else does.
        farm: whether this process is the farm's.

    Attributes:
        notice: a sentence for the person when the queue could not be opened as it should, or "".
        connection: to read from; what is written goes by `transaction`.
    """

    def __init__(self, path: Path | None, *, own: bool = True, farm: bool = False) -> None:
        self.notice = ""
        self._farm = farm
        self._lock: IO[str] | None = None
        self._owned = False
        self._path = path
        self.connection = self._open(path, own)
        self._seen = self._version()

    @property
    def is_owner(self) -> bool:
        """Whether the jobs are this process's to run."""
        return self._owned

    @property
    def is_kept(self) -> bool:
        """Whether it outlasts this process."""
        return self._path is not None

    def take(self) -> bool:
        """Own the running of the queue from now on, unless another process does.

        Returns:
            Whether it is owned.
        """
        if not self._owned and self._path is not None and (self._farm or not self.is_farmed()):
            try:
                self._lock = self._lock or self._path.with_suffix(".lock").open("a")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._owned = True
            except OSError:
                return False
        return self._owned

    def is_farmed(self) -> bool:
        """Whether a farm of several Macs is to run the queue, and no window or command."""
        return self._path is not None and (self._path.parent / FARM_MARK).exists()

    def is_run_elsewhere(self) -> bool:
        """Whether another process owns the running of the queue now."""
        return not self._owned and self._path is not None and is_run(self._path)

    def release(self) -> None:
        """Let another process own the running of the queue, where one wants to."""
        if self._owned and self._path is not None and self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._owned = False

    def _open(self, path: Path | None, own: bool) -> sqlite3.Connection:
        if path is None:
            return self._in_memory()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("a")
        except OSError as error:
            return self._fallback(path, error)
        if own and not self.take() and not self.is_farmed():
            self.notice = (
                "Sfumato is open in another window, which makes what is asked for here, too."
            )
        try:
            return _sound(_connect(str(path)))
        except _NewerFile:
            self.notice = (
                "The list of jobs was written by a newer version of Sfumato, so what is asked for "
                "here is forgotten when it closes; update Sfumato to go on with that list."
            )
            return self._in_memory()
        except sqlite3.DatabaseError as error:
            # Unwritable or full is not damaged; and what another process runs is its to mend.
            if isinstance(error, sqlite3.OperationalError) or not self._owned:
                return self._fallback(path, error)
            return self._start_anew(path, error)

    def _in_memory(self) -> sqlite3.Connection:
        """A queue of this process alone."""
        self._path, self._owned = None, True
        return _connect(MEMORY)

    def _fallback(self, path: Path, error: Exception) -> sqlite3.Connection:
        log.warning("job queue %s cannot be used: %r", path, error)
        self.notice = (
            f"The list of jobs cannot be kept in {path.parent}, so it is forgotten when Sfumato "
            "closes; see that the folder can be written to and the disk is not full."
        )
        return self._in_memory()

    def _start_anew(self, path: Path, error: Exception) -> sqlite3.Connection:
        aside = path.with_name(f"{path.stem}-damaged-{int(time.time())}{path.suffix}")
        log.warning("job queue %s is damaged, kept as %s: %r", path, aside, error)
        try:
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.rename(aside)
            connection = _connect(str(path))
        except (OSError, sqlite3.Error) as second:
            return self._fallback(path, second)
        self.notice = f"The list of jobs was damaged and has been started anew (kept as {aside})."
        return connection

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since this was asked last."""
        version = self._version()
        changed, self._seen = version != self._seen, version
        return changed

    def _version(self) -> int:
        try:
            return int(self.connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            log.warning("the job queue cannot be looked at: %r", error)
            return self._seen

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """All that is written within, or nothing of it.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        return database.transaction(
            self.connection,
            "The list of jobs could not be saved; see that the disk is not full, and try again.",
        )

    def close(self) -> None:
        self.connection.close()
        if self._lock is not None:
            self._lock.close()


def is_run(path: Path) -> bool:
    """Whether any process, or a farm, owns the running of the queue in this file.  Never raises."""
    if (path.parent / FARM_MARK).exists():
        return True
    try:
        with path.with_suffix(".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _sound(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The same connection, unless pages behind a good beginning are damaged.

    Raises:
        sqlite3.DatabaseError: they are.
    """
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(name: str) -> sqlite3.Connection:
    connection = database.connect(name, patience=2.0)
    try:
        if _schema(connection) != SCHEMA:
            with connection:
                connection.execute("BEGIN IMMEDIATE")  # two may open an old file together
                _bring_up_to_date(connection, _schema(connection))
    except BaseException:
        connection.close()
        raise
    return connection


def _schema(connection: sqlite3.Connection) -> int:
    """Which version's tables these are; 0: none yet.

    Raises:
        _NewerFile: a later version's.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise _NewerFile(version)
    return version


def _bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS jobs ("
        " position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
        " request TEXT NOT NULL, status TEXT NOT NULL, error TEXT,"
        " pictures TEXT NOT NULL, crashes INTEGER NOT NULL, begun INTEGER NOT NULL,"
        " ended REAL NOT NULL DEFAULT 0)"
    )
    if version == 1:
        connection.execute("ALTER TABLE jobs ADD COLUMN begun INTEGER NOT NULL DEFAULT 1")
    if version in (1, 2):
        connection.execute("ALTER TABLE jobs ADD COLUMN ended REAL NOT NULL DEFAULT 0")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS options (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    )
    queue_grids.create_tables(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
