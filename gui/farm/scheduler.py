"""The scheduler of a farm: who may come in, who is here, who only looks on.  Who draws what is the
`dispatcher`'s affair.

It keeps nothing on its disk but who may join.  Every member tells anew what it asks for, holds and
draws whenever it connects, so a scheduler that was killed knows everything again a moment after it
is back; meanwhile everybody goes on with what they have.  A picture may be drawn twice when Macs
come and go, and is taken once: the Mac that asked takes each number of a job one time.

One event loop; nothing here blocks but small writes of the list of members.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

from gui import __version__, words
from gui.errors import ErrorKind, SfumatoError
from gui.farm import wire
from gui.farm.authority import Authority, JoinCode
from gui.farm.board import Board, Line, Member
from gui.farm.comm import Channel, Frames, Hung, security, start_listening
from gui.farm.config import Config
from gui.farm.dispatcher import Dispatcher
from gui.farm.wire import TO_SCHEDULER
from gui.process.messages import Event, ProtocolError

SETTLING = 1.5
"""Seconds after its start in which nothing is given out, so that members can say what they draw."""
_FIRST_WORD = 20.0

log = logging.getLogger(__name__)


class Scheduler:
    """Serves members until `close`.

    Args:
        config: this Mac's part.
        authority: who lets in.
    """

    def __init__(self, config: Config, authority: Authority) -> None:
        self._config = config
        self._authority = authority
        self._known = authority.known()
        self._board = Board(config.farm_name)
        for serial, known in self._known.items():
            if not known.until:  # those that are away are told of, too
                self._board.members[serial] = Member(serial, known.name)
        self._looking: dict[Channel, Member] = {}
        self._desk = Dispatcher(
            self._board, settling=SETTLING, looking=lambda: self._looking.values()
        )
        self._closing: set[asyncio.Task[None]] = set()
        self._listener: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._open: set[Channel] = set()

    async def start(self) -> int:
        """Listen.  Returns the port.

        Raises:
            SfumatoError: NETWORK where the port is taken; STORAGE.
        """
        own = self._authority.scheduler()
        credentials = security(own.authority, own.certificate, own.key)
        self._listener = await start_listening(
            self._config.bind or "0.0.0.0", self._config.port, credentials, self._serve
        )
        self._tasks = [asyncio.create_task(self._desk.run())]
        return int(self._listener.listen_address.rpartition(":")[2])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._listener is not None:
            self._listener.stop()
        for channel in list(self._open):
            channel.abort()

    # -- connections --------------------------------------------------------------------------

    async def _serve(self, comm: Frames) -> None:
        channel = Channel(comm, TO_SCHEDULER)
        self._open.add(channel)
        member: Member | None = None
        try:
            member = await self._let_in(channel)
            while member is not None and member.channel is channel:
                event = await channel.receive()
                if channel in self._looking:
                    self._take_word(member, event)
                else:
                    self._take(member, event)
        except (TimeoutError, Hung):
            pass
        except ProtocolError as error:
            who = member.name if member else comm.peer_name
            log.warning("%s said what makes no sense: %s", who, error)
            sentence = (
                f"“{words.plain(who)}” said something that the farm does not know and was hung up "
                "on; update Sfumato there."
            )
            await channel.close(
                wire.Refused(SfumatoError(ErrorKind.BAD_REQUEST, sentence, str(error)))
            )
        except SfumatoError as error:
            await channel.close(wire.Refused(error))
        finally:
            self._open.discard(channel)
            channel.abort()
            if self._looking.pop(channel, None) is not None:
                pass
            elif member is not None and member.channel is channel:
                self._desk.gone(member)

    async def _let_in(self, channel: Channel) -> Member | None:
        """The member at the other end; None: it came to enrol, and has.

        Raises:
            SfumatoError: it may not come in.
        """
        serial, now = channel.comm.peer_id, time.time()
        known = self._known.get(serial)
        if known is None or (known.until and known.until < now):
            raise SfumatoError(
                ErrorKind.ACCESS,
                "The farm does not know this Mac, or its join code was used before or is too old; "
                "make a new join code on the Mac that started the farm, and join with that.",
            )
        async with asyncio.timeout(_FIRST_WORD):
            first = await channel.receive()
        if isinstance(first, wire.Enrol) and known.until:
            certificate = self._authority.enrol(serial, first.request, words.plain(first.name))
            self._known = self._authority.known()
            await channel.close(wire.Enrolled(certificate))
            return None
        if not isinstance(first, wire.Hello) or known.until:
            raise ProtocolError("no word of welcome")
        self._check(first)
        if first.looks_on:
            looker = Member(serial, first.name, first, channel, time.monotonic())
            self._looking[channel] = looker
            channel.send(wire.Welcome(serial, self._config.farm_name))
            channel.send(self._board.state())
            return looker
        member = self._board.members.setdefault(serial, Member(serial, first.name))
        if member.channel is not None:
            member.channel.abort()  # an older connection of the same Mac
            self._desk.gone(member)
        member.name, member.hello, member.channel = first.name, first, channel
        member.heard = time.monotonic()
        channel.send(wire.Welcome(serial, self._config.farm_name))
        self._desk.welcome(member, first)
        return member

    def _check(self, hello: wire.Hello) -> None:
        if hello.protocol != wire.PROTOCOL or hello.version != __version__:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{hello.name}” has Sfumato {hello.version} and the farm {__version__}, which "
                "may draw different pictures; update the older one, and join again.",
            )

    # -- what members say ---------------------------------------------------------------------

    def _take_word(self, looker: Member, event: Event) -> None:
        """What a person says by a process that only looks on."""
        match event:
            case wire.Beat():
                pass
            case wire.Allow():
                self._desk.bringing.allow(event)
                self._desk.touch()
                looker.send(self._board.state())
            case wire.Invite():
                looker.send(self._invitation(looker))
            case wire.Remove():
                self._remove(looker, event)
                looker.send(self._board.state())
            case wire.Leave():
                member = self._board.members.get(looker.id) or looker
                self._leave(member)
            case _:
                raise ProtocolError(f"{type(event).__name__} from one who looks on")

    def _take(self, member: Member, event: Event) -> None:
        match event:
            case wire.Invite():
                member.send(self._invitation(member))
            case wire.Remove():
                self._remove(member, event)
            case wire.Leave():
                self._leave(member)
            case _:
                self._desk.take(member, event)

    def _leave(self, member: Member) -> None:
        """A member goes for good."""
        if member.id != self._config.member:
            self._authority.forget(member.id)
        self._known = self._authority.known()
        channel = member.channel
        self._desk.forget(member)
        if channel is not None:
            channel.abort()

    def _remove(self, asked_by: Member, event: wire.Remove) -> None:
        """A person on this Mac wants another one to be in the farm no more."""
        if asked_by.id != self._config.member:
            sentence = (
                "Only the Mac that started the farm can remove others; remove it there, in the "
                "window or with `sfumato farm remove`."
            )
            asked_by.send(wire.Refused(SfumatoError(ErrorKind.BAD_REQUEST, sentence)))
            return
        try:
            self.remove(event.member)
        except SfumatoError as error:
            asked_by.send(wire.Refused(error))

    def remove(self, member_id: str) -> None:
        """Let a member in no more; what it drew is drawn elsewhere, what it asked for stays in its
        own queue.

        Raises:
            SfumatoError: BAD_REQUEST for the Mac that the farm was started on; STORAGE.
        """
        if member_id == self._config.member:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "The Mac that started the farm cannot be removed; leave the farm there to end it.",
            )
        self._authority.forget(member_id)
        self._known = self._authority.known()
        removed = [m for m in self._looking.values() if m.id == member_id]
        member = self._board.members.get(member_id)
        if member is not None:
            removed.append(replace(member))
            self._desk.forget(member)
        sentence = (
            f"The farm “{words.plain(self._config.farm_name)}” has removed this Mac, which makes "
            "its pictures itself again; to come back, make a new join code on the Mac that started "
            "the farm."
        )
        for each in removed:
            self._end_politely(each.channel, wire.Refused(SfumatoError(ErrorKind.ACCESS, sentence)))

    def _end_politely(self, line: Line | None, last: Event) -> None:
        """Say why, and hang up."""
        if isinstance(line, Channel):
            task = asyncio.create_task(line.close(last))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _invitation(self, member: Member) -> Event:
        try:
            return wire.Invitation(self.invite())
        except SfumatoError as error:
            log.warning("no invitation for %s: %s", member.name, error.detail)
            return wire.Refused(error)

    def invite(self) -> str:
        """The text of a join code for one Mac.

        Raises:
            SfumatoError: STORAGE.
        """
        parts = self._authority.invite(time.time())
        self._known = self._authority.known()
        config = self._config
        return JoinCode(config.farm_name, config.addresses, config.port, *parts).text()
