"""The queue of picture requests as the window sees it.

Composes the queue on disk with the pipeline thread: one job at a time is handed to the thread, and
every change is written down before the window hears of it.  Other windows and commands have the
same queue before them: what they change is heard of here, and only the owner hands out jobs.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from gui import words
from gui.engine import messages
from gui.engine.runner import Outcome, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError
from gui.grid import Grid
from gui.library.job import ENDED, FINISHED, Job, JobStatus
from gui.library.queue import KEPT_FINISHED, MAX_CRASHES, PAUSED, PLUGGED_IN_ONLY, JobStore
from gui.library.queue_grids import FinishedGrid
from gui.request import PictureRecord, PictureRequest
from gui.state.pipeline_thread import PipelineThread, StepUpdate, Work
from gui.state.power import Power

log = logging.getLogger(__name__)

_DOUBLE_CLICK_SECONDS = 0.5
LOOK_MS = 1000
"""Between two looks at what other processes did to the queue."""


class Waits(StrEnum):
    """Why nothing that waits is begun."""

    NO = ""
    PAUSED = "paused"
    BATTERY = "battery"
    """It runs while plugged in only, and the computer is not, or may not be."""
    ELSEWHERE = "elsewhere"
    """Another process owns the running of the queue."""


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
        power: tells of the battery; tests give a stand-in.
    """

    job_added = Signal(Job)
    job_changed = Signal(Job)
    job_removed = Signal(str)  # job id
    jobs_reset = Signal()
    """`jobs` has changed in more than one place; the three above are not told then."""
    reordered = Signal()
    """`jobs` come in another order now."""
    waits_changed = Signal()
    """`waits`, `paused` or `plugged_in_only` say something else now."""
    engine_state_changed = Signal(str)
    """``off``, ``starting``, ``ready``, ``loading``, ``busy``, ``stopping`` or ``lost``."""
    loading_changed = Signal(LoadingUpdate)
    prepared = Signal(str, int, int)  # model's name, width and height of its pictures
    step_changed = Signal(StepUpdate)
    enlarging_changed = Signal(int, int)
    """Pieces of the finished picture that are enlarged, and pieces in all."""
    picture_ready = Signal(FinishedPicture)
    made_elsewhere = Signal(str)
    """Another process has finished a picture: its file."""
    job_failed = Signal(Job, SfumatoError)
    notice = Signal(str)
    """A sentence the person should know that belongs to no job."""

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        store: Callable[[], JobStore] = JobStore.default,
        thread: PipelineThread | None = None,
        power: Power | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_store = store
        self._store: JobStore | None = None
        self._jobs: dict[str, Job] = {}
        self._running: str | None = None
        self._stopped: str | None = None
        self._stopped_at = 0.0
        self._parked: str | None = None  # a job that goes back in line between two pictures
        self._kept_back: set[str] = set()
        self._unwritten: set[str] = set()  # jobs that the disk refused
        self._paused = False
        self._plugged_in_only = False
        self._engine_state = "off"
        self._held = False
        self._storage_told = False
        self._started = False
        self._closed = False
        self._thread = thread or PipelineThread()
        self._thread.setParent(self)
        self._power = power or Power(self)
        self._power.changed.connect(self._on_waits)
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.look_elsewhere)
        self._connect()

    def start(self) -> None:
        """Open the queue, start the engine, and go on with what the last session left.

        To be called once, right after the window's first paint.
        """
        if self._closed or self._started:
            return
        self._started = True
        store = self._ensure_store()
        if store.is_owner:
            self._thread.start()
        self._look.start()
        self._next()

    def submit(self, request: PictureRequest) -> Job:
        """Append a request.

        Raises:
            SfumatoError: BAD_REQUEST for one that makes no sense.
        """
        return self.submit_all([request])[0]

    def submit_all(
        self,
        requests: Sequence[PictureRequest],
        grid: Grid | None = None,
        base: PictureRequest | None = None,
    ) -> list[Job]:
        """Append requests, all of them or none.

        Args:
            grid: whose cells they are.
            base: what these have in common.

        Raises:
            SfumatoError: BAD_REQUEST for one that makes no sense.
        """
        for request in requests:
            request.validate()
        store = self._ensure_store()
        try:
            jobs = store.add_all(requests, grid, base)
        except SfumatoError as error:
            self._tell_storage(error)
            last = max((job.position for job in self._jobs.values()), default=0)
            jobs = [
                Job(uuid.uuid4().hex, request, position=last + 1 + k)
                for k, request in enumerate(requests)
            ]
            self._unwritten.update(job.id for job in jobs)
        self._jobs.update((job.id, job) for job in jobs)
        if len(jobs) == 1:
            self.job_added.emit(jobs[0])
        else:
            self.jobs_reset.emit()
        self._next()
        return jobs

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
        self._parked = None
        self._thread.stop_job(self._running)
        return True

    def remove(self, job_id: str) -> Job | None:
        """Take a job out of the queue; a running one is stopped and stays listed until it has.

        Returns:
            What `put_back` takes; None for a running job, or none at all.
        """
        if job_id == self._running:
            self.stop_current()
            return None
        return next(iter(self.remove_all([job_id])), None)

    def remove_all(self, job_ids: Sequence[str]) -> list[Job]:
        """Take jobs out of the queue, but for those that are running.

        Returns:
            Those that are out, for `put_back`.
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
            with self._storage():
                off = self._store.remove(*off)
        for job in jobs:
            if job.id in off:
                del self._jobs[job.id]
                if job.status is JobStatus.QUEUED:
                    job.status = JobStatus.CANCELLED
        if len(off) < len(jobs):  # it has begun elsewhere
            self.look_elsewhere()
        if len(jobs) == 1 and off:
            self.job_removed.emit(jobs[0].id)
        elif jobs:
            self.jobs_reset.emit()
        return [job for job in taken if job.id in off]

    def put_back(self, *jobs: Job) -> None:
        """Undo `remove_all`: the jobs are what they were, where they were."""
        back = [job for job in jobs if job.id not in self._jobs]
        with self._storage():
            self._ensure_store().put_back(*back)
        self._jobs.update((job.id, job) for job in back)
        self._sort()
        if len(back) == 1:
            self.job_added.emit(back[0])
        elif back:
            self.jobs_reset.emit()
        self._next()

    def retry(self, job_id: str) -> None:
        """Queue an ended job again, a set aside one included, from its first missing picture."""
        job = self._jobs.get(job_id)
        if job is None or job.status not in ENDED or job.status is JobStatus.DONE:
            return
        job.status, job.error, job.crashes, job.ended = JobStatus.QUEUED, None, 0, 0.0
        self._changed(job)
        self._next()

    def edit(self, job_id: str, request: PictureRequest) -> bool:
        """Give a job that has not begun another request.

        Returns:
            Whether it was in time.

        Raises:
            SfumatoError: BAD_REQUEST for one that makes no sense.
        """
        request.validate()
        job = self._jobs.get(job_id)
        if job is None or job.status is not JobStatus.QUEUED:
            return False
        if job_id not in self._unwritten and request != job.request:
            with self._storage():
                if not self._ensure_store().edit(job_id, request):
                    self.look_elsewhere()
                    return False
        if request != job.request:
            # The pictures of another request are none of this one.
            job.request, job.pictures, job.begun = request, [], False
            self.job_changed.emit(job)
        return True

    def keep_back(self, job_id: str, on: bool) -> None:
        """Whether a waiting job is passed over for now, as somebody is at work on it."""
        (self._kept_back.add if on else self._kept_back.discard)(job_id)
        self._on_waits()

    def reorder(self, job_ids: Sequence[str]) -> None:
        """Put jobs into this order, in the places that they hold together."""
        known = [job_id for job_id in dict.fromkeys(job_ids) if job_id in self._jobs]
        places = sorted(self._jobs[job_id].position for job_id in known)
        now = dict(zip(known, places, strict=True))
        with self._storage():
            written = [job_id for job_id in known if job_id not in self._unwritten]
            if len(written) == len(known):
                now = self._ensure_store().reorder(written)
        for job_id, position in now.items():
            self._jobs[job_id].position = position
        self._sort()
        self.reordered.emit()

    def jobs(self) -> list[Job]:
        """Every job that is listed, in order: those of earlier sessions that wait or have failed,
        and of those that are over the newest."""
        return list(self._jobs.values())

    def waiting(self) -> list[Job]:
        """Jobs that have not begun, in the order in which they will."""
        return [job for job in self._jobs.values() if job.status is JobStatus.QUEUED]

    def next_waiting(self) -> Job | None:
        """The job that is begun next; none that is kept back."""
        return next((job for job in self.waiting() if job.id not in self._kept_back), None)

    def failed(self) -> list[Job]:
        """Jobs that ended with an error, those of earlier sessions included; oldest first."""
        return [job for job in self._jobs.values() if job.status is JobStatus.FAILED]

    @property
    def is_held(self) -> bool:
        """Whether waiting jobs stay where they are because no engine could be started: they would
        only fail alike.  The next `submit` or `retry` tries again."""
        return self._held

    @property
    def waits(self) -> Waits:
        """Why nothing that waits is begun, where it is not the engine."""
        if self._store is not None and not self._store.is_owner:
            return Waits.ELSEWHERE
        if self._paused:
            return Waits.PAUSED
        if self._plugged_in_only and self._power.on_battery is not False:
            return Waits.BATTERY
        return Waits.NO

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def plugged_in_only(self) -> bool:
        """Whether jobs are run only while the computer is plugged in."""
        return self._plugged_in_only

    def pause(self, on: bool) -> None:
        """Begin nothing more, until it is resumed: the running job goes back in line once its
        present picture is finished.  It stays so over the end of the process."""
        self._switch(PAUSED, on)

    def run_plugged_in_only(self, on: bool) -> None:
        """Whether to run only while the computer is plugged in; else the same as a pause."""
        self._switch(PLUGGED_IN_ONLY, on)

    def _switch(self, name: str, on: bool) -> None:
        with self._storage():
            self._ensure_store().set_option(name, on)
        setattr(self, f"_{name}", on)
        self._on_waits()

    @Slot()
    def _on_waits(self) -> None:
        """What hinders the queue may be another thing now."""
        self._power.watch(self._plugged_in_only and not self._closed)
        if self.waits is Waits.NO:
            self._parked = None
        self.waits_changed.emit()
        self._next()

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
        self._look.stop()
        self._power.close()
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
        thread.enlarging.connect(self._on_enlarging)
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

    @Slot(str, messages.Enlarging)
    def _on_enlarging(self, job_id: str, event: messages.Enlarging) -> None:
        if job_id == self._running:
            self.enlarging_changed.emit(event.done, event.total)

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
        if self.waits and job_id == self._running and len(job.pictures) < job.request.count:
            self._parked = job_id
            self._thread.stop_job(job_id)

    @Slot(str, Outcome)
    def _on_job_ended(self, job_id: str, outcome: Outcome) -> None:
        job = self._jobs.get(job_id)
        if job is None or self._closed:
            return
        self._running = None
        parked, self._parked = self._parked == job_id, None
        if parked and outcome.status is OutcomeStatus.CANCELLED:
            job.status, job.error = JobStatus.QUEUED, None
            self._changed(job)
            self._next()
            return
        self._held = outcome.status is OutcomeStatus.NOT_STARTED
        self._settle(job, outcome)
        if job.status in ENDED:
            job.ended = time.time()
        self._changed(job)
        self._forget_finished()
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
        """Hand the first job in line to the thread when it has none."""
        if self._running is not None or self._closed or not self._thread.isRunning() or self.waits:
            return
        for job in self.waiting():
            if job.id not in self._kept_back and self._claim(job):
                self._running = job.id
                work = Work(job.id, job.request, len(job.pictures), job.begun)
                job.status, job.begun = JobStatus.RUNNING, True
                self._held = False
                self.job_changed.emit(job)
                self._thread.submit(work)
                return

    def _claim(self, job: Job) -> bool:
        """Whether the job is still there to be run; it is as it is on disk then."""
        if job.id in self._unwritten:
            return True
        with self._storage():
            begun, claimed = job.begun, self._ensure_store().claim(job.id)
            if claimed is None:
                QTimer.singleShot(0, self.look_elsewhere)
                return False
            job.request, job.pictures, job.begun = claimed.request, claimed.pictures, begun
        return True

    def _forget_finished(self) -> None:
        """Keep only the newest of what is over."""
        over = [job for job in self._jobs.values() if job.status in FINISHED]
        if len(over) <= KEPT_FINISHED:
            return
        over.sort(key=lambda job: (job.ended, job.position))
        for job in over[: len(over) - KEPT_FINISHED]:
            del self._jobs[job.id]
            self._unwritten.discard(job.id)
            self.job_removed.emit(job.id)
        if self._store is not None:
            with self._storage():
                self._store.forget_finished()

    # -- other processes ----------------------------------------------------------------------

    @Slot()
    def look_elsewhere(self) -> None:
        """Take over what other processes did to the queue, and its running when its owner ended."""
        store = self._store
        if self._closed or store is None:
            return
        if not store.is_owner and store.take():
            with self._storage():
                store.recover()
            self._read_again()
            self._thread.start()
            self._on_waits()
        elif store.changed_elsewhere():
            self._read_again()
            self._on_waits()

    def _read_again(self) -> None:
        store = self._ensure_store()
        self._paused = store.option(PAUSED)
        self._plugged_in_only = store.option(PLUGGED_IN_ONLY)
        there = {job.id: job for job in store.jobs()}
        made: list[str] = []
        for job_id in [known for known in self._jobs if known not in there]:
            if job_id not in self._unwritten and job_id != self._running:
                del self._jobs[job_id]
        for job in there.values():
            known = self._jobs.get(job.id)
            if known is None:
                self._jobs[job.id] = job
            elif job.id != self._running:
                made += job.pictures[len(known.pictures) :]
                vars(known).update(vars(job))
            else:
                known.position = job.position
        self._sort()
        self.jobs_reset.emit()
        for path in made:
            self.made_elsewhere.emit(path)

    def _sort(self) -> None:
        self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].position))

    def _changed(self, job: Job) -> None:
        self._write(job)
        self.job_changed.emit(job)

    def _write(self, job: Job) -> None:
        if self._store is not None:
            with self._storage():
                self._store.update(job)

    # -- grids --------------------------------------------------------------------------------

    def finished_grids(self) -> list[FinishedGrid]:
        """Grids whose contact sheet is this process's to make now."""
        if self._store is not None and self._store.is_owner and not self._closed:
            with self._storage():
                return self._store.finished_grids()
        return []

    def sheet_made(self, grid: str, *, made: bool = True) -> None:
        """As `JobStore.sheet_made`."""
        if not self._closed:
            with self._storage():
                self._ensure_store().sheet_made(grid, made=made)

    def _ensure_store(self) -> JobStore:
        if self._store is None:
            self._store = self._open_store()
            with self._storage():
                kept = self._store.recover()
                self._jobs = {job.id: job for job in kept}
                self._paused = self._store.option(PAUSED)
                self._plugged_in_only = self._store.option(PLUGGED_IN_ONLY)
                self.jobs_reset.emit()
            if self._store.notice:
                self.notice.emit(self._store.notice)
            waiting = len(self.waiting())
            self._on_waits()
            if waiting and self.waits is Waits.NO and self._store.is_kept:
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
