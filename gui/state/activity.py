"""What is going on with the queue and its engine, as one observable value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Signal

from gui.state.queue.waits import Waits

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

LOADING_TICK_MS = 500
"""How often the elapsed time moves while a network loads."""


class Phase(StrEnum):
    """What the engine is doing for the person."""

    IDLE = "idle"
    STARTING = "starting"
    """A job waits for the engine to come up, or for its first word."""
    LOADING = "loading"
    DENOISING = "denoising"
    ENLARGING = "enlarging"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Activity:
    """What is going on now.  Only the fields of the phase mean anything."""

    phase: Phase = Phase.IDLE
    prompt: str = ""
    engine_up: bool = False
    """While starting: the engine is there, and the job is on its way to it."""
    component: str = ""
    index: int = 0
    total: int = 0
    elapsed: float = 0.0
    """Seconds the component has been loading."""
    sparing: bool = False
    """Whether one network at a time is in memory."""
    picture_index: int = 0
    count: int = 1
    step: int = 0
    steps: int = 0
    seconds_per_step: float = 0.0
    seconds_left: float = 0.0
    preview: QImage | None = None
    waiting: int = 0
    """Jobs in line behind this one."""
    waits: Waits = Waits.NO
    """Why none of them is begun, or will be once this one is finished."""
    preparing: bool = False
    """While loading: Core ML prepares it for the Neural Engine, once."""

    @property
    def busy(self) -> bool:
        return self.phase is not Phase.IDLE

    @property
    def halted(self) -> bool:
        """Whether there are jobs, and none is worked on until something changes."""
        return not self.busy and self.waiting > 0 and self.waits in (Waits.PAUSED, Waits.BATTERY)


class ActivityWatch(QObject):
    """Follows the queue.

    Args:
        queue: the `JobQueue`, or anything with its signals and methods.
    """

    changed = Signal(Activity)
    engine_state_changed = Signal(str)

    def __init__(self, queue: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self.engine_state = "off"
        self.now = Activity()
        self._running: Any = None
        self._loading_since = QElapsedTimer()
        self._loading_base = 0.0
        self._loading_tick = QTimer(self)
        self._loading_tick.setInterval(LOADING_TICK_MS)
        self._loading_tick.timeout.connect(self._on_loading_tick)
        for signal in (
            queue.job_added, queue.job_changed, queue.job_removed, queue.jobs_reset,
            queue.waits_changed,
        ):  # fmt: skip
            signal.connect(self._on_jobs)
        queue.engine_state_changed.connect(self._on_engine_state)
        queue.loading_changed.connect(self._on_loading)
        queue.step_changed.connect(self._on_step)
        queue.enlarging_changed.connect(self._on_enlarging)

    def stop(self) -> None:
        """Stop the running job; asked a second time, the engine is ended and started again."""
        if not self.now.busy:
            return
        if self._queue.stop_current():
            self._set(replace(self.now, phase=Phase.STOPPING))
        else:
            self._set(Activity(waiting=self._waiting(), waits=self._queue.waits))

    def _set(self, activity: Activity) -> None:
        if activity.phase is Phase.LOADING:
            self._loading_tick.start()
        else:
            self._loading_tick.stop()
        self.now = activity
        self.changed.emit(activity)

    def _on_engine_state(self, state: str) -> None:
        self.engine_state = state
        self.engine_state_changed.emit(state)
        if self.now.phase is Phase.STARTING:
            self._set(replace(self.now, engine_up=self._engine_is_up()))

    def _on_jobs(self, *_: object) -> None:
        """Jobs came, went or changed, or what hinders them did."""
        queue, waiting = self._queue, self._waiting()
        running = next((job for job in queue.jobs() if job.status == "running"), None)
        before, self._running = self._running, running
        if running is not None:
            if before is None or before.id != running.id:
                self._set(self._fresh(running, waiting))
            else:
                self._set(replace(self.now, waiting=waiting, waits=queue.waits))
            return
        following = queue.next_waiting()
        # Held: no engine can be started.
        if following is None or queue.is_held or queue.waits in (Waits.PAUSED, Waits.BATTERY):
            self._set(Activity(waiting=waiting, waits=queue.waits))
        else:
            self._set(self._fresh(following, waiting - 1))

    def _waiting(self) -> int:
        """Jobs that have not begun."""
        return sum(job.status == "queued" for job in self._queue.jobs())

    def _fresh(self, job: Any, waiting: int) -> Activity:
        request = job.request
        return Activity(
            Phase.STARTING,
            request.prompt,
            engine_up=self._engine_is_up(),
            count=request.count,
            waiting=waiting,
            waits=self._queue.waits,
        )

    def _engine_is_up(self) -> bool:
        return self.engine_state not in ("off", "starting", "lost")

    def _on_loading(self, loading: Any) -> None:
        if self.now.phase in (Phase.IDLE, Phase.STOPPING):
            return
        self._loading_base = float(loading.elapsed)
        self._loading_since.start()
        self._set(
            replace(
                self.now,
                phase=Phase.LOADING,
                component=loading.component,
                index=loading.index,
                total=loading.total,
                elapsed=self._loading_base,
                preparing=loading.preparing,
                sparing=loading.sparing,
            )
        )

    def _on_loading_tick(self) -> None:
        elapsed = self._loading_base + self._loading_since.elapsed() / 1000
        self._set(replace(self.now, elapsed=elapsed))

    def _on_step(self, update: Any) -> None:
        if self.now.phase is Phase.IDLE:
            return
        stopping = self.now.phase is Phase.STOPPING
        self._set(
            replace(
                self.now,
                phase=Phase.STOPPING if stopping else Phase.DENOISING,
                picture_index=update.picture_index,
                count=update.count,
                step=update.step,
                steps=update.steps,
                seconds_per_step=update.seconds_per_step or 0.0,
                seconds_left=update.seconds_left or 0.0,
                preview=update.preview if update.preview is not None else self.now.preview,
            )
        )

    def _on_enlarging(self, done: int, total: int) -> None:
        if self.now.phase in (Phase.DENOISING, Phase.ENLARGING):
            self._set(replace(self.now, phase=Phase.ENLARGING, index=done, total=total))
