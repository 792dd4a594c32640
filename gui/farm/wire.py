"""What the Macs of a farm say to each other: records as JSON, with bytes behind them.

The whole vocabulary: what is not among `WIRE.events` is refused, and whoever said it is hung up on.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from gui import records
from gui.errors import SfumatoError
from gui.process.messages import Event, Interface
from gui.records import Range, Record
from gui.request import PictureRequest

PROTOCOL = 2
"""Both sides have to speak the same."""

MAX_PIECE = 4 * 2**20
"""Bytes of a file that travel at a time."""

_NUMBER = Annotated[int, Range(0, 2**31)]
_BYTES = Annotated[int, Range(0, 2**53)]
_SECONDS = Annotated[float, Range(0.0, 1e9)]


def _without(record: Record, block: str) -> dict[str, Any]:
    """JSON of a record but for the bytes that travel behind it."""
    names = [f.name for f in fields(record) if f.name != block]  # type: ignore[arg-type]
    return {name: records.to_plain(getattr(record, name)) for name in names}


@dataclass(frozen=True, order=True)
class Unit(Record):
    """One picture of a job: what is drawn by one Mac."""

    job: str
    number: _NUMBER
    """Of the picture, from 0."""

    def __str__(self) -> str:
        return f"{self.job}-{self.number}"


@dataclass(frozen=True)
class ModelHere(Record):
    """A model that a Mac has."""

    hash: str
    """`gui.coreml.inspect.model_hash`."""
    name: str
    bytes: _BYTES = 0
    pace: _SECONDS = 0.0
    """Seconds for one unit of work (`gui.library.step_times.work_of`); 0: not measured yet."""
    repo: str = ""
    """Where it comes from on the Hub; empty where that is not known."""
    revision: str = ""
    variant: str = ""


@dataclass(frozen=True)
class Input(Record):
    """A picture that goes into one: its path in the request is ``farm:<sha256>/<name>``."""

    sha256: str
    name: str
    """Of its file, which the finished picture's record tells."""
    bytes: _BYTES


@dataclass(frozen=True)
class Network(Record):
    """What else a picture needs to be there, beside the model."""

    kind: str
    """``lora``, ``control``, ``upscaler``, ``map`` or ``refiner``."""
    name: str
    """As the request names it, without folders."""
    sha256: str
    """`gui.farm.stock.digest`."""
    bytes: _BYTES = 0


KINDS = {
    "lora": "LoRA",
    "control": "ControlNet",
    "upscaler": "upscaler",
    "map": "depth or line network",
    "refiner": "refiner",
}
"""Of networks, for people."""


def named(kind: str, name: str) -> str:
    """A model or network in a sentence."""
    return f"the {KINDS[kind]} “{name}”" if kind in KINDS else f"“{name}”"


@dataclass(frozen=True)
class WantedJob(Record):
    """A job that waits on the Mac that asks for it."""

    id: str
    request: PictureRequest
    """Its files are named by their contents."""
    model: str
    """Hash."""
    model_name: str
    model_bytes: _BYTES
    missing: tuple[_NUMBER, ...]
    """Pictures that are to be made."""
    work: Annotated[float, Range(0.0, 1e15)]
    """Of one picture."""
    inputs: tuple[Input, ...] = ()
    networks: tuple[Network, ...] = ()
    repo: str = ""
    revision: str = ""
    variant: str = ""


# -- from a member --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Enrol(Event):
    """Of one who joins with an invitation: give me a certificate of my own."""

    request: str
    """A certificate signing request, PEM."""
    name: str


@dataclass(frozen=True)
class Hello(Event):
    """The first word of a member; again whenever the connection is new."""

    protocol: int
    version: str
    """Of Sfumato."""
    name: str
    machine: str
    """In words."""
    runtime: str
    draws: bool
    """Whether it has an engine for others."""
    looks_on: bool = False
    """Whether it is a second process of a Mac, which only hears and says what a person wants."""
    models: tuple[ModelHere, ...] = ()
    networks: tuple[Network, ...] = ()
    held: tuple[Unit, ...] = ()
    """Pictures that are finished and have not been fetched."""
    drawing: Unit | None = None
    brings: _BYTES = 0
    """What it lacks it may bring from other members by itself, up to so many bytes each; 0: a
    person is asked."""


