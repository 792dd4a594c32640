"""The job queue on disk: SQLite, so that a job survives the end of the window or the engine.

Standard library only.  One process owns the queue at a time (an advisory lock beside the file);
a second one that is started meanwhile gets a queue in memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from gui import paths, records
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRequest

FILE_NAME = "queue.sqlite3"
SCHEMA = 1
MAX_CRASHES = 2
"""A job that took the engine (or the window) down this often is set aside."""

log = logging.getLogger(__name__)


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SET_ASIDE = "set_aside"
    """It brought the engine down twice; it is kept with its error and never tried by itself."""


ENDED = frozenset({JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED, JobStatus.SET_ASIDE})


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
    """How often the engine or the window ended while this job ran."""


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
            return _connect(":memory:")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.notice = (
                "Sfumato is already open: requests made in this second window "
                "are forgotten when it closes."
            )
            return _connect(":memory:")
        except OSError as error:
            return self._fallback(path, error)
        try:
            return _connect(str(path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # unwritable, full: not damaged
                return self._fallback(path, error)
            return self._start_anew(path, error)

    def _fallback(self, path: Path, error: Exception) -> sqlite3.Connection:
        log.warning("job queue %s cannot be used: %r", path, error)
        self.notice = f"The list of jobs cannot be kept in {path.parent}: {error}."
        return _connect(":memory:")

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

        Jobs that ended are forgotten (pictures are in the library), except those set aside.  A job
        still marked running belonged to a process that died with it: it is queued again, or set
        aside if that was the second time.
        """
        ended = (JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED)
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE status IN (?, ?, ?)", ended)
        for job in self.jobs():
            if job.status is JobStatus.RUNNING:
                job.crashes += 1
                job.status = JobStatus.QUEUED
                if job.crashes >= MAX_CRASHES:
                    job.status = JobStatus.SET_ASIDE
                    job.error = SfumatoError(
                        ErrorKind.ENGINE, "Sfumato ended twice while working on this request."
                    )
                self.update(job)
        return self.jobs()

    def add(self, request: PictureRequest) -> Job:
        """Append a job.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        job = Job(uuid.uuid4().hex, request)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO jobs (id, request, status, pictures, crashes) VALUES (?, ?, ?, ?, ?)",
                (job.id, records.dumps(request), job.status, "[]", 0),
            )
        return job

    def update(self, job: Job) -> None:
        """Write a job's status, error, pictures and crash count.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        error = records.dumps(job.error) if job.error else None
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET status = ?, error = ?, pictures = ?, crashes = ? WHERE id = ?",
                (job.status, error, records.dumps(job.pictures), job.crashes, job.id),
            )

    def remove(self, job_id: str) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def jobs(self) -> list[Job]:
        """All jobs, oldest first.  A row that this version cannot read is skipped and logged."""
        rows = self._connection.execute(
            "SELECT id, request, status, error, pictures, crashes FROM jobs ORDER BY position"
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

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise SfumatoError(
                ErrorKind.STORAGE, "The list of jobs could not be saved.", repr(error)
            ) from error


def _job(
    job_id: str, request: str, status: str, error: str | None, pictures: str, crashes: int
) -> Job:
    return Job(
        job_id,
        records.loads(PictureRequest, request),
        JobStatus(status),
        records.loads(SfumatoError, error) if error else None,
        records.loads(list[str], pictures),
        crashes,
    )


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=2.0)
    try:
        # In WAL mode with synchronous=NORMAL a commit does not wait for the disk, so the window
        # never does; a killed process loses nothing, a power cut at most the last moments.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise sqlite3.OperationalError(f"a newer version of Sfumato wrote it ({version})")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS jobs ("
                " position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
                " request TEXT NOT NULL, status TEXT NOT NULL, error TEXT,"
                " pictures TEXT NOT NULL, crashes INTEGER NOT NULL)"
            )
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection
