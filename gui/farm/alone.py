"""A Mac whose scheduler is away: asleep, ended, or out of reach.  It draws its own queue itself,
and tells how that goes as a scheduler would.

It is a scheduler of one member, without a network: who has a queue always has all that its jobs
need.  What others drew or hold is not known while they cannot be heard, so that comes last; once
the scheduler is back, all is told anew, and each picture is taken once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gui.errors import ErrorKind, SfumatoError
from gui.farm import wire
from gui.farm.board import Board, Member
from gui.farm.dispatcher import Dispatcher
from gui.farm.wire import Unit
from gui.process.messages import Event, ProtocolError

ALONE_AFTER = 5.0
"""Seconds without a scheduler after which a Mac goes on by itself."""


class Alone:
    """Stands in for the connection to a scheduler.

    Args:
        own: this Mac's id.
        hello: what it would say of itself.
        farm: the farm's name.
        last: what was told of the others, when they were heard of last.
        later: pictures that others may hold or draw.
        hear: takes what a scheduler would say.
    """

    def __init__(
        self,
        own: str,
        hello: wire.Hello,
        farm: str,
        last: wire.State | None,
        later: frozenset[Unit],
        hear: Callable[[Event], None],
    ) -> None:
        self._hear = hear
        self._open = True
        board = Board(farm)
        board.later = later
        for seat in last.seats if last is not None else ():
            board.members[seat.id] = Member(seat.id, seat.name)
        self._me = board.members.setdefault(own, Member(own, hello.name))
        self._me.hello, self._me.channel = hello, _ToSelf(self)
        self._desk = Dispatcher(board)
        self._running = asyncio.create_task(self._desk.run())
        self._desk.take(self._me, wire.Beat())
        self._desk.welcome(self._me, hello)

    def send(self, event: Event, *, droppable: bool = False) -> None:
        """Say something, as to a scheduler."""
        if not self._open:
            return
        try:
            self._desk.take(self._me, event)
        except ProtocolError as error:
            sentence = (
                "The Mac that started the farm cannot be reached; wake it, and try again then."
            )
            self._say(wire.Refused(SfumatoError(ErrorKind.NETWORK, sentence, str(error))))

    def pause(self, on: bool) -> None:
        """Begin nothing more: there may be a scheduler again."""
        self._desk.gives = not on

    async def close(self, last: Event | None = None) -> None:
        self.abort()

    def abort(self) -> None:
        """There is a scheduler again, or the end."""
        self._open = False
        self._running.cancel()

    def _say(self, event: Event) -> None:
        """Later, as over a network: whoever said something is not answered while it does."""
        asyncio.get_running_loop().call_soon(self._said, event)

    def _said(self, event: Event) -> None:
        if self._open and isinstance(event, wire.State):
            remarks = event.remarks if self._me.draws else ()
            self._hear(replace(event, alone=True, remarks=remarks))
        elif self._open:
            self._hear(event)


class _ToSelf:
    """What the dispatcher says to its only member."""

    def __init__(self, alone: Alone) -> None:
        self._alone = alone

    def send(self, event: Event, *, droppable: bool = False) -> None:
        self._alone._say(event)

    def abort(self) -> None:  # it is always here
        pass
