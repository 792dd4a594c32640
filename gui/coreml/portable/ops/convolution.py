"""Convolutions and pooling."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op, ProgramError
from gui.coreml.portable.ops.context import RuleContext, rule

_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_AVERAGES = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
_MAXIMA = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


def _spatial_rank(op: Op, shape: tuple[int, ...]) -> int:
    rank = len(shape) - 2
    if not 1 <= rank <= 3:
        raise ProgramError(f"{op.type} at {op.name} over a tensor of shape {list(shape)}")
    return rank


def _padding(
    ctx: RuleContext,
    op: Op,
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
    sizes: tuple[int, ...],
) -> list[tuple[int, int]]:
    """(before, after) per spatial axis, from ``pad_type`` and ``pad``."""
    kind = ctx.text(op, "pad_type", "valid")
    if kind == "valid":
        return [(0, 0)] * len(kernel)
    if kind == "custom":
        amounts = ctx.integers(op, "pad", [0] * (2 * len(kernel)))
        return list(zip(amounts[::2], amounts[1::2], strict=True))
    if kind not in ("same", "same_lower"):
        raise ctx.unsupported(op, f"pad_type {kind}")
    pairs = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        small, large = total // 2, total - total // 2
        pairs.append((small, large) if kind == "same" else (large, small))
    return pairs


def _pad_unevenly(
    ctx: RuleContext, x: Any, pairs: list[tuple[int, int]], value: float = 0.0
) -> tuple[Any, list[int]]:
    """torch's layers pad both sides alike: leave that to them, else pad first."""
    if all(before == after for before, after in pairs):
        return x, [before for before, _ in pairs]
    flat = [amount for pair in reversed(pairs) for amount in pair]
    return ctx.emit(F.pad, x, flat, "constant", value), [0] * len(pairs)


@rule("conv")
def conv(ctx: RuleContext, op: Op) -> Any:
    shape, kernel = ctx.shape(op, "x"), list(ctx.shape(op, "weight")[2:])
    rank = _spatial_rank(op, shape)
    strides = ctx.integers(op, "strides", [1] * rank)
    dilations = ctx.integers(op, "dilations", [1] * rank)
    pairs = _padding(ctx, op, kernel, strides, dilations, shape[2:])
    x, padding = _pad_unevenly(ctx, ctx.tensor(op, "x"), pairs)
    if any(before != after for before, after in pairs):
        shape = (*shape[:2], *(n + sum(pair) for n, pair in zip(shape[2:], pairs, strict=True)))
    groups = ctx.integer(op, "groups", 1)
    return ctx.convolution(op, x, shape, strides, padding, dilations, groups)


@rule("conv_transpose")
def conv_transpose(ctx: RuleContext, op: Op) -> Any:
    """Unpadded, then cut: MIL's padding removes that much from the result."""
    sizes, kernel = ctx.shape(op, "x"), ctx.shape(op, "weight")[2:]
    rank = _spatial_rank(op, sizes)
    strides = ctx.integers(op, "strides", [1] * rank)
    dilations = ctx.integers(op, "dilations", [1] * rank)
    kind = ctx.text(op, "pad_type", "valid")
    if kind not in ("valid", "custom", "same"):
        raise ctx.unsupported(op, f"pad_type {kind}")
    whole = [
        stride * (size - 1) + (k - 1) * dilation + 1
        for size, k, stride, dilation in zip(sizes[2:], kernel, strides, dilations, strict=True)
    ]
    amounts = ctx.integers(op, "pad", [0] * (2 * rank)) if kind == "custom" else [0] * (2 * rank)
    kept = [n - a - b for n, a, b in zip(whole, amounts[::2], amounts[1::2], strict=True)]
    if ctx.has(op, "output_shape"):
        kept = ctx.integers(op, "output_shape")[-rank:]
    elif kind == "same":
        kept = [stride * size for stride, size in zip(strides, sizes[2:], strict=True)]
    starts = amounts[::2]
    if kind == "same":  # as much is cut in front as behind, or one more behind
        starts = [max(n - want, 0) // 2 for n, want in zip(whole, kept, strict=True)]
    ends = [start + want for start, want in zip(starts, kept, strict=True)]
    full = ctx.emit(
        _TRANSPOSED[rank - 1],
        ctx.tensor(op, "x"),
        ctx.tensor(op, "weight"),
        ctx.optional_tensor(op, "bias"),
        strides,
        [0] * rank,
        [s - 1 if end > n else 0 for s, end, n in zip(strides, ends, whole, strict=True)],
        ctx.integer(op, "groups", 1),
        dilations,
    )
    cut = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    return ctx.emit(operator.getitem, full, (..., *cut))


@rule("avg_pool", "max_pool")
def pool(ctx: RuleContext, op: Op) -> Any:
    shape, kernel = ctx.shape(op, "x"), ctx.integers(op, "kernel_sizes")
    rank = _spatial_rank(op, shape)
    strides = ctx.integers(op, "strides", [1] * rank)
    pairs = _padding(ctx, op, kernel, strides, [1] * rank, shape[2:])
    ceil, x = ctx.flag(op, "ceil_mode"), ctx.tensor(op, "x")
    if op.type == "max_pool":
        x, padding = _pad_unevenly(ctx, x, pairs, float("-inf"))
        return ctx.emit(_MAXIMA[rank - 1], x, kernel, strides, padding, 1, ceil)
    counts_padding = not ctx.flag(op, "exclude_padding_from_average")
    if not counts_padding and any(before != after for before, after in pairs):
        ones, _ = _pad_unevenly(ctx, torch.ones(1, 1, *shape[2:]), pairs)
        average, none = _AVERAGES[rank - 1], [0] * rank
        x, _ = _pad_unevenly(ctx, x, pairs)
        return ctx.emit(
            operator.truediv,
            ctx.emit(average, x, kernel, strides, none, ceil),
            ctx.emit(average, ones, kernel, strides, none, ceil),
        )
    x, padding = _pad_unevenly(ctx, x, pairs)
    return ctx.emit(_AVERAGES[rank - 1], x, kernel, strides, padding, ceil, counts_padding)


@rule("l2_pool")
def l2_pool(ctx: RuleContext, op: Op) -> Any:
    """The root of the sum of squares."""
    shape, kernel = ctx.shape(op, "x"), ctx.integers(op, "kernel_sizes")
    rank = _spatial_rank(op, shape)
    strides = ctx.integers(op, "strides", [1] * rank)
    pairs = _padding(ctx, op, kernel, strides, [1] * rank, shape[2:])
    x, padding = _pad_unevenly(ctx, ctx.emit(torch.square, ctx.tensor(op, "x")), pairs)
    ceil = ctx.flag(op, "ceil_mode")
    mean = ctx.emit(_AVERAGES[rank - 1], x, kernel, strides, padding, ceil, True)
    return ctx.emit(torch.sqrt, ctx.emit(operator.mul, mean, float(math.prod(kernel))))
