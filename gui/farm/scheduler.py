"""The scheduler of a farm: who is here, what waits, who draws what.

It keeps nothing on its disk but who may join.  Every member tells anew what it asks for, holds and
draws whenever it connects, so a scheduler that was killed knows everything again a moment after it
is back; meanwhile everybody goes on with what they have.  A picture may be drawn twice when Macs
come and go, and is taken once: the Mac that asked takes each number of a job one time.

One event loop; nothing here blocks but small writes of the list of members.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from gui import __version__, words
from gui.errors import ErrorKind, SfumatoError
from gui.farm import wire
from gui.farm.authority import Authority, JoinCode
from gui.farm.board import Asked, Board, Copying, Doing, Member, Picture, has
from gui.farm.comm import Channel, Frames, Hung, security, start_listening
from gui.farm.config import Config
from gui.farm.planner import again, plan
from gui.farm.wire import TO_SCHEDULER, Unit
from gui.process.messages import Event, ProtocolError

SILENCE = 12.0
"""Seconds after which a member that says nothing counts as asleep; it says something every two."""
SETTLING = 1.5
"""Seconds after its start in which nothing is given out, so that members can say what they draw."""
_TICK = 0.25
_TELL = 0.25
"""Seconds between two states that are told, where something has changed …"""
_STILL_HERE = 3.0
"""… and where nothing has."""
MAX_CRASHES = 2
"""A picture that took engines down so often has failed."""
_OTHERS = 2
"""A picture that ended with an error is tried on so many Macs in all."""
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
        self._looking: dict[Channel, Member] = {}
        self._unclaimed: dict[Unit, str] = {}
        """Pictures that members hold or draw, and of which nobody has asked again yet."""
        self._arrivals = 0
        self._changed = asyncio.Event()
        self._dirty = True
        self._began = time.monotonic()
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
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tell())]
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
                member.heard = time.monotonic()
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
                self._gone(member)

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
            self._gone(member)
        member.name, member.hello, member.channel = first.name, first, channel
        member.heard = time.monotonic()
        channel.send(wire.Welcome(serial, self._config.farm_name))
        self._welcome(member, first)
        return member

    def _check(self, hello: wire.Hello) -> None:
        if hello.protocol != wire.PROTOCOL or hello.version != __version__:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{hello.name}” has Sfumato {hello.version} and the farm {__version__}, which "
                "may draw different pictures; update the older one, and join again.",
            )

    def _welcome(self, member: Member, hello: wire.Hello) -> None:
        for model in hello.models:
            self._board.speeds.tell(member.id, model.hash, model.pace)
        for unit in hello.held:
            picture = self._board.picture(unit)
            if picture is None:
                self._unclaimed[unit] = member.id
            # What it holds is told to the one who asked as soon as it says so: `Finished` follows.
        if hello.drawing is not None:
            now = time.monotonic()
            member.doing = Doing(hello.drawing, now, now + 30.0, moved=now, drawing_since=now)
            picture = self._board.picture(hello.drawing)
            if picture is None:
                self._unclaimed[hello.drawing] = member.id
            else:
                picture.drawn_by.add(member.id)
        self._touch()

    def _gone(self, member: Member) -> None:
        """Its connection is no more: what it drew waits again, what it holds will be told anew."""
        member.channel, member.doing, member.following = None, None, None
        for job in self._board.jobs.values():
            for picture in job.pictures.values():
                picture.drawn_by.discard(member.id)
                if picture.made_by == member.id:
                    picture.made_by = ""
        self._unclaimed = {u: m for u, m in self._unclaimed.items() if m != member.id}
        self._touch()

    # -- what members say ---------------------------------------------------------------------

    def _take_word(self, looker: Member, event: Event) -> None:
        """What a person says by a process that only looks on."""
        match event:
            case wire.Beat():
                pass
            case wire.Allow():
                self._allow(event)
                looker.send(self._board.state())
            case wire.Invite():
                looker.send(self._invitation(looker))
            case wire.Leave():
                member = self._board.members.get(looker.id) or looker
                self._leave(member)
            case _:
                raise ProtocolError(f"{type(event).__name__} from one who looks on")

    def _take(self, member: Member, event: Event) -> None:
        match event:
            case wire.Beat():
                pass
            case wire.Drawn():
                self._drawn(member, event)
            case wire.Jobs():
                self._asked(member, event)
            case wire.Finished():
                self._finished(member, event)
            case wire.Unmade():
                self._unmade(member, event)
            case wire.Got():
                self._got(member, event.unit)
            case wire.Missing():
                self._missing(member, event.unit)
            case wire.Want() | wire.Piece():
                self._forward(member, event)
            case wire.Stock():
                assert member.hello is not None
                member.hello = replace(member.hello, models=event.models, networks=event.networks)
                for model in event.models:
                    self._board.answers.pop((member.id, model.hash), None)
                    self._board.speeds.tell(member.id, model.hash, model.pace)
                self._touch()
            case wire.Allow():
                self._allow(event)
            case wire.Received():
                self._received(member, event)
            case wire.Invite():
                member.send(self._invitation(member))
            case wire.Leave():
                self._leave(member)
            case _:
                raise ProtocolError(f"{type(event).__name__} from a member")

    def _asked(self, member: Member, event: wire.Jobs) -> None:
        for wanted in event.new:
            old = self._board.jobs.get(wanted.id)
            if old is not None and old.origin != member.id:
                raise ProtocolError("another Mac's job")
            if old is not None and old.wanted.request == wanted.request:
                # Told again after a new connection: what is known of its pictures stays.
                kept = {n: p for n, p in old.pictures.items() if n in wanted.missing}
                self._drop(p for n, p in old.pictures.items() if n not in kept)
                arrived = old.arrived
            else:
                if old is not None:
                    self._drop(old.pictures.values())
                kept, arrived = {}, self._arrivals
                self._arrivals += 1
            self._board.works[wanted.model] = wanted.work
            for number in wanted.missing:
                kept.setdefault(number, Picture(Unit(wanted.id, number)))
            self._board.jobs[wanted.id] = Asked(
                wanted, member.id, arrived, dict(sorted(kept.items()))
            )
            self._claim(self._board.jobs[wanted.id])
            for picture in kept.values():
                holder, picture.made_by = self._board.members.get(picture.made_by), ""
                if holder is not None and holder.here:
                    self._give(picture, holder)  # it says at once that it has it
        member.order = event.order
        for job_id in [j for j, a in self._board.jobs.items() if a.origin == member.id]:
            if job_id not in event.order:
                self._drop(self._board.jobs.pop(job_id).pictures.values())
        self._touch()

    def _claim(self, job: Asked) -> None:
        """What members told of a job's pictures before it was asked for again."""
        for picture in job.pictures.values():
            who = self._unclaimed.pop(picture.unit, "")
            member = self._board.members.get(who)
            if member is None or not member.here:
                continue
            if member.doing is not None and member.doing.unit == picture.unit:
                picture.drawn_by.add(who)
            else:
                # It holds the finished file: asked to draw it, it says so at once.
                self._give(picture, member)

    def _drop(self, pictures: Iterable[Picture]) -> None:
        """Nobody wants these any more."""
        for picture in pictures:
            for who in picture.drawn_by | ({picture.made_by} if picture.made_by else set()):
                member = self._board.members.get(who)
                if member is not None:
                    member.send(wire.Stop(picture.unit))

    def _drawn(self, member: Member, event: wire.Drawn) -> None:
        following, now = member.following, time.monotonic()
        if following is not None and following.unit == event.unit:
            self._take_up(member, now)  # before it has said so of the one before
        doing = member.doing
        if doing is None or doing.unit != event.unit:
            return
        if event.phase != "loading" and not doing.drawing_since:
            doing.drawing_since = now
        doing.moved, doing.told = now, replace(event, rgb=b"")
        self._dirty = True
        origin = self._board.origin_of(event.unit)
        if origin is not None and event.rgb:
            preview = wire.Preview(member.id, event)
            for hears in (origin, *(m for m in self._looking.values() if m.id == origin.id)):
                hears.send(preview, droppable=True)

    def _finished(self, member: Member, event: wire.Finished) -> None:
        job = self._board.jobs.get(event.unit.job)
        picture = self._board.picture(event.unit)
        self._free(member, event.unit)
        if job is not None and event.seconds > 0:
            model = job.wanted.model
            self._board.speeds.measured(member.id, model, job.wanted.work, event.seconds)
            if event.loading > 0:
                self._board.speeds.loaded(member.id, model, event.loading)
            member.loaded = model
            member.pictures += 1
        if picture is None or job is None:
            if job is None and event.unit not in self._unclaimed:
                self._unclaimed[event.unit] = member.id  # perhaps it is asked for again
            elif job is not None:
                member.send(wire.Stop(event.unit))  # somebody else was faster, and it is there
            self._touch()
            return
        picture.drawn_by.discard(member.id)
        if not picture.made_by:
            picture.made_by = member.id
            origin = self._board.members.get(job.origin)
            if origin is not None:
                origin.send(wire.Made(event.unit, member.id, event.bytes, event.sha256))
        self._touch()

    def _unmade(self, member: Member, event: wire.Unmade) -> None:
        self._free(member, event.unit)
        picture, job = self._board.picture(event.unit), self._board.jobs.get(event.unit.job)
        if picture is None or job is None:
            self._touch()
            return
        picture.drawn_by.discard(member.id)
        if event.error is not None:
            picture.crashes += event.crashed
            if not event.crashed:
                picture.refused[member.id] = event.error
            others = [m for m in self._board.eligible(job) if m.id not in picture.refused]
            gone = event.crashed and picture.crashes >= MAX_CRASHES
            if gone or len(picture.refused) >= _OTHERS or (picture.refused and not others):
                origin = self._board.members.get(job.origin)
                if origin is not None:
                    origin.send(wire.Failed(job.wanted.id, event.error))
                self._drop(self._board.jobs.pop(job.wanted.id).pictures.values())
        self._touch()

    def _got(self, member: Member, unit: Unit) -> None:
        """The one who asked has a picture."""
        job, picture = self._board.jobs.get(unit.job), self._board.picture(unit)
        if job is None or picture is None or job.origin != member.id:
            return
        del job.pictures[unit.number]
        holder = self._board.members.get(picture.made_by)
        if holder is not None:
            holder.send(wire.Got(unit))
        picture.made_by = ""
        self._drop([picture])
        if not job.pictures:
            del self._board.jobs[unit.job]
        self._touch()

    def _missing(self, member: Member, unit: Unit) -> None:
        """The one who asked could not get a picture: it waits again, and is held by nobody."""
        job, picture = self._board.jobs.get(unit.job), self._board.picture(unit)
        if job is not None and picture is not None and job.origin == member.id:
            holder, picture.made_by = self._board.members.get(picture.made_by), ""
            if holder is not None:
                holder.send(wire.Stop(unit))
            self._touch()

    def _free(self, member: Member, unit: Unit) -> None:
        if member.following is not None and member.following.unit == unit:
            member.following = None
        elif member.doing is not None and member.doing.unit == unit:
            self._take_up(member, time.monotonic())

    def _take_up(self, member: Member, now: float) -> None:
        """A member begins what it draws next, if it has that."""
        doing = member.doing = member.following
        member.following = None
        if doing is not None:
            doing.expected += max(0.0, now - doing.since)
            doing.since = doing.moved = now
            origin = self._board.origin_of(doing.unit)
            if origin is not None:
                origin.send(wire.Begun(doing.unit, member.id))

    def _forward(self, member: Member, event: wire.Want | wire.Piece) -> None:
        """From member to member, with the sender's name in place of the receiver's."""
        other = self._board.members.get(event.to)
        if other is not None and other.here:
            other.send(replace(event, to=member.id))
        elif isinstance(event, wire.Want):
            away = SfumatoError(
                ErrorKind.NETWORK,
                "The Mac that has the file is not here at present; wait until it is back.",
            )
            member.send(wire.Piece(event.to, event.kind, event.name, event.offset, 0, away))

    def _leave(self, member: Member) -> None:
        channel = member.channel
        self._gone(member)
        self._authority.forget(member.id) if member.id != self._config.member else None
        self._known = self._authority.known()
        for job_id in [j for j, a in self._board.jobs.items() if a.origin == member.id]:
            self._drop(self._board.jobs.pop(job_id).pictures.values())
        self._board.members.pop(member.id, None)
        if channel is not None:
            channel.abort()

    def remove(self, member_id: str) -> None:
        """Let a member in no more."""
        self._authority.forget(member_id)
        self._known = self._authority.known()
        member = self._board.members.get(member_id)
        if member is not None:
            self._leave(member)

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

    # -- models that are missing --------------------------------------------------------------

    def _allow(self, event: wire.Allow) -> None:
        member = self._board.members.get(event.member)
        jobs = [a for a in self._board.jobs.values() if a.wanted.model == event.model]
        if member is None or not member.here or has(member, event.model):
            return
        if event.how == "no":
            self._board.answers[member.id, event.model] = Copying("no")
        elif jobs:
            wanted = jobs[0].wanted
            have = [m for m in self._board.members.values() if has(m, event.model)]
            source = have[0].id if have and event.how == "copy" else ""
            if not source and not wanted.repo:
                return
            self._board.answers[member.id, event.model] = Copying("copying")
            member.send(
                wire.FetchModel(
                    event.model, wanted.model_name, source, wanted.repo, wanted.revision,
                    wanted.variant,
                )
            )  # fmt: skip
        self._touch()

    def _received(self, member: Member, event: wire.Received) -> None:
        answer = self._board.answers.get((member.id, event.model))
        if answer is not None:
            answer.done = event.done
            if event.error is not None:
                answer.state, answer.error = "failed", event.error.message
            self._dirty = True

    # -- giving out ---------------------------------------------------------------------------

    def _touch(self) -> None:
        self._dirty = True
        self._changed.set()

    async def _run(self) -> None:
        """Give out what can be given out, whenever something has changed, and now and then."""
        while True:
            # Not `wait_for`: in Python 3.11 it forgets that it is cancelled as it is over.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._changed.wait()
            self._changed.clear()
            now = time.monotonic()
            self._look_for_sleepers(now)
            if now - self._began >= SETTLING:
                try:
                    self._give_out(now)
                except Exception:
                    log.exception("nothing can be given out")

    def _look_for_sleepers(self, now: float) -> None:
        for member in list(self._board.members.values()):
            if member.channel is not None and now - member.heard > SILENCE:
                log.info("%s has not been heard of for a while", member.name)
                channel = member.channel
                self._gone(member)
                channel.abort()

    def _give_out(self, now: float) -> None:
        seats = [self._board.seat(m, now) for m in self._board.members.values() if m.draws]
        if not any(seat.free for seat in seats):
            return
        waiting = self._board.waiting()
        for unit, who in plan(now, seats, waiting, self._board.speeds):
            picture = self._board.picture(unit)
            if picture is not None:
                self._give(picture, self._board.members[who])
        free = [
            self._board.seat(m, now)
            for m in self._board.members.values()
            if m.draws and not m.doing
        ]
        if free:
            under, may = self._board.under(now)
            for unit, who in again(now, free, under, self._board.speeds, may):
                picture = self._board.picture(unit)
                if picture is not None:
                    log.info("%s is late and begun a second time", unit)
                    self._give(picture, self._board.members[who])

    def _give(self, picture: Picture, member: Member) -> None:
        job = self._board.jobs[picture.unit.job]
        wanted, now = job.wanted, time.monotonic()
        if member.doing is None:
            seconds = self._board.speeds.seconds(member.id, wanted.model, wanted.work)
            load = 0.0 if member.loaded == wanted.model else self._board.speeds.loading(
                member.id, wanted.model
            )  # fmt: skip
            member.doing = Doing(picture.unit, now, now + seconds + load, moved=now)
        elif member.following is None and member.doing.unit != picture.unit:
            seconds = self._board.speeds.seconds(member.id, wanted.model, wanted.work)
            begins = max(now, self._board.seat(member, now).free_at)
            member.following = Doing(picture.unit, begins, begins + seconds, moved=begins)
        picture.drawn_by.add(member.id)
        member.send(
            wire.Draw(
                picture.unit, wanted.request, wanted.model, job.origin, wanted.inputs,
                wanted.networks,
            )
        )  # fmt: skip
        origin = self._board.members.get(job.origin)
        later = member.following is not None and member.following.unit == picture.unit
        if origin is not None and not later:
            origin.send(wire.Begun(picture.unit, member.id))
        self._dirty = True

    # -- telling ------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Tell everybody who is here and does what, a few times a second where it changes."""
        told = 0.0
        while True:
            await asyncio.sleep(_TELL)
            if self._dirty or time.monotonic() - told > _STILL_HERE:
                self._dirty, told = False, time.monotonic()
                state = self._board.state()
                for member in (*self._board.members.values(), *self._looking.values()):
                    member.send(state, droppable=True)
