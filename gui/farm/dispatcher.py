"""What a scheduler does with what it is told: takes in who asks for what, and gives out who draws
what.  The connections are `scheduler`'s affair; a member whose scheduler is away has one of these
for itself (`alone`).

One event loop; nothing here blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from gui.errors import ErrorKind, SfumatoError
from gui.farm import wire
from gui.farm.board import Asked, Board, Doing, Member, Picture
from gui.farm.bringing import Bringing
from gui.farm.config import patience
from gui.farm.planner import Waiting, again, plan
from gui.farm.wire import Unit
from gui.process.messages import Event, ProtocolError

SILENCE = 12.0
"""Seconds after which a member that says nothing counts as asleep; it says something every two."""
_TICK = 0.25
_TELL = 0.25
"""Seconds between two states that are told, where something has changed …"""
_STILL_HERE = 3.0
"""… and where nothing has."""
MAX_CRASHES = 2
"""A picture that took engines down so often has failed."""
_OTHERS = 2
"""A picture that ended with an error is tried on so many Macs in all."""
MAX_TRIES = 3
"""A job that cannot be given out for a defect of the farm's own has failed after so many tries …"""
_MOST_ENDED = 2000
_REST = 1.0
"""… between which it rests so many seconds, and once more as many each time."""

log = logging.getLogger(__name__)


