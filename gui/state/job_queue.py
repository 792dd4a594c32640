"""The queue of picture requests as the window sees it.

Composes the queue on disk with the pipeline thread: one job at a time is handed to the thread, and
every change is written down before the window hears of it.  Other windows and commands have the
same queue before them: what they change is heard of here, and only the owner hands out jobs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from gui import words
from gui.engine import messages
from gui.engine.runner import Outcome, OutcomeStatus
from gui.errors import SfumatoError
from gui.grid import Grid
from gui.library.job import ENDED, Job, JobStatus
from gui.library.queue import PAUSED, PLUGGED_IN_ONLY, JobStore
from gui.library.queue_grids import FinishedGrid
from gui.library.queue_live import LiveWriter
from gui.request import PictureRecord, PictureRequest
from gui.state.job_list import JobList, settle
from gui.state.pipeline_thread import PipelineThread, StepUpdate, Work
from gui.state.power import Power
from gui.state.queue.live_line import LiveLine
from gui.state.queue.progress import JobProgress, LoadingUpdate
from gui.state.queue.waits import QueueWaits, Waits

log = logging.getLogger(__name__)

_DOUBLE_CLICK_SECONDS = 0.5
LOOK_MS = 1000
"""Between two looks at what other processes did to the queue."""


@dataclass(frozen=True)
class FinishedPicture:
    """A finished picture, already saved."""

    job_id: str
    path: str
    record: PictureRecord


class JobQueue(QObject):
    """Requests in order, run one at a time on the engine.

    Args:
        store: opens the queue on disk; called by `start` (or the first `submit`).
        thread: the pipeline thread; tests give one with a stand-in engine.
        power: tells of the battery; tests give a stand-in.
        gives_way: own the running of the queue only while something is in line; see `give_way`.
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
        gives_way: bool = False,
    ) -> None:
        super().__init__(parent)
        self._gives_way = gives_way
        self._list = JobList(store, self._tell_storage)
        self._running: str | None = None
        self._stopped: str | None = None
        self._stopped_at = 0.0
        self._parked: str | None = None  # a job that goes back in line between two pictures
        self._kept_back: set[str] = set()
        self._engine_state = "off"
        self._held = False
        self._storage_told = False
        self._started = False
        self._closed = False
        self._prepared = 0
        self._thread = thread or PipelineThread()
        self._thread.setParent(self)
        self.live = LiveLine(self._thread, self)
        progress = JobProgress(self._thread, self.live, lambda: self._running, self)
        progress.loading_changed.connect(self.loading_changed)
        progress.prepared.connect(self.prepared)
        progress.step_changed.connect(self.step_changed)
        progress.enlarging_changed.connect(self.enlarging_changed)
        self._waits = QueueWaits(power, self)
        self._waits.power_changed.connect(self._on_waits)
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
        if store.is_kept:
            self._thread.publish = LiveWriter()
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
        """Append requests, checked and written down as by `JobStore.add_all`; run them in turn.

        Raises:
            SfumatoError: BAD_REQUEST for one that makes no sense.
        """
        for request in requests:
            request.validate()
        self._ensure_store()
        jobs = self._list.add_all(requests, grid, base)
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
        taken, wanted = self._list.take_off(job_ids)
        if len(taken) < wanted:  # it has begun elsewhere
            self.look_elsewhere()
        if wanted == 1 and taken:
            self.job_removed.emit(taken[0].id)
        elif wanted:
            self.jobs_reset.emit()
        return taken

    def put_back(self, *jobs: Job) -> None:
        """Undo `remove_all`: the jobs are what they were, where they were."""
        self._ensure_store()
        back = self._list.put_back(jobs)
        if len(back) == 1:
            self.job_added.emit(back[0])
        elif back:
            self.jobs_reset.emit()
        self._next()

    def retry(self, job_id: str) -> None:
        """Queue an ended job again, a set aside one included, from its first missing picture."""
        job = self._list.get(job_id)
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
        job = self._list.get(job_id)
        if job is None or job.status is not JobStatus.QUEUED:
            return False
        if request != job.request:
            if not self._list.edit(job, request):
                self.look_elsewhere()
                return False
            self.job_changed.emit(job)
        return True

    def keep_back(self, job_id: str, on: bool) -> None:
        """Whether a waiting job is passed over for now, as somebody is at work on it."""
        (self._kept_back.add if on else self._kept_back.discard)(job_id)
        self._on_waits()

    def reorder(self, job_ids: Sequence[str]) -> None:
        """As `JobStore.reorder`; `reordered` follows."""
        self._ensure_store()
        self._list.reorder(job_ids)
        self.reordered.emit()

    def jobs(self) -> list[Job]:
        """Every job that is listed, in order: those of earlier sessions that wait or have failed,
        and of those that are over the newest."""
        return self._list.all()

    def waiting(self) -> list[Job]:
        """Jobs that have not begun, in the order in which they will."""
        return self._list.with_status(JobStatus.QUEUED)

    def next_waiting(self) -> Job | None:
        """The job that is begun next; none that is kept back."""
        return next((job for job in self.waiting() if job.id not in self._kept_back), None)

    def failed(self) -> list[Job]:
        """Jobs that ended with an error, those of earlier sessions included; oldest first."""
        return self._list.with_status(JobStatus.FAILED)

    @property
    def is_held(self) -> bool:
        """Whether waiting jobs stay where they are because no engine could be started: they would
        only fail alike.  The next `submit` or `retry` tries again."""
        return self._held

    @property
    def waits(self) -> Waits:
        """Why nothing that waits is begun, where it is not the engine."""
        return self._waits.now(self._list.store)

    @property
    def paused(self) -> bool:
        return self._waits.paused

    @property
    def plugged_in_only(self) -> bool:
        """Whether jobs are run only while the computer is plugged in."""
        return self._waits.plugged_in_only

    def pause(self, on: bool) -> None:
        """Begin nothing more, until it is resumed: the running job goes back in line once its
        present picture is finished.  It stays so over the end of the process."""
        self._switch(PAUSED, on)

    def run_plugged_in_only(self, on: bool) -> None:
        """Whether to run only while the computer is plugged in; else the same as a pause."""
        self._switch(PLUGGED_IN_ONLY, on)

    def _switch(self, name: str, on: bool) -> None:
        store = self._ensure_store()
        with self._list.storage():
            store.set_option(name, on)
        setattr(self._waits, name, on)
        self._on_waits()

    @Slot()
    def _on_waits(self) -> None:
        """What hinders the queue may be another thing now."""
        self._waits.watch_power(not self._closed)
        self.waits_changed.emit()
        self._next()

    @property
    def is_free(self) -> bool:
        """Whether there is an engine, and nothing in line that it is to be used for."""
        idle = self._running is None and (self.waits or self._held or not self.next_waiting())
        there = self._thread.isRunning() and not self.waits.elsewhere
        return there and not self._closed and bool(idle)

    def prepare(self, request: PictureRequest) -> None:
        """Have what this request needs loaded while there is nothing else to do."""
        self._prepared += 1
        self._thread.prepare(Work(f"ahead-{self._prepared}", request, ahead=True))

    def drop_prepared(self) -> None:
        """Nothing is to be loaded ahead any more."""
        self._thread.drop_ahead()

    @property
    def current(self) -> Job | None:
        """The job being worked on."""
        return self._list.get(self._running)

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
        self._waits.close()
        job = self.current
        self._running = None
        if job is not None:
            job.status = JobStatus.QUEUED
            self._list.write(job)
        self._thread.close()
        self._list.close()

    # Signals of the thread, delivered on ours.

    def _connect(self) -> None:
        thread = self._thread
        thread.engine_state_changed.connect(self._on_engine_state)
        thread.picture_saved.connect(self._on_picture)
        thread.job_ended.connect(self._on_job_ended)
        thread.engine_failed.connect(self._on_engine_failed)

    @Slot(str)
    def _on_engine_state(self, state: str) -> None:
        if state != self._engine_state:
            self._engine_state = state
            self.engine_state_changed.emit(state)

    @Slot(str, messages.Image)
    def _on_picture(self, job_id: str, event: messages.Image) -> None:
        job = self._list.get(job_id)
        if job is None or self._closed:
            return
        job.pictures.append(event.path)
        self._changed(job)
        self.picture_ready.emit(FinishedPicture(job_id, event.path, event.record))
        more = len(job.pictures) < job.request.count
        # Once: to be told a second time ends the engine.
        if self.waits and job_id == self._running and more and self._parked != job_id:
            self._parked = job_id
            self._thread.stop_job(job_id)

    @Slot(str, Outcome)
    def _on_job_ended(self, job_id: str, outcome: Outcome) -> None:
        job = self._list.get(job_id)
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
        if sentence := settle(job, outcome):
            self.notice.emit(sentence)
        if job.status in ENDED:
            job.ended = time.time()
        self._changed(job)
        for forgotten in self._list.forget_finished():
            self.job_removed.emit(forgotten)
        if job.error is not None and job.status in ENDED:
            self.job_failed.emit(job, job.error)
        if not self._held:
            self._next()

    @Slot(SfumatoError)
    def _on_engine_failed(self, error: SfumatoError) -> None:
        if not self._closed:
            log.warning("engine lost: %s\n%s", error.message, error.detail)
            self.notice.emit(error.message)

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
        """Whether the job is still there to be run."""
        claimed = self._list.claim(job)
        if not claimed:
            QTimer.singleShot(0, self.look_elsewhere)
        return claimed

    # -- other processes ----------------------------------------------------------------------

    @Slot()
    def look_elsewhere(self) -> None:
        """Take over what other processes did to the queue, and its running when its owner ended."""
        store = self._list.store
        if self._closed or store is None:
            return
        changed = store.changed_elsewhere()
        if changed:
            self._read_again(store)
        self._look_for_farm(store)
        wanted = not self._gives_way or bool(self.waiting())
        if not store.is_owner and wanted and store.take():
            with self._list.storage():
                store.recover()
            self._read_again(store)
            self._thread.start()
            self._on_waits()
        elif changed:
            self._on_waits()
        if store.is_owner:
            self._stop_for_others(store)

    def _stop_for_others(self, store: JobStore) -> None:
        """Stop the running job where another process wants it stopped."""
        with self._list.storage():
            if self._running in store.take_stops():
                self.stop_current()

    def give_way(self) -> bool:
        """Let another process own the running of the queue while nothing is in line here.

        Returns:
            Whether another one does.
        """
        store = self._list.store
        if store is None or self._running is not None or self._closed:
            return False
        store.release()
        return store.is_run_elsewhere()

    def _look_for_farm(self, store: JobStore) -> None:
        """Leave the queue to the farm that this Mac is in now: between two pictures, with its
        engine's memory; or be told that it has left."""
        farmed = store.is_farmed()
        if farmed != self._waits.farmed:
            self._waits.farmed = farmed
            self._on_waits()
        if farmed and store.is_owner and self._running is None:
            store.release()
            self._thread.rest()

    def _read_again(self, store: JobStore) -> None:
        self._waits.read_switches(store)
        failed = {job.id for job in self.failed()}
        made = self._list.read_again(self._running)
        self.jobs_reset.emit()
        for path in made:
            self.made_elsewhere.emit(path)
        if self.waits is Waits.FARM:  # nobody else tells it
            for job in self.failed():
                if job.id not in failed and job.error is not None:
                    self.job_failed.emit(job, job.error)

    def _changed(self, job: Job) -> None:
        self._list.write(job)
        self.job_changed.emit(job)

    # -- grids --------------------------------------------------------------------------------

    def finished_grids(self) -> list[FinishedGrid]:
        """Grids whose contact sheet is this process's to make now."""
        store = self._list.store
        if store is not None and store.is_owner and not self._closed:
            with self._list.storage():
                return store.finished_grids()
        return []

    def sheet_made(self, grid: str, *, made: bool = True) -> None:
        """As `JobStore.sheet_made`."""
        if not self._closed:
            store = self._ensure_store()
            with self._list.storage():
                store.sheet_made(grid, made=made)

    def _ensure_store(self) -> JobStore:
        """The queue on disk; what the last session left is told when it is opened."""
        if self._list.store is not None:
            return self._list.store
        store = self._list.open()
        self._waits.farmed = store.is_farmed()
        self._waits.read_switches(store)
        self.jobs_reset.emit()
        if store.notice:
            self.notice.emit(store.notice)
        waiting = len(self.waiting())
        self._on_waits()
        if waiting and self.waits is Waits.NO and store.is_kept:
            what = words.plural(waiting, "request")
            self.notice.emit(f"Going on with {what} left from last time.")
        return store

    def _tell_storage(self, error: SfumatoError) -> None:
        log.warning("%s %s", error.message, error.detail)
        if not self._storage_told:
            self._storage_told = True
            self.notice.emit(error.message)


__all__ = ["FinishedPicture", "Job", "JobQueue", "JobStatus", "LoadingUpdate", "StepUpdate"]
