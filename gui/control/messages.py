"""What the window or the command line and the process that makes control pictures say to each
other.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gui.control_use import USUAL, Preprocessor, PreprocessorSettings
from gui.process.messages import Event, Interface, Question
from gui.records import Record
from gui.request import ComputeUnit


@dataclass(frozen=True)
class Prepared(Record):
    """A control picture was made, and told before."""

    width: int
    height: int
    """Of the picture that it was made of."""
    cut: bool
    """Whether something of that lies outside."""


@dataclass(frozen=True)
class PrepareControl(Question[Prepared]):
    """Make what a ControlNet would be shown."""

    file: str
    width: int
    height: int
    """Pixels of the picture that is to be led."""
    preprocessor: Preprocessor
    network: str = ""
    """Of `Preprocessor.NETWORK`."""
    compute_unit: ComputeUnit = ComputeUnit.ALL
    settings: PreprocessorSettings = USUAL


@dataclass(frozen=True)
class ControlPicture(Event):
    """The pixels, row by row, 4 bytes each: red, green, blue, alpha."""

    width: int
    height: int
    rgba: bytes = b""

    def to_json(self) -> dict[str, int]:  # type: ignore[override]
        return {"width": self.width, "height": self.height}

    def block(self) -> bytes:
        return self.rgba

    def with_block(self, block: bytes) -> ControlPicture:
        if self.width < 1 or self.height < 1 or len(block) != 4 * self.width * self.height:
            raise ValueError(f"{self.width} × {self.height} pixels with {len(block)} bytes")
        return replace(self, rgba=block)


CONTROL = Interface(
    "control", "The maker of control pictures", (PrepareControl,), (ControlPicture,)
)