@dataclass(frozen=True)
class Beat(Event):
    """Still here."""


@dataclass(frozen=True)
class Stock(Event):
    """What a member has now."""

    models: tuple[ModelHere, ...]
    networks: tuple[Network, ...] = ()
    brings: _BYTES = 0
    """As `Hello.brings`."""


@dataclass(frozen=True)
class Jobs(Event):
    """What a Mac asks for, in order; jobs that are on no such list any more are dropped."""

    order: tuple[str, ...]
    new: tuple[WantedJob, ...] = ()
    """Those that are told for the first time, or have changed."""
    ended: tuple[str, ...] = ()
    """Jobs that are over, of which nothing is wanted any more."""


@dataclass(frozen=True)
class Drawn(Event):
    """How far a member is with a picture; the preview's bytes are behind it."""

    unit: Unit
    phase: str
    """``loading``, ``drawing`` or ``enlarging``."""
    step: _NUMBER = 0
    steps: _NUMBER = 0
    seconds_per_step: _SECONDS = 0.0
    width: _NUMBER = 0
    height: _NUMBER = 0
    rgb: bytes = b""

    def to_json(self) -> dict[str, Any]:
        return _without(self, "rgb")

    def block(self) -> bytes:
        return self.rgb

    def with_block(self, block: bytes) -> Drawn:
        if len(block) != 3 * self.width * self.height:
            raise ValueError(f"a preview of {self.width} × {self.height} with {len(block)} bytes")
        return replace(self, rgb=block)


@dataclass(frozen=True)
class Finished(Event):
    """A picture is made and kept until `Got`."""

    unit: Unit
    bytes: _BYTES
    sha256: str
    seconds: _SECONDS
    """For the picture, without loading."""
    loading: _SECONDS = 0.0


@dataclass(frozen=True)
class Unmade(Event):
    """A picture was not made: stopped, or with an error."""

    unit: Unit
    error: SfumatoError | None = None
    crashed: bool = False
    """Whether it took the engine down."""


@dataclass(frozen=True)
class Got(Event):
    """The Mac that asked has a picture on its disk."""

    unit: Unit


@dataclass(frozen=True)
class Missing(Event):
    """The Mac that asked could not get a finished picture from who has it; nobody has it now."""

    unit: Unit


@dataclass(frozen=True)
class Allow(Event):
    """A person's yes: a model or network may be copied to a member, or a model fetched by it from
    the Hub."""

    member: str
    model: str
    """Hash."""
    how: str
    """``copy``, ``fetch`` or ``no``."""


@dataclass(frozen=True)
class Received(Event):
    """How far a copy is."""

    model: str
    done: _BYTES
    total: _BYTES
    error: SfumatoError | None = None


@dataclass(frozen=True)
class Leave(Event):
    """The member goes for good: what it draws is to be drawn elsewhere."""


@dataclass(frozen=True)
class Remove(Event):
    """Of the Mac that started the farm: let a member in no more."""

    member: str


@dataclass(frozen=True)
class Invite(Event):
    """Of a member: let another Mac join."""


# -- from the scheduler ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Enrolled(Event):
    certificate: str
    """PEM."""


@dataclass(frozen=True)
class Welcome(Event):
    member: str
    """The id that the scheduler knows it by."""
    farm: str


@dataclass(frozen=True)
class Refused(Event):
    """Why nothing more is said."""

    error: SfumatoError


@dataclass(frozen=True)
class Invitation(Event):
    code: str


@dataclass(frozen=True)
class Draw(Event):
    """Draw a picture."""

    unit: Unit
    request: PictureRequest
    model: str
    """Hash."""
    origin: str
    """The member that has the inputs."""
    inputs: tuple[Input, ...] = ()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Stop(Event):
    """A picture is not wanted any more."""

    unit: Unit


@dataclass(frozen=True)
class Begun(Event):
    """To the Mac that asked: somebody draws a picture of the job now."""

    unit: Unit
    member: str


@dataclass(frozen=True)
class Made(Event):
    """To the Mac that asked: a picture can be fetched from a member."""

    unit: Unit
    member: str
    bytes: _BYTES
    sha256: str


@dataclass(frozen=True)
class Failed(Event):
    """To the Mac that asked: a job came to nothing."""

    job: str
    error: SfumatoError


