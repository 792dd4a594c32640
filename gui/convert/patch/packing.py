"""Weights as they are stored, plain or compressed: read as numbers, and stored again.

A palette is made anew for the new numbers by Lloyd's algorithm (k-means in one dimension, over the
values of float16 that occur).  8-bit integers get the scale
that their channel's largest number needs.  What compressing again adds as noise must lie
`MARGIN` decibels or less above what a palette of so many bits gives normally distributed weights
(`gui.convert.package.compress`): 1 and 2 bits are never compressed again, as a LoRA's small
differences would be lost in them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gui.convert.patch.constants import Weight
from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import Op, Ref, constant_value, resolve
from gui.coreml.portable.lower import apply_rule, as_tensor
from gui.coreml.portable.ops import RuleContext

MARGIN = 6.0
LEAST_SNR = {4: 20.2, 6: 31.9, 8: 43.9}
"""Decibels at which a palette's noise lies below normally distributed weights, by bits."""
LEAST_SNR_LINEAR = 38.0
"""The same for 8-bit integers with a scale for each channel: the largest of a few thousand normally
distributed numbers is about four standard deviations out."""
_ROUNDS = 40
_LARGEST = 65504.0
"""Of float16."""


class NotPackable(Exception):  # noqa: N818 - reads as what it says
    """Weights cannot be stored again; the text is the rest of a sentence about their file."""


class _Values(RuleContext):
    """Applies an unpacking rule at once."""

    def emit(self, function: Any, *arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    def tensor_of(self, operand: Any) -> Any:
        value = self.values[operand.name] if isinstance(operand, Ref) else operand
        return value if isinstance(value, torch.Tensor) else as_tensor(resolve(value))

    def stored(self, value: np.ndarray | torch.Tensor) -> torch.Tensor:
        return as_tensor(value)


def unpacked(weight: Weight) -> np.ndarray:
    """The stored numbers as float32."""
    if not weight.is_packed:
        stored = as_tensor(resolve(constant_value(weight.op)))
        return stored.float().numpy()  # numpy takes half as long again
    context = _Values()
    context.values.update(weight.operands)
    (values,) = apply_rule(context, weight.op)
    return values.numpy().astype(np.float32)


def repacked(weight: Weight, values: np.ndarray) -> tuple[list[tuple[Blob, bytes]], float]:
    """New numbers in the form of the old.

    Args:
        values: float32, in the weight's shape.

    Returns:
        What to write in place of which blobs, and the noise that was added, in decibels below the
        weights; infinite for none.

    Raises:
        NotPackable: with the reason.
    """
    half = weight.op.outputs[-1][1].dtype == "fp16"
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if half and largest > _LARGEST:
        raise NotPackable(f"cannot hold numbers as large as {largest:.0f}; use a lower weight")
    blob = weight.blob
    if blob is not None:
        return [(blob, _bytes(values, blob.dtype))], float("inf")
    if not weight.is_packed:
        raise NotPackable("keeps some weights in its program's text")
    if weight.op.type == "constexpr_lut_to_dense":
        return _palette(weight, values)
    if weight.op.type in ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale"):
        return _linear(weight, values)
    raise NotPackable("is sparse")


def _bytes(values: np.ndarray, dtype: str) -> bytes:
    plain = np.ascontiguousarray(values, np.float32)
    # torch rounds as numpy does, to the nearest and then the even one, eight times as fast
    return (torch.from_numpy(plain).half().numpy() if dtype == "fp16" else plain).tobytes()


def _operand(weight: Weight, name: str) -> Any:
    op: Op = weight.op
    value = op.inputs.get(name, op.attributes.get(name))
    return weight.operands.get(value.name) if isinstance(value, Ref) else value


def _blob(weight: Weight, name: str) -> Blob:
    value = _operand(weight, name)
    if not isinstance(value, Blob):
        raise NotPackable("keeps some weights in its program's text")
    return value


# --- palettes -------------------------------------------------------------------------------------


def _palette(weight: Weight, values: np.ndarray) -> tuple[list[tuple[Blob, bytes]], float]:
    shape = np.shape(resolve(_operand(weight, "lut")))
    entries = shape[0] if len(shape) == 1 else shape[-2]
    if math.prod(shape) != entries:
        raise NotPackable("has palettes for groups of its weights")
    bits = max(1, (entries - 1).bit_length())
    if bits not in LEAST_SNR:
        raise NotPackable(f"has palettes of {bits} bits, in which a LoRA would be lost")
    table, indices = _blob(weight, "lut"), _blob(weight, "indices")
    codes, noise = _codes(values, entries)
    snr = _snr(values, noise)
    if snr < LEAST_SNR[bits] - MARGIN:
        raise NotPackable(f"would lose too much when it is compressed again ({snr:.0f} dB)")
    return [(table, _bytes(codes.table, table.dtype)), (indices, _pack(codes.indices, bits))], snr


class _Codes:
    def __init__(self, table: np.ndarray, indices: np.ndarray) -> None:
        self.table, self.indices = table, indices


def _spread(numbers: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Where Lloyd's algorithm begins: as densely as the cube root of the numbers' own density (the
    best spacing of many levels: Panter and Dite, 1951)."""
    density, marks = np.histogram(numbers, bins=1024, weights=weights)
    spacing = np.concatenate([[0.0], np.cumsum(np.cbrt(density))])
    levels = (np.arange(count) + 0.5) / count * spacing[-1]
    return np.interp(levels, spacing, marks)


def _codes(values: np.ndarray, count: int) -> tuple[_Codes, float]:
    """The nearest entry of each number in the best table, and the sum of squared errors."""
    halves = values.astype(np.float16).reshape(-1)
    patterns = halves.view(np.uint16)
    counts = np.bincount(patterns, minlength=1 << 16)
    found = np.flatnonzero(counts)
    numbers = found.astype(np.uint16).view(np.float16).astype(np.float64)
    order = np.argsort(numbers, kind="stable")
    found, numbers, weights = found[order], numbers[order], counts[found[order]].astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(numbers * weights)])
    totals = np.concatenate([[0.0], np.cumsum(weights)])
    centres = _spread(numbers, weights, count)
    for _ in range(_ROUNDS):
        edges = np.searchsorted(numbers, (centres[1:] + centres[:-1]) / 2)
        bounds = np.concatenate([[0], edges, [numbers.size]])
        within = np.diff(totals[bounds])
        means = np.diff(sums[bounds]) / np.maximum(within, 1)
        moved = np.where(within > 0, means, centres)
        if np.allclose(moved, centres, rtol=0, atol=1e-9):
            break
        centres = np.sort(moved)
    centres = centres.astype(np.float16).astype(np.float64)
    nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, numbers)
    lookup = np.zeros(1 << 16, np.uint8)
    lookup[found] = nearest
    noise = float((weights * (numbers - centres[nearest]) ** 2).sum())
    return _Codes(centres.astype(np.float32), lookup[patterns]), noise


def _pack(indices: np.ndarray, bits: int) -> bytes:
    """Least significant bit first, across byte borders."""
    if bits == 8:
        return indices.tobytes()
    wide = (indices[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(wide.reshape(-1).astype(np.uint8), bitorder="little").tobytes()


def _snr(values: np.ndarray, noise: float) -> float:
    power = float(np.square(values, dtype=np.float64).sum())
    if noise <= 0.0:
        return float("inf")
    return 10.0 * float(np.log10(power / noise)) if power > 0.0 else float("-inf")


# --- 8-bit integers -------------------------------------------------------------------------------


def _linear(weight: Weight, values: np.ndarray) -> tuple[list[tuple[Blob, bytes]], float]:
    affine = weight.op.type == "constexpr_affine_dequantize"
    data = _blob(weight, "quantized_data" if affine else "data")
    if data.dtype not in ("int8", "uint8"):
        raise NotPackable(f"has weights of {data.dtype}, in which a LoRA would be lost")
    scale = _blob(weight, "scale")
    if _shifted(weight, "zero_point" if affine else "offset"):
        raise NotPackable("has weights with an offset")
    if data.dtype != "int8":
        raise NotPackable("has weights with an offset")
    shape = _channels(weight, scale, values, affine)
    rows = tuple(axis for axis in range(values.ndim) if shape[axis] == 1)
    largest = np.abs(values).max(axis=rows, keepdims=True)
    scales = np.where(largest > 0, largest / 127.0, 1.0).astype(np.float32)
    kind: Any = np.float16 if scale.dtype == "fp16" else np.float32
    scales = np.maximum(scales.astype(kind), np.finfo(kind).smallest_subnormal)
    wide = scales.astype(np.float32)
    codes = np.clip(np.rint(values / wide), -127, 127).astype(np.int8)
    snr = _snr(values, float(np.square(values - codes * wide, dtype=np.float64).sum()))
    if snr < LEAST_SNR_LINEAR - MARGIN:
        raise NotPackable(f"would lose too much when it is compressed again ({snr:.0f} dB)")
    return [(scale, scales.tobytes()), (data, codes.tobytes())], snr


def _channels(weight: Weight, scale: Blob, values: np.ndarray, affine: bool) -> tuple[int, ...]:
    """The scales' shape beside the weight's."""
    if not affine and len(scale.shape) == values.ndim:
        whole = all(s in (1, v) for s, v in zip(scale.shape, values.shape, strict=True))
        if whole:
            return scale.shape
        raise NotPackable("has scales for blocks of its weights")
    axis = int(np.asarray(resolve(_operand(weight, "axis"))).reshape(()))
    sizes = [1] * values.ndim
    sizes[axis] = values.shape[axis]
    if np.prod(scale.shape or (1,)) != values.shape[axis]:
        raise NotPackable("has one scale for a whole tensor")
    return tuple(sizes)


def _shifted(weight: Weight, name: str) -> bool:
    value = _operand(weight, name)
    return value is not None and bool(np.asarray(resolve(value)).any())
