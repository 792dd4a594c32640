"""What the window and the farm's process on this Mac say to each other.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from gui.errors import SfumatoError
from gui.farm.wire import Preview, State
from gui.process.messages import Event, Interface, Question

CLOSE_SECONDS = 1.5
"""For the process to hang up and let the queue go."""


@dataclass(frozen=True)
class Follow(Question[None]):
    """Be the farm on this Mac, if it is in one, or look on where another process is it."""


@dataclass(frozen=True)
class StartFarm(Question[None]):
    """Start one here."""

    name: str = ""
    """This Mac's; empty: what it calls itself."""
    draws: bool = True


@dataclass(frozen=True)
class JoinFarm(Question[None]):
    """Join one with a code."""

    code: str
    name: str = ""
    draws: bool = True


@dataclass(frozen=True)
class LeaveFarm(Question[None]):
    """Leave it for good; its queue is this Mac's alone again."""


@dataclass(frozen=True)
class StopFarm(Question[None]):
    """Be the farm here no more for now, until `GoOn`: its queue is this Mac's alone meanwhile."""


@dataclass(frozen=True)
class GoOn(Question[None]):
    """Be the farm here again."""


@dataclass(frozen=True)
class SetBrings(Question[None]):
    """What this Mac lacks it may bring from the others without asking, up to so many bytes each;
    0: it asks."""

    most: int


@dataclass(frozen=True)
class RemoveMac(Question[None]):
    """Let another Mac in no more; for the Mac that the farm was started on."""

    member: str


@dataclass(frozen=True)
class InviteMac(Question[str]):
    """A join code for one more Mac."""


@dataclass(frozen=True)
class StopJob(Question[None]):
    """Stop a job of this Mac's that runs."""

    job: str


@dataclass(frozen=True)
class AnswerOffer(Question[None]):
    """What a person says to `wire.Offer`: ``copy``, ``fetch`` or ``no``."""

    member: str
    model: str
    how: str


@dataclass(frozen=True)
class FarmTold(Event):
    """How the farm is, as seen from here."""

    within: bool
    """Whether this Mac is in one."""
    name: str = ""
    """The farm's."""
    member: str = ""
    """This Mac's id in it."""
    starts: bool = False
    """Whether it was started here."""
    address: str = ""
    linked: bool = False
    """Whether its scheduler is reached."""
    problem: SfumatoError | None = None
    state: State | None = None
    stopped: bool = False
    """Whether a person has stopped it on this Mac."""
    brings: int = 0
    """As `SetBrings.most`."""


@dataclass(frozen=True)
class FarmPreview(Preview):
    """What a member draws for this Mac."""


FARM = Interface(
    "farm",
    "The farm",
    (
        Follow,
        StartFarm,
        JoinFarm,
        LeaveFarm,
        StopFarm,
        GoOn,
        SetBrings,
        RemoveMac,
        InviteMac,
        StopJob,
        AnswerOffer,
    ),
    (FarmTold, FarmPreview),
    answers_while_busy=True,
)
