"""Gathering, sorting and one-hot coding."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, normalized_axis, rule, torch_type


def _embed(table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    indices = indices.long()
    rows = table.shape[0]
    return F.embedding(torch.where(indices < 0, indices + rows, indices), table)


def _gather(x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    indices = indices.long()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    return x[(slice(None),) * axis + (indices,)]


def _gather_in_batches(
    x: torch.Tensor, axis: int, batches: int, indices: torch.Tensor
) -> torch.Tensor:
    """Indices of their own for each of the leading `batches` axes."""
    lead, before, after = x.shape[:batches], x.shape[batches:axis], x.shape[axis + 1 :]
    own = indices.shape[batches:]
    moved = x.movedim(axis, batches).reshape(math.prod(lead), x.shape[axis], *before, *after)
    counted = torch.where(indices < 0, indices + x.shape[axis], indices).long()
    picked = moved[torch.arange(moved.shape[0])[:, None], counted.reshape(moved.shape[0], -1)]
    picked = picked.reshape(*lead, *own, *before, *after)
    start = batches + len(before)
    places = [list(range(at, at + len(own))) for at in (batches, start)]
    return picked.movedim(*places)


def _gather_along_axis(x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    indices = indices.long()
    return torch.gather(x, axis, torch.where(indices < 0, indices + x.shape[axis], indices))


def _gather_nd(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return x[tuple(indices.long().unbind(-1))]


def _gather_nd_in_batches(x: torch.Tensor, batches: int, indices: torch.Tensor) -> torch.Tensor:
    lead, own, depth = x.shape[:batches], indices.shape[batches:-1], indices.shape[-1]
    rows = x.reshape(math.prod(lead), *x.shape[batches:])
    columns = indices.reshape(rows.shape[0], -1, depth).long().unbind(-1)
    picked = rows[(torch.arange(rows.shape[0])[:, None], *columns)]
    return picked.reshape(*lead, *own, *x.shape[batches + depth :])


def _non_zero(x: torch.Tensor) -> torch.Tensor:
    return torch.nonzero(x).to(torch.int32)


def _one_hot(
    indices: torch.Tensor, size: int, axis: int, on: float, off: float, kind: torch.dtype
) -> torch.Tensor:
    hot = (indices.long().unsqueeze(-1) == torch.arange(size, device=indices.device)).movedim(
        -1, axis
    )
    return torch.where(hot, torch.tensor(on, dtype=kind), torch.tensor(off, dtype=kind))


def _top_values(x: torch.Tensor, k: int, axis: int, largest: bool) -> torch.Tensor:
    return torch.topk(x, k, axis, largest).values


def _top_indices(x: torch.Tensor, k: int, axis: int, largest: bool) -> torch.Tensor:
    return torch.topk(x, k, axis, largest).indices


@rule("gather")
def gather(ctx: RuleContext, op: Op) -> Any:
    x, indices = ctx.tensor(op, "x"), ctx.tensor(op, "indices")
    rank = len(ctx.shape(op, "x"))
    axis = normalized_axis(ctx.integer(op, "axis", 0), rank)
    batches = ctx.integer(op, "batch_dims", 0)
    if batches:
        return ctx.emit(_gather_in_batches, x, axis, batches, indices)
    if axis == 0 and rank == 2:
        return ctx.emit(_embed, x, indices)
    return ctx.emit(_gather, x, axis, indices)


@rule("gather_along_axis")
def gather_along_axis(ctx: RuleContext, op: Op) -> Any:
    axis = normalized_axis(ctx.integer(op, "axis", 0), len(ctx.shape(op, "x")))
    return ctx.emit(_gather_along_axis, ctx.tensor(op, "x"), axis, ctx.tensor(op, "indices"))


@rule("gather_nd")
def gather_nd(ctx: RuleContext, op: Op) -> Any:
    batches, indices = ctx.integer(op, "batch_dims", 0), ctx.tensor(op, "indices")
    if batches:
        return ctx.emit(_gather_nd_in_batches, ctx.tensor(op, "x"), batches, indices)
    return ctx.emit(_gather_nd, ctx.tensor(op, "x"), indices)


@rule("non_zero")
def non_zero(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(_non_zero, ctx.tensor(op, "x"))


@rule("one_hot")
def one_hot(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(
        _one_hot,
        ctx.tensor(op, "indices"),
        ctx.integer(op, "one_hot_vector_size"),
        ctx.integer(op, "axis", -1),
        ctx.number(op, "on_value", 1.0),
        ctx.number(op, "off_value", 0.0),
        torch_type(op.outputs[0][1].dtype),
    )


@rule("topk")
def topk(ctx: RuleContext, op: Op) -> Any:
    arguments = (
        ctx.tensor(op, "x"),
        ctx.integer(op, "k", 1),
        ctx.integer(op, "axis", -1),
        not ctx.flag(op, "ascending"),
    )
    values, indices = ctx.emit(_top_values, *arguments), ctx.emit(_top_indices, *arguments)
    return (values, indices)[: len(op.outputs)]


@rule("argsort")
def argsort(ctx: RuleContext, op: Op) -> Any:
    descending = not ctx.flag(op, "ascending")
    return ctx.emit(torch.argsort, ctx.tensor(op, "x"), ctx.integer(op, "axis", -1), descending)
