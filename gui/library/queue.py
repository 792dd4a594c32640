"""The job queue on disk: so that a job survives the end of the window or the engine.

Standard library only.  Every window and command has the same queue before it, and may add to it,
order it and take from it; who runs it is `QueueFile`'s affair.
"""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from gui import paths, records
from gui.grid import Grid
from gui.library import queue_grids
from gui.library.job import COLUMNS, ENDED, FINISHED, Job, JobStatus, readable, state_of
from gui.library.queue_file import QueueFile
from gui.library.queue_grids import STOPPED, CellOutcome, FinishedGrid
from gui.request import PictureRequest

FILE_NAME = "queue.sqlite3"
MAX_CRASHES = 2
"""A job that took the engine down this often has failed."""
PAUSED, PLUGGED_IN_ONLY = "paused", "plugged_in_only"
"""Names of the queue's switches."""
_STOP = "stop:"
"""Before a job's id: a switch by which another process asks the owner to stop it."""
KEPT_FINISHED = 30
"""So many jobs that are done or were stopped stay listed, the newest."""

log = logging.getLogger(__name__)


class JobStore(QueueFile):
    """Jobs in the order in which they are to be run.

    Args:
        path: the database; None keeps everything in memory.
        own: whether to own the running of it, if nobody else does.
        farm: whether this process is the farm's, which alone may own a queue that is farmed.
    """

    def __init__(self, path: Path | None, *, own: bool = True, farm: bool = False) -> None:
        super().__init__(path, own=own, farm=farm)
        self._read: dict[str, tuple[str, PictureRequest]] = {}

    @classmethod
    def default(cls, *, own: bool = True, farm: bool = False) -> JobStore:
        """The user's queue."""
        return cls(paths.data_dir() / FILE_NAME, own=own, farm=farm)

    def recover(self) -> list[Job]:
        """To be called once by the owner, at start: what the last session left.

        A job still marked running belonged to a window that ended with it, for whatever reason: it
        is queued again.  The job is not to blame, as pictures are made in a process of their own.
        """
        if not self.is_owner:
            return self.jobs()
        self.forget_finished()
        with self.transaction() as db:
            marks = (JobStatus.QUEUED, JobStatus.RUNNING)
            db.execute("UPDATE jobs SET status = ? WHERE status = ?", marks)
        return self.jobs()

    def forget_finished(self, keep: int = KEPT_FINISHED) -> None:
        """Drop jobs that are done or were stopped, but for the newest; their pictures stay."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM jobs WHERE status IN (?, ?) AND position NOT IN ("
                " SELECT position FROM jobs WHERE status IN (?, ?)"
                " ORDER BY ended DESC, position DESC LIMIT ?)",
                (*FINISHED, *FINISHED, keep),
            )
            queue_grids.forget(db)

    # -- how it is run ------------------------------------------------------------------------

    def option(self, name: str) -> bool:
        """A switch that `set_option` kept, by any process; off where nobody ever did."""
        try:
            row = self.connection.execute(
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
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO options VALUES (?, ?)", (name, int(on)))

    def ask_to_stop(self, job_id: str) -> None:
        """Ask whoever runs a job to stop it, from another process.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        self.set_option(f"{_STOP}{job_id}", True)

    def take_stops(self) -> list[str]:
        """Jobs that other processes want stopped; each is told once, to the owner.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        rows = self.connection.execute(
            "SELECT name FROM options WHERE substr(name, 1, ?) = ?", (len(_STOP), _STOP)
        ).fetchall()
        if rows:
            with self.transaction() as db:
                db.executemany("DELETE FROM options WHERE name = ?", rows)
        return [str(name).removeprefix(_STOP) for (name,) in rows]

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
        with self.transaction() as db:
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
        with self.transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET status = ?, begun = 1 WHERE id = ? AND status = ?",
                (JobStatus.RUNNING, job_id, JobStatus.QUEUED),
            )
            if not changed.rowcount:
                return None
            row = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return readable(row)

    def edit(self, job_id: str, request: PictureRequest) -> bool:
        """Give a job that waits another request, of which there are no pictures yet.

        Returns:
            Whether it was in time.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self.transaction() as db:
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
        with self.transaction() as db:
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
        with self.transaction() as db:
            for job in jobs:
                self._insert(db, job, job.position or None)
                self._note(db, job)

    def update(self, job: Job) -> None:
        """Write what has become of a job.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self.transaction() as db:
            db.execute(
                "UPDATE jobs SET status = ?, error = ?, pictures = ?, crashes = ?, begun = ?,"
                " ended = ? WHERE id = ?",
                (*state_of(job), job.id),
            )
            self._note(db, job)

    # -- grids --------------------------------------------------------------------------------

    def finished_grids(self) -> list[FinishedGrid]:
        """Grids whose contact sheet is to be made now.

        Raises:
            SfumatoError: STORAGE where the queue cannot be read.
        """
        with self.transaction() as db:
            return queue_grids.finished(db, (JobStatus.QUEUED, JobStatus.RUNNING))

    def sheet_made(self, grid: str, *, made: bool = True) -> None:
        """A grid's contact sheet is saved, or (not `made`) there is nothing to be seen on it.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self.transaction() as db:
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
            f"INSERT INTO jobs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (position, job.id, records.dumps(job.request), *state_of(job)),
        )
        return cursor.lastrowid or 0

    def remove(self, *job_ids: str) -> set[str]:
        """Take jobs off, but for one that is running.

        Returns:
            Those that are off now.

        Raises:
            SfumatoError: STORAGE where it cannot be written.
        """
        with self.transaction() as db:
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
        rows = self.connection.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY position").fetchall()
        before, self._read = self._read, {}
        jobs: list[Job] = []
        for row in rows:
            # A request is read once only: they are asked for whenever another process wrote.
            text, request = before.get(row[1], ("", None))
            job = readable(row, request if text == row[2] else None)
            if job is not None:
                self._read[job.id] = (row[2], job.request)
                jobs.append(job)
        return jobs
