"""A grid of pictures: which parameters change along its sides, and which cell a request is.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gui.records import Range, Record


@dataclass(frozen=True)
class GridAxis(Record):
    """One side of a grid."""

    field: str
    """A name in `described_fields`, or ``model``."""
    label: str
    """As people know it: ``Steps``."""
    values: tuple[str, ...]
    """In words, in order."""


@dataclass(frozen=True)
class Grid(Record):
    """Both sides; a grid of one row has no second."""

    id: str
    columns: GridAxis
    rows: GridAxis | None = None

    @property
    def width(self) -> int:
        return len(self.columns.values)

    @property
    def height(self) -> int:
        return len(self.rows.values) if self.rows is not None else 1


@dataclass(frozen=True)
class GridCell(Record):
    """That a request is a cell of a grid."""

    grid: str
    """Its id."""
    column: Annotated[int, Range(0, 10_000)]
    """From 0."""
    row: Annotated[int, Range(0, 10_000)]
    label: str = ""
    """What sets it apart: ``Steps 20, Euler a``."""
