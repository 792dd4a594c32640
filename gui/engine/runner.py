"""Runs jobs on an engine that may hang, crash or be told to stop: the policy above the client.

No Qt and nothing heavy; the window's pipeline thread and the command line both use it.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gui import words
from gui.engine import messages
from gui.engine.messages import ENGINE, Generate, JobEvent, Prepare, Ready
from gui.errors import ErrorKind, SfumatoError
from gui.hub.machine import this_computer
from gui.library import unit_times
from gui.process import crashes
from gui.process.child import ChildLost
from gui.process.messages import Answer
from gui.process.supervisor import Supervisor
from gui.request import PictureRequest

_ATTEMPTS = 2
"""How often an engine is started for one job."""
_FRESH_SECONDS = 2.0
"""An engine that was heard of so lately needs no ping before it gets a job."""


@dataclass(frozen=True)
class Patience:
    """How many seconds the engine may be silent before it counts as hung.

    A heartbeat would say nothing: the engine cannot send one while Core ML holds its interpreter.
    So each phase has its own limit, generous where the hardware decides.
    """

    start: float = 180.0
    """From the start of the process to `Ready`; imports from a cold disk."""
    loading: float = 1800.0
    """For one component.  A first compilation for the Neural Engine has been seen to take 355 s
    (apple/ml-stable-diffusion issue 292)."""
    first_step: float = 1800.0
    """For the first step of a job, of which nothing is known yet."""
    steps: float = 20.0
    """Later: so many times the median step …"""
    step_floor: float = 120.0
    """… but at least this."""
    finish_floor: float = 600.0
    """At least this between a picture's last step and its file (full decode, safety checker), and
    for each piece that is enlarged."""
    stop: float = 60.0
    """For a job that was told to stop, to heed it, and for three steps; after that the engine is
    ended, which costs the loaded model."""
    give_way: float = 5.0
    """The same for a model that is prepared while another one is wanted."""


class SilenceWatch:
    """How long to wait for a job's next event, from the events so far.  Pure; times are given."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._last = now
        self._allowed = patience.loading
        self._durations: deque[float] = deque(maxlen=15)
        self._step_before: float | None = None

    def saw(self, event: JobEvent, now: float) -> None:
        self._last = now
        patience = self._patience
        if isinstance(event, messages.Loading):
            self._allowed = patience.loading
        elif isinstance(event, messages.Prepared):
            self._allowed = patience.first_step
        elif isinstance(event, messages.Step):
            if self._step_before is not None:
                self._durations.append(now - self._step_before)
            last_one = event.step >= event.steps
            self._step_before = None if last_one else now
            floor = patience.finish_floor if last_one else patience.step_floor
            self._allowed = self._relative(floor)
        elif self._step_before is None:  # else it is an earlier picture's, saved meanwhile
            self._allowed = self._relative(patience.finish_floor)

    def left(self, now: float) -> float:
        """Seconds until the engine counts as hung; negative when it does."""
        return self._last + self._allowed - now

    @property
    def stop_seconds(self) -> float:
        """How long a stop may take from now on."""
        return max(self._patience.stop, 3 * statistics.median(self._durations or (0.0,)))

    def _relative(self, floor: float) -> float:
        if not self._durations:
            return max(floor, self._patience.first_step)
        return max(floor, self._patience.steps * statistics.median(self._durations))


class _NotStarted(ChildLost):
    """No engine could be brought up, so the job is not to blame."""


class OutcomeStatus(StrEnum):
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """With an error; the engine is well."""
    LOST = "lost"
    """The engine died or hung during this job, and is gone."""
    NOT_STARTED = "not_started"
    """No engine could be started; the job is not to blame."""


@dataclass(frozen=True)
class Outcome:
    status: OutcomeStatus
    error: SfumatoError | None = None
    by_request: bool = False
    """Whether a lost engine was told to end (SIGTERM), so that the job is not to blame."""


