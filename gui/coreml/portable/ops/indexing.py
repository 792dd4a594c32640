"""Gathering, sorting and one-hot coding."""

from __future__ import annotations

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


def _gather_along_axis(x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    indices = indices.long()
    return torch.gather(x, axis, torch.where(indices < 0, indices + x.shape[axis], indices))


def _gather_nd(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return x[tuple(indices.long().unbind(-1))]


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
    if ctx.integer(op, "batch_dims", 0):
        raise ctx.unsupported(op, "batch_dims")
    x, indices = ctx.tensor(op, "x"), ctx.tensor(op, "indices")
    rank = len(ctx.shape(op, "x"))
    axis = normalized_axis(ctx.integer(op, "axis", 0), rank)
    if axis == 0 and rank == 2:
        return ctx.emit(_embed, x, indices)
    return ctx.emit(_gather, x, axis, indices)


@rule("gather_along_axis")
def gather_along_axis(ctx: RuleContext, op: Op) -> Any:
    axis = normalized_axis(ctx.integer(op, "axis", 0), len(ctx.shape(op, "x")))
    return ctx.emit(_gather_along_axis, ctx.tensor(op, "x"), axis, ctx.tensor(op, "indices"))


@rule("gather_nd")
def gather_nd(ctx: RuleContext, op: Op) -> Any:
    if ctx.integer(op, "batch_dims", 0):
        raise ctx.unsupported(op, "batch_dims")
    return ctx.emit(_gather_nd, ctx.tensor(op, "x"), ctx.tensor(op, "indices"))


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
