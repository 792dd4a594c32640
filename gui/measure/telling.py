"""A measurement in words, the same in the window and on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gui import words
from gui.library.unit_times import (
    UNET,
    Computer,
    Measurement,
    PartTime,
    UnitOutcome,
    UnitTimes,
    choice,
)
from gui.request import ComputeUnit

_WHY = {
    UnitOutcome.CRASHED: "Crashed, and is not tried again on this version of the system.",
    UnitOutcome.NOT_FINITE: "Gave no usable numbers, and is not tried again on this version of the "
    "system.",
    UnitOutcome.REFUSED: "Did not run.",
    UnitOutcome.TOO_SLOW: "Took too long, and was given up.",
}


@dataclass(frozen=True)
class UnitRow:
    """A line of the table."""

    unit: ComputeUnit
    name: str
    speed: str
    """``2.1 it/s``; empty where it did not run."""
    start: str
    """``95 s``: until the model was ready the first time."""
    note: str
    """Why it did not run."""
    plan: str
    """Where the work is done."""
    best: bool
    """Whether steps are made with it."""


def unit_name(unit: ComputeUnit, computer: Computer) -> str:
    return "CPU (portable)" if computer.runtime != "native" else words.UNITS[unit.value]


def rows(measurement: Measurement) -> list[UnitRow]:
    """The table, quickest first, then what did not run."""
    best = choice(measurement).get(UNET)
    ran = [times for times in measurement.units if times.outcome is UnitOutcome.MEASURED]
    ran.sort(key=lambda times: times.per_step)
    ordered = [*ran, *(times for times in measurement.units if times not in ran)]
    return [_row(times, measurement.computer, times.unit is best) for times in ordered]


def _row(times: UnitTimes, computer: Computer, best: bool) -> UnitRow:
    ran = times.outcome is UnitOutcome.MEASURED
    return UnitRow(
        times.unit,
        unit_name(times.unit, computer),
        words.iterations(times.per_step) if ran else "",
        words.measured(times.start) if ran else "",
        "" if ran else f"{_WHY[times.outcome]} {times.why}".strip(),
        ". ".join(plan_lines(times.parts)),
        best,
    )


def headline(measurement: Measurement) -> str:
    """All in one line: ``GPU 3.0 it/s (first start 4 s), Neural Engine 2.1 it/s (first start
    95 s)``."""
    parts = [
        f"{row.name} {row.speed} (first start {row.start})" if row.speed else f"{row.name}: none"
        for row in rows(measurement)
    ]
    return ", ".join(parts)


def where(measurement: Measurement) -> str:
    """What it holds for: ``512 × 512 pixels · Apple M2 Pro · macOS 15.2 (24C101)``."""
    computer = measurement.computer
    build = f" ({computer.build})" if computer.build else ""
    size = f"{words.pixels(measurement.width, measurement.height)} pixels"
    return words.plain(f"{size} · {computer.chip} · {computer.system}{build}")


def choice_sentence(measurement: Measurement) -> str:
    """What is used where nothing is chosen; empty where nothing is known yet."""
    computer = measurement.computer
    chosen = choice(measurement)
    unet = chosen.get(UNET)
    if unet is None or len(measurement.units) < 2:
        return ""
    others: dict[ComputeUnit, list[str]] = {}
    for component, unit in chosen.items():
        if unit is not unet:
            others.setdefault(unit, []).append(f"the {words.component(component)}")
    told = [
        f"{unit_name(unit, computer)} for {words.listed(parts)}" for unit, parts in others.items()
    ]
    more = f", and {words.listed(told)}" if told else ""
    return f"Automatic uses: {unit_name(unet, computer)}{more}."


def plan_lines(parts: tuple[PartTime, ...]) -> Iterator[str]:
    """Where each network really runs: ``UNet: 98% Neural Engine, 2% CPU``."""
    for part in parts:
        if part.devices:
            yield f"{words.capital(words.component(part.component))}: {shares(part.devices)}"


def shares(devices: Mapping[str, float]) -> str:
    """Shares of a whole, the largest first: ``98% Neural Engine, 2% CPU``."""
    told: list[str] = []
    for device, share in sorted(devices.items(), key=lambda each: -each[1]):
        if share <= 0:
            continue
        percent = round(100 * share)
        figure = "under 1%" if percent < 1 else "over 99%" if percent == 100 > 100 * share else ""
        told.append(f"{figure or f'{percent}%'} {words.PROCESSORS.get(device, device)}")
    return ", ".join(told)
