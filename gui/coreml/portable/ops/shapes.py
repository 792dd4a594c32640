"""Ops that move, cut, join and repeat elements without computing with them."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
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


def _interleave(axis: int, *tensors: torch.Tensor) -> torch.Tensor:
    """The first of each, then the second of each, and so on; all are of one shape."""
    axis %= tensors[0].ndim
    return torch.stack(tensors, axis + 1).flatten(axis, axis + 1)


def _reverse_slice(x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    return torch.index_select(x, axis, indices.to(x.device))


@rule("reshape", "reshape_like", "flatten2d")
def reshape(ctx: RuleContext, op: Op) -> Any:
    """The stated result shape is authoritative: 0 and −1 are resolved in it."""
    shape = output_shape(op)
    if shape is None and op.type == "flatten2d":
        old = ctx.shape(op, "x")
        axis = ctx.integer(op, "axis", 1)
        shape = [math.prod(old[:axis]), math.prod(old[axis:])]
    elif shape is None and op.type == "reshape_like":
        shape = _shape_from_references(ctx, op)
    elif shape is None:
        old = ctx.shape(op, "x")
        wanted = ctx.integers(op, "shape")
        shape = [old[i] if size == 0 else size for i, size in enumerate(wanted)]
    return ctx.emit(torch.reshape, ctx.tensor(op, "x"), shape)


def _shape_from_references(ctx: RuleContext, op: Op) -> list[int]:
    """The sizes that ``reshape_like`` takes from a range of each reference's axes."""
    names = ("begins", "ends")
    begins, ends = (ctx.integers(op, name) for name in names)
    open_ends = ctx.integers(op, "end_masks")
    references = op.inputs["ref_tensors"]
    shape: list[int] = []
    for n, reference in enumerate(references if isinstance(references, list) else [references]):
        sizes = ctx.shape_of(op, reference, "ref_tensors")
        shape += sizes[begins[n] : None if open_ends[n] else ends[n]]
    return shape


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
        return ctx.emit(_interleave, axis, *tensors)
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


def slice_bounds(ctx: RuleContext, op: Op) -> list[int | slice]:
    """What the operands ``begin``, ``end``, ``stride`` and the masks choose of each axis of ``x``:
    one position, whose axis goes, or a slice."""
    begin, end = ctx.integers(op, "begin"), ctx.integers(op, "end")
    rank = len(begin)
    stride = ctx.integers(op, "stride", [1] * rank)
    masks = [
        ctx.integers(op, name, [0] * rank) for name in ("begin_mask", "end_mask", "squeeze_mask")
    ]
    shape = ctx.shape(op, "x")
    if rank != len(shape):
        raise ProgramError(f"{op.type} at {op.name}: {rank} bounds for rank {len(shape)}")
    bounds: list[int | slice] = []
    for axis in range(rank):
        open_begin, open_end, drop = (mask[axis] for mask in masks)
        if drop:
            bounds.append(begin[axis])
            continue
        first = None if open_begin else begin[axis]
        bounds.append(slice(first, None if open_end else end[axis], stride[axis]))
    return bounds


@rule("slice_by_index")
def slice_by_index(ctx: RuleContext, op: Op) -> Any:
    index = slice_bounds(ctx, op)
    x = ctx.tensor(op, "x")
    for axis, (bound, size) in enumerate(zip(index, ctx.shape(op, "x"), strict=True)):
        if isinstance(bound, slice) and bound.step < 0:  # torch slices forwards only
            picked = torch.tensor(list(range(*bound.indices(size))), dtype=torch.int64)
            x = ctx.emit(_reverse_slice, x, axis, picked)
            index[axis] = slice(None)
    if all(i in (slice(None), slice(None, None, 1)) for i in index):
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


_PADDING = {"reflect": "reflect", "replicate": "edge"}
"""MIL's mode by numpy's name for it."""


def _pad_by_index(x: torch.Tensor, pairs: list[list[int]], mode: str) -> torch.Tensor:
    for axis, (pair, size) in enumerate(zip(pairs, x.shape, strict=True)):
        if any(pair):
            picked = np.pad(np.arange(size), pair, mode)  # type: ignore[call-overload]
            x = torch.index_select(x, axis, torch.from_numpy(picked).to(x.device))
    return x


