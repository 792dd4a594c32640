"""The dialect of a child process and its parent.

A message is one frame: a 4-byte big-endian header length, a JSON object, and for pixels a raw
block behind it.  Never pickle.

To the child go ``{"ask": name, "id": n, "with": {…}}``, ``{"cancel": n}`` and ``{"ping": n}``.
From it come ``{"answer": …, "id": n}``, ``{"error": {…}, "id": n}`` or ``{"cancelled": true,
"id": n}``, one for every question and in any order, ``{"event": name, "id": n, "with": {…}}``
(``id`` 0 where it belongs to no question), and ``{"pong": n}``.

Standard library only.
"""

from __future__ import annotations

import struct
import typing
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from gui import records
from gui.errors import SfumatoError
from gui.records import Mode, Record, RecordError

MAX_FRAME = 256 * 2**20
"""Longest frame either side accepts, in bytes; a 8192 × 8192 preview would still fit."""

_LENGTH = struct.Struct(">I")

A = TypeVar("A")
Header = dict[str, Any]


class ProtocolError(ValueError):
    """A frame, or a value in one, that is no message of this dialect.

    Args:
        number: the question that it is about, where that much could be read; else 0.
    """

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class Question(Record, Generic[A]):
    """Something a child can be asked.  A subclass is a frozen dataclass of the arguments, and says
    the type of the answer: ``class Look(Question[SourceInfo])``."""

    @classmethod
    def answer_type(cls) -> Any:
        bases: tuple[Any, ...] = getattr(cls, "__orig_bases__", ())
        return next(typing.get_args(b)[0] for b in bases if typing.get_origin(b) is Question)


class Event(Record):
    """Something a child tells by itself, or on the way to an answer.  A subclass is a frozen
    dataclass."""

    def block(self) -> bytes:
        """Bytes that travel raw behind the JSON."""
        return b""

    def with_block(self, block: bytes) -> Self:
        """This event with the bytes that came behind it.  Raises ValueError where they do not
        belong to it."""
        if block:
            raise ValueError(f"{len(block)} bytes that belong to nothing")
        return self


@dataclass(frozen=True)
class Interface:
    """What one kind of child can be asked, and what it may tell."""

    role: str
    """``engine``, ``enlarge``, ``control``, ``farm``, ``measure``, ``hub``, ``convert``,
    ``serve`` or ``coreml``."""
    title: str
    """What a person calls it, e.g. ``The engine``; begins the sentence when it dies."""
    questions: tuple[type[Question[Any]], ...]
    events: tuple[type[Event], ...] = ()
    has_tokens: bool = False
    """Whether it gets the parent's passwords and tokens for the network."""
    answers_while_busy: bool = False
    """Whether it can answer a ping at any time.  Core ML's calls, for one, hold the interpreter as
    long as they take."""


@dataclass(frozen=True)
class Answer:
    """The end of one question: `value`, `error`, or given up because it was cancelled."""

    number: int
    value: Any = None
    error: SfumatoError | None = None
    cancelled: bool = False


@dataclass(frozen=True)
class Told:
    """An event, and the number of the question that it belongs to; 0: to none."""

    number: int
    event: Event


def pack(header: Header, block: bytes = b"") -> bytes:
    """One frame.  Raises ProtocolError where it would be longer than the other side accepts."""
    text = records.dumps(header).encode("ascii")
    if len(text) + len(block) > MAX_FRAME - _LENGTH.size:
        raise ProtocolError(f"a message of {len(text) + len(block)} bytes")
    return b"".join((_LENGTH.pack(len(text)), text, block))


def unpack(frame: bytes) -> tuple[Header, bytes]:
    """JSON object and raw block of a frame.

    Raises:
        ProtocolError: it is no frame, or nested deeper than Python can read.
    """
    if len(frame) < _LENGTH.size:
        raise ProtocolError("no message")
    end = _LENGTH.size + _LENGTH.unpack_from(frame)[0]
    if end > len(frame):
        raise ProtocolError("the message is cut off")
    try:
        header = records.parse(frame[_LENGTH.size : end])
    except ValueError as error:
        raise ProtocolError(f"no message: {error!s:.500}") from error
    if not isinstance(header, dict):
        raise ProtocolError("no object")
    return typing.cast(Header, header), frame[end:]


def ask(number: int, question: Question[Any]) -> bytes:
    return pack({"ask": type(question).__name__, "id": number, "with": question.to_json()})


def answer(number: int, value: Any) -> bytes:
    return pack({"answer": value, "id": number})


def error(number: int, value: SfumatoError) -> bytes:
    return pack({"error": value.to_json(), "id": number})


def tell(number: int, event: Event) -> bytes:
    header = {"event": type(event).__name__, "id": number, "with": event.to_json()}
    return pack(header, event.block())


def number_of(header: Header, key: str = "id") -> int:
    """A whole number that a header carries.  Raises ProtocolError."""
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"{key} is no number")
    return value


def read_question(interface: Interface, header: Header) -> Question[Any]:
    """Raises ProtocolError, with the question's number, for what cannot be asked."""
    number = number_of(header)
    kind = next((q for q in interface.questions if q.__name__ == header.get("ask")), None)
    if kind is None:
        raise ProtocolError(f"unknown question {header.get('ask')!s:.100}", number)
    return read(kind, header.get("with"), number)


def read_answer(header: Header, asked: type[Question[Any]]) -> Answer:
    """Raises ProtocolError, with the question's number."""
    number = number_of(header)
    if "error" in header:
        return Answer(number, error=read(SfumatoError, header["error"], number))
    if header.get("cancelled"):
        return Answer(number, cancelled=True)
    if "answer" not in header:
        raise ProtocolError("no answer", number)
    return Answer(number, read(asked.answer_type(), header["answer"], number))


def read_event(interface: Interface, header: Header, block: bytes) -> Told:
    """Raises ProtocolError."""
    kind = next((e for e in interface.events if e.__name__ == header.get("event")), None)
    if kind is None:
        raise ProtocolError(f"unknown event {header.get('event')!s:.100}")
    event: Event = read(kind, header.get("with"))
    try:
        return Told(number_of(header), event.with_block(block))
    except (ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(str(error)) from error


def read(kind: Any, value: Any, number: int = 0) -> Any:
    """A value of this type from its JSON.  Raises ProtocolError, whatever the JSON is."""
    try:
        if kind is type(None):
            if value is not None:
                raise RecordError("must be nothing")
            return None
        return records.from_plain(kind, value, Mode.REFUSE)
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"{error!s:.500}", number) from error
