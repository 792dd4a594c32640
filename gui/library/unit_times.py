"""How fast each compute unit ran a model on this machine, as it was measured, and which to use.

Kept by machine, build of the system and model: another one of either is measured anew, and what
crashed under the old system is tried again.  Standard library only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from gui import paths, records
from gui.files import UnreadableFile, parse_json, read_text
from gui.library.temporaries import write_whole
from gui.records import Record, RecordError
from gui.request import ComputeUnit, Precision

FILE_NAME = "compute-units.json"
_MOST = 200
"""Models that are remembered; those measured longest ago are forgotten."""
_MAX_BYTES = 4_000_000
_CLEARLY = 0.9
"""A network that runs once for a picture leaves the UNet's unit only where another takes less than
this share of its time: each unit that is used costs a start of its own."""

UNET = "unet"
"""The network that is run at every step; the values are those of `gui.coreml.model`."""
_LIKE = {
    "control-unet": UNET,
    "refiner": UNET,
    "mmdit": UNET,
    "controlnet": UNET,
    "vae_encoder": "vae_decoder",
    "text_encoder_2": "text_encoder",
}
"""Networks that are not measured, or not always, and those whose unit suits them."""


class UnitOutcome(StrEnum):
    MEASURED = "measured"
    CRASHED = "crashed"
    """The process that ran it ended."""
    NOT_FINITE = "not_finite"
    """It gave what are no numbers."""
    REFUSED = "refused"
    """Core ML would not run it, and said so."""
    TOO_SLOW = "too_slow"
    """It was not done within the time that was set."""


NEVER_AGAIN = frozenset({UnitOutcome.CRASHED, UnitOutcome.NOT_FINITE})
"""What is not tried again under the same build of the system, unless a person asks for it."""


@dataclass(frozen=True)
class Computer(Record):
    """What a measurement holds for."""

    chip: str
    """``Apple M2 Pro``."""
    system: str
    """``macOS 15.2``."""
    build: str
    """Of the system: ``24C101``; elsewhere its kernel's release."""
    runtime: str
    """``native`` or ``portable``."""
    cores: int = 0
    memory_bytes: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.chip, self.build, self.runtime


@dataclass(frozen=True)
class PartTime(Record):
    """One network."""

    component: str
    load: float
    """Seconds until it was ready, in a process that had not had it before."""
    run: float = 0.0
    """Seconds for one run, the first not counted where there are several."""
    runs: int = 0
    devices: dict[str, float] = field(default_factory=dict[str, float])
    """Share of its work on each processor by Core ML's plan (``neural_engine``, ``gpu``, ``cpu``);
    empty: not known."""


@dataclass(frozen=True)
class UnitTimes(Record):
    """One compute unit."""

    unit: ComputeUnit
    outcome: UnitOutcome
    steps: int = 0
    seconds: float = 0.0
    """For a picture of so many steps, text and decoding included, once all was loaded."""
    per_step: float = 0.0
    """Seconds; the median, the first step not counted."""
    start: float = 0.0
    """Seconds until all networks were loaded."""
    parts: tuple[PartTime, ...] = ()
    why: str = ""
    """What went wrong, in a sentence."""


@dataclass(frozen=True)
class Measurement(Record):
    """A model on a computer."""

    model: str
    """Its name."""
    model_hash: str
    computer: Computer
    width: int
    height: int
    """Of the pictures."""
    attention: str = ""
    compression: str = ""
    wanted: tuple[ComputeUnit, ...] = ()
    """What was to be tried."""
    units: tuple[UnitTimes, ...] = ()
    created: str = ""
    """ISO 8601."""
    sfumato: str = ""
    """Version."""
    precision: Precision = Precision.FP32
    """What the portable runtime computed in."""

    @property
    def complete(self) -> bool:
        """Whether all that was to be tried has been."""
        return bool(self.wanted) and {*self.wanted} <= {times.unit for times in self.units}

    @property
    def left(self) -> tuple[ComputeUnit, ...]:
        """What has not been tried."""
        known = {times.unit for times in self.units}
        return tuple(unit for unit in self.wanted if unit not in known)

    def of(self, unit: ComputeUnit) -> UnitTimes | None:
        return next((times for times in self.units if times.unit is unit), None)

    def with_unit(self, times: UnitTimes) -> Measurement:
        others = [each for each in self.units if each.unit is not times.unit]
        order = list(ComputeUnit)
        units = sorted([*others, times], key=lambda each: order.index(each.unit))
        return replace(self, units=tuple(units))


