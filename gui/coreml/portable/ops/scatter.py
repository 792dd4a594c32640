"""Writing at computed places: the scatter family and updates of slices.

Every form comes down to rows: the tensor as [places, elements of a row], the updates as one row per
index.  Where an index occurs twice, ``update`` keeps one of its rows and the other modes take all.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from gui.coreml.portable.ir import Op, ProgramError
from gui.coreml.portable.ops.context import RuleContext, normalized_axis, rule
from gui.coreml.portable.ops.shapes import slice_bounds

_MODES = ("update", "add", "sub", "mul", "div", "max", "min")


def _combine(
    rows: torch.Tensor, places: torch.Tensor, updates: torch.Tensor, mode: str
) -> torch.Tensor:
    """`rows` [N, R] with `updates` [M, R] worked in at `places` [M]."""
    rows, updates = rows.clone(), updates.to(rows.dtype)
    if mode == "update":
        rows[places] = updates
        return rows
    if mode in ("add", "sub"):
        return rows.index_add_(0, places, updates, alpha=1 if mode == "add" else -1)
    if mode == "div":
        divisors = torch.ones_like(rows).index_reduce_(0, places, updates, "prod")
        rounding = None if rows.is_floating_point() else "trunc"
        return torch.div(rows, divisors, rounding_mode=rounding)
    return rows.index_reduce_(
        0, places, updates, {"mul": "prod", "max": "amax", "min": "amin"}[mode]
    )


def _within(
    places: torch.Tensor, updates: torch.Tensor, inside: torch.Tensor, strict: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Only the rows whose indices lie inside; outside nothing is defined but that no harm is done.

    Raises:
        IndexError: where the program asks for indices to be checked.
    """
    if bool(inside.all()):
        return places, updates
    if strict:
        raise IndexError("an index lies outside the tensor")
    return places[inside], updates[inside]


def _counted(indices: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices counted from the front, and which of them lie inside."""
    indices = indices.long()
    indices = torch.where(indices < 0, indices + size, indices)
    return indices, (indices >= 0) & (indices < size)


def _scatter(
    data: torch.Tensor,
    axis: int,
    mode: str,
    strict: bool,
    indices: torch.Tensor,
    updates: torch.Tensor,
) -> torch.Tensor:
    moved = data.movedim(axis, 0)
    row = math.prod(moved.shape[1:])
    places, inside = _counted(indices.reshape(-1), data.shape[axis])
    order = list(range(axis, axis + indices.ndim))
    lined_up = updates.movedim(order, list(range(indices.ndim))).reshape(places.numel(), row)
    places, lined_up = _within(places, lined_up, inside, strict)
    done = _combine(moved.reshape(data.shape[axis], row), places, lined_up, mode)
    return done.reshape(moved.shape).movedim(0, axis)


def _scatter_nd(
    data: torch.Tensor, mode: str, strict: bool, indices: torch.Tensor, updates: torch.Tensor
) -> torch.Tensor:
    depth = indices.shape[-1]
    count = math.prod(indices.shape[:-1])
    row = math.prod(data.shape[depth:])
    places = torch.zeros(count, dtype=torch.int64)
    inside = torch.ones(count, dtype=torch.bool)
    for size, column in zip(data.shape, indices.reshape(count, depth).unbind(-1), strict=False):
        counted, fits = _counted(column, size)
        places, inside = places * size + counted, inside & fits
    places, updates = _within(places, updates.reshape(count, row), inside, strict)
    rows = data.reshape(math.prod(data.shape[:depth]), row)
    return _combine(rows, places, updates, mode).reshape(data.shape)


def _scatter_along_axis(
    data: torch.Tensor,
    axis: int,
    mode: str,
    strict: bool,
    indices: torch.Tensor,
    updates: torch.Tensor,
) -> torch.Tensor:
    counted, inside = _counted(indices, data.shape[axis])
    places = torch.zeros_like(counted)
    for n, size in enumerate(data.shape):
        shape = [1] * data.ndim
        shape[n] = indices.shape[n]
        along = counted if n == axis else torch.arange(indices.shape[n]).reshape(shape)
        places = places * size + along
    flat, lined_up = _within(places.reshape(-1), updates.reshape(-1, 1), inside.reshape(-1), strict)
    return _combine(data.reshape(-1, 1), flat, lined_up, mode).reshape(data.shape)


def _mode(ctx: RuleContext, op: Op) -> str:
    mode = ctx.text(op, "mode", "add")
    if mode not in _MODES:
        raise ProgramError(f"{op.type} at {op.name}: there is no mode {mode}")
    return mode


@rule("scatter", "scatter_along_axis")
def scatter(ctx: RuleContext, op: Op) -> Any:
    axis = normalized_axis(ctx.integer(op, "axis", 0), len(ctx.shape(op, "data")))
    return ctx.emit(
        _scatter if op.type == "scatter" else _scatter_along_axis,
        ctx.tensor(op, "data"),
        axis,
        _mode(ctx, op),
        ctx.flag(op, "validate_indices"),
        ctx.tensor(op, "indices"),
        ctx.tensor(op, "updates"),
    )


@rule("scatter_nd")
def scatter_nd(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(
        _scatter_nd,
        ctx.tensor(op, "data"),
        _mode(ctx, op),
        ctx.flag(op, "validate_indices"),
        ctx.tensor(op, "indices"),
        ctx.tensor(op, "updates"),
    )


def _slice_update(x: torch.Tensor, update: torch.Tensor, bounds: list[int | slice]) -> torch.Tensor:
    x = x.clone()
    forwards, flipped, axis = [], [], 0
    for bound, size in zip(bounds, x.shape, strict=True):
        if isinstance(bound, int):
            forwards.append(bound)
            continue
        picked = range(*bound.indices(size))
        if picked.step < 0:  # torch slices forwards only
            picked = picked[::-1]
            flipped.append(axis)
        forwards.append(slice(picked.start, picked.stop, picked.step))
        axis += 1
    x[tuple(forwards)] = torch.flip(update, flipped).to(x.dtype)
    return x


@rule("slice_update")
def slice_update(ctx: RuleContext, op: Op) -> Any:
    bounds = slice_bounds(ctx, op)
    return ctx.emit(_slice_update, ctx.tensor(op, "x"), ctx.tensor(op, "update"), bounds)
