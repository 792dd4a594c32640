"""The engine of a member, on a thread of its own."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gui.engine import messages
from gui.engine.runner import EngineRunner, Outcome, OutcomeStatus
from gui.errors import as_sfumato_error
from gui.farm.wire import Unit
from gui.process.child import ChildLost
from gui.request import PictureRequest

PREVIEW_SECONDS = 0.3
"""Between two previews that are sent."""


@dataclass(frozen=True)
class Work:
    unit: Unit
    request: PictureRequest
    """Of whose pictures the last one is to be made."""


@dataclass(frozen=True)
class Done:
    """How it ended."""

    unit: Unit
    outcome: Outcome
    path: str = ""
    """The picture's file; empty: there is none."""
    seconds: float = 0.0
    loading: float = 0.0


class Drawing:
    """One engine, one picture at a time.

    Args:
        loop: where `on_event` and `on_done` are called.
        on_event: told what the engine says of a picture, previews not too often.
        on_done: told how it ended.
        make_runner: builds the runner, given the callback for its states.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_event: Callable[[Unit, messages.JobEvent], None],
        on_done: Callable[[Done], None],
        make_runner: Callable[[], EngineRunner] = EngineRunner,
    ) -> None:
        self._loop = loop
        self._on_event = on_event
        self._on_done = on_done
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._runner = make_runner()
        self._closing = False
        self._previewed = 0.0
        self.current: Unit | None = None
        """What is drawn; set on the loop's thread."""
        self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> messages.Ready | None:
        """What the engine said of itself, once it has."""
        return self._runner.ready

    def draw(self, work: Work) -> None:
        """Draw a picture; nothing else may be drawn at the time."""
        self.current = work.unit
        self._work.put(work)

    def stop(self, unit: Unit) -> None:
        """Stop a picture at its next step."""
        if self.current == unit:
            self._runner.stop(unit.job)

    def close(self) -> None:
        """End the engine; waits about a second at most."""
        self._closing = True
        self._runner.abandon()
        self._work.put(None)
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            while not self._closing:
                work = self._wait()
                if work is None:
                    return
                done = self._do(work)
                if not self._closing:
                    self._loop.call_soon_threadsafe(self._ended, done)
        finally:
            self._runner.close()

    def _wait(self) -> Work | None:
        """What is to be drawn next.  The engine is up before there is anything."""
        try:
            return self._work.get_nowait()
        except queue.Empty:
            pass
        try:
            self._runner.start()
            while self._runner.ready is None and self._work.empty() and not self._closing:
                self._runner.idle(0.2)
        except ChildLost:
            pass  # whoever has work for it hears of it
        return self._work.get()

    def _do(self, work: Work) -> Done:
        path, begun, loading_since = "", time.monotonic(), 0.0
        loading = 0.0

        def hear(event: messages.JobEvent) -> None:
            nonlocal path, begun, loading, loading_since
            if isinstance(event, messages.Image):
                path = event.path
            elif isinstance(event, messages.Loading):
                loading_since = loading_since or time.monotonic()
            elif isinstance(event, messages.Prepared):
                begun = time.monotonic()
                loading = begun - loading_since if loading_since else 0.0
            if not self._closing and self._worth_telling(event):
                self._loop.call_soon_threadsafe(self._on_event, work.unit, event)

        try:
            outcome = self._runner.run(
                work.unit.job, work.request, work.unit.number, hear, resumed=True
            )
        except Exception as error:  # a defect must not leave a picture that never ends
            outcome = Outcome(OutcomeStatus.FAILED, as_sfumato_error(error))
            self._runner.reset()
        return Done(work.unit, outcome, path, time.monotonic() - begun, loading)

    def _worth_telling(self, event: messages.JobEvent) -> bool:
        if not isinstance(event, messages.Step) or event.step in (1, event.steps):
            return True
        now = time.monotonic()
        if now - self._previewed < PREVIEW_SECONDS:
            return False
        self._previewed = now
        return True

    def _ended(self, done: Done) -> None:
        self.current = None
        self._on_done(done)
