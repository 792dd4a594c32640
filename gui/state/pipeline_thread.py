"""The thread that hosts the pipeline, which lives in a child process that this thread owns.

The thread blocks on the engine's socket; the window only ever sees signals.  Nothing heavy is
imported: the engine imports torch and Core ML in its own process.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QThread, Signal
from PySide6.QtGui import QImage

from gui.engine import messages
from gui.engine.runner import EngineRunner, Outcome, OutcomeStatus
from gui.errors import SfumatoError, as_sfumato_error
from gui.library.queue_live import LiveState, LiveWriter
from gui.process.child import ChildLost
from gui.request import PictureRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepUpdate:
    """Where a job stands."""

    job_id: str
    picture_index: int
    """From 0."""
    count: int
    step: int
    """Steps done of this picture, from 1."""
    steps: int
    seconds_per_step: float
    seconds_left: float
    """For the rest of the job, decoding not counted."""
    preview: QImage | None


@dataclass(frozen=True)
class Work:
    """A job handed to the thread."""

    job_id: str
    request: PictureRequest
    first: int = 0
    resumed: bool = False
    """Whether it was begun before, so that pictures from `first` on may exist already."""
    live: bool = False
    """Whether it is for a look only: nothing is kept, and any other work goes first."""
    ahead: bool = False
    """Whether its model is only loaded, before anybody asks for a picture; all other work goes
    first."""


class PipelineThread(QThread):
    """Runs jobs one after the other on an engine it starts, watches and restarts.

    Signals arrive on the receiver's thread.  Methods may be called from the window's thread.

    Args:
        make_runner: builds the engine runner on this thread, given the callback for its states.
    """

    engine_state_changed = Signal(str)
    loading = Signal(str, messages.Loading)
    """Like the following, with the id of the job."""
    prepared = Signal(str, messages.Prepared)
    enlarging = Signal(str, messages.Enlarging)
    step_waiting = Signal()
    """A newer step can be fetched with `take_step`; not repeated until it has been."""
    picture_saved = Signal(str, messages.Image)
    frame_made = Signal(str, QImage)
    """The finished picture of live work."""
    job_ended = Signal(str, Outcome)
    engine_failed = Signal(SfumatoError)
    """The engine ended while idle, or never started."""

    def __init__(
        self,
        make_runner: Callable[[Callable[[str], None]], EngineRunner] | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("pipeline")
        self._make_runner = make_runner or _runner
        self.publish: LiveWriter | None = None
        """Where other processes read how far a job is."""
        self._lock = threading.Lock()
        self._work: deque[Work] = deque()
        self._early_stops: list[str] = []
        self._step: StepUpdate | None = None
        self._runner: EngineRunner | None = None
        self._closing = False
        self._resting = False
        self._live: Work | None = None  # what waits
        self._live_running: Work | None = None  # that was not told to stop
        self._live_loads = False  # its model, still
        self._stop_loaded = False
        self._ahead: Work | None = None  # what waits
        self._ahead_running: Work | None = None
        self._follower: Work | None = None  # that waits for the model that is loaded ahead

    # From the window's thread.

    def submit(self, work: Work) -> None:
        """Run a job after those already handed over."""
        with self._lock:
            self._work.append(work)
            runner = self._runner
        self.drop_live(work)
        self.drop_ahead(work)
        if runner is not None:
            runner.wake()

    def submit_live(self, work: Work) -> None:
        """Run live work when there is nothing else, in place of any other live work."""
        self.drop_live(work)
        self.drop_ahead(work)
        with self._lock:
            self._live = work
            runner = self._runner
        if runner is not None:
            runner.wake()

    def drop_live(self, follower: Work | None = None) -> None:
        """Forget live work that waits; what runs is stopped at its next step.

        It is stopped once only, as the second time would end the engine and its loaded model.  For
        the model's sake it may load it to the end, too, unless its follower needs another one: an
        engine that does not heed a stop for a minute is ended.
        """
        with self._lock:
            self._live = None
            running, runner = self._live_running, self._runner
            if running is None or runner is None:
                return
            if self._live_loads and (follower is None or _same_model(follower, running)):
                self._stop_loaded = True
                return
            self._live_running = None
        runner.stop(running.job_id)

    def prepare(self, work: Work) -> None:
        """Load the model of this work when there is nothing else, in place of any other."""
        self.drop_ahead()
        with self._lock:
            self._ahead = work
            runner = self._runner
        if runner is not None:
            runner.wake()

    def drop_ahead(self, follower: Work | None = None) -> None:
        """Load no model ahead any more.  One that is being loaded goes on if its follower, which is
        told of it, needs it too; else it is stopped after the network that is being loaded, or by
        force."""
        with self._lock:
            self._ahead = None
            running, runner = self._ahead_running, self._runner
            if running is None or runner is None:
                return
            if follower is not None and _same_networks(follower, running):
                self._follower = follower
                return
            self._ahead_running = None
        runner.stop(running.job_id)

    def stop_job(self, job_id: str) -> None:
        """First call: stop at the next step.  Second: end the engine under the job."""
        with self._lock:
            runner = self._runner
            if runner is None:
                self._early_stops.append(job_id)
            awaited = self._follower is not None and self._follower.job_id == job_id
        if awaited:
            self.drop_ahead()
        if runner is not None:
            runner.stop(job_id)

    def rest(self) -> None:
        """End the engine, which nobody needs for now; work starts another."""
        with self._lock:
            self._resting = True
            runner = self._runner
        if runner is not None:
            runner.wake()

    def take_step(self) -> StepUpdate | None:
        """The newest step not fetched yet.  Older ones the window had no time for are gone."""
        with self._lock:
            step, self._step = self._step, None
            return step

    def close(self) -> None:
        """End the engine and the thread, by force where it does not answer; waits for both
        (about a second at most)."""
        with self._lock:
            self._closing = True
            runner = self._runner
        if runner is not None:
            runner.abandon()
        self.wait()

    # On this thread.

    def run(self) -> None:
        runner = self._make_runner(self.engine_state_changed.emit)
        with self._lock:
            self._runner = runner
            for job_id in self._early_stops:
                runner.stop(job_id)
        try:
            self._loop(runner)
        finally:
            with self._lock:
                self._runner = None
            runner.close()

    def _loop(self, runner: EngineRunner) -> None:
        start_early = True
        while True:
            with self._lock:
                if self._closing:
                    return
                work = self._take()
                resting, self._resting = self._resting, False
            if resting and work is None:
                runner.reset()
                start_early = False
            if work is not None:
                outcome = self._do(runner, work)
                start_early = outcome.status is not OutcomeStatus.NOT_STARTED
                continue
            try:
                if start_early:
                    runner.start()
                runner.idle()
            except ChildLost as lost:
                # One that was well is replaced at once; one that never came up, or keeps dying,
                # is not tried again until there is work for it.
                start_early = runner.was_ready and not runner.keeps_dying
                self.engine_failed.emit(lost)

    def _take(self) -> Work | None:
        """The work to be done next; to be called under the lock."""
        if self._work:
            return self._work.popleft()
        work, self._live = self._live, None
        self._live_running, self._live_loads, self._stop_loaded = work, work is not None, False
        if work is None:
            work, self._ahead = self._ahead, None
            self._ahead_running = work
        return work

    def _on_prepared(self, runner: EngineRunner) -> None:
        """Live work that nobody waits for any more has loaded its model."""
        with self._lock:
            self._live_loads = False
            running = self._live_running if self._stop_loaded else None
            if running is None:
                return
            self._live_running = None
        runner.stop(running.job_id)

    def _do(self, runner: EngineRunner, work: Work) -> Outcome:
        def on_event(event: messages.JobEvent) -> None:
            if isinstance(event, messages.Loading):
                follower = self._follower if work.ahead else None
                whose = follower or work
                if self.publish is not None and not whose.live and not whose.ahead:
                    self.publish.tell(LiveState(whose.job_id, loading=event.component))
                self.loading.emit(whose.job_id, event)
            elif isinstance(event, messages.Prepared):
                self._on_prepared(runner)
                self.prepared.emit(work.job_id, event)
            elif isinstance(event, messages.Step):
                self._keep(work, event)
            elif isinstance(event, messages.Enlarging):
                self.enlarging.emit(work.job_id, event)
            elif isinstance(event, messages.Frame):
                self.frame_made.emit(work.job_id, _image(event))
            else:
                self.picture_saved.emit(work.job_id, event)

        try:
            if work.ahead:
                outcome = runner.prepare(work.job_id, work.request, on_event)
            else:
                outcome = runner.run(
                    work.job_id, work.request, work.first, on_event, work.resumed, work.live
                )
        except Exception as error:
            # A defect of ours must not leave the window with a job that never ends.
            log.exception("the pipeline thread failed")
            outcome = Outcome(OutcomeStatus.FAILED, as_sfumato_error(error))
            runner.reset()
        with self._lock:
            self._live_running = self._ahead_running = self._follower = None
        self.job_ended.emit(work.job_id, outcome)
        return outcome

    def _keep(self, work: Work, event: messages.Step) -> None:
        """Make a step available to the window, replacing one it has not fetched yet."""
        count = work.request.count
        if self.publish is not None and not work.live:
            self._publish(work, event)
        left = event.steps - event.step + (count - 1 - event.picture_index) * event.steps
        update = StepUpdate(
            work.job_id,
            event.picture_index,
            count,
            event.step,
            event.steps,
            event.seconds_per_step,
            left * event.seconds_per_step,
            _image(event.preview),
        )
        with self._lock:
            announced = self._step is not None
            if announced and update.preview is None and self._step is not None:
                same = self._step.picture_index == update.picture_index
                if same and self._step.job_id == update.job_id:
                    # Keep the picture that was not shown yet with the newer numbers.
                    update = replace(update, preview=self._step.preview)
            self._step = update
        if not announced:
            self.step_waiting.emit()

    def _publish(self, work: Work, event: messages.Step) -> None:
        assert self.publish is not None
        preview = event.preview or messages.Preview(0, 0)
        state = LiveState(
            work.job_id,
            event.picture_index,
            work.request.count,
            event.step,
            event.steps,
            event.seconds_per_step,
            preview.width,
            preview.height,
        )
        self.publish.tell(state, preview.rgb)


def _same_model(one: Work, other: Work) -> bool:
    """Whether the engine keeps the model from one to the other."""
    a, b = one.request, other.request
    return all(
        getattr(a, name) == getattr(b, name)
        for name in ("model", "compute_unit", "reduce_memory", "precision")
    )


def _same_networks(one: Work, other: Work) -> bool:
    """Whether what the engine loads for one is what the other needs."""
    a, b = one.request, other.request
    sizes = (a.width, a.height, a.loras) == (b.width, b.height, b.loras)
    return sizes and _same_model(one, other)


def _image(preview: messages.Preview | messages.Frame | None) -> QImage | None:
    if preview is None:
        return None
    view = QImage(
        preview.rgb, preview.width, preview.height, 3 * preview.width, QImage.Format.Format_RGB888
    )
    return view.copy()  # the view does not keep the bytes alive


__all__ = ["PipelineThread", "StepUpdate", "Work"]


def _runner(on_state: Callable[[str], None]) -> EngineRunner:
    return EngineRunner(on_state=on_state)
