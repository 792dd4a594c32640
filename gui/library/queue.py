"""The job queue on disk: SQLite, so that a job survives the end of the window or the engine.

Standard library only.  Every window and command has the same queue before it, and may add to it,
order it and take from it.  One process owns the running of it at a time (an advisory lock beside
the file, which the system lifts however that process ends), so no job is ever run twice.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from gui import paths, records
from gui.errors import SfumatoError
from gui.grid import Grid
from gui.library import database, queue_grids
from gui.library.database import MEMORY, transaction
from gui.library.queue_grids import STOPPED, CellOutcome, FinishedGrid
from gui.request import PictureRequest

FILE_NAME = "queue.sqlite3"
SCHEMA = 4
MAX_CRASHES = 2
"""A job that took the engine down this often has failed."""
PAUSED, PLUGGED_IN_ONLY = "paused", "plugged_in_only"
"""Names of the queue's switches."""
KEPT_FINISHED = 30
"""So many jobs that are done or were stopped stay listed, the newest."""

log = logging.getLogger(__name__)


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """With its error; it is kept until a person tries it again or takes it off."""


ENDED = frozenset({JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED})
FINISHED = frozenset({JobStatus.DONE, JobStatus.CANCELLED})
"""Ended, and nothing is left to do about it."""

_OLD_FAILED = "set_aside"
"""What an older version called a job that had failed by bringing the engine down."""


class _NewerFile(Exception):  # noqa: N818 - nothing is wrong with it
    """A later version of Sfumato wrote the database."""


@dataclass
class Job:
    """One request on its way to becoming pictures."""

    id: str
    request: PictureRequest
    status: JobStatus = JobStatus.QUEUED
    error: SfumatoError | None = None
    pictures: list[str] = field(default_factory=list)
    """Files made so far, in order; a retry goes on with picture number ``len(pictures)``."""
    crashes: int = 0
    """How often the engine died of this job."""
    begun: bool = False
    """Whether it has ever been worked on, so that there may be pictures of it that nobody has
    written down here: a process can die between a picture's name and its entry."""
    position: int = 0
    """Where it stands among the others; kept by the store."""
    ended: float = 0.0
    """When it was done, stopped or failed: seconds since 1970; 0 where that is not known."""