@rule("pad")
def pad(ctx: RuleContext, op: Op) -> Any:
    amounts, mode = ctx.integers(op, "pad"), ctx.text(op, "mode", "constant")
    # MIL lists (before, after) from the first padded axis on; torch from the last axis backwards.
    rank = len(ctx.shape(op, "x"))
    pairs = [amounts[i : i + 2] for i in range(0, len(amounts), 2)]
    pairs = pairs if len(pairs) == rank else [[0, 0]] * (rank - len(pairs)) + pairs
    x = ctx.tensor(op, "x")
    if mode == "constant":
        flat = [amount for pair in reversed(pairs) for amount in pair]
        return ctx.emit(F.pad, x, flat, "constant", ctx.number(op, "constant_val", 0.0))
    if mode not in _PADDING:
        raise ctx.unsupported(op, f"mode {mode}")
    padded = [axis for axis, pair in enumerate(pairs) if any(pair)]
    first = min(padded, default=rank)
    # torch's own, which is faster, pads the last axes of batches of floats only
    is_float = torch_type(op.outputs[0][1].dtype).is_floating_point
    if rank == 4 and first in (2, 3) and is_float:
        flat = [amount for pair in reversed(pairs[2:]) for amount in pair]
        return ctx.emit(F.pad, x, flat, mode)
    return ctx.emit(_pad_by_index, x, pairs, _PADDING[mode])


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


@rule("batch_to_space")
def batch_to_space(ctx: RuleContext, op: Op) -> Any:
    """As TensorFlow defines it: the batch is split as (block, block, batch)."""
    batch, channels, height, width = ctx.shape(op, "x")
    (rows, columns), crops = ctx.integers(op, "block_shape"), ctx.integers(op, "crops")
    kept = batch // (rows * columns)
    x = ctx.emit(torch.reshape, ctx.tensor(op, "x"), [rows, columns, kept, channels, height, width])
    x = ctx.emit(torch.permute, x, [2, 3, 4, 0, 5, 1])
    tall, wide = height * rows, width * columns
    x = ctx.emit(torch.reshape, x, [kept, channels, tall, wide])
    cut = (..., slice(crops[0], tall - crops[1]), slice(crops[2], wide - crops[3]))
    return ctx.emit(operator.getitem, x, cut)


@rule("space_to_batch")
def space_to_batch(ctx: RuleContext, op: Op) -> Any:
    batch, channels, height, width = ctx.shape(op, "x")
    (rows, columns), amounts = ctx.integers(op, "block_shape"), ctx.integers(op, "paddings")
    tall, wide = (height + sum(amounts[:2])) // rows, (width + sum(amounts[2:])) // columns
    x = ctx.emit(F.pad, ctx.tensor(op, "x"), [*amounts[2:], *amounts[:2]])
    x = ctx.emit(torch.reshape, x, [batch, channels, tall, rows, wide, columns])
    x = ctx.emit(torch.permute, x, [3, 5, 0, 1, 2, 4])
    return ctx.emit(torch.reshape, x, [batch * rows * columns, channels, tall, wide])


@rule("sliding_windows")
def sliding_windows(ctx: RuleContext, op: Op) -> Any:
    axis = normalized_axis(ctx.integer(op, "axis"), len(ctx.shape(op, "x")))
    size, stride = ctx.integer(op, "size"), ctx.integer(op, "stride", 1)
    windows = ctx.emit(torch.Tensor.unfold, ctx.tensor(op, "x"), axis, size, stride)
    return ctx.emit(torch.movedim, windows, -1, axis + 1)


def _reverse_sequence(
    x: torch.Tensor, lengths: torch.Tensor, along: int, batch: int
) -> torch.Tensor:
    x = x.movedim((batch, along), (0, 1))
    places = torch.arange(x.shape[1], device=x.device)[None]
    ends = lengths.long()[:, None]
    places = torch.where(places < ends, ends - 1 - places, places)
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    return x[rows, places].movedim((0, 1), (batch, along))


@rule("reverse_sequence")
def reverse_sequence(ctx: RuleContext, op: Op) -> Any:
    rank = len(ctx.shape(op, "x"))
    axes = [normalized_axis(ctx.integer(op, f"{n}_axis", 0), rank) for n in ("seq", "batch")]
    return ctx.emit(_reverse_sequence, ctx.tensor(op, "x"), ctx.tensor(op, "lengths"), *axes)
