"""The parent's end: starts a child when it is needed, asks it, watches it, ends it.

No Qt and nothing heavy.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.process import child, messages
from gui.process.child import ChildLost, ChildProcess
from gui.process.messages import A, Answer, Interface, ProtocolError, Question, Told

START_SECONDS = 180.0
"""How long a child may take until it listens; imports from a cold disk."""

PING_SECONDS = 15.0
"""A child that has been silent for this long is asked whether it is still there …"""

PONG_SECONDS = 30.0
"""… and has to answer within this."""

MAX_FAILED_STARTS = 2
"""So many starts in a row that came to nothing are enough for a while."""

REST_SECONDS = 10.0
"""After so long the next one may be tried."""

MAX_DEATHS = 3
"""So many deaths within `DEATHS_SECONDS` are too many."""

DEATHS_SECONDS = 60.0

_POLL = 0.1


class Supervisor:
    """One kind of child, at most one at a time.

    `wake` and `abandon` may be called from any thread and from signal handlers; everything else
    from one thread at a time.

    Args:
        interface: what it can be asked.
        command: program and arguments; default: this program's own (`child.worker_command`).
        log: file that takes its stderr; default: one by its role in the logs folder.
        environment: variables to add to this process's own.
        start_seconds: as `START_SECONDS`.
    """

    def __init__(
        self,
        interface: Interface,
        command: list[str] | None = None,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.command = command
        self._interface = interface
        self._log = log
        self._environment = environment
        self._start_seconds = start_seconds
        self._process: ChildProcess | None = None
        self._asked: dict[int, type[Question[Any]]] = {}
        self._numbers = itertools.count(1)
        self._abandoned = False
        self._came_up = False
        self._heard = 0.0
        self._pinged: float | None = None
        self._failed_starts = 0
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        # Sockets rather than a pipe: a late `wake` on a closed one fails instead of writing into
        # whatever file has taken its number.
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._free = weakref.finalize(self, _close, self._wake_read, self._wake_write)

    # -- the process --------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Of the present child."""
        return self._process.pid if self._process else None

    @property
    def came_up(self) -> bool:
        """Whether the present child, or the one before, has ever said anything."""
        return self._came_up

    @property
    def keeps_dying(self) -> bool:
        """Whether children have died, or not come up, so often lately that another one is not worth
        while until someone asks for it."""
        deaths = self._deaths
        if self._failed_starts >= MAX_FAILED_STARTS:
            return True
        return len(deaths) == MAX_DEATHS and deaths[-1] - deaths[0] < DEATHS_SECONDS

    def start(self) -> bool:
        """Start the child unless there is one; does not wait for it.  Returns whether it did.

        Raises:
            ChildLost: it cannot be started, has not come up lately, or was abandoned.
        """
        if self._process is None and not self._abandoned:
            now = time.monotonic()
            if self._failed_starts >= MAX_FAILED_STARTS and now < self._deaths[-1] + REST_SECONDS:
                title = self._interface.title
                raise _lost(f"{title} does not start; start Sfumato again, or install it anew.")
            self._came_up, self._heard, self._pinged = False, now, None
            self._asked.clear()
            try:
                self._process = ChildProcess(
                    self._interface.title,
                    self.command or child.worker_command(self._interface.role),
                    self._log or child.log_file(self._interface.role),
                    self._environment,
                    self._interface.has_tokens,
                )
            except ChildLost:
                self._count_death()
                raise
            if not self._abandoned:  # perhaps while it was being started
                return True
        if self._abandoned:
            self.stop(0.0)
            raise _lost(f"{self._interface.title} was given up.")
        return False

    def forgive(self) -> None:
        """Try again at the next `start`, whatever has come of the ones before."""
        self._failed_starts = 0
        self._deaths.clear()

    def abandon(self) -> None:
        """End the child under the call that waits for it, for good."""
        self._abandoned = True
        process = self._process
        if process is not None:
            process.kill(0.2)
        self.wake()

    def kill(self) -> None:
        """End the child at once, whatever it is doing; the next question starts another."""
        if self._process is not None:
            self._process.kill()
        self.stop(0.0)

    def stop(self, grace: float = 0.5) -> None:
        """Hang up, and end the child by force where it is still there after `grace` seconds; the
        next question starts another."""
        if self._process is not None:
            self._process.close(grace)
            self._process = None

    def close(self, grace: float = 0.5) -> None:
        """As `stop`, for good."""
        self._abandoned = True
        self.stop(grace)
        self._free()

    def log_tail(self) -> str:
        """The last lines that the present child wrote to its log."""
        return self._process.log_tail() if self._process else ""

    # -- one question -------------------------------------------------------------------------

    def ask(
        self,
        question: Question[A],
        on_event: Callable[[Any], None] = lambda _event: None,
        cancelled: Callable[[], bool] | None = None,
        cancel_seconds: float = 0.0,
    ) -> A:
        """Ask, starting the child if need be, and wait for the answer.

        Args:
            on_event: is told what the child tells on the way.
            cancelled: asked several times a second.
            cancel_seconds: how long the child then has to stop by itself; it is ended after that.

        Raises:
            ChildLost: the child died over it; the next question starts another.
            SfumatoError: what the child refused it with.
            Cancelled: `cancelled` has said yes.
        """
        self.start()
        number = self.put(question)
        deadline: float | None = None
        while True:
            if cancelled is not None and deadline is None and cancelled():
                self.cancel(number)
                deadline = time.monotonic() + cancel_seconds
            if deadline is not None and time.monotonic() > deadline:
                self.kill()
                raise Cancelled
            if not self.wait(_POLL if cancelled is not None else None):
                continue
            message = self.receive()
            if message is None or message.number != number:
                continue
            if isinstance(message, Told):
                if deadline is None:
                    on_event(message.event)
            elif message.cancelled:
                raise Cancelled
            elif message.error is not None:
                raise message.error
            else:
                return message.value

    # -- many questions -----------------------------------------------------------------------

    def put(self, question: Question[Any], number: int | None = None) -> int:
        """Send a question to the child that there is; its answer comes with the number returned.

        Raises:
            ChildLost: the child is gone.
        """
        number = next(self._numbers) if number is None else number
        self._asked[number] = type(question)
        self._send(messages.ask(number, question))
        return number

    def cancel(self, number: int) -> None:
        """The answer is no longer wanted; the child saves itself the work where it can.

        Raises:
            ChildLost: the child is gone.
        """
        if number in self._asked:
            self._send(messages.pack({"cancel": number}))

    def forget(self, number: int) -> None:
        """As `cancel`, and let no answer come."""
        self.cancel(number)
        self._asked.pop(number, None)

    def unanswered(self) -> list[int]:
        """Questions that the present child, or the one before, has not answered; oldest first."""
        return list(self._asked)

    def wake(self) -> None:
        """Make `wait` return."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: too late
            self._wake_write.send(b"w")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the child has something to say (True), or for `wake` or the end of the time.

        A child that is silent although it could speak is pinged meanwhile.

        Raises:
            ChildLost: it did not answer, or did not come up in time; it is gone now.
        """
        limit = None if timeout is None else time.monotonic() + timeout
        while True:
            due = self._due()
            until = min((t for t in (limit, due) if t is not None), default=None)
            sources: list[Connection | socket.socket] = [self._wake_read]
            if self._process is not None:
                sources.append(self._process.connection)
            left = None if until is None else max(0.0, until - time.monotonic())
            happened = wait(sources, left)
            if self._wake_read in happened:
                with contextlib.suppress(BlockingIOError):
                    self._wake_read.recv(4096)
            if happened:
                return len(happened) > (self._wake_read in happened)
            now = time.monotonic()
            if due is not None and now >= due:
                self._check()
            elif limit is not None and now >= limit:
                return False

    def ping(self) -> float:
        """Ask the present child whether it is still there.  Returns when: it is, once `heard_at`
        is later than that; `wait` raises where it is not.

        Raises:
            ChildLost: the child is gone.
        """
        self._pinged = time.monotonic()
        self._send(messages.pack({"ping": 1}))
        return self._pinged

    @property
    def heard_at(self) -> float:
        """When the child was heard of last, or started (`time.monotonic`)."""
        return self._heard

    def receive(self) -> Answer | Told | None:
        """The next message of the child that there is; waits for it.  None: nothing of interest.

        Raises:
            ChildLost: the child ended, or made no sense; it is gone now.
        """
        process = self._process
        assert process is not None
        try:
            header, block = messages.unpack(process.receive())
            self._came_up, self._heard, self._pinged = True, time.monotonic(), None
            self._failed_starts = 0
            if "pong" in header:
                return None
            if "event" in header:
                return messages.read_event(self._interface, header, block)
            asked = self._asked.pop(messages.number_of(header), None)
            return messages.read_answer(header, asked) if asked else None
        except ChildLost as lost:
            came_up = self._came_up
            self.drop()
            if came_up:
                raise
            message = f"{self._interface.title} ended while it was starting; try again."
            raise ChildLost(lost.kind, message, lost.detail, lost.status) from lost
        except ProtocolError as error:
            if error.number:  # only one answer is beyond reading
                return Answer(error.number, error=_unreadable(self._interface, error))
            process.kill()
            lost = process.lost(f"a message that makes no sense: {error}")
            self.drop()
            raise lost from error

    def drop(self) -> None:
        """The child is lost: clear up after it, and count it."""
        if self._process is not None:
            self.kill()
            self._count_death()

    # -- watching -----------------------------------------------------------------------------

    def _send(self, frame: bytes) -> None:
        process = self._process
        assert process is not None
        try:
            process.send(frame)
        except ChildLost:
            self.drop()
            raise

    def _due(self) -> float | None:
        """When the child's silence is to be looked into; None: it may be silent."""
        if self._process is None:
            return None
        if not self._came_up:
            return self._heard + self._start_seconds
        if self._asked and not self._interface.answers_while_busy:
            return None
        if self._pinged is not None:
            return self._pinged + PONG_SECONDS
        return self._heard + PING_SECONDS

    def _check(self) -> None:
        if self._came_up and self._pinged is None:
            self.ping()
            return
        what = "did not start in time; try again"
        if self._came_up:
            what = "stopped answering and was ended"
        detail = self.log_tail()
        self.drop()
        raise _lost(f"{self._interface.title} {what}.", detail)

    def _count_death(self) -> None:
        self._deaths.append(time.monotonic())
        if not self._came_up:
            self._failed_starts += 1


def _close(*ends: socket.socket) -> None:
    for end in ends:
        end.close()


def _lost(message: str, detail: str = "") -> ChildLost:
    return ChildLost(ErrorKind.ENGINE, message, detail)


def _unreadable(interface: Interface, error: ProtocolError) -> SfumatoError:
    message = f"{interface.title} sent an answer that cannot be read; try again."
    return SfumatoError(ErrorKind.INTERNAL, message, str(error))
