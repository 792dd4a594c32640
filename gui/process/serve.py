"""The child's end: takes questions from the socket, has them answered, and ends with the parent.

A thread reads the socket whatever else goes on, so that a question can be cancelled while it is
worked on, a ping is answered, and the end of the parent ends this process.  It never waits to be
heard: a parent that is busy sending does not read meanwhile, and both would wait for each other.
Questions are worked on by the main thread, one after the other, or by the pool that was named for
them.  Whatever goes wrong with one question is that question's answer.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import itertools
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NoReturn, cast

from gui.errors import Cancelled, SfumatoError, as_sfumato_error
from gui.process import messages
from gui.process.messages import (
    MAX_FRAME,
    Event,
    Header,
    Interface,
    ProtocolError,
    Question,
)
from gui.process.worker_pool import WorkerPool

HANG_UP_SECONDS = 0.3
"""How long the main thread may go on after the parent has gone: enough to give a picture that is
being written its name, less than the parent waits before it uses force."""

_BUFFER = 65536


class Call:
    """One question that is being worked on."""

    def __init__(self, server: Server, number: int) -> None:
        self._server = server
        self._number = number

    def cancelled(self) -> bool:
        """Whether the answer is no longer wanted."""
        return self._server.is_cancelled(self._number)

    def tell(self, event: Event) -> None:
        """Say how far it is."""
        self._server.tell(event, self._number)


Handler = Callable[[Any, Call], Any]
"""Takes a question and its call, returns the answer; raises what `as_error` understands, or
`Cancelled`."""


def _as_error(error: Exception, _question: Question[Any]) -> SfumatoError:
    return as_sfumato_error(error)


class Server:
    """Serves one parent.

    Args:
        connection: the socket.
        interface: what may be asked and told.
        handlers: what answers each kind of question, by its type.
        pools: where those questions are worked on that are not for the main thread.
        as_error: makes a value of an exception that is no `SfumatoError`.
    """

    def __init__(
        self,
        connection: Connection,
        interface: Interface,
        handlers: Mapping[Any, Handler],
        pools: Mapping[Any, WorkerPool] | None = None,
        as_error: Callable[[Exception, Question[Any]], SfumatoError] = _as_error,
    ) -> None:
        assert handlers.keys() == {*interface.questions}, "a question without an answer"
        self._connection = connection
        self._interface = interface
        self._handlers = handlers
        self._pools = pools or {}
        self._as_error = as_error
        self._main = WorkerPool("main", 0)
        self._replies = WorkerPool("replies", 1)
        self._reply_numbers = itertools.count()
        self._left_main = threading.Event()
        self._sending = threading.Lock()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()

    def run(self) -> None:
        """Serve until the parent hangs up; from the main thread."""
        # Up; said before anything is read that this process could die over, which would look as if
        # it had never come up.  Nothing has been sent before it, so it cannot have to wait.
        self._send(messages.pack({"pong": 0}))
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        self._main.run()
        self._left_main.set()

    def tell(self, event: Event, number: int = 0) -> None:
        """Tell the parent something; from any thread."""
        self._send(messages.tell(number, event))

    def is_cancelled(self, number: int) -> bool:
        return number in self._cancelled

    # -- the reader's thread ------------------------------------------------------------------

    def _read(self) -> None:
        # Buffered, so that a short message is one call: where Core ML holds the interpreter between
        # calls, each would cost a step of the picture.
        with (
            contextlib.suppress(OSError, EOFError),
            os.fdopen(os.dup(self._connection.fileno()), "rb", _BUFFER) as stream,
        ):
            while True:
                self._take(_frame(stream.read))
        self._main.close()
        if not self._left_main.wait(HANG_UP_SECONDS):
            os._exit(0)  # nobody wants what this process does

    def _take(self, frame: bytes) -> None:
        try:
            header, _ = messages.unpack(frame)
            if "ping" in header:
                self._reply(messages.pack({"pong": messages.number_of(header, "ping")}))
            elif "cancel" in header:
                self._cancel(messages.number_of(header, "cancel"))
            else:
                self._put(messages.number_of(header), header)
        except ProtocolError as error:
            print(f"a message that makes no sense: {error}", flush=True)
            self._reply(messages.error(error.number, as_sfumato_error(error)))

    def _put(self, number: int, header: Header) -> None:
        question = messages.read_question(self._interface, header)
        pool = self._pools.get(type(question), self._main)
        self._open.add(number)
        pool.put(number, lambda: self._work(number, question))

    def _cancel(self, number: int) -> None:
        if any(pool.drop(number) for pool in (self._main, *self._pools.values())):
            self._open.discard(number)
            self._reply(messages.pack({"cancelled": True, "id": number}))
        elif number in self._open:
            self._cancelled.add(number)

    def _reply(self, frame: bytes) -> None:
        """Send from a thread of its own, in the order of the calls."""
        self._replies.put(next(self._reply_numbers), lambda: self._send(frame))

    # -- the thread that answers --------------------------------------------------------------

    def _work(self, number: int, question: Question[Any]) -> None:
        try:
            handler = self._handlers[type(question)]
            frame = messages.answer(number, handler(question, Call(self, number)))
        except Cancelled:
            frame = messages.pack({"cancelled": True, "id": number})
        except SfumatoError as error:
            frame = messages.error(number, error)
        except Exception as error:
            traceback.print_exc()  # into the log
            frame = messages.error(number, self._as_error(error, question))
        self._end(number, frame)

    def _end(self, number: int, frame: bytes) -> None:
        self._open.discard(number)
        self._cancelled.discard(number)
        self._send(frame)

    def _send(self, frame: bytes) -> None:
        # Where the parent is gone, the reader hears of it too.
        with self._sending, contextlib.suppress(OSError):
            self._connection.send_bytes(frame)


def _frame(read: Callable[[int], bytes]) -> bytes:
    """The next frame, as `Connection.send_bytes` writes one.

    Raises:
        EOFError: the parent has gone, or is no longer itself.
    """
    length = int.from_bytes(_exactly(read, 4), "big", signed=True)
    if not 0 <= length <= MAX_FRAME:
        raise EOFError
    return _exactly(read, length)


def _exactly(read: Callable[[int], bytes], count: int) -> bytes:
    data = read(count)
    if len(data) < count:
        raise EOFError
    return data


def run_child(
    role: str, work: Callable[[Connection], None], arguments: list[str] | None = None
) -> NoReturn:
    """Entry of a child process.  Never returns and never lets an exception out, which a bundle
    would answer with a dialog.

    Args:
        role: its name in messages of argparse.
        work: gets the socket; its return ends the process.
        arguments: default: the process's own.
    """
    parser = argparse.ArgumentParser(prog=role)
    for name in ("--socket-fd", "--log-fd"):
        parser.add_argument(name, type=int, required=True)
    status = 1
    try:
        options = parser.parse_args(arguments)
        # Again, although the parent gave them to us: a bundle's launcher sends both elsewhere.
        os.dup2(options.log_fd, 1)
        os.dup2(options.log_fd, 2)
        # Line by line, so that a crash does not take the last ones along.
        cast(io.TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)
        faulthandler.enable()
        work(Connection(options.socket_fd))
        status = 0
    except SystemExit as request:
        status = request.code if isinstance(request.code, int) else 1
    except BaseException:
        traceback.print_exc()
    # Straight out: torch and Core ML take their time tearing down, and have nothing to save.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
