"""The thread that talks to the Hub process, which it starts at the first question and replaces when
it dies.  The window only ever sees callbacks and signals on its own thread.

Nothing heavy is imported: huggingface_hub lives in the child process.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.hub.messages import CLOSE_SECONDS, HUB, PATIENCE, REPEATABLE
from gui.process.child import ChildLost
from gui.process.messages import A, Answer, Event, Interface, Question, Told
from gui.process.supervisor import Supervisor

log = logging.getLogger(__name__)

LOOK_MS = 5000
"""How often questions are looked through for those that have waited too long."""

OnError = Callable[[SfumatoError], None]


class Hub(Protocol):
    """What the rest of `gui.state` needs of the Hub: `HubThread`, or a stand-in in tests."""

    # Signals, which PySide's stubs describe as one thing and make another.
    event_received: Any
    lost: Any

    def ask(
        self,
        question: Question[A],
        on_result: Callable[[A], None] | None = None,
        on_error: OnError | None = None,
    ) -> int: ...

    def forget(self, request: int) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Asked:
    question: Question[Any]
    on_result: Callable[[Any], None] | None
    on_error: OnError | None
    since: float


@dataclass(frozen=True)
class _Death:
    error: SfumatoError
    often: bool
    unanswered: tuple[int, ...]


class HubThread(QThread):
    """Questions and answers.  Methods belong to the window's thread, where callbacks and signals
    arrive too.

    Args:
        command: of the process; default: this program's own.
        close_seconds: how long it may take to end.
        interface: what it can be asked; default: the Hub's.
    """

    event_received = Signal(Event)
    lost = Signal(SfumatoError, bool)
    """The child died; true where it keeps dying and should be left alone.  The next question starts
    a new one either way."""

    _arrived = Signal(object)
    """`Answer`, `Told` or `_Death`."""

    def __init__(
        self,
        command: list[str] | None = None,
        close_seconds: float = CLOSE_SECONDS,
        parent: QObject | None = None,
        *,
        interface: Interface = HUB,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(interface.role)
        self._title = interface.title
        self._child = Supervisor(interface, command)
        self._close_seconds = close_seconds
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Asked] = {}  # the window's thread only
        self._lock = threading.Lock()
        self._outbox: deque[tuple[int, Question[Any] | None]] = deque()
        """Numbers with their questions; without: no longer wanted."""
        self._closing = False
        self._arrived.connect(self._on_arrived)
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self._give_up_on_lost)

    # -- from the window's thread -------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Of the present child; 0: none."""
        return self._child.pid or 0

    def ask(
        self,
        question: Question[A],
        on_result: Callable[[A], None] | None = None,
        on_error: OnError | None = None,
    ) -> int:
        """Put a question to the Hub process, starting it if need be.

        Args:
            question: one of `gui.hub.messages`.
            on_result: called with the answer, later.
            on_error: called with the `SfumatoError` instead.

        Returns:
            A number for `forget`.
        """
        number = next(self._numbers)
        if self._closing:
            return number
        self._questions[number] = _Asked(question, on_result, on_error, time.monotonic())
        if not self._look.isActive():
            self._look.start()
        self._put(number, question)
        if not self.isRunning():
            self.start()
        return number

    def forget(self, request: int) -> None:
        """The answer is no longer wanted; no callback comes after this."""
        if self._questions.pop(request, None) is not None:
            self._put(request, None)

    def close(self) -> None:
        """Pause downloads, end the child and the thread; waits for both.  No callback and no
        signal comes after this."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._look.stop()
        self._questions.clear()
        self._child.wake()
        self.wait()
        self._child.close(0.0)

    def _put(self, number: int, question: Question[Any] | None) -> None:
        with self._lock:
            self._outbox.append((number, question))
        self._child.wake()

    def _on_arrived(self, item: Answer | Told | _Death) -> None:
        if self._closing:
            return
        if isinstance(item, Told):
            self.event_received.emit(item.event)
        elif isinstance(item, _Death):
            self._on_death(item)
        elif asked := self._questions.pop(item.number, None):
            if item.error is None and asked.on_result is not None:
                asked.on_result(item.value)
            elif item.error is not None and asked.on_error is not None:
                asked.on_error(item.error)

    def _give_up_on_lost(self) -> None:
        """Nobody waits for ever for a child that has tied itself in a knot."""
        now = time.monotonic()
        for number, asked in list(self._questions.items()):
            if now - asked.since > PATIENCE.get(type(asked.question), float("inf")):
                self.forget(number)
                name = type(asked.question).__name__
                log.warning("the question %s was not answered", name)
                if asked.on_error is not None:
                    message = f"{self._title} does not answer; try again."
                    asked.on_error(SfumatoError(ErrorKind.NETWORK, message, name))
        if not self._questions:
            self._look.stop()

    def _on_death(self, death: _Death) -> None:
        """Ask once more what was under way and changes nothing; give up on the rest."""
        for number in death.unanswered:
            asked = self._questions.get(number)
            if asked is not None and type(asked.question) in REPEATABLE and not death.often:
                self._put(number, asked.question)
            else:
                self._on_arrived(Answer(number, error=death.error))
        self.lost.emit(death.error, death.often)

    # -- on this thread -----------------------------------------------------------------------

    def run(self) -> None:
        while True:
            with self._lock:
                if self._closing:
                    break
                wanted = any(question is not None for _, question in self._outbox)
            try:
                if wanted:
                    self._child.start()
                self._turn()
            except ChildLost as lost:
                often = self._child.keeps_dying
                if often:
                    self._child.forgive()
                self._arrived.emit(_Death(self._worded(lost, often), often, self._unanswered()))
            except Exception as error:
                # A defect of ours must not end the thread with questions open for ever.
                log.exception("the hub thread failed")
                self._child.kill()
                self._arrived.emit(_Death(as_sfumato_error(error), True, self._unanswered()))
        self._child.stop(self._close_seconds)

    def _worded(self, error: SfumatoError, often: bool) -> SfumatoError:
        if not often:
            return error
        what = "The connection to the Hub" if self.objectName() == HUB.role else self._title
        message = f"{what} keeps failing; start Sfumato again to use it."
        return SfumatoError(error.kind, message, error.detail)

    def _unanswered(self) -> tuple[int, ...]:
        """Every question without an answer: those with the child and those on their way to it."""
        with self._lock:
            waiting = [number for number, question in self._outbox if question is not None]
            self._outbox.clear()
        # One whose sending failed is in both.
        return tuple(dict.fromkeys([*self._child.unanswered(), *waiting]))

    def _turn(self) -> None:
        """Send what there is to send, then wait for something to happen and take it."""
        child = self._child
        while child.pid is not None:
            with self._lock:
                if not self._outbox:
                    break
                number, question = self._outbox[0]
            if question is None:
                child.forget(number)
            else:
                child.put(question, number)
            with self._lock:
                self._outbox.popleft()
        if child.wait():
            arrived = child.receive()
            if arrived is not None:
                self._arrived.emit(arrived)
