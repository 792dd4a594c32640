"""Runs jobs on an engine that may hang, crash or be told to stop: the policy above the client.

No Qt and nothing heavy; the window's pipeline thread and the command line both use it.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import wait

from gui.engine import messages
from gui.engine.client import EngineClient, EngineLost
from gui.engine.messages import Generate, JobEvent, Ready
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRequest


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
    """At least this between a picture's last step and its file (full decode, safety checker)."""


class Watch:
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
        elif isinstance(event, messages.Image):
            self._allowed = self._relative(patience.finish_floor)

    def left(self, now: float) -> float:
        """Seconds until the engine counts as hung; negative when it does."""
        return self._last + self._allowed - now

    def _relative(self, floor: float) -> float:
        if not self._durations:
            return max(floor, self._patience.first_step)
        return max(floor, self._patience.steps * statistics.median(self._durations))


class _NotStarted(EngineLost):
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


class EngineRunner:
    """One engine at a time, started when needed and again after it was lost.

    `run`, `start`, `idle` and `close` belong to one thread; `stop`, `wake` and `abandon` may be
    called from any thread and from signal handlers.

    Args:
        patience: deadlines.
        on_state: told ``starting``, ``ready``, ``loading``, ``busy``, ``stopping``, ``lost`` and
            ``off`` on the thread that runs.
        make_client: starts an engine.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        on_state: Callable[[str], None] | None = None,
        make_client: Callable[[], EngineClient] = EngineClient,
    ) -> None:
        self._patience = patience or Patience()
        self._on_state = on_state or (lambda _state: None)
        self._make_client = make_client
        self._client: EngineClient | None = None
        self._ready: Ready | None = None
        self._was_ready = False
        self._started = 0.0
        self._stops: dict[str, int] = {}  # how often each job was asked to stop
        self._abandoned = False
        # Sockets rather than a pipe: a late `wake` on a closed one fails instead of writing into
        # whatever file has taken its number.
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)

    @property
    def ready(self) -> Ready | None:
        """What the present engine said of itself, once it has."""
        return self._ready

    @property
    def was_ready(self) -> bool:
        """Whether the engine lost last had been ready."""
        return self._was_ready

    @property
    def pid(self) -> int | None:
        return self._client.pid if self._client else None

    def start(self) -> None:
        """Start the engine unless there is one; does not wait for it.

        Raises:
            EngineLost: it could not be started.
        """
        if self._client is None:
            self._on_state("starting")
            try:
                self._client = self._make_client()
            except EngineLost:
                self._was_ready = False
                self._on_state("lost")
                raise
            self._started = time.monotonic()

    def idle(self, timeout: float | None = None) -> None:
        """Wait without a job until `wake` is called, the engine says it is ready, or time is up.

        Raises:
            EngineLost: the engine ended or never became ready; it is gone now.
        """
        limit = None if timeout is None else time.monotonic() + timeout
        waiting = self._client is not None and self._ready is None
        if waiting:
            deadline = self._started + self._patience.start
            limit = deadline if limit is None else min(limit, deadline)
        if self._await(limit):
            self._receive_idle()
        elif (
            waiting
            and self._ready is None
            and time.monotonic() > self._started + (self._patience.start)
        ):
            raise self._give_up("The engine did not start in time.")

    def run(
        self,
        job: str,
        request: PictureRequest,
        first: int = 0,
        on_event: Callable[[JobEvent], None] = lambda _event: None,
    ) -> Outcome:
        """Do one job from picture `first` on, waiting for it.  Starts the engine if need be.

        `on_event` sees every event of the job on this thread.
        """
        try:
            if not self._until_ready(job):
                return Outcome(OutcomeStatus.CANCELLED)
            return self._run_on_ready_engine(job, request, first, on_event)
        except _NotStarted as problem:
            return Outcome(OutcomeStatus.NOT_STARTED, problem.error)
        except EngineLost as lost:
            self._drop()
            if self._stopped(job):
                return Outcome(OutcomeStatus.CANCELLED)
            return Outcome(OutcomeStatus.LOST, lost.error)
        finally:
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
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: too late
            self._wake_write.send(b"w")

    def reset(self) -> None:
        """End the engine, whatever it is doing; the next job starts another."""
        self._drop()

    def close(self) -> None:
        """End the engine and free everything."""
        if self._client is not None:
            self._client.close()
            self._client = None
            self._ready = None
            self._on_state("off")
        self._wake_read.close()
        self._wake_write.close()

    def _stopped(self, job: str) -> int:
        """How often the job was asked to stop; any number when the program is closing."""
        return 2 if self._abandoned else self._stops.get(job, 0)

    def _until_ready(self, job: str) -> bool:
        """Wait for a ready engine, starting one twice at most; False when stopped meanwhile."""
        for attempt in (1, 2):
            try:
                self.start()
                while self._ready is None:
                    if self._stopped(job):
                        return False
                    self.idle()
                return True
            except EngineLost as lost:
                if attempt == 2:
                    raise _NotStarted(lost.error) from lost
        raise AssertionError("unreachable")

    def _run_on_ready_engine(
        self,
        job: str,
        request: PictureRequest,
        first: int,
        on_event: Callable[[JobEvent], None],
    ) -> Outcome:
        client = self._client
        assert client is not None
        client.clear_cancel()
        self._on_state("loading")
        client.send(Generate(job, request, first))
        watch = Watch(self._patience, time.monotonic())
        stopping = False
        while True:
            if self._stopped(job) >= 2:
                client.kill()
                self._drop()
                return Outcome(OutcomeStatus.CANCELLED)
            if self._stopped(job) and not stopping:
                stopping = True
                client.cancel()
                self._on_state("stopping")
            if not self._await(time.monotonic() + max(watch.left(time.monotonic()), 0)):
                if watch.left(time.monotonic()) <= 0:
                    raise self._give_up("The engine stopped answering and was ended.")
                continue
            event = client.receive()
            if isinstance(event, Ready) or event.job != job:
                continue
            watch.saw(event, time.monotonic())
            if isinstance(event, messages.Prepared) and not stopping:
                self._on_state("busy")
            on_event(event)
            if outcome := _outcome(event):
                self._on_state("ready")
                return outcome

    def _await(self, deadline: float | None) -> bool:
        """Wait until the engine has something to say (True), or for `wake` or `deadline`."""
        sources: list = [self._wake_read]
        if self._client is not None:
            sources.append(self._client.connection)
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        happened = wait(sources, timeout)
        if self._wake_read in happened:
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        return len(happened) > (self._wake_read in happened)

    def _receive_idle(self) -> None:
        assert self._client is not None
        try:
            event = self._client.receive()
        except EngineLost:
            self._drop()
            raise
        if isinstance(event, Ready):
            self._ready = event
            self._on_state("ready")

    def _give_up(self, message: str) -> EngineLost:
        detail = self._client.log_tail() if self._client else ""
        self._drop()
        return EngineLost(SfumatoError(ErrorKind.ENGINE, message, detail))

    def _drop(self) -> None:
        if self._client is not None:
            self._client.kill()
            self._client.close()
            self._client = None
            self._was_ready = self._ready is not None
            self._ready = None
            self._on_state("lost")


def _outcome(event: JobEvent) -> Outcome | None:
    if isinstance(event, messages.Finished):
        return Outcome(OutcomeStatus.FINISHED)
    if isinstance(event, messages.Cancelled):
        return Outcome(OutcomeStatus.CANCELLED)
    if isinstance(event, messages.Failed):
        return Outcome(OutcomeStatus.FAILED, event.error)
    return None
