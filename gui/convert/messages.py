"""What is said to the converter's process and by it, in the dialect of `gui.process.messages`.

Nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass

from gui.convert.types import ConvertReport, ConvertRequest, Estimate, Progress, SourceInfo
from gui.errors import SfumatoError
from gui.process.messages import Interface, Question


@dataclass(frozen=True)
class Look(Question[SourceInfo]):
    """What a source is."""

    path: str


@dataclass(frozen=True)
class EstimateIt(Question[Estimate]):
    """What a conversion would take."""

    request: ConvertRequest


@dataclass(frozen=True)
class CheckConversion(Question[SfumatoError | None]):
    """Why a conversion would be refused; None: it would not."""

    request: ConvertRequest


@dataclass(frozen=True)
class Convert(Question[ConvertReport]):
    """Convert; `Progress` is told on the way."""

    request: ConvertRequest


CONVERTER = Interface(
    "convert", "The converter", (Look, EstimateIt, CheckConversion, Convert), (Progress,)
)
