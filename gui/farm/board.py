"""What a scheduler knows: who is here, what is asked for, who draws what; and how that is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gui import words
from gui.errors import SfumatoError
from gui.farm import wire
from gui.farm.planner import Seat, Speeds, Under, Waiting
from gui.farm.wire import Unit
from gui.process.messages import Event
from gui.request import PictureRequest

EARLY = 1.0
"""Seconds before its picture is finished a member is given the next one."""


@dataclass
class Doing:
    """What a member draws."""

    unit: Unit
    since: float
    expected: float
    """When it should be finished, as it was thought at the beginning."""
    told: wire.Drawn | None = None
    drawing_since: float = 0.0
    moved: float = 0.0
    """When it was heard of last."""


class Line(Protocol):
    """What is said to a member goes by it."""

    def send(self, event: Event, *, droppable: bool = False) -> None: ...

    def abort(self) -> None: ...


@dataclass
class Member:
    id: str
    name: str
    hello: wire.Hello | None = None
    channel: Line | None = None
    heard: float = 0.0
    doing: Doing | None = None
    following: Doing | None = None
    """What it draws next: given to it a moment early, so that it need not wait for that."""
    loaded: str = ""
    pictures: int = 0
    order: tuple[str, ...] = ()
    """What it asks for."""
    finished_at: list[float] = field(default_factory=list[float])

    @property
    def here(self) -> bool:
        return self.channel is not None and self.hello is not None

    @property
    def draws(self) -> bool:
        return self.here and self.hello is not None and self.hello.draws

    def send(self, event: Event, *, droppable: bool = False) -> None:
        if self.channel is not None:
            self.channel.send(event, droppable=droppable)


@dataclass
class Picture:
    """A picture of a job, from its being asked for until the one who asked has it."""

    unit: Unit
    drawn_by: set[str] = field(default_factory=set[str])
    made_by: str = ""
    """Who holds it, finished, for the one who asked."""
    refused: dict[str, SfumatoError] = field(default_factory=dict[str, SfumatoError])
    crashes: int = 0


@dataclass
class Asked:
    """A job."""

    wanted: wire.WantedJob
    origin: str
    arrived: int
    pictures: dict[int, Picture]
    tries: int = 0
    """How often it could not be given out for a defect of the farm's own."""
    rests_until: float = 0.0
    """Before that it is not tried again."""


@dataclass
class Copying:
    """What became of an offer."""

    state: str
    done: int = 0
    error: str = ""


