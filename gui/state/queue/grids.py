"""A grid in the making: what its two lists stand for, and putting its cells in line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gui.axes import MODEL, Axis, axis_kinds, make_grid, parse_axis
from gui.errors import ErrorKind, SfumatoError
from gui.grid import Grid
from gui.request import PictureRequest
from gui.state.draft import Draft
from gui.state.model_entry import ModelEntry


@dataclass(frozen=True)
class Side:
    """What a person chose for one side."""

    field: str = ""
    """Of `axis_kinds`; empty: this side is not used."""
    text: str = ""
    """The list."""


@dataclass(frozen=True)
class GridPlan:
    """What two sides stand for."""

    grid: Grid
    requests: tuple[PictureRequest, ...]
    base: PictureRequest

    @property
    def count(self) -> int:
        return len(self.requests)


def plan_grid(
    draft: Draft,
    sides: tuple[Side, Side],
    model: str,
    find_model: Callable[[str], ModelEntry],
    **how: Any,
) -> GridPlan:
    """The grid that a draft and two sides make.

    Args:
        sides: columns and rows.
        model: folder of the model in use.
        find_model: the model that a person means by a name.
        how: as `Draft.request_for`.

    Raises:
        SfumatoError: BAD_REQUEST, saying what of the lists is wrong.
    """
    used = [side for side in sides if side.field]
    if not used:
        raise SfumatoError(ErrorKind.BAD_REQUEST, "Choose what changes from column to column.")
    base = replace(draft.request, model=model)

    def named(text: str) -> tuple[str, str]:
        entry = find_model(text)
        return entry.request_folder, entry.name

    axes: list[Axis] = []
    for side in used:
        group = sum(axis.field == side.field for axis in axes)
        axes.append(parse_axis(side.field, side.text, base, named, group))
    grid, cells = make_grid(base, *axes)
    requests = tuple(
        replace(
            replace(draft, request=cell).request_for(cell.model, **how), count=1, grid=cell.grid
        )
        for cell in cells
    )
    return GridPlan(grid, requests, replace(requests[0], prompt=base.prompt, grid=None))


def side_help(field: str) -> str:
    """What the list of a side looks like."""
    return axis_kinds()[field].help if field else ""


__all__ = ["MODEL", "GridPlan", "Side", "axis_kinds", "plan_grid", "side_help"]
