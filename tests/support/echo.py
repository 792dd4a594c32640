"""A child process that echoes, dawdles and misbehaves: ``python -m tests.support.echo``."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.process.messages import Event, Interface, Question
from gui.process.serve import Call, Server, run_child
from gui.process.worker_pool import WorkerPool
from gui.records import Record

COMMAND = [sys.executable, "-m", "tests.support.echo"]


@dataclass(frozen=True)
class Echoed(Record):
    pid: int
    text: str
    number: float
    maybe: tuple[bool | None, ...]


@dataclass(frozen=True)
class Echo(Question[Echoed]):
    text: str = ""
    number: float = 0.0
    maybe: tuple[bool | None, ...] = ()


@dataclass(frozen=True)
class Count(Question[int]):
    """Counts, telling every number, until it is cancelled or done."""

    to: int


@dataclass(frozen=True)
class Meanwhile(Question[int]):
    """Answered by a pool: its own process id."""


@dataclass(frozen=True)
class Misbehave(Question[str]):
    """shout, crash, garble, nonsense, sleep, stop, refuse, raise or write."""

    how: str


@dataclass(frozen=True)
class Counted(Event):
    number: int
    pixels: bytes = b""

    def to_json(self) -> dict[str, object]:
        return {"number": self.number}

    def block(self) -> bytes:
        return self.pixels

    def with_block(self, block: bytes) -> Self:
        return type(self)(self.number, block)


ECHO = Interface("echo", "The echo", (Echo, Count, Meanwhile, Misbehave), (Counted,))


def echo(ask: Echo, _call: Call) -> Echoed:
    return Echoed(os.getpid(), ask.text, ask.number, ask.maybe)


def count(ask: Count, call: Call) -> int:
    for number in range(ask.to):
        if call.cancelled():
            raise Cancelled
        call.tell(Counted(number, bytes([number % 256]) * 3))
        time.sleep(0.01)
    return ask.to


class Misbehaviour:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, ask: Misbehave, _call: Call) -> object:
        match ask.how.split("=")[0]:
            case "shout":
                print("to the log")
            case "crash":
                os.abort()
            case "garble":
                self._connection.send_bytes(b"\0\0\0\x06[1, 2]")
            case "nonsense":
                return 7  # where a text was promised
            case "sleep":
                if marker := ask.how.partition("=")[2]:
                    Path(marker).touch()  # it has begun
                time.sleep(60)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "refuse":
                raise SfumatoError(ErrorKind.STORAGE, "The disk is full.", "a detail")
            case "raise":
                raise RuntimeError("a defect")
            case "write":  # something that takes a moment and should not be cut off
                file = Path(ask.how.split("=")[1])
                file.with_suffix(".begun").touch()
                time.sleep(0.1)
                file.write_text("whole")
        return ask.how


def serve(connection: Connection) -> None:
    handlers = {
        Echo: echo,
        Count: count,
        Meanwhile: lambda *_: os.getpid(),
        Misbehave: Misbehaviour(connection),
    }
    Server(connection, ECHO, handlers, {Meanwhile: WorkerPool("meanwhile", 1)}).run()


if __name__ == "__main__":
    run_child("echo", serve)
