"""The queue's jobs in memory, written down as they change.

When the disk refuses, jobs go on without being written down.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from gui.engine.runner import Outcome, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError
from gui.grid import Grid
from gui.library.job import FINISHED, Job, JobStatus
from gui.library.queue import KEPT_FINISHED, MAX_CRASHES, JobStore
from gui.request import PictureRequest


class JobList:
    """Jobs in the order in which they are to be run.

    Args:
        open_store: opens the queue on disk; called by `open`.
        refused: hears what the disk refused.
    """

    def __init__(
        self, open_store: Callable[[], JobStore], refused: Callable[[SfumatoError], object]
    ) -> None:
        self._open_store = open_store
        self._refused = refused
        self._store: JobStore | None = None
        self._jobs: dict[str, Job] = {}
        self._unwritten: set[str] = set()  # jobs that the disk refused

    # -- looking ------------------------------------------------------------------------------

    def get(self, job_id: str | None) -> Job | None:
        return self._jobs.get(job_id) if job_id else None

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    def with_status(self, status: JobStatus) -> list[Job]:
        return [job for job in self._jobs.values() if job.status is status]

    # -- the disk -----------------------------------------------------------------------------

    @property
    def store(self) -> JobStore | None:
        """The queue on disk; None until it is opened."""
        return self._store

    def open(self) -> JobStore:
        """The queue on disk; its jobs are read when it is opened."""
        if self._store is None:
            self._store = self._open_store()
            with self.storage():
                self._jobs = {job.id: job for job in self._store.recover()}
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    @contextlib.contextmanager
    def storage(self) -> Generator[None]:
        """What the disk refuses within is told, and nothing more."""
        try:
            yield
        except SfumatoError as error:
            self._refused(error)

    def write(self, job: Job) -> None:
        """Write down what has become of a job."""
        if self._store is not None:
            with self.storage():
                self._store.update(job)

    def read_again(self, running: str | None) -> list[str]:
        """Take over what other processes did; what is known of the running job is truer here.

        Returns:
            Files of pictures that have been finished elsewhere.
        """
        there = {job.id: job for job in self.open().jobs()}
        made: list[str] = []
        for job_id in [known for known in self._jobs if known not in there]:
            if job_id not in self._unwritten and job_id != running:
                del self._jobs[job_id]
        for job in there.values():
            known = self._jobs.get(job.id)
            if known is None:
                self._jobs[job.id] = job
            elif job.id != running:
                made += job.pictures[len(known.pictures) :]
                vars(known).update(vars(job))
            else:
                known.position = job.position
        self._sort()
        return made

    # -- changing it --------------------------------------------------------------------------

    def add_all(
        self, requests: Sequence[PictureRequest], grid: Grid | None, base: PictureRequest | None
    ) -> list[Job]:
        """As `JobStore.add_all`."""
        store = self.open()
        try:
            jobs = store.add_all(requests, grid, base)
        except SfumatoError as error:
            self._refused(error)
            last = max((job.position for job in self._jobs.values()), default=0)
            jobs = [
                Job(uuid.uuid4().hex, request, position=last + 1 + k)
                for k, request in enumerate(requests)
            ]
            self._unwritten.update(job.id for job in jobs)
        self._jobs.update((job.id, job) for job in jobs)
        return jobs

    def take_off(self, job_ids: Sequence[str]) -> tuple[list[Job], int]:
        """Take jobs off, but for those that are running.

        Returns:
            Those that are off, as they were; and how many should be.
        """
        wanted = set(job_ids)
        jobs = [
            job
            for job in self._jobs.values()
            if job.id in wanted and job.status is not JobStatus.RUNNING
        ]
        taken = [replace(job, pictures=list(job.pictures)) for job in jobs]
        off = {job.id for job in jobs}
        if self._store is not None and jobs:
            with self.storage():
                off = self._store.remove(*off)
        for job in jobs:
            if job.id in off:
                del self._jobs[job.id]
                if job.status is JobStatus.QUEUED:
                    job.status = JobStatus.CANCELLED
        return [job for job in taken if job.id in off], len(jobs)

    def put_back(self, jobs: Sequence[Job]) -> list[Job]:
        """Undo `take_off`; those that were not there."""
        back = [job for job in jobs if job.id not in self._jobs]
        with self.storage():
            self.open().put_back(*back)
        self._jobs.update((job.id, job) for job in back)
        self._sort()
        return back

    def edit(self, job: Job, request: PictureRequest) -> bool:
        """Give a job that waits another request; whether it still does, on the disk as well."""
        if job.id not in self._unwritten:
            with self.storage():
                if not self.open().edit(job.id, request):
                    return False
        # The pictures of another request are none of this one.
        job.request, job.pictures, job.begun = request, [], False
        return True

    def reorder(self, job_ids: Sequence[str]) -> None:
        """As `JobStore.reorder`, in memory as well."""
        known = [job_id for job_id in dict.fromkeys(job_ids) if job_id in self._jobs]
        places = sorted(self._jobs[job_id].position for job_id in known)
        now = dict(zip(known, places, strict=True))
        with self.storage():
            written = [job_id for job_id in known if job_id not in self._unwritten]
            if len(written) == len(known):
                now = self.open().reorder(written)
        for job_id, position in now.items():
            self._jobs[job_id].position = position
        self._sort()

    def claim(self, job: Job) -> bool:
        """Whether the job is still there to be run; it is as it is on disk then."""
        if job.id in self._unwritten:
            return True
        with self.storage():
            begun, claimed = job.begun, self.open().claim(job.id)
            if claimed is None:
                return False
            job.request, job.pictures, job.begun = claimed.request, claimed.pictures, begun
        return True

    def forget_finished(self) -> list[str]:
        """Keep only the newest of what is over; ids of the others."""
        over = [job for job in self._jobs.values() if job.status in FINISHED]
        if len(over) <= KEPT_FINISHED:
            return []
        over.sort(key=lambda job: (job.ended, job.position))
        gone = [job.id for job in over[: len(over) - KEPT_FINISHED]]
        for job_id in gone:
            del self._jobs[job_id]
            self._unwritten.discard(job_id)
        if self._store is not None:
            with self.storage():
                self._store.forget_finished()
        return gone

    def _sort(self) -> None:
        self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].position))


def settle(job: Job, outcome: Outcome) -> str:
    """Note in a job what has become of it.

    Returns:
        A sentence for the person that belongs to no job, or nothing.
    """
    match outcome.status:
        case OutcomeStatus.FINISHED:
            job.status, job.error = JobStatus.DONE, None
        case OutcomeStatus.CANCELLED:
            job.status, job.error = JobStatus.CANCELLED, None
        case OutcomeStatus.LOST:
            job.crashes += not outcome.by_request
            job.error = outcome.error
            if len(job.pictures) >= job.request.count:  # it died with its work done
                job.status, job.error = JobStatus.DONE, None
            elif job.crashes >= MAX_CRASHES:
                job.status = JobStatus.FAILED
            else:
                job.status = JobStatus.QUEUED
                what = outcome.error.what if outcome.error else ""
                return f"{what} It was restarted and tries once more.".strip()
        case _:  # failed, not_started
            job.status = JobStatus.FAILED
            job.error = outcome.error or SfumatoError(
                ErrorKind.INTERNAL, "The picture could not be made; try again."
            )
    return ""
