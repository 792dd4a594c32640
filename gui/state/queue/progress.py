"""What the engine tells while a job runs, passed on to the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from gui.engine import messages
from gui.state.pipeline_thread import PipelineThread, StepUpdate
from gui.state.queue.live_line import LiveLine


@dataclass(frozen=True)
class LoadingUpdate:
    """A network of the model is being loaded: number `index` (from 0) of `total`."""

    job_id: str
    component: str
    index: int
    total: int
    elapsed: float
    """Seconds since loading began."""
    preparing: bool = False
    """Core ML prepares it for the Neural Engine, once."""
    sparing: bool = False
    """Whether one network at a time is in memory."""


class JobProgress(QObject):
    """How far the running job is; what comes late, of a job that runs no more, is not told.

    Args:
        thread: the pipeline thread.
        live: hears the steps of the picture that is live.
        running: tells which job runs.
    """

    loading_changed = Signal(LoadingUpdate)
    prepared = Signal(str, int, int)  # model's name, width and height of its pictures
    step_changed = Signal(StepUpdate)
    enlarging_changed = Signal(int, int)
    """Pieces of the finished picture that are enlarged, and pieces in all."""

    def __init__(
        self,
        thread: PipelineThread,
        live: LiveLine,
        running: Callable[[], str | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._thread = thread
        self._live = live
        self._running = running
        thread.loading.connect(self._on_loading)
        thread.prepared.connect(self._on_prepared)
        thread.step_waiting.connect(self._on_step_waiting)
        thread.enlarging.connect(self._on_enlarging)

    @Slot(str, messages.Loading)
    def _on_loading(self, job_id: str, event: messages.Loading) -> None:
        if job_id == self._running():
            self.loading_changed.emit(
                LoadingUpdate(
                    job_id,
                    event.component,
                    event.index,
                    event.total,
                    event.elapsed,
                    event.preparing,
                    event.sparing,
                )
            )

    @Slot(str, messages.Prepared)
    def _on_prepared(self, job_id: str, event: messages.Prepared) -> None:
        if job_id == self._running():
            self.prepared.emit(event.name, event.width, event.height)

    @Slot(str, messages.Enlarging)
    def _on_enlarging(self, job_id: str, event: messages.Enlarging) -> None:
        if job_id == self._running():
            self.enlarging_changed.emit(event.done, event.total)

    @Slot()
    def _on_step_waiting(self) -> None:
        update = self._thread.take_step()
        if update is not None and update.job_id == self._running():
            self.step_changed.emit(update)
        elif update is not None:
            self._live.step.emit(update.job_id, update)
