"""The thread that talks to the Hub process, which it starts at the first question and replaces when
it dies.  The window only ever sees callbacks and signals on its own thread.

Nothing heavy is imported: huggingface_hub lives in the child process.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from gui.errors import ErrorKind, SfumatoError

if TYPE_CHECKING:
    from gui.hub.client import Answer, Event, HubClient

log = logging.getLogger(__name__)

MAX_DEATHS = 3
DEATHS_SECONDS = 60.0
LOOK_MS = 5000
"""How often questions are looked through for those that have waited too long."""

OnResult = Callable[[Any], None]
OnError = Callable[[SfumatoError], None]


class Hub(Protocol):
    """What the rest of `gui.state` needs of the Hub: `HubThread`, or a stand-in in tests."""

    # Signals, which PySide's stubs describe as one thing and make another.
    event_received: Any
    lost: Any
    started_up: Any

    def ask(
        self,
        do: str,
        on_result: OnResult | None = None,
        on_error: OnError | None = None,
        **rest: Any,
    ) -> int: ...

    def forget(self, request: int) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Question:
    do: str
    arguments: dict[str, Any]
    on_result: OnResult | None
    on_error: OnError | None
    since: float


class HubThread(QThread):
    """Questions and answers.  Methods belong to the window's thread, where callbacks and signals
    arrive too.

    Args:
        make_client: starts a Hub process, on this thread.
    """

    event_received = Signal(str, object)
    """Name and value of a `gui.hub.client.Event`."""
    lost = Signal(object, bool)
    """The child died (SfumatoError); true where it keeps dying and should be left alone.  The next
    question starts a new one either way."""
    started_up = Signal()
    """A child was started."""

    _arrived = Signal(object)

    def __init__(
        self,
        make_client: Callable[[], HubClient] | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("hub")
        self._make_client = make_client or _default_client
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}  # the window's thread only
        self._lock = threading.Lock()
        self._outbox: deque[tuple[int, str, dict[str, Any]] | int] = deque()
        self._closing = False
        self._pid = 0
        # Sockets rather than a pipe: a late wake-up on a closed one fails instead of writing into
        # whatever file has taken its number.
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._arrived.connect(self._on_arrived)
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self._give_up_on_lost)

    # -- from the window's thread -------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Of the present child; 0: none."""
        return self._pid

    def ask(
        self,
        do: str,
        on_result: OnResult | None = None,
        on_error: OnError | None = None,
        **rest: Any,
    ) -> int:
        """Put a question to the Hub process, starting it if need be.

        Args:
            do: what to do, as `gui.hub.service` names it.
            on_result: called with the result, later.
            on_error: called with the `SfumatoError` instead.
            rest: arguments of the question, as JSON.

        Returns:
            A number for `forget`.
        """
        request = next(self._numbers)
        if self._closing:
            return request
        self._questions[request] = _Question(do, rest, on_result, on_error, time.monotonic())
        if not self._look.isActive():
            self._look.start()
        self._put((request, do, rest))
        if not self.isRunning():
            self.start()
        return request

    def forget(self, request: int) -> None:
        """The answer is no longer wanted; no callback comes after this."""
        if self._questions.pop(request, None) is not None:
            self._put(request)

    def close(self) -> None:
        """Pause downloads, end the child and the thread; waits for both.  No callback and no
        signal comes after this."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._look.stop()
        self._questions.clear()
        self._wake()
        self.wait()
        self._wake_read.close()
        self._wake_write.close()

    def _put(self, item: tuple[int, str, dict[str, Any]] | int) -> None:
        with self._lock:
            self._outbox.append(item)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full means it is awake already
            self._wake_write.send(b"\0")

    def _on_arrived(self, item: Any) -> None:
        from gui.hub.client import Answer, Event

        if self._closing:
            return
        if isinstance(item, Event):
            self.event_received.emit(item.name, item.value)
        elif isinstance(item, Answer):
            question = self._questions.pop(item.request, None)
            if question is None:
                return
            if item.error is None and question.on_result is not None:
                question.on_result(item.result)
            elif item.error is not None and question.on_error is not None:
                question.on_error(item.error)
        else:
            self._on_death(*item)

    def _give_up_on_lost(self) -> None:
        """Nobody waits for ever for a child that has tied itself in a knot."""
        from gui.hub.client import PATIENCE

        now = time.monotonic()
        for request, question in list(self._questions.items()):
            if now - question.since > PATIENCE.get(question.do, float("inf")):
                self.forget(request)
                log.warning("the question %r was not answered", question.do)
                if question.on_error is not None:
                    question.on_error(
                        SfumatoError(
                            ErrorKind.NETWORK, "The Hub does not answer; try again.", question.do
                        )
                    )
        if not self._questions:
            self._look.stop()

    def _on_death(self, error: SfumatoError, often: bool, again: list[int]) -> None:
        """Ask once more what was under way and changes nothing; give up on the rest."""
        from gui.hub.client import REPEATABLE, Answer

        for request in again:
            question = self._questions.get(request)
            if question is not None and question.do in REPEATABLE and not often:
                self._put((request, question.do, question.arguments))
            else:
                self._on_arrived(Answer(request, error=error))
        self.lost.emit(error, often)

    # -- on this thread -----------------------------------------------------------------------

    def run(self) -> None:
        from gui.hub.client import HubLost

        deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        client: HubClient | None = None
        while True:
            with self._lock:
                if self._closing:
                    break
                wanted = any(not isinstance(item, int) for item in self._outbox)
            try:
                if client is None and wanted:
                    client = self._make_client()
                    self._pid = client.pid
                    self.started_up.emit()
                self._turn(client)
            except HubLost as lost:
                deaths.append(time.monotonic())
                often = len(deaths) == MAX_DEATHS and deaths[-1] - deaths[0] < DEATHS_SECONDS
                if often:
                    deaths.clear()
                self._arrived.emit((self._worded(lost.error, often), often, self._open(client)))
                if client is not None:
                    client.close(0)
                client, self._pid = None, 0
            except Exception as error:
                # A defect of ours must not end the thread with questions open for ever.
                log.exception("the hub thread failed")
                self._arrived.emit((_defect(error), True, self._open(client)))
                if client is not None:
                    client.close(0)
                client, self._pid = None, 0
        if client is not None:
            client.close()
        self._pid = 0

    def _open(self, client: HubClient | None) -> list[int]:
        """Every question without an answer: those with the child and those on their way to it."""
        with self._lock:
            waiting = [item[0] for item in self._outbox if not isinstance(item, int)]
            self._outbox.clear()
        # One whose sending failed is in both.
        return list(dict.fromkeys([*(client.unanswered() if client else []), *waiting]))

    def _turn(self, client: HubClient | None) -> None:
        """Send what there is to send, then wait for something to happen and take it."""
        while client is not None:
            with self._lock:
                item = self._outbox[0] if self._outbox else None
            if item is None:
                break
            if isinstance(item, int):
                client.cancel(item)
            else:
                client.ask(*item)
            with self._lock:
                self._outbox.popleft()
        sources: list[Any] = [self._wake_read]
        if client is not None:
            sources.append(client.connection)
        happened = wait(sources)
        if self._wake_read in happened:
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        if client is not None and client.connection in happened:
            arrived: Answer | Event | None = client.receive()
            if arrived is not None:
                self._arrived.emit(arrived)

    @staticmethod
    def _worded(error: SfumatoError, often: bool) -> SfumatoError:
        if not often:
            return error
        message = "The connection to the Hub keeps failing; start Sfumato again to use it."
        return SfumatoError(error.kind, message, error.detail)


def _defect(error: Exception) -> SfumatoError:
    message = "Something went wrong inside Sfumato; the details say what."
    return SfumatoError(ErrorKind.INTERNAL, message, repr(error))


def _default_client() -> HubClient:
    # Here, so that the window's first paint does not wait for sockets and subprocesses.
    from gui.hub.client import HubClient

    return HubClient()