class JobStore:
    """Jobs in the order in which they are to be run.  Not thread-safe: use it from the thread that
    made it.

    Args:
        path: the database; None keeps everything in memory.
        own: whether to own the running of it, if nobody else does.

    Attributes:
        notice: a sentence for the person when the queue could not be opened as it should, or "".
    """

    def __init__(self, path: Path | None, *, own: bool = True) -> None:
        self.notice = ""
        self._lock: IO[str] | None = None
        self._owned = False
        self._read: dict[str, tuple[str, PictureRequest]] = {}
        self._path = path
        self._connection = self._open(path, own)
        self._seen = self._version()

    @classmethod
    def default(cls, *, own: bool = True) -> JobStore:
        """The user's queue."""
        return cls(paths.data_dir() / FILE_NAME, own=own)

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
        if not self._owned and self._path is not None:
            try:
                self._lock = self._lock or self._path.with_suffix(".lock").open("a")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._owned = True
            except OSError:
                return False
        return self._owned

    def is_run_elsewhere(self) -> bool:
        """Whether another process owns the running of the queue now."""
        if self._owned or self._path is None:
            return False
        with self._path.with_suffix(".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def _open(self, path: Path | None, own: bool) -> sqlite3.Connection:
        if path is None:
            return self._in_memory()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("a")
        except OSError as error:
            return self._fallback(path, error)
        if own and not self.take():
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

    def recover(self) -> list[Job]:
        """To be called once by the owner, at start: what the last session left.

        A job still marked running belonged to a window that ended with it, for whatever reason: it
        is queued again.  The job is not to blame, as pictures are made in a process of their own.
        """
        if not self._owned:
            return self.jobs()
        self.forget_finished()
        with self._transaction() as db:
            marks = (JobStatus.QUEUED, JobStatus.RUNNING)
            db.execute("UPDATE jobs SET status = ? WHERE status = ?", marks)
        return self.jobs()

    def forget_finished(self, keep: int = KEPT_FINISHED) -> None:
        """Drop jobs that are done or were stopped, but for the newest; their pictures stay."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM jobs WHERE status IN (?, ?) AND position NOT IN ("
                " SELECT position FROM jobs WHERE status IN (?, ?)"
                " ORDER BY ended DESC, position DESC LIMIT ?)",
                (*FINISHED, *FINISHED, keep),
            )
            queue_grids.forget(db)

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since this was asked last."""
        version = self._version()
        changed, self._seen = version != self._seen, version
        return changed

    def _version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            log.warning("the job queue cannot be looked at: %r", error)
            return self._seen

    # -- how it is run ------------------------------------------------------------------------

    def option(self, name: str) -> bool:
        """A switch that `set_option` kept, by any process; off where nobody ever did."""
        try:
            row = self._connection.execute(
                "SELECT value FROM options WHERE name = ?", (name,)
            ).fetchone()
        except sqlite3.Error as error:
            log.warning("the job queue cannot be read: %r", error)
            return False
        return row is not None and row[0] == 1

    def set_option(self, name: str, on: bool) -> None:
        """Keep a switch.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO options VALUES (?, ?)", (name, int(on)))

    # -- the jobs -----------------------------------------------------------------------------

    def add(self, request: PictureRequest) -> Job:
        """Append a job.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        return self.add_all([request])[0]

    def add_all(
        self,
        requests: Iterable[PictureRequest],
        grid: Grid | None = None,
        base: PictureRequest | None = None,
    ) -> list[Job]:
        """Append jobs, all of them or none.

        Args:
            grid: whose cells they are.
            base: what these have in common.

        Raises:
            SfumatoError: STORAGE where they cannot be written.
        """
        jobs = [Job(uuid.uuid4().hex, request) for request in requests]
        with self._transaction() as db:
            for job in jobs:
                job.position = self._insert(db, job, None)
            if grid is not None and base is not None:
                cells = [(c.column, c.row, job.id) for job in jobs if (c := job.request.grid)]
                queue_grids.enter(db, grid, base, cells)
        return jobs

    def claim(self, job_id: str) -> Job | None:
        """Mark a waiting job as running, for the owner to run.

        Returns:
            The job as it is now: another process may have edited it; None where it has been taken
            off.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET status = ?, begun = 1 WHERE id = ? AND status = ?",
                (JobStatus.RUNNING, job_id, JobStatus.QUEUED),
            )
            if not changed.rowcount:
                return None
            row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return _readable(row)

    def edit(self, job_id: str, request: PictureRequest) -> bool:
        """Give a job that waits another request, of which there are no pictures yet.

        Returns:
            Whether it was in time.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET request = ?, pictures = '[]', begun = 0"
                " WHERE id = ? AND status = ?",
                (records.dumps(request), job_id, JobStatus.QUEUED),
            )
        return bool(changed.rowcount)

    def reorder(self, job_ids: Sequence[str]) -> dict[str, int]:
        """Put jobs into this order, in the places that they hold together.

        Returns:
            Their positions from now on; those that are gone are left out.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            held: dict[str, int] = {}
            for job_id in dict.fromkeys(job_ids):
                row = db.execute("SELECT position FROM jobs WHERE id = ?", (job_id,)).fetchone()
                if row is not None:
                    held[job_id] = row[0]
            now = dict(zip(held, sorted(held.values()), strict=True))
            moved = [(place, job_id) for job_id, place in now.items() if held[job_id] != place]
            # Positions are unique at every moment, so they go out of the way first.
            for sign in (-1, 1):
                places = [(sign * place, job_id) for place, job_id in moved]
                db.executemany("UPDATE jobs SET position = ? WHERE id = ?", places)
        return now

    def put_back(self, *jobs: Job) -> None:
        """Enter jobs that were removed again, in their old places.

        Raises:
            SfumatoError: STORAGE where they cannot be written.
        """
        with self._transaction() as db:
            for job in jobs:
                self._insert(db, job, job.position or None)
                self._note(db, job)

    def update(self, job: Job) -> None:
        """Write what has become of a job.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET status = ?, error = ?, pictures = ?, crashes = ?, begun = ?,"
                " ended = ? WHERE id = ?",
                (*_state(job), job.id),
            )
            self._note(db, job)

    # -- grids --------------------------------------------------------------------------------

    def finished_grids(self) -> list[FinishedGrid]:
        """Grids whose contact sheet is to be made now.

        Raises:
            SfumatoError: STORAGE where the queue cannot be read.
        """
        with self._transaction() as db:
            return queue_grids.finished(db, (JobStatus.QUEUED, JobStatus.RUNNING))

    def sheet_made(self, grid: str, *, made: bool = True) -> None:
        """A grid's contact sheet is saved, or (not `made`) there is nothing to be seen on it.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            queue_grids.close(db, grid, int(made))

    @staticmethod
    def _note(db: sqlite3.Connection, job: Job) -> None:
        """Write what became of a grid's cell together with its job."""
        if job.request.grid is None:
            return
        outcome: CellOutcome | None = None
        if job.status is JobStatus.DONE and job.pictures:
            outcome = CellOutcome(picture=job.pictures[0])
        elif job.status in ENDED:
            outcome = CellOutcome(problem=job.error.message if job.error else STOPPED)
        if job.status is not JobStatus.RUNNING:
            queue_grids.note(db, job.id, outcome)

    @staticmethod
    def _insert(db: sqlite3.Connection, job: Job, position: int | None) -> int:
        cursor = db.execute(
            f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (position, job.id, records.dumps(job.request), *_state(job)),
        )
        return cursor.lastrowid or 0

    def remove(self, *job_ids: str) -> set[str]:
        """Take jobs off, but for one that is running.

        Returns:
            Those that are off now.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            db.executemany(
                "DELETE FROM jobs WHERE id = ? AND status != ?",
                [(job_id, JobStatus.RUNNING) for job_id in job_ids],
            )
            left = db.execute(
                "SELECT id FROM jobs WHERE status = ?", (JobStatus.RUNNING,)
            ).fetchall()
        return set(job_ids) - {job_id for (job_id,) in left}

    def jobs(self) -> list[Job]:
        """All jobs in their order.  A row that this version cannot read is skipped and logged."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY position").fetchall()
        before, self._read = self._read, {}
        jobs: list[Job] = []
        for row in rows:
            # A request is read once only: they are asked for whenever another process wrote.
            text, request = before.get(row[1], ("", None))
            job = _readable(row, request if text == row[2] else None)
            if job is not None:
                self._read[job.id] = (row[2], job.request)
                jobs.append(job)
        return jobs

    def close(self) -> None:
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(
            self._connection,
            "The list of jobs could not be saved; see that the disk is not full, and try again.",
        )


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


_COLUMNS = "position, id, request, status, error, pictures, crashes, begun, ended"


def _state(job: Job) -> tuple[str, str | None, str, int, bool, float]:
    """The columns that change."""
    error = records.dumps(job.error) if job.error else None
    return job.status, error, records.dumps(job.pictures), job.crashes, job.begun, job.ended


def _readable(row: tuple[Any, ...], request: PictureRequest | None = None) -> Job | None:
    """The job of a row, its request read already where one is given; None where this version
    cannot read it."""
    try:
        return _job(*row, read=request)
    except (ValueError, TypeError) as error:
        log.warning("job %s is unreadable: %r", row[1], error)
        return None


def _job(
    position: int,
    job_id: str,
    request: str,
    status: str,
    error: str | None,
    pictures: str,
    crashes: int,
    begun: int,
    ended: float,
    read: PictureRequest | None,
) -> Job:
    return Job(
        job_id,
        read or records.loads(PictureRequest, request),
        JobStatus.FAILED if status == _OLD_FAILED else JobStatus(status),
        records.loads(SfumatoError, error) if error else None,
        records.loads(list[str], pictures),
        int(crashes),
        bool(begun),
        position,
        float(ended),
    )


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
