"""The queue of picture requests as the window sees it.

Composes the queue on disk with the pipeline thread: one job at a time is handed to the thread, and
every change is written down before the window hears of it.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal, Slot

from gui import words
from gui.engine import messages
from gui.engine.runner import Outcome, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError
from gui.library.queue import ENDED, MAX_CRASHES, Job, JobStatus, JobStore
from gui.request import PictureRecord, PictureRequest
from gui.state.pipeline_thread import PipelineThread, StepUpdate, Work

log = logging.getLogger(__name__)

_DOUBLE_CLICK_SECONDS = 0.5


@dataclass(frozen=True)
class FinishedPicture:
    """A finished picture, already saved."""

    job_id: str
    path: str
    record: PictureRecord


@dataclass(frozen=True)
class LoadingUpdate:
    """A network of the model is being loaded: number `index` (from 0) of `total`."""

    job_id: str
    component: str
    index: int
    total: int
    elapsed: float
    """Seconds since loading began."""


class JobQueue(QObject):
    """Requests in order, run one at a time on the engine.

    Args:
        store: opens the queue on disk; called by `start` (or the first `submit`).
        thread: the pipeline thread; tests give one with a stand-in engine.
    """

    job_added = Signal(Job)
    job_changed = Signal(Job)
    job_removed = Signal(str)  # job id
    engine_state_changed = Signal(str)
    """``off``, ``starting``, ``ready``, ``loading``, ``busy``, ``stopping`` or ``lost``."""
    loading_changed = Signal(LoadingUpdate)
    prepared = Signal(str, int, int)  # model's name, width and height of its pictures
    step_changed = Signal(StepUpdate)
    picture_ready = Signal(FinishedPicture)
    job_failed = Signal(Job, SfumatoError)
    notice = Signal(str)
    """A sentence the person should know that belongs to no job."""

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        store: Callable[[], JobStore] = JobStore.default,
        thread: PipelineThread | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_store = store
        self._store: JobStore | None = None
        self._jobs: dict[str, Job] = {}
        self._running: str | None = None
        self._stopped: str | None = None
        self._stopped_at = 0.0
        self._engine_state = "off"
        self._held = False
        self._storage_told = False
        self._closed = False
        self._thread = thread or PipelineThread()
        self._thread.setParent(self)
        self._connect()

    def start(self) -> None:
        """Open the queue, start the engine, and go on with what the last session left.

        To be called once, right after the window's first paint.
        """
        if self._closed or self._thread.isRunning():
            return
        self._ensure_store()
        self._thread.start()
        self._next()

    def submit(self, request: PictureRequest) -> Job:
        """Append a request.

        Raises:
            SfumatoError: BAD_REQUEST for one that makes no sense.
        """
        request.validate()
        store = self._ensure_store()
        try:
            job = store.add(request)
        except SfumatoError as error:
            self._tell_storage(error)
            position = max((job.position for job in self._jobs.values()), default=0) + 1
            job = Job(uuid.uuid4().hex, request, position=position)
        self._jobs[job.id] = job
        self.job_added.emit(job)
        self._next()
        return job

    def stop_current(self) -> bool:
        """Stop the running job at its next step; called again, end the engine under it.  Returns
        whether there is one.

        A second call within half a second is a double click and does nothing more: ending the
        engine costs the loaded model.
        """
        if self._running is None:
            return False
        now = time.monotonic()
        if self._stopped == self._running and now - self._stopped_at < _DOUBLE_CLICK_SECONDS:
            return True
        self._stopped, self._stopped_at = self._running, now
        self._thread.stop_job(self._running)
        return True

    def remove(self, job_id: str) -> Job | None:
        """Take a job out of the queue; a running one is stopped and stays listed until it has.

        Returns:
            What `put_back` takes; None for a running job, or none at all.
        """
        job = self._jobs.get(job_id)
        if job is None:
            return None
        if job_id == self._running:
            self.stop_current()
            return None
        taken = replace(job, pictures=list(job.pictures))
        del self._jobs[job_id]
        if self._store is not None:
            with self._storage():
                self._store.remove(job_id)
        if job.status is JobStatus.QUEUED:
            job.status = JobStatus.CANCELLED
            self.job_changed.emit(job)
        self.job_removed.emit(job_id)
        return taken

    def put_back(self, job: Job) -> None:
        """Undo `remove`: the job is what it was, where it was."""
        if job.id in self._jobs:
            return
        with self._storage():
            self._ensure_store().put_back(job)
        self._jobs[job.id] = job
        self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].position))
        self.job_added.emit(job)
        self._next()

    def retry(self, job_id: str) -> None:
        """Queue an ended job again, a set aside one included, from its first missing picture."""
        job = self._jobs.get(job_id)
        if job is None or job.status not in ENDED or job.status is JobStatus.DONE:
            return
        job.status, job.error, job.crashes = JobStatus.QUEUED, None, 0
        self._changed(job)
        self._next()

    def jobs(self) -> list[Job]:
        """Every job of this session, those taken over from the last one included; oldest first."""
        return list(self._jobs.values())

    def waiting(self) -> list[Job]:
        """Jobs that have not begun, in the order in which they will."""
        return [job for job in self._jobs.values() if job.status is JobStatus.QUEUED]

    def failed(self) -> list[Job]:
        """Jobs that ended with an error, those of earlier sessions included; oldest first."""
        return [job for job in self._jobs.values() if job.status is JobStatus.FAILED]

    @property
    def is_held(self) -> bool:
        """Whether waiting jobs stay where they are because no engine could be started: they would
        only fail alike.  The next `submit` or `retry` tries again."""
        return self._held

    @property
    def current(self) -> Job | None:
        """The job being worked on."""
        return self._jobs.get(self._running) if self._running else None

    @property
    def engine_state(self) -> str:
        return self._engine_state

    def shutdown(self) -> None:
        """End engine and thread.  A running job goes back to the queue for the next start; its
        finished pictures are kept and not made again."""
        if self._closed:
            return
        self._closed = True
        job = self.current
        self._running = None
        if job is not None:
            job.status = JobStatus.QUEUED
            self._write(job)
        self._thread.close()
        if self._store is not None:
            self._store.close()

    # Signals of the thread, delivered on ours.

    def _connect(self) -> None:
        thread = self._thread
        thread.engine_state_changed.connect(self._on_engine_state)
        thread.loading.connect(self._on_loading)
        thread.prepared.connect(self._on_prepared)
        thread.step_waiting.connect(self._on_step_waiting)
        thread.picture_saved.connect(self._on_picture)
        thread.job_ended.connect(self._on_job_ended)
        thread.engine_failed.connect(self._on_engine_failed)

    @Slot(str)
    def _on_engine_state(self, state: str) -> None:
        if state != self._engine_state:
            self._engine_state = state
            self.engine_state_changed.emit(state)

    @Slot(str, messages.Loading)
    def _on_loading(self, job_id: str, event: messages.Loading) -> None:
        if job_id == self._running:
            self.loading_changed.emit(
                LoadingUpdate(job_id, event.component, event.index, event.total, event.elapsed)
            )

    @Slot(str, messages.Prepared)
    def _on_prepared(self, job_id: str, event: messages.Prepared) -> None:
        if job_id == self._running:
            self.prepared.emit(event.name, event.width, event.height)

    @Slot()
    def _on_step_waiting(self) -> None:
        update = self._thread.take_step()
        if update is not None and update.job_id == self._running:
            self.step_changed.emit(update)

    @Slot(str, messages.Image)
    def _on_picture(self, job_id: str, event: messages.Image) -> None:
        job = self._jobs.get(job_id)
        if job is None or self._closed:
            return
        job.pictures.append(event.path)
        self._changed(job)
        self.picture_ready.emit(FinishedPicture(job_id, event.path, event.record))

    @Slot(str, Outcome)
    def _on_job_ended(self, job_id: str, outcome: Outcome) -> None:
        job = self._jobs.get(job_id)
        if job is None or self._closed:
            return
        self._running = None
        self._held = outcome.status is OutcomeStatus.NOT_STARTED
        self._settle(job, outcome)
        self._changed(job)
        if job.error is not None and job.status in ENDED:
            self.job_failed.emit(job, job.error)
        if not self._held:
            self._next()

    @Slot(SfumatoError)
    def _on_engine_failed(self, error: SfumatoError) -> None:
        if not self._closed:
            log.warning("engine lost: %s\n%s", error.message, error.detail)
            self.notice.emit(error.message)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        """What an outcome means for its job."""
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
                    self.notice.emit(f"{what} It was restarted and tries once more.".strip())
            case _:  # failed, not_started
                job.status = JobStatus.FAILED
                job.error = outcome.error or SfumatoError(
                    ErrorKind.INTERNAL, "The picture could not be made; try again."
                )

    def _next(self) -> None:
        """Hand the oldest queued job to the thread when it has none."""
        if self._running is not None or self._closed or not self._thread.isRunning():
            return
        for job in self._jobs.values():
            if job.status is JobStatus.QUEUED:
                self._running = job.id
                work = Work(job.id, job.request, len(job.pictures), job.begun)
                job.status, job.begun = JobStatus.RUNNING, True
                self._held = False
                self._changed(job)
                self._thread.submit(work)
                return

    def _changed(self, job: Job) -> None:
        self._write(job)
        self.job_changed.emit(job)

    def _write(self, job: Job) -> None:
        if self._store is not None:
            with self._storage():
                self._store.update(job)

    def _ensure_store(self) -> JobStore:
        if self._store is None:
            self._store = self._open_store()
            with self._storage():
                kept = self._store.recover()
                self._jobs = {job.id: job for job in kept}
                for job in kept:
                    self.job_added.emit(job)
            if self._store.notice:
                self.notice.emit(self._store.notice)
            waiting = sum(job.status is JobStatus.QUEUED for job in self._jobs.values())
            if waiting:
                what = words.plural(waiting, "request")
                self.notice.emit(f"Going on with {what} left from last time.")
        return self._store

    @contextlib.contextmanager
    def _storage(self) -> Generator[None]:
        """Jobs go on without being written down when the disk refuses; the person hears once."""
        try:
            yield
        except SfumatoError as error:
            self._tell_storage(error)

    def _tell_storage(self, error: SfumatoError) -> None:
        log.warning("%s %s", error.message, error.detail)
        if not self._storage_told:
            self._storage_told = True
            self.notice.emit(error.message)


__all__ = ["FinishedPicture", "Job", "JobQueue", "JobStatus", "LoadingUpdate", "StepUpdate"]
