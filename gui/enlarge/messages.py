"""What the window or the command line and the process that enlarges say to each other.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from gui.process.messages import Event, Interface, Question
from gui.records import Record
from gui.request import ComputeUnit


@dataclass(frozen=True)
class Upscaler(Record):
    """An upscaling network on this disk, in words."""

    name: str
    summary: str
    """What it suits, as its file says; may be empty."""
    size_bytes: int


@dataclass(frozen=True)
class ListUpscalers(Question[tuple[Upscaler, ...]]):
    """Which there are."""


@dataclass(frozen=True)
class Pieces(Event):
    """`done` of `total` pieces of the picture are enlarged."""

    done: int
    total: int


@dataclass(frozen=True)
class Enlarged(Record):
    """A picture that was saved."""

    path: str
    width: int
    height: int


@dataclass(frozen=True)
class EnlargePicture(Question[Enlarged]):
    """Save a picture enlarged, under a name of its own."""

    file: str
    factor: int
    upscaler: str = ""
    """Name or path; empty: the first."""
    folder: str = ""
    """Empty: beside the picture."""
    compute_unit: ComputeUnit = ComputeUnit.ALL


ENLARGER = Interface("enlarge", "The upscaler", (ListUpscalers, EnlargePicture), (Pieces,))
