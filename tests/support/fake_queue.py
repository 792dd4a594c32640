"""A job queue without an engine: the same signals and methods as the real one, driven by the test.

Nothing happens by itself.  A test submits through the window and then plays the engine's part:
`run`, `load`, `step`, `finish`, `fail`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from gui.errors import SfumatoError
from gui.request import PictureRecord, PictureRequest
from gui.state.queue.waits import Waits


@dataclass
class FakeJob:
    id: str
    request: PictureRequest
    status: str = "queued"
    error: SfumatoError | None = None
    pictures: list[str] = field(default_factory=list)
    position: int = 0
    ended: float = 0.0


class FakeLiveLine(QObject):
    """Stands where the queue's `LiveLine` stands; what was asked for is kept, and nothing is drawn
    until the test does it."""

    loading = Signal(str, object)
    prepared = Signal(str, object)
    step = Signal(str, object)
    frame = Signal(str, QImage)
    ended = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, PictureRequest]] = []
        self.stops = 0

    def show(self, live_id: str, request: PictureRequest) -> None:
        self.asked.append((live_id, request))

    def stop(self) -> None:
        self.stops += 1


class FakeQueue(QObject):
    """Stands where `gui.state.job_queue.JobQueue` stands."""

    job_added = Signal(object)
    job_changed = Signal(object)
    job_removed = Signal(str)
    jobs_reset = Signal()
    reordered = Signal()
    waits_changed = Signal()
    engine_state_changed = Signal(str)
    loading_changed = Signal(object)
    step_changed = Signal(object)
    enlarging_changed = Signal(int, int)
    picture_ready = Signal(object)
    made_elsewhere = Signal(str)
    job_failed = Signal(object, object)
    notice = Signal(str)

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.started = 0
        self.stops = 0
        self.is_shut_down = False
        self.is_held = False
        self.live = FakeLiveLine()
        self.prepared: list[PictureRequest] = []
        self.dropped = 0
        self.waits = Waits.NO
        self.paused = False
        self.plugged_in_only = False
        self.kept_back: set[str] = set()
        self.grids: list[tuple[Any, Any]] = []
        self.refusal: SfumatoError | None = None
        self._jobs: list[FakeJob] = []
        self._numbers = itertools.count(1)

    # -- what the window calls ----------------------------------------------------------------

    def start(self) -> None:
        self.started += 1
        self.engine_state_changed.emit("starting")

    def submit_all(
        self, requests: list[PictureRequest], grid: Any = None, base: Any = None
    ) -> list[FakeJob]:
        self.grids.append((grid, base)) if grid is not None else None
        return [self.submit(request) for request in requests]

    def look_elsewhere(self) -> None:
        """There is nobody else."""

    def finished_grids(self) -> list[Any]:
        return []

    def submit(self, request: PictureRequest) -> FakeJob:
        if self.refusal is not None:
            raise self.refusal
        number = next(self._numbers)
        job = FakeJob(f"job-{number}", request, position=number)
        self._jobs.append(job)
        self.job_added.emit(job)
        return job

    def prepare(self, request: PictureRequest) -> None:
        self.prepared.append(request)

    def drop_prepared(self) -> None:
        self.dropped += 1

    def stop_current(self) -> bool:
        self.stops += 1
        return any(job.status == "running" for job in self._jobs)

    def remove(self, job_id: str) -> FakeJob | None:
        job = next((job for job in self._jobs if job.id == job_id), None)
        if job is None or job.status == "running":
            return None
        taken = replace(job, pictures=list(job.pictures))
        self._jobs.remove(job)
        if job.status == "queued":
            self._set(job, "cancelled")
        self.job_removed.emit(job_id)
        return taken

    def remove_all(self, job_ids: list[str]) -> list[FakeJob]:
        there = [job.id for job in self._jobs if job.id in set(job_ids)]
        return [job for job_id in there if (job := self.remove(job_id)) is not None]

    def put_back(self, *jobs: FakeJob) -> None:
        self._jobs = sorted([*self._jobs, *jobs], key=lambda job: job.position)
        self.jobs_reset.emit()

    def retry(self, job_id: str) -> None:
        job = next(job for job in self._jobs if job.id == job_id)
        job.error = None
        self._set(job, "queued")

    def edit(self, job_id: str, request: PictureRequest) -> bool:
        job = next((job for job in self._jobs if job.id == job_id), None)
        if job is None or job.status != "queued":
            return False
        job.request = request
        self.job_changed.emit(job)
        return True

    def keep_back(self, job_id: str, on: bool) -> None:
        (self.kept_back.add if on else self.kept_back.discard)(job_id)
        self.waits_changed.emit()

    def reorder(self, job_ids: list[str]) -> None:
        moved = {job.id: job for job in self._jobs if job.id in job_ids}
        places = sorted(job.position for job in moved.values())
        for job_id, position in zip(job_ids, places, strict=True):
            moved[job_id].position = position
        self._jobs.sort(key=lambda job: job.position)
        self.reordered.emit()

    def next_waiting(self) -> FakeJob | None:
        waiting = (job for job in self._jobs if job.status == "queued")
        return next((job for job in waiting if job.id not in self.kept_back), None)

    @property
    def is_free(self) -> bool:
        running = any(job.status == "running" for job in self._jobs)
        return not running and (bool(self.waits) or self.next_waiting() is None)

    def pause(self, on: bool) -> None:
        self.paused = on
        self.waits = Waits.PAUSED if on else Waits.NO
        self.waits_changed.emit()

    def run_plugged_in_only(self, on: bool) -> None:
        self.plugged_in_only = on
        self.waits_changed.emit()

    def jobs(self) -> list[FakeJob]:
        return list(self._jobs)

    def shutdown(self) -> None:
        self.is_shut_down = True

    # -- the engine's part, played by the test ------------------------------------------------

    @property
    def last(self) -> FakeJob:
        return self._jobs[-1]

    def _set(self, job: FakeJob, status: str) -> None:
        job.status = status
        self.job_changed.emit(job)

    def run(self) -> FakeJob:
        """Begin the first job in line."""
        job = next(job for job in self._jobs if job.status == "queued")
        self._set(job, "running")
        return job

    def load(
        self,
        component: str,
        index: int,
        total: int,
        elapsed: float = 0.0,
        preparing: bool = False,
        *,
        sparing: bool = False,
    ) -> None:
        values: dict[str, Any] = {
            "component": component,
            "index": index,
            "total": total,
            "preparing": preparing,
            "sparing": sparing,
        }
        self.loading_changed.emit(SimpleNamespace(job="", elapsed=elapsed, **values))

    def step(
        self,
        step: int,
        steps: int,
        *,
        preview: QImage | None = None,
        picture_index: int = 0,
        seconds_per_step: float = 0.5,
        seconds_left: float = 3.0,
    ) -> None:
        job = next(job for job in self._jobs if job.status == "running")
        self.step_changed.emit(
            SimpleNamespace(
                job_id=job.id,
                picture_index=picture_index,
                count=job.request.count,
                step=step,
                steps=steps,
                seconds_per_step=seconds_per_step,
                seconds_left=seconds_left,
                preview=preview,
            )
        )

    def picture(self, image: QImage, **record: Any) -> str:
        """Write a picture of the running job and announce it; the job goes on."""
        assert self.folder is not None
        job = next(job for job in self._jobs if job.status == "running")
        single = job.request.single(len(job.pictures))
        path = str(self.folder / f"{job.id}-{single.seed}-{len(job.pictures)}.png")
        assert image.save(path)
        request = replace(
            single,
            steps=job.request.steps or 20,
            guidance_scale=job.request.guidance_scale or 7.5,
            scheduler=job.request.scheduler or "DPM++ 2M Karras",
        )
        made = PictureRecord(request, image.width(), image.height(), "Tiny", **record)
        job.pictures.append(path)
        self.picture_ready.emit(SimpleNamespace(job_id=job.id, path=path, record=made))
        return path

    def finish(self) -> None:
        self._set(next(job for job in self._jobs if job.status == "running"), "done")

    def cancelled(self) -> None:
        self._set(next(job for job in self._jobs if job.status == "running"), "cancelled")

    def fail(self, error: SfumatoError) -> None:
        job = next(job for job in self._jobs if job.status == "running")
        job.error = error
        self._set(job, "failed")
        self.job_failed.emit(job, error)