class EngineRunner:
    """One engine at a time, started when needed and again after it was lost.

    `run`, `start`, `idle` and `close` belong to one thread; `stop`, `wake` and `abandon` may be
    called from any thread and from signal handlers.

    Args:
        patience: deadlines.
        on_state: told ``starting``, ``ready``, ``loading``, ``busy``, ``stopping``, ``lost`` and
            ``off`` on the thread that runs.
        command, log: as `Supervisor`.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        on_state: Callable[[str], None] | None = None,
        command: list[str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._on_state: Callable[[str], None] = on_state or (lambda _state: None)
        self._engine = Supervisor(ENGINE, command, log, start_seconds=self._patience.start)
        self._ready: Ready | None = None
        self._was_ready = False
        self._stops: dict[str, int] = {}  # how often each job was asked to stop
        self._abandoned = False
        self._in_use: messages.UnitInUse | None = None

    @property
    def ready(self) -> Ready | None:
        """What the present engine said of itself, once it has."""
        return self._ready

    @property
    def was_ready(self) -> bool:
        """Whether the engine lost last had been ready."""
        return self._was_ready

    @property
    def keeps_dying(self) -> bool:
        """Whether engines have died so often lately that another is only started for a job."""
        return self._engine.keeps_dying

    @property
    def pid(self) -> int | None:
        return self._engine.pid

    def start(self) -> None:
        """Start the engine unless there is one; does not wait for it.

        Raises:
            ChildLost: it could not be started.
        """
        if self._engine.pid is None:
            self._on_state("starting")
            try:
                self._engine.start()
            except ChildLost:
                self._gone()
                raise

    def idle(self, timeout: float | None = None) -> None:
        """Wait without a job until `wake` is called, the engine says it is ready, or time is up.

        Raises:
            ChildLost: the engine ended, never became ready or does not answer any more; it is gone
                now.
        """
        try:
            if not self._engine.wait(timeout):
                return
            message = self._engine.receive()
        except ChildLost:
            self._gone()
            raise
        event = message.event if message is not None and not isinstance(message, Answer) else None
        if isinstance(event, Ready):
            self._ready = event
            self._on_state("ready")

    def run(
        self,
        job: str,
        request: PictureRequest,
        first: int = 0,
        on_event: Callable[[JobEvent], None] = lambda _event: None,
        resumed: bool = False,
        live: bool = False,
    ) -> Outcome:
        """Do one job from picture `first` on, waiting for it.  Starts the engine if need be.

        `on_event` sees every event of the job on this thread.  A job that is `resumed` takes
        pictures for its own that it has made already; one that is `live` keeps nothing.
        """
        return self._do(Generate(job, request, first, resumed, live), on_event)

    def prepare(
        self,
        job: str,
        request: PictureRequest,
        on_event: Callable[[JobEvent], None] = lambda _event: None,
    ) -> Outcome:
        """Load what a request needs, waiting for it; once stopped it has little time to heed it."""
        return self._do(Prepare(job, request), on_event)

    def _do(self, question: Generate | Prepare, on_event: Callable[[JobEvent], None]) -> Outcome:
        job = question.job
        try:
            if not self._until_ready(job):
                return Outcome(OutcomeStatus.CANCELLED)
            return self._run_on_ready_engine(question, on_event)
        except _NotStarted as problem:
            return Outcome(OutcomeStatus.NOT_STARTED, problem)
        except ChildLost as lost:
            self._gone()
            if self._stopped(job):
                return Outcome(OutcomeStatus.CANCELLED)
            told = self._blamed(lost)
            return Outcome(OutcomeStatus.LOST, told, lost.status == -signal.SIGTERM)
        finally:
            self._in_use = None
            self._stops.pop(job, None)

    def stop(self, job: str) -> None:
        """Ask a job to stop at its next step; the second time, end the engine under it."""
        self._stops[job] = self._stops.get(job, 0) + 1
        self.wake()

    def abandon(self) -> None:
        """The program is closing: end the running job at once, by force if need be."""
        self._abandoned = True
        self.wake()

    def wake(self) -> None:
        """Make `idle` return."""
        self._engine.wake()

    def reset(self) -> None:
        """End the engine, whatever it is doing; the next job starts another."""
        if self._engine.pid is not None:
            self._engine.kill()
            self._gone()

    def close(self) -> None:
        """End the engine and free everything."""
        was_there = self._engine.pid is not None
        self._engine.close()
        self._ready = None
        if was_there:
            self._on_state("off")

    def _stopped(self, job: str) -> int:
        """How often the job was asked to stop; any number when the program is closing."""
        return 2 if self._abandoned else self._stops.get(job, 0)

    def _until_ready(self, job: str) -> bool:
        """Wait for a ready engine, starting one twice at most; False when stopped meanwhile."""
        self._engine.forgive()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.start()
                while self._ready is None:
                    if self._stopped(job):
                        return False
                    self.idle()
                return self._still_there(job)
            except ChildLost as lost:
                if attempt == _ATTEMPTS:
                    raise _NotStarted(lost.kind, lost.message, lost.detail) from lost
        raise AssertionError("unreachable")

    def _still_there(self, job: str) -> bool:
        """Make sure that an engine which has long been idle answers; False when stopped meanwhile.
        Raises ChildLost where it does not."""
        if time.monotonic() - self._engine.heard_at > _FRESH_SECONDS:
            asked = self._engine.ping()
            while self._engine.heard_at < asked:
                if self._stopped(job):
                    return False
                self.idle()
        return True

    def _run_on_ready_engine(
        self, question: Generate | Prepare, on_event: Callable[[JobEvent], None]
    ) -> Outcome:
        engine, job = self._engine, question.job
        self._on_state("loading")
        number = engine.put(question)
        watch = SilenceWatch(self._patience, time.monotonic())
        stop_by: float | None = None
        while True:
            now = time.monotonic()
            if self._stopped(job) >= 2 or (stop_by is not None and now >= stop_by):
                self.reset()
                return Outcome(OutcomeStatus.CANCELLED)
            if self._stopped(job) and stop_by is None:
                ahead = isinstance(question, Prepare)
                stop_by = now + (self._patience.give_way if ahead else watch.stop_seconds)
                engine.cancel(number)
                self._on_state("stopping")
            left = watch.left(now) if stop_by is None else min(watch.left(now), stop_by - now)
            if not engine.wait(max(left, 0)):
                if watch.left(time.monotonic()) <= 0:
                    raise self._give_up("The engine stopped answering and was ended; try again.")
                continue
            message = engine.receive()
            if message is None or message.number != number:
                continue
            if isinstance(message, Answer):
                self._on_state("ready")
                return _outcome(message)
            event = message.event
            if isinstance(event, messages.UnitInUse):
                self._in_use = event
            if not isinstance(event, JobEvent):
                continue
            watch.saw(event, time.monotonic())
            if isinstance(event, messages.Prepared) and stop_by is None:
                self._on_state("busy")
            on_event(event)

    def _give_up(self, message: str) -> ChildLost:
        detail = self._engine.log_tail()
        self._engine.drop()
        return ChildLost(ErrorKind.ENGINE, message, detail)

    def _blamed(self, lost: ChildLost) -> ChildLost:
        """Where the engine crashed over a unit that was chosen by measurement, that is noted, and
        the next attempt chooses another one."""
        used = self._in_use
        if used is None or -(lost.status or 0) not in crashes.SIGNALS:
            return lost
        if not unit_times.note_crash(used.model_hash, this_computer(), used.unit):
            return lost
        name = words.UNITS[used.unit.value]
        message = (
            f"The engine stopped unexpectedly while it used “{name}”, which is not chosen for this "
            "model any more; try again."
        )
        return ChildLost(lost.kind, message, lost.detail, lost.status)

    def _gone(self) -> None:
        self._was_ready = self._ready is not None
        self._ready = None
        self._on_state("lost")


def _outcome(answer: Answer) -> Outcome:
    if answer.cancelled:
        return Outcome(OutcomeStatus.CANCELLED)
    if answer.error is not None:
        return Outcome(OutcomeStatus.FAILED, answer.error)
    return Outcome(OutcomeStatus.FINISHED)
