"""Sums, means, extremes and softmax along axes."""

from __future__ import annotations

from typing import Any

import torch

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import (
    RULES,
    RuleContext,
    normalized_axis,
    rule,
    torch_type,
)
from gui.coreml.portable.plan import TorchCall


def _log_sum(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return torch.log(torch.sum(x, axes, keep))


def _square_sum(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return torch.sum(torch.square(x), axes, keep)


def _l1_norm(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return torch.sum(torch.abs(x), axes, keep)


def _l2_norm(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    return torch.sqrt(_square_sum(x, axes, keep))


def _product(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):  # torch multiplies along one axis at a time
        x = torch.prod(x, axis, keep)
    return x


_REDUCTIONS: dict[str, TorchCall] = {
    "reduce_mean": torch.mean,
    "reduce_sum": torch.sum,
    "reduce_max": torch.amax,
    "reduce_min": torch.amin,
    "reduce_log_sum_exp": torch.logsumexp,
    "reduce_log_sum": _log_sum,
    "reduce_sum_square": _square_sum,
    "reduce_l1_norm": _l1_norm,
    "reduce_l2_norm": _l2_norm,
    "reduce_prod": _product,
}


def axes_of(ctx: RuleContext, op: Op) -> list[int]:
    """The op's ``axes``, non-negative; all of them by default."""
    rank = len(ctx.shape(op, "x"))
    return [normalized_axis(a, rank) for a in ctx.integers(op, "axes", list(range(rank)))]


def _reduction_rule(function: TorchCall) -> Any:
    def apply(ctx: RuleContext, op: Op) -> Any:
        x, axes, keep = ctx.tensor(op, "x"), axes_of(ctx, op), ctx.flag(op, "keep_dims")
        reduced = ctx.emit(function, x, axes, keep)
        stated = torch_type(op.outputs[0][1].dtype)
        # torch widens the sum of integers to int64
        is_float = stated.is_floating_point
        return reduced if is_float else ctx.emit(torch.Tensor.to, reduced, stated)

    return apply


for _name, _function in _REDUCTIONS.items():
    RULES[_name] = _reduction_rule(_function)


@rule("reduce_argmax", "reduce_argmin")
def reduce_arg(ctx: RuleContext, op: Op) -> Any:
    find = torch.argmax if op.type == "reduce_argmax" else torch.argmin
    x, axis = ctx.tensor(op, "x"), ctx.integer(op, "axis", -1)
    index = ctx.emit(find, x, axis, ctx.flag(op, "keep_dims"))
    return ctx.emit(torch.Tensor.to, index, torch_type(op.outputs[0][1].dtype))


@rule("softmax")
def softmax(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(torch.softmax, ctx.tensor(op, "x"), ctx.integer(op, "axis", -1))


@rule("cumsum")
def cumsum(ctx: RuleContext, op: Op) -> Any:
    x, axis = ctx.tensor(op, "x"), ctx.integer(op, "axis", 0)
    backwards, exclusive = ctx.flag(op, "reverse"), ctx.flag(op, "exclusive")
    if backwards:
        x = ctx.emit(torch.flip, x, [axis])
    total = ctx.emit(torch.cumsum, x, axis)
    if exclusive:
        total = ctx.emit(torch.sub, total, x)
    if backwards:
        total = ctx.emit(torch.flip, total, [axis])
    return ctx.emit(torch.Tensor.to, total, torch_type(op.outputs[0][1].dtype))
