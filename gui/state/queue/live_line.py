"""Live pictures on their way to the engine and back: made to be looked at, and kept nowhere."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from gui.engine import messages
from gui.engine.runner import Outcome
from gui.request import PictureRequest
from gui.state.pipeline_thread import PipelineThread, StepUpdate, Work


class LiveLine(QObject):
    """One live picture at a time, on the engine that makes the queue's.

    Its signals tell of jobs as well: who asks for pictures knows them by the ids given.

    Args:
        thread: the pipeline thread; any job that it is handed displaces what is live.
    """

    loading = Signal(str, messages.Loading)
    prepared = Signal(str, messages.Prepared)
    step = Signal(str, StepUpdate)
    frame = Signal(str, QImage)
    """The finished picture."""
    ended = Signal(str, Outcome)

    def __init__(self, thread: PipelineThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = thread
        thread.loading.connect(self.loading)
        thread.prepared.connect(self.prepared)
        thread.frame_made.connect(self.frame)
        thread.job_ended.connect(self.ended)

    def show(self, live_id: str, request: PictureRequest) -> None:
        """Make this picture, in place of any that was asked for before."""
        self._thread.submit_live(Work(live_id, request, live=True))

    def stop(self) -> None:
        """Nobody waits for a picture any more."""
        self._thread.drop_live()