class Dispatcher:
    """Jobs to members, from the events of the one and the other.

    Args:
        board: what is known.
        settling: seconds from now in which nothing is given out, so that members can say what they
            draw.
        looking: who only looks on at present.
    """

    def __init__(
        self,
        board: Board,
        *,
        settling: float = 0.0,
        looking: Callable[[], Iterable[Member]] = tuple,
    ) -> None:
        self.board = board
        self.gives = True
        """Whether anything is given out."""
        self._looking = looking
        self.bringing = Bringing(board)
        self._unclaimed: dict[Unit, str] = {}
        """Pictures that members hold or draw, and of which nobody has asked again yet."""
        self._ended: dict[str, None] = {}
        """Jobs that are over, as those who asked for them say: nobody wants pictures of them."""
        self._arrivals = 0
        self._changed = asyncio.Event()
        self._dirty = True
        self._settled = time.monotonic() + settling

    async def run(self) -> None:
        """Give out and tell, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run())
            tasks.create_task(self._tell())

    def welcome(self, member: Member, hello: wire.Hello) -> None:
        """A member is here, with a connection that is new."""
        for model in hello.models:
            self.board.speeds.tell(member.id, model.hash, model.pace)
        for unit in hello.held:
            if self.board.picture(unit) is None:
                self._leave_unclaimed(unit, member)
            # What it holds is told to the one who asked as soon as it says so: `Finished` follows.
        if hello.drawing is not None:
            now = time.monotonic()
            member.doing = Doing(hello.drawing, now, now + 30.0, moved=now, drawing_since=now)
            picture = self.board.picture(hello.drawing)
            if picture is None:
                self._leave_unclaimed(hello.drawing, member)
            else:
                picture.drawn_by.add(member.id)
        self.touch()

    def _leave_unclaimed(self, unit: Unit, member: Member) -> None:
        """Nobody asks for a picture that a member holds or draws: not yet, or not any more."""
        if unit.job in self._ended or unit.job in self.board.jobs:
            member.send(wire.Stop(unit))
        else:
            self._unclaimed[unit] = member.id

    def gone(self, member: Member) -> None:
        """Its connection is no more: what it drew waits again, what it holds will be told anew."""
        member.channel, member.doing, member.following = None, None, None
        for job in self.board.jobs.values():
            for picture in job.pictures.values():
                picture.drawn_by.discard(member.id)
                if picture.made_by == member.id:
                    picture.made_by = ""
        self._unclaimed = {u: m for u, m in self._unclaimed.items() if m != member.id}
        self.bringing.gone(member)
        self.touch()

    def forget(self, member: Member) -> None:
        """A member is none any more: what it asked for is dropped, what it drew waits again."""
        self.gone(member)
        for job_id in [j for j, a in self.board.jobs.items() if a.origin == member.id]:
            self._drop(self.board.jobs.pop(job_id).pictures.values())
        self.board.members.pop(member.id, None)
        self.touch()

    # -- what members say ---------------------------------------------------------------------

    def take(self, member: Member, event: Event) -> None:
        """What a member says.

        Raises:
            ProtocolError: it makes no sense from a member.
        """
        member.heard = time.monotonic()
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
                member.hello = replace(
                    member.hello, models=event.models, networks=event.networks, brings=event.brings
                )
                self.bringing.arrived(member, event)
                for model in event.models:
                    self.board.speeds.tell(member.id, model.hash, model.pace)
                self.touch()
            case wire.Allow():
                self.bringing.allow(event)
                self.touch()
            case wire.Received():
                self.bringing.received(member, event)
                self._dirty = True
            case _:
                raise ProtocolError(f"{type(event).__name__} from a member")

    def _asked(self, member: Member, event: wire.Jobs) -> None:
        for wanted in event.new:
            old = self.board.jobs.get(wanted.id)
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
            self._ended.pop(wanted.id, None)
            self.board.works[wanted.model] = wanted.work
            for number in wanted.missing:
                kept.setdefault(number, Picture(Unit(wanted.id, number)))
            self.board.jobs[wanted.id] = Asked(
                wanted, member.id, arrived, dict(sorted(kept.items()))
            )
            self._claim(self.board.jobs[wanted.id])
            for picture in kept.values():
                holder, picture.made_by = self.board.members.get(picture.made_by), ""
                if holder is not None and holder.here:
                    self._give(picture, holder)  # it says at once that it has it
        self._end(event.ended)
        member.order = event.order
        for job_id in [j for j, a in self.board.jobs.items() if a.origin == member.id]:
            if job_id not in event.order:
                self._drop(self.board.jobs.pop(job_id).pictures.values())
                self._end([job_id])
        self.touch()

    def _claim(self, job: Asked) -> None:
        """What members told of a job's pictures before it was asked for again."""
        for picture in job.pictures.values():
            who = self._unclaimed.pop(picture.unit, "")
            member = self.board.members.get(who)
            if member is None or not member.here:
                continue
            if member.doing is not None and member.doing.unit == picture.unit:
                picture.drawn_by.add(who)
            else:
                # It holds the finished file: asked to draw it, it says so at once.
                self._give(picture, member)
        self._let_go(u for u in self._unclaimed if u.job == job.wanted.id)

    def _end(self, jobs: Iterable[str]) -> None:
        """Jobs are over."""
        for job_id in jobs:
            self._ended.pop(job_id, None)
            self._ended[job_id] = None
        for oldest in list(self._ended)[:-_MOST_ENDED]:
            del self._ended[oldest]
        self._let_go(u for u in self._unclaimed if u.job in self._ended)

    def _let_go(self, units: Iterable[Unit]) -> None:
        """Nobody will ask for these any more."""
        for unit in list(units):
            holder = self.board.members.get(self._unclaimed.pop(unit))
            if holder is not None:
                holder.send(wire.Stop(unit))

    def _drop(self, pictures: Iterable[Picture]) -> None:
        """Nobody wants these any more."""
        for picture in pictures:
            for who in picture.drawn_by | ({picture.made_by} if picture.made_by else set()):
                member = self.board.members.get(who)
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
        origin = self.board.origin_of(event.unit)
        if origin is not None and event.rgb:
            preview = wire.Preview(member.id, event)
            for hears in (origin, *(m for m in self._looking() if m.id == origin.id)):
                hears.send(preview, droppable=True)

    def _finished(self, member: Member, event: wire.Finished) -> None:
        job = self.board.jobs.get(event.unit.job)
        picture = self.board.picture(event.unit)
        self._free(member, event.unit)
        if job is not None and event.seconds > 0:
            model = job.wanted.model
            self.board.speeds.measured(member.id, model, job.wanted.work, event.seconds)
            if event.loading > 0:
                self.board.speeds.loaded(member.id, model, event.loading)
            member.loaded = model
            member.pictures += 1
        if picture is None or job is None:
            # Perhaps it is asked for again; or somebody else was faster, and it is there.
            if job is not None or event.unit not in self._unclaimed:
                self._leave_unclaimed(event.unit, member)
            self.touch()
            return
        picture.drawn_by.discard(member.id)
        if not picture.made_by:
            picture.made_by = member.id
            origin = self.board.members.get(job.origin)
            if origin is not None:
                origin.send(wire.Made(event.unit, member.id, event.bytes, event.sha256))
        self.touch()

    def _unmade(self, member: Member, event: wire.Unmade) -> None:
        self._free(member, event.unit)
        picture, job = self.board.picture(event.unit), self.board.jobs.get(event.unit.job)
        if picture is None or job is None:
            self.touch()
            return
        picture.drawn_by.discard(member.id)
        if event.error is not None:
            picture.crashes += event.crashed
            if not event.crashed:
                picture.refused[member.id] = event.error
            others = [m for m in self.board.eligible(job) if m.id not in picture.refused]
            gone = event.crashed and picture.crashes >= MAX_CRASHES
            if gone or len(picture.refused) >= _OTHERS or (picture.refused and not others):
                self._fail(job, event.error)
        self.touch()

    def _got(self, member: Member, unit: Unit) -> None:
        """The one who asked has a picture."""
        job, picture = self.board.jobs.get(unit.job), self.board.picture(unit)
        if job is None or picture is None or job.origin != member.id:
            return
        del job.pictures[unit.number]
        holder = self.board.members.get(picture.made_by)
        if holder is not None:
            holder.send(wire.Got(unit))
        picture.made_by = ""
        self._drop([picture])
        if not job.pictures:
            del self.board.jobs[unit.job]
            self._end([unit.job])
        self.touch()

    def _missing(self, member: Member, unit: Unit) -> None:
        """The one who asked could not get a picture: it waits again, and is held by nobody."""
        job, picture = self.board.jobs.get(unit.job), self.board.picture(unit)
        if job is not None and picture is not None and job.origin == member.id:
            holder, picture.made_by = self.board.members.get(picture.made_by), ""
            if holder is not None:
                holder.send(wire.Stop(unit))
            self.touch()

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
            origin = self.board.origin_of(doing.unit)
            if origin is not None:
                origin.send(wire.Begun(doing.unit, member.id))

    def _forward(self, member: Member, event: wire.Want | wire.Piece) -> None:
        """From member to member, with the sender's name in place of the receiver's."""
        other = self.board.members.get(event.to)
        if other is not None and other.here:
            other.send(replace(event, to=member.id))
        elif isinstance(event, wire.Want):
            away = SfumatoError(
                ErrorKind.NETWORK,
                "The Mac that has the file is not here at present; wait until it is back.",
            )
            member.send(wire.Piece(event.to, event.kind, event.name, event.offset, 0, away))

    # -- giving out ---------------------------------------------------------------------------

    def touch(self) -> None:
        """Something has changed."""
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
            if self.gives and now >= self._settled:
                self.give_out(now)
                if self.bringing.by_itself():
                    self.touch()

    def _look_for_sleepers(self, now: float) -> None:
        for member in list(self.board.members.values()):
            if member.channel is not None and now - member.heard > patience(SILENCE):
                log.info("%s has not been heard of for a while", member.name)
                channel = member.channel
                self.gone(member)
                channel.abort()

    def give_out(self, now: float) -> None:
        """Give to each who is free what it is to draw.  Never raises: a defect that one job brings
        about is that job's, and ends with it."""
        try:
            self._place(now, self.board.waiting(now))
            self._say("")
        except Exception as error:
            try:
                self._place(now, [])
            except Exception as general:
                log.error("nothing can be given out", exc_info=general if not self._said else None)
                self._say(
                    "The farm can give out nothing at present, as its scheduler has met a defect; "
                    "quit Sfumato on the Mac that started the farm, and open it again."
                )
            else:
                self._one_by_one(now, error)
        else:
            try:
                self._begin_again(now)
            except Exception:
                log.debug("nothing is begun again", exc_info=True)

    def _one_by_one(self, now: float, error: Exception) -> None:
        """Give out each job by itself, so that the one which cannot be is found."""
        for job in list(self.board.jobs.values()):
            try:
                self._place(now, self.board.waiting(now, job))
            except Exception as own:
                job.tries += 1
                job.rests_until = now + _REST * job.tries
                log.warning("a job cannot be given out, try %d: %r", job.tries, own or error)
                if job.tries >= MAX_TRIES:
                    log.error("it is set aside", exc_info=own)
                    self._fail(job, _not_given_out(job, own))
        self._dirty = True

    def _say(self, trouble: str) -> None:
        if trouble != self.board.trouble:
            self.board.trouble = trouble
            self._dirty = True

    @property
    def _said(self) -> bool:
        return bool(self.board.trouble)

    def _fail(self, job: Asked, error: SfumatoError) -> None:
        """A job has come to nothing, which who asked for it is told."""
        origin = self.board.members.get(job.origin)
        if origin is not None:
            origin.send(wire.Failed(job.wanted.id, error))
        self._drop(self.board.jobs.pop(job.wanted.id).pictures.values())
        self._end([job.wanted.id])

    def _place(self, now: float, waiting: list[Waiting]) -> None:
        seats = [self.board.seat(m, now) for m in self.board.members.values() if m.draws]
        if not any(seat.free for seat in seats):
            return
        for unit, who in plan(now, seats, waiting, self.board.speeds):
            picture = self.board.picture(unit)
            if picture is not None:
                self._give(picture, self.board.members[who])

    def _begin_again(self, now: float) -> None:
        """Have what is late where it is drawn begun elsewhere, too."""
        free = [
            self.board.seat(m, now) for m in self.board.members.values() if m.draws and not m.doing
        ]
        if free:
            under, may = self.board.under(now)
            for unit, who in again(now, free, under, self.board.speeds, may):
                picture = self.board.picture(unit)
                if picture is not None:
                    log.info("%s is late and begun a second time", unit)
                    self._give(picture, self.board.members[who])

    def _give(self, picture: Picture, member: Member) -> None:
        job = self.board.jobs[picture.unit.job]
        wanted, now = job.wanted, time.monotonic()
        if member.doing is None:
            seconds = self.board.speeds.seconds(member.id, wanted.model, wanted.work)
            load = 0.0 if member.loaded == wanted.model else self.board.speeds.loading(
                member.id, wanted.model
            )  # fmt: skip
            member.doing = Doing(picture.unit, now, now + seconds + load, moved=now)
        elif member.following is None and member.doing.unit != picture.unit:
            seconds = self.board.speeds.seconds(member.id, wanted.model, wanted.work)
            begins = max(now, self.board.seat(member, now).free_at)
            member.following = Doing(picture.unit, begins, begins + seconds, moved=begins)
        picture.drawn_by.add(member.id)
        member.send(
            wire.Draw(
                picture.unit, wanted.request, wanted.model, job.origin, wanted.inputs,
                wanted.networks,
            )
        )  # fmt: skip
        origin = self.board.members.get(job.origin)
        later = member.following is not None and member.following.unit == picture.unit
        if origin is not None and not later:
            origin.send(wire.Begun(picture.unit, member.id))
        self._dirty = True

    # -- telling ------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Tell everybody who is here and does what, a few times a second where it changes."""
        told, failed = 0.0, False
        while True:
            await asyncio.sleep(_TELL)
            if not self._dirty and time.monotonic() - told <= patience(_STILL_HERE):
                continue
            self._dirty, told = False, time.monotonic()
            try:
                state = self.board.state()
            except Exception:
                if not failed:
                    log.exception("how the farm is cannot be told")
                failed = True
                continue
            for member in (*self.board.members.values(), *self._looking()):
                member.send(state, droppable=True)


def _not_given_out(job: Asked, error: Exception) -> SfumatoError:
    return SfumatoError(
        ErrorKind.INTERNAL,
        f"The farm tried {job.tries} times to give this request to a Mac, and failed by a defect "
        "of its own; retry it, and if it fails again, leave the farm for this one.",
        repr(error),
    )
