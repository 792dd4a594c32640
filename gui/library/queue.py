"""The job queue on disk: SQLite, so that a job survives the end of the window or the engine.

Standard library only.  One process owns the queue at a time (an advisory lock beside the file);
a second one that is started meanwhile gets a queue in memory.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from gui import paths, records
from gui.errors import SfumatoError
from gui.library import database
from gui.library.database import MEMORY, transaction
from gui.request import PictureRequest

FILE_NAME = "queue.sqlite3"
SCHEMA = 2
MAX_CRASHES = 2
"""A job that took the engine down this often has failed."""

log = logging.getLogger(__name__)


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """With its error; it is kept until a person tries it again or takes it off."""


ENDED = frozenset({JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED})

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


class JobStore:
    """Jobs in order of submission.  Not thread-safe: use it from the thread that made it.

    Args:
        path: the database; None keeps everything in memory.

    Attributes:
        notice: a sentence for the person when the queue could not be opened as it should, or "".
    """

    def __init__(self, path: Path | None) -> None:
        self.notice = ""
        self._lock: IO[str] | None = None
        self._connection = self._open(path)

    @classmethod
    def default(cls) -> JobStore:
        """The user's queue."""
        return cls(paths.data_dir() / FILE_NAME)

    def _open(self, path: Path | None) -> sqlite3.Connection:
        if path is None:
            return _connect(MEMORY)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.notice = (
                "Sfumato is already open: requests made in this second window "
                "are forgotten when it closes."
            )
            return _connect(MEMORY)
        except OSError as error:
            return self._fallback(path, error)
        try:
            return _sound(_connect(str(path)))
        except _NewerFile:
            self.notice = (
                "The list of jobs was written by a newer version of Sfumato, so what is asked for "
                "here is forgotten when it closes; update Sfumato to go on with that list."
            )
            return _connect(MEMORY)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # unwritable, full: not damaged
                return self._fallback(path, error)
            return self._start_anew(path, error)

    def _fallback(self, path: Path, error: Exception) -> sqlite3.Connection:
        log.warning("job queue %s cannot be used: %r", path, error)
        self.notice = (
            f"The list of jobs cannot be kept in {path.parent}, so it is forgotten when Sfumato "
            "closes; see that the folder can be written to and the disk is not full."
        )
        return _connect(MEMORY)

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
        """To be called once at start: what the last session left.

        Jobs that are done or cancelled are forgotten (pictures are in the library).  A job still
        marked running belonged to a window that ended with it, for whatever reason: it is queued
        again.  The job is not to blame, as pictures are made in a process of their own.
        """
        with self._transaction() as db:
            over = (JobStatus.DONE, JobStatus.CANCELLED)
            db.execute("DELETE FROM jobs WHERE status IN (?, ?)", over)
        for job in self.jobs():
            if job.status is JobStatus.RUNNING:
                job.status = JobStatus.QUEUED
                self.update(job)
        return self.jobs()

    def add(self, request: PictureRequest) -> Job:
        """Append a job.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        job = Job(uuid.uuid4().hex, request)
        with self._transaction() as db:
            self._insert(db, job, None)
            job.position = db.execute("SELECT max(position) FROM jobs").fetchone()[0]
        return job

    def put_back(self, job: Job) -> None:
        """Enter a job that was removed again, in its old place.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            self._insert(db, job, job.position or None)

    def update(self, job: Job) -> None:
        """Write what has become of a job.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET status = ?, error = ?, pictures = ?, crashes = ?, begun = ?"
                " WHERE id = ?",
                (*_state(job), job.id),
            )

    @staticmethod
    def _insert(db: sqlite3.Connection, job: Job, position: int | None) -> None:
        db.execute(
            "INSERT INTO jobs (position, id, request, status, error, pictures, crashes, begun)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (position, job.id, records.dumps(job.request), *_state(job)),
        )

    def remove(self, job_id: str) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def jobs(self) -> list[Job]:
        """All jobs, oldest first.  A row that this version cannot read is skipped and logged."""
        rows = self._connection.execute(
            "SELECT id, request, status, error, pictures, crashes, begun, position FROM jobs"
            " ORDER BY position"
        ).fetchall()
        jobs: list[Job] = []
        for row in rows:
            try:
                jobs.append(_job(*row))
            except (ValueError, TypeError) as error:
                log.warning("job %s is unreadable: %r", row[0], error)
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


def _state(job: Job) -> tuple[str, str | None, str, int, bool]:
    """The columns that change."""
    error = records.dumps(job.error) if job.error else None
    return job.status, error, records.dumps(job.pictures), job.crashes, job.begun


def _job(
    job_id: str,
    request: str,
    status: str,
    error: str | None,
    pictures: str,
    crashes: int,
    begun: int,
    position: int,
) -> Job:
    return Job(
        job_id,
        records.loads(PictureRequest, request),
        JobStatus.FAILED if status == _OLD_FAILED else JobStatus(status),
        records.loads(SfumatoError, error) if error else None,
        records.loads(list[str], pictures),
        int(crashes),
        bool(begun),
        position,
    )


def _connect(name: str) -> sqlite3.Connection:
    connection = database.connect(name, patience=2.0)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise _NewerFile(version)
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS jobs ("
                " position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
                " request TEXT NOT NULL, status TEXT NOT NULL, error TEXT,"
                " pictures TEXT NOT NULL, crashes INTEGER NOT NULL, begun INTEGER NOT NULL)"
            )
            if version == 1:
                connection.execute("ALTER TABLE jobs ADD COLUMN begun INTEGER NOT NULL DEFAULT 1")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection
