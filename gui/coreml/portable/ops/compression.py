"""Compressed weights, unpacked while loading: palettes, linear quantization, sparsity.

Each form exists twice.  Up to macOS 14 operands are attributes, indices and masks packed bits, and
``shape`` says the result's shape.  From macOS 15 on operands are inputs of sub-byte types with one
entry per element or block.  Arithmetic is done in float32 and rounded to the stored float type, as
coremltools' own decompression does, so results are the same to the bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gui.coreml.portable.blobs import unpack_bits
from gui.coreml.portable.ir import Op, ProgramError
from gui.coreml.portable.ops.context import RuleContext, normalized_axis, rule

_CHUNK = 1 << 20
"""Elements looked up at a time: indices have to be widened first, and this keeps them in cache."""


def look_up(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """``table[indices]`` for a table of one or more axes, in pieces.

    Raises:
        ProgramError: where an index is beyond the table.
    """
    flat = np.ascontiguousarray(indices).reshape(-1)
    result = np.empty((flat.size, *table.shape[1:]), table.dtype)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK].astype(np.intp)
        if part.size and (part.max() >= table.shape[0] or part.min() < 0):
            raise ProgramError("a palette index lies beyond its palette")
        np.take(table, part, axis=0, out=result[start : start + part.size], mode="clip")
    return result.reshape(*indices.shape, *table.shape[1:])


def spread(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat a per-block array to one entry per element of `shape`.

    Raises:
        ProgramError: where blocks do not divide the shape.
    """
    if blocks.ndim == 0:
        return np.broadcast_to(blocks, shape)
    if blocks.ndim != len(shape):
        raise ProgramError(f"blocks of shape {blocks.shape} for a tensor of shape {shape}")
    for axis, (whole, count) in enumerate(zip(shape, blocks.shape, strict=True)):
        if count == 0 or whole % count:
            raise ProgramError(f"{count} blocks along an axis of {whole}")
        if count not in (1, whole):
            blocks = np.repeat(blocks, whole // count, axis)
    return np.broadcast_to(blocks, shape)


def _along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """A vector laid along `axis` of a tensor of `rank` axes."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def _dequantize(
    op: Op, data: np.ndarray, scale: np.ndarray, offset: np.ndarray | None
) -> torch.Tensor:
    """(data − offset) · scale in float32, rounded to the type that the op states."""
    # The copy is fresh: the rest is done in place
    values = torch.from_numpy(data.astype(np.float32))
    if offset is not None:
        values -= torch.from_numpy(offset.astype(np.float32))
    values *= torch.from_numpy(scale.astype(np.float32))
    return values.half() if op.outputs[-1][1].dtype == "fp16" else values


def _packed_shape(ctx: RuleContext, op: Op) -> tuple[int, ...]:
    return tuple(ctx.integers(op, "shape"))


@rule("constexpr_lut_to_dense")
def lut_to_dense(ctx: RuleContext, op: Op) -> Any:
    table, indices = ctx.constant(op, "lut"), ctx.constant(op, "indices")
    if ctx.has(op, "shape"):
        shape = _packed_shape(ctx, op)
        bits = int(math.log2(table.size))
        unpacked = unpack_bits(indices, bits, math.prod(shape))
        return ctx.stored(look_up(table.reshape(-1), unpacked).reshape(shape))
    return ctx.stored(_spread_vectors(ctx, op, _grouped_look_up(table, indices)))


def _spread_vectors(ctx: RuleContext, op: Op, values: np.ndarray) -> np.ndarray:
    """Vectors [indices…, vector] laid along the op's ``vector_axis``."""
    if values.shape[-1] == 1:
        return values[..., 0]
    axis = normalized_axis(ctx.integer(op, "vector_axis"), values.ndim - 1)
    shape = list(values.shape[:-1])
    shape[axis] *= values.shape[-1]
    return np.ascontiguousarray(np.moveaxis(values, -1, axis + 1)).reshape(shape)


def _grouped_look_up(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Palettes of shape [groups…, entries, vector]; result [indices…, vector]."""
    entries, vector = table.shape[-2:]
    rows = table.reshape(-1, vector)
    if rows.shape[0] == entries:
        return look_up(rows, indices)
    groups = np.arange(rows.shape[0] // entries, dtype=np.int32).reshape(table.shape[:-2])
    if indices.size and int(indices.max()) >= entries:
        raise ProgramError("a palette index lies beyond its palette")
    return look_up(rows, spread(groups * entries, indices.shape) + indices)


@rule("constexpr_affine_dequantize")
def affine_dequantize(ctx: RuleContext, op: Op) -> Any:
    data = ctx.constant(op, "quantized_data")
    scale, zero = (np.asarray(ctx.constant(op, name)) for name in ("scale", "zero_point"))
    axis = normalized_axis(ctx.integer(op, "axis"), data.ndim)
    scale, zero = (_along(values, axis, data.ndim) for values in (scale, zero))
    return ctx.stored(_dequantize(op, data, scale, zero))


@rule("constexpr_blockwise_shift_scale")
def blockwise_shift_scale(ctx: RuleContext, op: Op) -> Any:
    data, scale = ctx.constant(op, "data"), ctx.constant(op, "scale")
    offset = ctx.constant(op, "offset", None)
    offsets = None if offset is None else spread(offset, data.shape)
    return ctx.stored(_dequantize(op, data, spread(scale, data.shape), offsets))


@rule("constexpr_sparse_to_dense")
def sparse_to_dense(ctx: RuleContext, op: Op) -> Any:
    values, mask = ctx.constant(op, "nonzero_data"), ctx.constant(op, "mask")
    if ctx.has(op, "shape"):
        shape = _packed_shape(ctx, op)
        mask = unpack_bits(mask, 1, math.prod(shape)).reshape(shape)
    dense = np.zeros(mask.shape, values.dtype)
    dense[_positions(mask, values)] = values
    return ctx.stored(dense)


def _positions(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    chosen = mask != 0
    if int(np.count_nonzero(chosen)) != values.size:
        raise ProgramError(f"{values.size} values for a mask of another count")
    return chosen


@rule("constexpr_lut_to_sparse")
def lut_to_sparse(ctx: RuleContext, op: Op) -> Any:
    """Gives the mask and the looked-up values of its set positions."""
    mask, table = ctx.constant(op, "indices_mask"), ctx.constant(op, "lut")
    indices = ctx.constant(op, "indices_nonzero_data")
    entries, vector = table.shape[-2:]
    if vector != 1:
        dense = np.zeros(mask.shape, indices.dtype)
        dense[_positions(mask, indices)] = indices
        axis = normalized_axis(ctx.integer(op, "vector_axis"), mask.ndim)
        values = _spread_vectors(ctx, op, _grouped_look_up(table, dense))
        mask = np.repeat(mask, vector, axis)
        return ctx.stored(mask), ctx.stored(values[mask != 0])
    rows = table.reshape(-1)
    if rows.size != entries:
        groups = np.arange(rows.size // entries, dtype=np.int32).reshape(table.shape[:-2])
        indices = spread(groups * entries, mask.shape)[_positions(mask, indices)] + indices
    return ctx.stored(mask), ctx.stored(look_up(rows, indices))


@rule("constexpr_sparse_blockwise_shift_scale")
def sparse_blockwise_shift_scale(ctx: RuleContext, op: Op) -> Any:
    mask, data = ctx.constant(op, "data_mask"), ctx.constant(op, "nonzero_data")
    scale, offset = ctx.constant(op, "scale"), ctx.constant(op, "offset", None)
    chosen = _positions(mask, data)
    offsets = None if offset is None else spread(offset, mask.shape)[chosen]
    values = _dequantize(op, data, spread(scale, mask.shape)[chosen], offsets)
    return ctx.stored(mask), ctx.stored(values)


@rule("constexpr_cast")
def constexpr_cast(ctx: RuleContext, op: Op) -> Any:
    return ctx.stored(ctx.constant(op, "source_val"))


def _axis_tensor(ctx: RuleContext, op: Op, name: str) -> Any:
    values = np.asarray(ctx.constant(op, name), np.float32)
    rank = len(ctx.shape(op, "input"))
    axis = normalized_axis(ctx.integer(op, "axis"), rank) if values.size > 1 else 0
    return torch.from_numpy(np.array(_along(values, axis, rank)))


@rule("quantize")
def quantize(ctx: RuleContext, op: Op) -> Any:
    """Kept as floats, which hold 8-bit integers exactly."""
    x = ctx.emit(torch.div, ctx.tensor(op, "input"), _axis_tensor(ctx, op, "scale"))
    x = ctx.emit(torch.round, x)
    if ctx.has(op, "zero_point"):
        x = ctx.emit(torch.add, x, _axis_tensor(ctx, op, "zero_point"))
    low, high = (-128, 127) if ctx.text(op, "output_dtype") == "int8" else (0, 255)
    return ctx.emit(torch.clamp, x, low, high)


@rule("dequantize")
def dequantize(ctx: RuleContext, op: Op) -> Any:
    x = ctx.emit(torch.Tensor.to, ctx.tensor(op, "input"), torch.float32)
    if ctx.has(op, "zero_point"):
        x = ctx.emit(torch.sub, x, _axis_tensor(ctx, op, "zero_point"))
    return ctx.emit(torch.mul, x, _axis_tensor(ctx, op, "scale"))