@dataclass(frozen=True)
class FetchModel(Event):
    """A person, or the member's own setting, has said yes: get this model or network."""

    model: str
    """Hash."""
    name: str
    source: str
    """The member that has it; empty: from the Hub."""
    repo: str = ""
    revision: str = ""
    variant: str = ""
    kind: str = "model"
    """Or as `Network.kind`."""
    bytes: _BYTES = 0
    """What was said that it has; of a network it may have no more."""
    by_itself: bool = False
    """Whether nobody was asked: it may have no more than the member's setting allows."""


@dataclass(frozen=True)
class Seat(Record):
    """A member as all others see it."""

    id: str
    name: str
    machine: str
    here: bool
    draws: bool
    state: str
    """``idle``, ``loading``, ``drawing``, ``away`` …"""
    models: tuple[str, ...] = ()
    """Names."""
    unit: Unit | None = None
    prompt: str = ""
    step: _NUMBER = 0
    steps: _NUMBER = 0
    seconds_per_step: _SECONDS = 0.0
    pictures: _NUMBER = 0
    """Finished since it is here."""
    minutely: _SECONDS = 0.0
    """Pictures a minute, as measured; 0: nothing measured yet."""


@dataclass(frozen=True)
class Offer(Record):
    """A model or network that a member lacks and jobs that wait need."""

    member: str
    member_name: str
    model: str
    model_name: str
    bytes: _BYTES
    jobs: _NUMBER
    source: str = ""
    """The member that it can be copied from; empty: none that is here."""
    repo: str = ""
    state: str = ""
    """Empty until somebody has answered; ``copying``, ``failed``."""
    done: _BYTES = 0
    error: str = ""
    kind: str = "model"
    """Or as `Network.kind`."""


@dataclass(frozen=True)
class State(Event):
    """Who is here and does what."""

    farm: str
    seats: tuple[Seat, ...]
    offers: tuple[Offer, ...] = ()
    waiting: _NUMBER = 0
    """Pictures that nobody draws yet."""
    remarks: tuple[str, ...] = ()
    """Sentences a person should know."""
    alone: bool = False
    """Whether it is a Mac's own word, which draws its own queue while its scheduler is away."""


@dataclass(frozen=True)
class Preview(Event):
    """What a member is drawing for the one who asked."""

    member: str
    drawn: Drawn

    def to_json(self) -> dict[str, Any]:
        return {"member": self.member, "drawn": self.drawn.to_json()}

    def block(self) -> bytes:
        return self.drawn.rgb

    def with_block(self, block: bytes) -> Preview:
        return replace(self, drawn=self.drawn.with_block(block))


# -- from member to member, by way of the scheduler -----------------------------------------------


@dataclass(frozen=True)
class Want(Event):
    """Give me the bytes of a file from `offset` on."""

    to: str
    """The member that has it; in what arrives: the one that asks."""
    kind: str
    """``picture``, ``input``, ``model`` or ``network``."""
    name: str
    offset: _BYTES = 0


@dataclass(frozen=True)
class Piece(Event):
    """Bytes of a file; an answer to `Want`."""

    to: str
    kind: str
    name: str
    offset: _BYTES
    total: _BYTES
    error: SfumatoError | None = None
    data: bytes = b""

    def to_json(self) -> dict[str, Any]:
        return _without(self, "data")

    def block(self) -> bytes:
        return self.data

    def with_block(self, block: bytes) -> Piece:
        if len(block) > MAX_PIECE or self.offset + len(block) > self.total:
            raise ValueError(f"{len(block)} bytes of a file where there are none")
        return replace(self, data=block)


FROM_MEMBER = (
    Enrol, Hello, Beat, Stock, Jobs, Drawn, Finished, Unmade, Got, Missing, Allow, Received, Leave,
    Remove, Invite, Want, Piece,
)  # fmt: skip
FROM_SCHEDULER = (
    Enrolled, Welcome, Refused, Invitation, Draw, Stop, Begun, Made, Failed, FetchModel, State,
    Preview, Got, Want, Piece, Beat,
)  # fmt: skip
TO_SCHEDULER = Interface("farm", "The farm", (), FROM_MEMBER)
TO_MEMBER = Interface("farm", "The farm", (), FROM_SCHEDULER)
