"""What window and engine say to each other, in the dialect of `gui.process.messages`.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from gui.process.messages import Event, Interface, Question
from gui.records import Record
from gui.request import ComputeUnit, PictureRecord, PictureRequest


@dataclass(frozen=True)
class Generate(Question[None]):
    """Make the pictures of `request`, from number `first` on (earlier ones exist already)."""

    job: str
    """Goes into the pictures, so that they can be known again."""
    request: PictureRequest
    first: int = 0
    resumed: bool = False
    """Whether the job was begun before, so that pictures of it may exist from `first` on."""
    live: bool = False
    """Show one picture with a `Frame`, and keep nothing of it."""


@dataclass(frozen=True)
class Prepare(Question[None]):
    """Load what `request` needs, as long as nobody needs the engine; nothing is made."""

    job: str
    request: PictureRequest


@dataclass(frozen=True)
class Preview(Record):
    """A rough picture of the present latents.  `rgb` is row by row, 3 bytes per pixel."""

    width: int
    height: int
    rgb: bytes = b""


@dataclass(frozen=True)
class Ready(Event):
    """The engine has imported what it needs and waits for work."""

    pid: int
    runtime: str
    """``native`` or ``portable``."""
    versions: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class UnitInUse(Event):
    """A model is used with the compute unit that was measured to be the quickest for its steps."""

    model_hash: str
    unit: ComputeUnit


@dataclass(frozen=True)
class Loading(Event):
    """Component `index` (from 0) of `total` is being loaded; `elapsed` seconds since the first."""

    component: str
    index: int
    total: int
    elapsed: float
    preparing: bool = False
    """Core ML prepares it for the Neural Engine, which it does once and takes minutes for."""
    sparing: bool = False
    """Whether networks are loaded one after the other, as memory is short or shall be spared."""


@dataclass(frozen=True)
class Prepared(Event):
    """The model is loaded; pictures will have this size in pixels."""

    name: str
    width: int
    height: int


@dataclass(frozen=True)
class Step(Event):
    """Step `step` (from 1) of `steps` of picture `picture_index` (from 0) is done."""

    picture_index: int
    step: int
    steps: int
    seconds_per_step: float
    preview: Preview | None = None

    def to_json(self) -> dict[str, Any]:
        preview = self.preview
        if preview is None:
            return super().to_json()
        size = {"width": preview.width, "height": preview.height}
        return {**replace(self, preview=None).to_json(), "preview": size}

    def block(self) -> bytes:
        return self.preview.rgb if self.preview is not None else b""

    def with_block(self, block: bytes) -> Step:
        if self.preview is None:
            return super().with_block(block)
        width, height = self.preview.width, self.preview.height
        if width < 1 or height < 1 or len(block) != 3 * width * height:
            raise ValueError(f"a preview of {width} × {height} with {len(block)} bytes")
        return replace(self, preview=Preview(width, height, block))


@dataclass(frozen=True)
class Enlarging(Event):
    """`done` of `total` pieces of picture `picture_index` are enlarged."""

    picture_index: int
    done: int
    total: int


@dataclass(frozen=True)
class Image(Event):
    """Picture `picture_index` is finished and saved at `path`."""

    picture_index: int
    path: str
    record: PictureRecord


@dataclass(frozen=True)
class Frame(Event):
    """The finished picture of a live job, which is kept nowhere.  `rgb` is row by row, 3 bytes per
    pixel."""

    width: int
    height: int
    rgb: bytes = b""

    def to_json(self) -> dict[str, Any]:
        return {"width": self.width, "height": self.height}

    def block(self) -> bytes:
        return self.rgb

    def with_block(self, block: bytes) -> Frame:
        if self.width < 1 or self.height < 1 or len(block) != 3 * self.width * self.height:
            raise ValueError(f"a frame of {self.width} × {self.height} with {len(block)} bytes")
        return replace(self, rgb=block)


JobEvent = Loading | Prepared | Step | Enlarging | Image | Frame

ENGINE = Interface(
    "engine",
    "The engine",
    (Generate, Prepare),
    (Ready, UnitInUse, Loading, Prepared, Step, Enlarging, Image, Frame),
)
