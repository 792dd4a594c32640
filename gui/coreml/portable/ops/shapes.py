"""Ops that move, cut, join and repeat elements without computing with them."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op, ProgramError
from gui.coreml.portable.ops.context import (
    RuleContext,
    normalized_axis,
    output_shape,
    rule,
    torch_type,
)


def _concatenate(axis: int, *tensors: torch.Tensor) -> torch.Tensor:
    # MIL joins single numbers too (sizes of flexible shapes)
    return torch.cat([t.reshape(1) if t.ndim == 0 else t for t in tensors], axis)


def _stack(axis: int, *tensors: torch.Tensor) -> torch.Tensor:
    return torch.stack(tensors, axis)


def _reverse_slice(x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    return torch.index_select(x, axis, indices.to(x.device))


@rule("reshape", "reshape_like", "flatten2d")
def reshape(ctx: RuleContext, op: Op) -> Any:
    """The stated result shape is authoritative: 0 and −1 are resolved in it."""
    shape = output_shape(op)
    if shape is None:
        if op.type != "reshape":
            raise ctx.unsupported(op, "flexible shape")
        old = ctx.shape(op, "x")
        wanted = ctx.integers(op, "shape")
        shape = [old[i] if size == 0 else size for i, size in enumerate(wanted)]
    return ctx.emit(torch.reshape, ctx.tensor(op, "x"), shape)


@rule("transpose")
def transpose(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(torch.permute, ctx.tensor(op, "x"), ctx.integers(op, "perm"))


@rule("expand_dims")
def expand_dims(ctx: RuleContext, op: Op) -> Any:
    old, axes = list(ctx.shape(op, "x")), ctx.integers(op, "axes")
    rank = len(old) + len(axes)
    for axis in sorted(normalized_axis(axis, rank) for axis in axes):
        old.insert(axis, 1)
    return ctx.emit(torch.reshape, ctx.tensor(op, "x"), old)


@rule("squeeze")
def squeeze(ctx: RuleContext, op: Op) -> Any:
    old = ctx.shape(op, "x")
    if ctx.has(op, "axes"):
        axes = {normalized_axis(axis, len(old)) for axis in ctx.integers(op, "axes")}
    else:
        axes = {i for i, size in enumerate(old) if size == 1}
    kept = [size for i, size in enumerate(old) if i not in axes]
    return ctx.emit(torch.reshape, ctx.tensor(op, "x"), kept)


@rule("concat")
def concat(ctx: RuleContext, op: Op) -> Any:
    tensors, axis = ctx.tensors(op, "values"), ctx.integer(op, "axis")
    if ctx.flag(op, "interleave"):
        shape = output_shape(op)
        if shape is None:
            raise ctx.unsupported(op, "interleaving of flexible shapes")
        axis = normalized_axis(axis, len(shape))
        return ctx.emit(torch.reshape, ctx.emit(_stack, axis + 1, *tensors), shape)
    return ctx.emit(_concatenate, axis, *tensors)


@rule("stack")
def stack(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(_stack, ctx.integer(op, "axis"), *ctx.tensors(op, "values"))


@rule("split")
def split(ctx: RuleContext, op: Op) -> Any:
    shape = ctx.shape(op, "x")
    axis = normalized_axis(ctx.integer(op, "axis"), len(shape))
    if ctx.has(op, "split_sizes"):
        sizes = ctx.integers(op, "split_sizes")
    else:
        count = ctx.integer(op, "num_splits")
        sizes = [shape[axis] // count] * count
    x, start, parts = ctx.tensor(op, "x"), 0, []
    for size in sizes:
        parts.append(ctx.emit(torch.narrow, x, axis, start, size))
        start += size
    return tuple(parts)


@rule("slice_by_index")
def slice_by_index(ctx: RuleContext, op: Op) -> Any:
    begin, end = ctx.integers(op, "begin"), ctx.integers(op, "end")
    rank = len(begin)
    stride = ctx.integers(op, "stride", [1] * rank)
    masks = [
        ctx.integers(op, name, [0] * rank) for name in ("begin_mask", "end_mask", "squeeze_mask")
    ]
    shape = ctx.shape(op, "x")
    if rank != len(shape):
        raise ProgramError(f"{op.type} at {op.name}: {rank} bounds for rank {len(shape)}")
    x = ctx.tensor(op, "x")
    index: list[Any] = []
    for axis in range(rank):
        open_begin, open_end, drop = (mask[axis] for mask in masks)
        if drop:
            index.append(begin[axis])
            continue
        bounds = slice(
            None if open_begin else begin[axis], None if open_end else end[axis], stride[axis]
        )
        if stride[axis] < 0:  # torch slices forwards only
            picked = torch.tensor(list(range(*bounds.indices(shape[axis]))), dtype=torch.int64)
            x = ctx.emit(_reverse_slice, x, axis, picked)
            bounds = slice(None)
        index.append(bounds)
    if all(i == slice(None) for i in index):
        return x
    return ctx.emit(operator.getitem, x, tuple(index))


@rule("slice_by_size")
def slice_by_size(ctx: RuleContext, op: Op) -> Any:
    shape, begin = ctx.shape(op, "x"), ctx.integers(op, "begin")
    sizes = ctx.integers(op, "size")
    index = tuple(
        slice(start, whole if size == -1 else start + size)
        for whole, start, size in zip(shape, begin, sizes, strict=True)
    )
    return ctx.emit(operator.getitem, ctx.tensor(op, "x"), index)


@rule("crop")
def crop(ctx: RuleContext, op: Op) -> Any:
    top, bottom = ctx.integers(op, "crop_height")
    left, right = ctx.integers(op, "crop_width")
    height, width = ctx.shape(op, "x")[-2:]
    index = (..., slice(top, height - bottom), slice(left, width - right))
    return ctx.emit(operator.getitem, ctx.tensor(op, "x"), index)


@rule("tile")
def tile(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(torch.tile, ctx.tensor(op, "x"), ctx.integers(op, "reps"))


@rule("reverse")
def reverse(ctx: RuleContext, op: Op) -> Any:
    every = list(range(len(ctx.shape(op, "x"))))
    return ctx.emit(torch.flip, ctx.tensor(op, "x"), ctx.integers(op, "axes", every))


@rule("pad")
def pad(ctx: RuleContext, op: Op) -> Any:
    amounts, mode = ctx.integers(op, "pad"), ctx.text(op, "mode", "constant")
    # MIL lists (before, after) from the first padded axis on; torch from the last axis backwards.
    rank = len(ctx.shape(op, "x"))
    pairs = [amounts[i : i + 2] for i in range(0, len(amounts), 2)]
    pairs = pairs if len(pairs) == rank else [[0, 0]] * (rank - len(pairs)) + pairs
    flat = [amount for pair in reversed(pairs) for amount in pair]
    x = ctx.tensor(op, "x")
    if mode == "constant":
        return ctx.emit(F.pad, x, flat, "constant", ctx.number(op, "constant_val", 0.0))
    if mode not in ("reflect", "replicate"):
        raise ctx.unsupported(op, f"mode {mode}")
    while len(flat) > 2 and flat[-2:] == [0, 0]:  # torch pads the last axes only in these modes
        flat = flat[:-2]
    return ctx.emit(F.pad, x, flat, mode)


@rule("shape")
def shape_of(ctx: RuleContext, op: Op) -> Any:
    return torch.tensor(ctx.shape(op, "x"), dtype=torch.int32)


@rule("fill", "fill_like")
def fill(ctx: RuleContext, op: Op) -> Any:
    shape = output_shape(op)
    if shape is None:
        if op.type == "fill":
            shape = ctx.integers(op, "shape")
        else:
            shape = list(ctx.shape(op, "ref_tensor"))
    kind = torch_type(op.outputs[0][1].dtype)
    return torch.full((), ctx.number(op, "value", 0.0), dtype=kind).expand(shape)


@rule("range_1d")
def range_1d(ctx: RuleContext, op: Op) -> Any:
    kind = torch_type(op.outputs[0][1].dtype)
    bounds = [ctx.number(op, name) for name in ("start", "end", "step")]
    if not kind.is_floating_point:
        bounds = [int(bound) for bound in bounds]
    return torch.arange(*bounds, dtype=kind)


@rule("band_part")
def band_part(ctx: RuleContext, op: Op) -> Any:
    x = ctx.tensor(op, "x")
    lower, upper = ctx.integer(op, "lower", -1), ctx.integer(op, "upper", -1)
    if lower >= 0:
        x = ctx.emit(torch.triu, x, -lower)
    if upper >= 0:
        x = ctx.emit(torch.tril, x, upper)
    return x


@rule("pixel_shuffle")
def pixel_shuffle(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(F.pixel_shuffle, ctx.tensor(op, "x"), ctx.integer(op, "upscale_factor"))


@rule("pixel_unshuffle")
def pixel_unshuffle(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(F.pixel_unshuffle, ctx.tensor(op, "x"), ctx.integer(op, "downscale_factor"))


@rule("depth_to_space")
def depth_to_space(ctx: RuleContext, op: Op) -> Any:
    """Channels are split as (block, block, C), unlike pixel_shuffle's (C, block, block)."""
    batch, channels, height, width = ctx.shape(op, "x")
    block = ctx.integer(op, "block_size")
    kept = channels // block**2
    x = ctx.emit(torch.reshape, ctx.tensor(op, "x"), [batch, block, block, kept, height, width])
    x = ctx.emit(torch.permute, x, [0, 3, 4, 1, 5, 2])
    return ctx.emit(torch.reshape, x, [batch, kept, height * block, width * block])


@rule("space_to_depth")
def space_to_depth(ctx: RuleContext, op: Op) -> Any:
    batch, channels, height, width = ctx.shape(op, "x")
    block = ctx.integer(op, "block_size")
    cells = [batch, channels, height // block, block, width // block, block]
    x = ctx.emit(torch.reshape, ctx.tensor(op, "x"), cells)
    x = ctx.emit(torch.permute, x, [0, 3, 5, 1, 2, 4])
    return ctx.emit(torch.reshape, x, [batch, channels * block**2, height // block, width // block])