class Board:
    """All of it; nothing of it outlives the process.

    Args:
        farm: its name.
    """

    def __init__(self, farm: str) -> None:
        self._farm = farm
        self.members: dict[str, Member] = {}
        self.jobs: dict[str, Asked] = {}
        self.speeds = Speeds()
        self.answers: dict[tuple[str, str], Copying] = {}
        """What persons said to offers, by member and model."""
        self.works: dict[str, float] = {}
        """What a picture of a model was in work, last."""
        self.later: frozenset[Unit] = frozenset()
        """Pictures that others, who are away, may hold or draw: they come last."""
        self.trouble = ""
        """A sentence about a defect that keeps everything waiting."""

    def picture(self, unit: Unit) -> Picture | None:
        job = self.jobs.get(unit.job)
        return job.pictures.get(unit.number) if job else None

    def origin_of(self, unit: Unit) -> Member | None:
        job = self.jobs.get(unit.job)
        return self.members.get(job.origin) if job else None

    def eligible(self, job: Asked) -> list[Member]:
        """Who has all that a job needs."""
        return [m for m in self.members.values() if can(m, job.wanted)]

    def seat(self, member: Member, now: float) -> Seat:
        assert member.hello is not None
        models = frozenset(model.hash for model in member.hello.models)
        ends = self._ends(member.doing, now) if member.doing else now
        doing = member.doing
        nearly = doing is not None and doing.told is not None and doing.told.step > 0
        free = doing is None or (member.following is None and nearly and ends - now < EARLY)
        if member.following is not None:
            ends = max(ends, member.following.expected)
        return Seat(member.id, ends, free, models, member.loaded)

    @staticmethod
    def _ends(doing: Doing, now: float) -> float:
        """When a picture that is drawn will be finished, from how far it is."""
        told = doing.told
        if told is not None and told.steps and told.step and doing.drawing_since:
            share = told.step / told.steps
            pace = (doing.moved - doing.drawing_since) / share
            return max(now, doing.drawing_since + pace, now + (now - doing.moved) - 2.0)
        return max(doing.expected, now + (now - doing.moved) - 2.0)

    def waiting(self, now: float, only: Asked | None = None) -> list[Waiting]:
        """Pictures that nobody draws, in turn from each Mac that asks, so that none is starved.

        Args:
            only: pictures of this job alone.
        """
        queues: list[list[Waiting]] = []
        for member in self.members.values():
            if not member.here:
                continue
            line: list[Waiting] = []
            for job_id in member.order:
                job = self.jobs.get(job_id)
                if job is not None and job.rests_until <= now and only in (None, job):
                    seats = frozenset(m.id for m in self.eligible(job))
                    for picture in job.pictures.values():
                        if not picture.drawn_by and not picture.made_by:
                            may = seats - picture.refused.keys()
                            wanted = job.wanted
                            line.append(Waiting(picture.unit, wanted.model, wanted.work, may))
            queues.append(line)
        longest = max(map(len, queues), default=0)
        found = [line[k] for k in range(longest) for line in queues if k < len(line)]
        return sorted(found, key=lambda each: each.unit in self.later) if self.later else found

    def under(self, now: float) -> tuple[list[Under], dict[Unit, frozenset[str] | None]]:
        found: list[Under] = []
        may: dict[Unit, frozenset[str] | None] = {}
        for member in self.members.values():
            found += self._under_of(member, now, may)
        return found, may

    def _under_of(
        self, member: Member, now: float, may: dict[Unit, frozenset[str] | None]
    ) -> list[Under]:
        """What one member draws, and draws next."""
        found: list[Under] = []
        before = now
        for doing in (member.doing, member.following):
            picture = self.picture(doing.unit) if doing else None
            if doing is None or picture is None or len(picture.drawn_by) != 1:
                continue
            job = self.jobs[doing.unit.job]
            ends = max(self._ends(doing, now), before)
            before = ends
            seats = frozenset(m.id for m in self.eligible(job)) - picture.refused.keys()
            may[doing.unit] = seats
            wanted = job.wanted
            late = ends - doing.expected
            found.append(Under(doing.unit, member.id, wanted.model, wanted.work, ends, late))
        return found

    def state(self) -> wire.State:
        seats = tuple(self._told(m) for m in self.members.values())
        waiting = sum(
            not p.drawn_by and not p.made_by
            for job in self.jobs.values()
            for p in job.pictures.values()
        )
        return wire.State(self._farm, seats, tuple(self._offers()), waiting, tuple(self._remarks()))

    def _told(self, member: Member) -> wire.Seat:
        hello, doing = member.hello, member.doing
        told = doing.told if doing else None
        state = "away" if not member.here else (told.phase if told else "busy") if doing else "idle"
        if member.here and not member.draws:
            state = "asks"
        job = self.jobs.get(doing.unit.job) if doing else None
        request: PictureRequest | None = job.wanted.request if job else None
        model = job.wanted.model if job else member.loaded
        work = job.wanted.work if job else self.works.get(model, 0.0)
        pace = self.speeds.known(member.id, model) * work
        return wire.Seat(
            member.id,
            member.name,
            hello.machine if hello else "",
            member.here,
            hello.draws if hello else False,
            state,
            tuple(m.name for m in hello.models) if hello else (),
            doing.unit if doing else None,
            words.shortened(" ".join(request.prompt.split()), 80) if request else "",
            told.step if told else 0,
            told.steps if told else 0,
            told.seconds_per_step if told else 0.0,
            member.pictures,
            60 / pace if pace > 0 else 0.0,
        )

    def _offers(self) -> list[wire.Offer]:
        """Which model could be copied where, as jobs that wait need it; those that were declined
        are left out."""
        needed: dict[str, list[Asked]] = {}
        for job in self.jobs.values():
            if any(not p.made_by for p in job.pictures.values()):
                needed.setdefault(job.wanted.model, []).append(job)
        found = []
        for model, jobs in needed.items():
            have = [m for m in self.members.values() if has(m, model)]
            for member in self.members.values():
                answer = self.answers.get((member.id, model))
                if not member.draws or member in have or (answer and answer.state == "no"):
                    continue
                wanted = jobs[0].wanted
                found.append(
                    wire.Offer(
                        member.id,
                        member.name,
                        model,
                        wanted.model_name,
                        wanted.model_bytes,
                        len(jobs),
                        have[0].id if have else "",
                        wanted.repo,
                        answer.state if answer else "",
                        answer.done if answer else 0,
                        answer.error if answer else "",
                    )
                )
        return found

    def _remarks(self) -> list[str]:
        """What keeps jobs waiting although there are engines."""
        said: dict[str, None] = dict.fromkeys(filter(None, [self.trouble]))
        for job in self.jobs.values():
            if job.tries:
                what = words.quoted(words.plain(job.wanted.request.prompt), 40)
                said[f"{what} could not be given out; it is tried again."] = None
        for job in self.jobs.values():
            if not self.eligible(job) and any(not p.made_by for p in job.pictures.values()):
                have = any(has(m, job.wanted.model) for m in self.members.values() if m.draws)
                name = job.wanted.model_name
                if not have:
                    said[f"No Mac that is here has “{name}”; wake one that has it, or copy it."] = (
                        None
                    )
                else:
                    missing = words.listed(sorted({n.name for n in job.wanted.networks}))
                    said[
                        f"No Mac that is here has “{name}” together with {missing}; install it "
                        "there, or wake one that has both."
                    ] = None
        return list(said)


def has(member: Member, model: str) -> bool:
    return (
        member.here
        and member.hello is not None
        and any(m.hash == model for m in member.hello.models)
    )


def can(member: Member, wanted: wire.WantedJob) -> bool:
    if not member.draws or member.hello is None or not has(member, wanted.model):
        return False
    here = {(n.kind, n.name.casefold(), n.sha256) for n in member.hello.networks}
    models = {m.hash for m in member.hello.models}
    return all(
        n.sha256 in models if n.kind == "refiner" else (n.kind, n.name.casefold(), n.sha256) in here
        for n in wanted.networks
    )
