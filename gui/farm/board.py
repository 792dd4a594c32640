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
        return wire.State(self._farm, seats, tuple(self.offers()), waiting, tuple(self._remarks()))

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

    def needs(self) -> dict[str, tuple[Need, list[Asked]]]:
        """What the jobs that wait take, by hash, and which jobs these are."""
        found: dict[str, tuple[Need, list[Asked]]] = {}
        for job in self.jobs.values():
            if any(not p.made_by for p in job.pictures.values()):
                for need in needs_of(job.wanted):
                    found.setdefault(need.hash, (need, []))[1].append(job)
        return found

    def sources(self, need: Need) -> list[Member]:
        """Who is here and has something."""
        return [m for m in self.members.values() if has(m, need)]

    def offers(self) -> list[wire.Offer]:
        """What could be copied where, as jobs that wait need it; what was declined is left out."""
        found = []
        for need, jobs in self.needs().values():
            have = self.sources(need)
            for member in self.members.values():
                answer = self.answers.get((member.id, need.hash))
                declined = answer is not None and answer.state == "no"
                if not member.draws or member in have or declined or clashes(member, need):
                    continue
                found.append(
                    wire.Offer(
                        member.id,
                        member.name,
                        need.hash,
                        need.name,
                        need.bytes,
                        len(jobs),
                        have[0].id if have else "",
                        need.repo,
                        answer.state if answer else "",
                        answer.done if answer else 0,
                        answer.error if answer else "",
                        need.kind,
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
                model = needs_of(job.wanted)[0]
                have = any(has(m, model) for m in self.members.values() if m.draws)
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
        for need, _ in self.needs().values():
            for member in self.members.values():
                if member.draws and clashes(member, need):
                    mac, what = words.plain(member.name), wire.KINDS.get(need.kind, need.kind)
                    said[
                        f"{mac} has another {what} called “{words.plain(need.name)}”, so it draws "
                        "nothing that needs this one; rename it there."
                    ] = None
        return list(said)


@dataclass(frozen=True)
class Need:
    """A model or network that a job takes."""

    kind: str
    """``model``, or as `wire.Network.kind`."""
    hash: str
    name: str
    bytes: int
    repo: str = ""
    revision: str = ""
    variant: str = ""

    @property
    def is_model(self) -> bool:
        return self.kind in ("model", "refiner")


def needs_of(wanted: wire.WantedJob) -> list[Need]:
    """All that a job takes, the model first."""
    model = Need(
        "model", wanted.model, wanted.model_name, wanted.model_bytes, wanted.repo, wanted.revision,
        wanted.variant,
    )  # fmt: skip
    return [model, *(Need(n.kind, n.sha256, n.name, n.bytes) for n in wanted.networks)]


def has(member: Member, need: Need) -> bool:
    """Whether a member is here and has it, under the name that is asked for."""
    if not member.here or member.hello is None:
        return False
    if need.is_model:
        return any(model.hash == need.hash for model in member.hello.models)
    wanted = (need.kind, need.name.casefold(), need.hash)
    return any(wanted == (n.kind, n.name.casefold(), n.sha256) for n in member.hello.networks)


def clashes(member: Member, need: Need) -> bool:
    """Whether it has another network of the kind under that name."""
    if need.is_model or member.hello is None or has(member, need):
        return False
    wanted = (need.kind, need.name.casefold())
    return any(wanted == (n.kind, n.name.casefold()) for n in member.hello.networks)


def can(member: Member, wanted: wire.WantedJob) -> bool:
    """Whether a member has all that a job takes."""
    return member.draws and all(has(member, need) for need in needs_of(wanted))
