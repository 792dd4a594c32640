"""The window's and the command line's end of the process that measures (`gui.measure.service`).

No Qt and nothing heavy.  Every compute unit is tried in a process of its own: what ends it, or
takes too long, is that unit's result, and the next one is tried.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from gui import __version__, words
from gui.coreml.model import Attention, ModelInfo
from gui.errors import Cancelled, unusable
from gui.hub.machine import this_computer, this_machine
from gui.library import unit_times
from gui.library.unit_times import Computer, Measurement, UnitOutcome, UnitTimes
from gui.measure.messages import MEASURER, TryEvent, TryUnit, UnitMeasured
from gui.process.child import ChildLost
from gui.process.supervisor import Supervisor
from gui.request import ComputeUnit, Precision

FEW_STEPS = 4
"""Enough to tell units apart; the first one warms up and is not counted."""
LIMIT_SECONDS = 300.0
"""For one compute unit that is measured unasked.  A first compilation for the Neural Engine of a
Stable Diffusion 1 takes a minute or two."""
PATIENT_SECONDS = 1800.0
"""Where a person asked for it.  355 s have been seen for the compilation alone
(apple/ml-stable-diffusion issue 292)."""


@dataclass(frozen=True)
class Subject:
    """The model that is measured."""

    folder: str
    """Empty: the starter model."""
    name: str
    identity: str
    """`gui.coreml.inspect.model_hash`."""
    width: int
    height: int
    attention: str = ""
    compression: str = ""


def subject_of(info: ModelInfo, folder: str, name: str, identity: str) -> Subject:
    return Subject(
        folder,
        name,
        identity,
        info.image_width,
        info.image_height,
        info.attention.value,
        info.compression,
    )


def read_subject(folder: Path) -> Subject:
    """A model on this disk.  Blocking.

    Raises:
        SfumatoError: BAD_MODEL where it cannot be used.
    """
    from gui.coreml.inspect import inspect_model, model_hash  # the window does without it

    info = inspect_model(folder)
    if info.problems:
        raise unusable(info.problems[0], "\n".join(info.problems))
    return subject_of(info, str(folder), info.name, model_hash(info))


@cache
def this_apple_silicon() -> bool:
    """Whether this is a Mac with a Neural Engine.  Blocking."""
    return this_machine().apple_silicon


def all_units(computer: Computer, *, apple_silicon: bool) -> tuple[ComputeUnit, ...]:
    """The compute units there are on a computer."""
    if computer.runtime != "native":
        return (ComputeUnit.CPU_ONLY,)
    if not apple_silicon:
        return (ComputeUnit.CPU_AND_GPU, ComputeUnit.CPU_ONLY)
    return (
        ComputeUnit.CPU_AND_NE,
        ComputeUnit.CPU_AND_GPU,
        ComputeUnit.ALL,
        ComputeUnit.CPU_ONLY,
    )


def units_unasked(
    computer: Computer, attention: str, *, apple_silicon: bool
) -> tuple[ComputeUnit, ...]:
    """Those that are worth a try when nobody asked for it; empty where there is nothing to choose.

    The CPU alone is slower than either on every Mac with a Neural Engine, and original attention
    does not fit the Neural Engine: it is slow there at best.
    """
    units = all_units(computer, apple_silicon=apple_silicon)
    if apple_silicon:
        units = tuple(unit for unit in units if unit is not ComputeUnit.CPU_ONLY)
    if attention == Attention.ORIGINAL.value:
        units = tuple(unit for unit in units if unit is not ComputeUnit.CPU_AND_NE)
    return units if len(units) > 1 else ()


class Measurer:
    """Tries compute units one after the other.

    `abandon` may be called from any thread; everything else from one at a time.

    Args:
        computer: what is measured on; None: this one.
        command: program and arguments of the process; None: this program's own.
    """

    def __init__(self, computer: Computer | None = None, command: list[str] | None = None) -> None:
        self.computer = computer or this_computer()
        self._command = command
        self._process: Supervisor | None = None
        self._abandoned = threading.Event()

    def known(self, subject: Subject) -> Measurement | None:
        """What was measured of a model under this build of the system.  Blocking."""
        return unit_times.find(subject.identity, self.computer)

    def measure(
        self,
        subject: Subject,
        units: Sequence[ComputeUnit],
        *,
        steps: int = FEW_STEPS,
        limit: float = PATIENT_SECONDS,
        precision: Precision = Precision.FP32,
        only_missing: bool = False,
        even_crashed: bool = False,
        on_unit: Callable[[ComputeUnit, int, int], None] = lambda *_: None,
        on_event: Callable[[TryEvent], None] = lambda _event: None,
        on_result: Callable[[Measurement], None] = lambda _measurement: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Measurement:
        """Try each of `units`, and keep what comes of it at once.

        Args:
            steps: of the picture that is made for it.
            limit: seconds for one unit, loading included.
            precision: of the portable runtime; what is measured in another than float32 is
                compared, decides nothing, and is not kept.
            only_missing: leave out what has a result already.
            even_crashed: try again what crashed, or gave what are no numbers.
            on_unit: told before each: which, its number from 0, and how many.
            on_result: told what there is after each.
            cancelled: asked several times a second; the process is ended at once then.

        Raises:
            SfumatoError: the model cannot be used, or no process can be started.
            Cancelled: `cancelled` has said yes, or this was abandoned; what was measured is kept.
        """
        kept = precision is Precision.FP32
        found = self._begun(subject, units, self.known(subject) if kept else None)
        found = replace(found, precision=precision)
        todo = [
            unit
            for unit in units
            if (known := found.of(unit)) is None
            or not (only_missing or (known.outcome in unit_times.NEVER_AGAIN and not even_crashed))
        ]
        for number, unit in enumerate(todo):
            on_unit(unit, number, len(todo))
            ask = TryUnit(subject.folder, unit, steps, precision)
            times = self._try(ask, limit, on_event, cancelled)
            wanted = dict.fromkeys((*found.wanted, unit))
            found = replace(found.with_unit(times), wanted=tuple(wanted))
            if kept:
                unit_times.keep(found)
            on_result(found)
        return found

    def abandon(self) -> None:
        """End the process under the unit that is being tried, for good."""
        self._abandoned.set()
        process = self._process
        if process is not None:
            process.abandon()

    def _begun(
        self, subject: Subject, units: Sequence[ComputeUnit], known: Measurement | None
    ) -> Measurement:
        wanted = units
        if known is not None:  # what was complete stays so until more has been measured
            wanted = known.wanted if known.complete else (*known.wanted, *units)
        return Measurement(
            subject.name,
            subject.identity,
            self.computer,
            subject.width,
            subject.height,
            subject.attention,
            subject.compression,
            tuple(dict.fromkeys(wanted)),
            known.units if known is not None else (),
            datetime.now(UTC).isoformat(timespec="seconds"),
            __version__,
        )

    def _try(
        self,
        ask: TryUnit,
        limit: float,
        on_event: Callable[[TryEvent], None],
        cancelled: Callable[[], bool],
    ) -> UnitTimes:
        unit = ask.unit
        measured: UnitTimes | None = None

        def hear(event: TryEvent) -> None:
            nonlocal measured
            if isinstance(event, UnitMeasured):
                measured = event.times
            on_event(event)

        end = time.monotonic() + limit
        process = self._process = Supervisor(MEASURER, self._command)
        try:
            if self._abandoned.is_set():
                raise Cancelled
            return process.ask(
                ask,
                hear,
                lambda: cancelled() or self._abandoned.is_set() or time.monotonic() > end,
            )
        except Cancelled:
            if cancelled() or self._abandoned.is_set():
                raise
            return measured or UnitTimes(unit, UnitOutcome.TOO_SLOW, why=_too_slow(limit))
        except ChildLost as lost:
            if self._abandoned.is_set():
                raise Cancelled from lost
            if not process.came_up:
                raise
            return measured or _crashed(unit, lost)
        finally:
            process.close()
            self._process = None


def _too_slow(limit: float) -> str:
    return f"It was not done within {words.duration(limit)}."


def _crashed(unit: ComputeUnit, lost: ChildLost) -> UnitTimes:
    if lost.status == -signal.SIGKILL:  # by the system, and under other circumstances it may run
        why = "The system ended the process that ran it, perhaps because the memory ran out."
        return UnitTimes(unit, UnitOutcome.REFUSED, why=why)
    return UnitTimes(unit, UnitOutcome.CRASHED, why="It ended the process that ran it.")