def choice(measurement: Measurement | None) -> dict[str, ComputeUnit]:
    """The compute unit for each network that was measured, by the kind of component; empty where
    not all that was wanted has been tried, or nothing ran.

    The UNet gets the quickest for a step.  The others stay with it, unless another one is clearly
    quicker.
    """
    if measurement is None or not measurement.complete:
        return {}
    ran = [times for times in measurement.units if times.outcome is UnitOutcome.MEASURED]
    if not ran:
        return {}
    best = min(ran, key=lambda times: times.per_step)
    chosen = {UNET: best.unit}
    for part in best.parts:
        quickest, unit = part.run, best.unit
        for times in ran:
            for other in times.parts:
                if other.component == part.component and other.run < _CLEARLY * quickest:
                    quickest, unit = other.run, times.unit
        chosen.setdefault(part.component, unit)
    return chosen


def unit_for(chosen: Mapping[str, ComputeUnit], component: str) -> ComputeUnit:
    """What a choice says of a kind of component; ALL, Core ML's own choice, where it says
    nothing."""
    found = chosen.get(component) or chosen.get(_LIKE.get(component, ""))
    return found or ComputeUnit.ALL


def find(model_hash: str, computer: Computer) -> Measurement | None:
    """What is known of a model on this computer.  Never raises.  Blocking."""
    return next((m for m in reversed(_read()) if _is(m, model_hash, computer)), None)


def keep(measurement: Measurement) -> None:
    """Keep a measurement in place of the one before.  Never raises.  Blocking."""
    others = [m for m in _read() if not _is(m, measurement.model_hash, measurement.computer)]
    _write([*others, measurement])


def note_crash(model_hash: str, computer: Computer, unit: ComputeUnit) -> bool:
    """What was measured ended the engine when it was used: it is chosen no more.  Never raises.
    Blocking.

    Returns:
        Whether it had been measured at all.
    """
    known = find(model_hash, computer)
    times = known.of(unit) if known is not None else None
    if known is None or times is None:
        return False
    why = "It ended the engine while a picture was made."
    keep(known.with_unit(replace(times, outcome=UnitOutcome.CRASHED, why=why)))
    return True


def forget(model_hash: str, computer: Computer) -> None:
    """As if it had not been measured.  Never raises.  Blocking."""
    _write([m for m in _read() if not _is(m, model_hash, computer)])


def _is(measurement: Measurement, model_hash: str, computer: Computer) -> bool:
    same = measurement.computer.key == computer.key
    return same and bool(model_hash) and measurement.model_hash == model_hash


def _read() -> list[Measurement]:
    try:
        data = parse_json(read_text(paths.data_dir() / FILE_NAME, _MAX_BYTES))
    except (OSError, UnreadableFile):
        return []
    measured: Any = data.get("measured") if isinstance(data, dict) else None
    return list(_measurements(measured if isinstance(measured, list) else ()))


def _measurements(data: Iterable[Any]) -> Iterable[Measurement]:
    for each in data:
        with contextlib.suppress(RecordError):
            yield Measurement.from_json(each)


def _write(measurements: list[Measurement]) -> None:
    data = {"format": 1, "measured": [m.to_json() for m in measurements[-_MOST:]]}
    with contextlib.suppress(OSError):
        paths.data_dir().mkdir(parents=True, exist_ok=True)
        text = records.dumps(data)
        write_whole(paths.data_dir(), FILE_NAME, text.encode(), overwrite=True)
