"""Where a conversion stands, as one value.  No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from gui.convert.types import ConvertReport, ConvertRequest, Parity, Progress, Step
from gui.errors import SfumatoError


class ConvertPhase(StrEnum):
    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    """What was finished is kept; it can go on."""
    CANCELLED = "cancelled"
    PAUSED = "paused"
    """By the person; what was finished is kept."""


@dataclass(frozen=True)
class ComponentRow:
    """One component on the progress page."""

    name: str
    step: Step
    done: bool = False
    resumed: bool = False
    """Found finished by an earlier run."""
    parities: tuple[Parity, ...] = ()


@dataclass(frozen=True)
class ConvertStatus:
    """Where the conversion stands."""

    phase: ConvertPhase = ConvertPhase.IDLE
    request: ConvertRequest | None = None
    rows: tuple[ComponentRow, ...] = ()
    index: int = 0
    total: int = 0
    closing: Step | None = None
    """Work on the whole model, after its components."""
    fraction: float = 0.0
    elapsed: float = 0.0
    left: float = 0.0
    """0: not known."""
    error: SfumatoError | None = None
    report: ConvertReport | None = None

    @property
    def busy(self) -> bool:
        return self.phase in (ConvertPhase.RUNNING, ConvertPhase.STOPPING)

    @property
    def title(self) -> str:
        request = self.request
        return (request.name or Path(request.output).name) if request else ""

    @property
    def step(self) -> str:
        """What is being done now, in words."""
        current = next((row for row in reversed(self.rows) if not row.done), None)
        if current is not None:
            return f"{STEP_WORDS[current.step]} {current.name}"
        return STEP_WORDS[self.closing] if self.closing else ""


STEP_WORDS = {
    Step.READING: "Reading",
    Step.TRACING: "Tracing",
    Step.CONVERTING: "Converting",
    Step.COMPRESSING: "Compressing",
    Step.CHUNKING: "Splitting",
    Step.CHECKING: "Checking",
    Step.COMPILING: "Compiling",
    Step.FINISHING: "Finishing",
}


def with_progress(status: ConvertStatus, progress: Progress) -> ConvertStatus:
    """The status after an event."""
    if progress.step in (Step.COMPILING, Step.FINISHING):
        return replace(
            status,
            rows=tuple(replace(row, done=True) for row in status.rows),
            index=progress.total,
            total=progress.total,
            closing=progress.step,
            fraction=max(status.fraction, min(1.0, progress.fraction)),
        )
    rows = list(status.rows)
    place = next((k for k, r in enumerate(rows) if r.name == progress.component), len(rows))
    row = rows[place] if place < len(rows) else ComponentRow(progress.component, progress.step)
    if place > 0 and not row.done:
        # A new one begins when the one before is finished, however its last event was worded.
        rows[:place] = [replace(r, done=True) for r in rows[:place]]
    parities = row.parities + ((progress.parity,) if progress.parity else ())
    done = progress.resumed or row.done or progress.index > place
    row = replace(
        row, step=progress.step, parities=parities, done=done,
        resumed=row.resumed or progress.resumed,
    )  # fmt: skip
    rows[place:] = [row]
    return replace(
        status,
        rows=tuple(rows),
        index=progress.index,
        total=progress.total,
        fraction=max(status.fraction, min(1.0, progress.fraction)),
    )
