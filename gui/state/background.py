"""Work off the window's thread: whatever touches a person's files.

A slow disk, a sleeping share or a large file must never hold the window up, so even a rename runs
here, and its outcome comes back on the window's thread.  Nor may a share that is dead for good:
work behind it goes on beside it, and the app can be quit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal
from shiboken6 import isValid

from gui.errors import SfumatoError, as_sfumato_error

T = TypeVar("T")

STUCK_SECONDS = 4.0
"""Work that takes longer holds nobody up: what waits behind it begins."""
END_SECONDS = 2.0
"""How long the end of the app waits for something to be read."""
SAVING_SECONDS = 8.0
"""How long it waits for something to be written, moved or shown."""
IDLE_SECONDS = 20.0
"""A thread without work ends after this."""
MOST_THREADS = 8

log = logging.getLogger(__name__)


class TaskThreads:
    """Threads that take work in its order.

    They are daemons: one that waits for a dead disk does not keep the process.

    Args:
        name: of the threads, for a debugger.
        threads: so much is done at a time, unless work is stuck.
        strict: never more at a time, even where work is stuck.
    """

    def __init__(self, name: str, threads: int = 1, *, strict: bool = False) -> None:
        self._name = name
        self._threads = threads
        self._strict = strict
        self._waiting: deque[Callable[[], object]] = deque()
        self._begun: dict[threading.Thread, float] = {}  # when each took what it is at
        self._idle: set[threading.Thread] = set()
        self._changed = threading.Condition()
        self._closed = False

    def start(self, work: Callable[[], object]) -> None:
        """Have this done.  It must not raise; what is begun is finished."""
        with self._changed:
            if self._closed:
                return
            self._waiting.append(work)
            if self._idle:
                self._changed.notify()
            elif not self._enough() and len(self._begun) < MOST_THREADS:
                self._hire()
            elif not self._strict:
                relief = threading.Timer(STUCK_SECONDS, self._relieve)
                relief.daemon = True
                relief.start()

    def clear(self) -> None:
        """Forget what has not begun."""
        with self._changed:
            self._waiting.clear()

    def close(self, seconds: float = END_SECONDS) -> bool:
        """Forget what has not begun, and wait a while for the rest; whether all has ended."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
            left = max(0.0, end - time.monotonic())
            done = self._changed.wait_for(lambda: not self._begun, left)
        if not done:
            log.warning("%s: work that does not end is left behind", self._name)
        return done

    def finish(self, seconds: float) -> bool:
        """As `close`, and what has not begun is done as well."""
        end = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)
        return self.close(max(0.0, end - time.monotonic()))

    def _hire(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._begun[thread] = time.monotonic()
        thread.start()

    def _relieve(self) -> None:
        """Work has waited for long; where all threads are stuck, another one takes it."""
        with self._changed:
            if self._waiting and len(self._begun) < MOST_THREADS and not self._enough():
                self._hire()

    def _enough(self, but: threading.Thread | None = None) -> bool:
        """Whether as many threads as there should be are not stuck, `but` not counted."""
        late = time.monotonic() - (float("inf") if self._strict else 0.9 * STUCK_SECONDS)
        able = sum(
            thread is not but and (thread in self._idle or at > late)
            for thread, at in self._begun.items()
        )
        return able >= self._threads

    def _run(self) -> None:
        me = threading.current_thread()
        while (work := self._next(me)) is not None:
            try:
                work()
            except Exception:
                log.exception("%s: work failed", self._name)
            del work  # what it holds is let go now, not when there is more to do

    def _next(self, me: threading.Thread) -> Callable[[], object] | None:
        """What to do next; None: this thread is not needed any more."""
        with self._changed:
            if not self._waiting and not self._closed and not self._enough(me):
                self._idle.add(me)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_SECONDS)
                self._idle.discard(me)
            if self._waiting and not self._closed and not self._enough(me):
                self._begun[me] = time.monotonic()
                work = self._waiting.popleft()
                self._changed.notify_all()
                return work
            del self._begun[me]
            self._changed.notify_all()
            return None


class _Answers(QObject):
    """Carries outcomes to the window's thread.  Worker and task hold it together: a task that ends
    while the worker is being deleted must not touch the worker itself."""

    arrived = Signal(object, object)
    """What to call, and what to call it with."""


class Background(QObject):
    """Runs short pieces of work one after the other on a thread of its own; see `STUCK_SECONDS`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workers = TaskThreads("background")
        self._answers = _Answers()
        self._answers.arrived.connect(self._on_arrived)
        self._closed = False

    def run(
        self,
        work: Callable[[], T],
        then: Callable[[T], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        """Do `work` elsewhere, then call `then` with its result, or `failed` with its error, on the
        thread this object lives on.  Nothing is called after `close`, and no method of an object
        that has been deleted meanwhile: a sheet may be closed before its answer comes."""
        answers = self._answers

        def task() -> None:
            try:
                result = work()
            except Exception as error:
                answers.arrived.emit(failed, as_sfumato_error(error))
            else:
                answers.arrived.emit(then, result)

        self._workers.start(task)

    def close(self, *, wait: bool = True) -> None:
        """Finish what was asked for, unless a disk does not answer; what it yields is not told any
        more.

        Args:
            wait: False where nothing is lost by what is given up.
        """
        self._closed = True
        if wait:
            self._workers.finish(SAVING_SECONDS)
        else:
            self._workers.close(0.0)

    def _on_arrived(self, call: Callable[[Any], object], value: Any) -> None:
        owner = getattr(call, "__self__", None)
        if not self._closed and (not isinstance(owner, QObject) or isValid(owner)):
            call(value)
