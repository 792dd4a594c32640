"""What the window or the command line and the process that measures say to each other.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from gui.library.unit_times import PartTime, UnitTimes
from gui.process.messages import Event, Interface, Question
from gui.request import ComputeUnit, Precision


@dataclass(frozen=True)
class TryUnit(Question[UnitTimes]):
    """Make a picture of a few steps with one compute unit."""

    folder: str
    unit: ComputeUnit
    steps: int
    precision: Precision = Precision.FP32
    """Of the portable runtime."""


@dataclass(frozen=True)
class LoadingPart(Event):
    """Network `index` (from 0) of `total` is being loaded."""

    component: str
    index: int
    total: int


@dataclass(frozen=True)
class PartLoaded(Event):
    """It is ready."""

    part: PartTime


@dataclass(frozen=True)
class StepMade(Event):
    """Step `step` (from 1) of `steps` took so many seconds."""

    step: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class UnitMeasured(Event):
    """All is measured; what follows is Core ML's plan alone, which may come to nothing."""

    times: UnitTimes


TryEvent = LoadingPart | PartLoaded | StepMade | UnitMeasured

MEASURER = Interface(
    "measure",
    "The measurement",
    (TryUnit,),
    (LoadingPart, PartLoaded, StepMade, UnitMeasured),
)
