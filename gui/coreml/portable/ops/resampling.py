"""Enlarging and shrinking of images, and of boxes cut out of them."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op, ProgramError
from gui.coreml.portable.ops.context import RuleContext, output_shape, rule, torch_type

_LIKE_TORCH = {"STRICT_ALIGN_CORNERS": True, "ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}
"""Sampling modes that torch has too → its ``align_corners``."""

_SAMPLING_MODES = (*_LIKE_TORCH, "DEFAULT", "OFFSET_CORNERS")


def _grid(mode: str, first: torch.Tensor, last: torch.Tensor, count: int) -> torch.Tensor:
    """Where `count` samples lie between the pixels `first` and `last`, [..., count].

    The formulas are those of coremltools' ``resize_bilinear``, said of an interval.
    """
    steps = torch.arange(count, dtype=torch.float32, device=first.device)
    first, span = first[..., None], (last - first)[..., None]
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if count == 1:
            return first + (span / 2 if mode == "ALIGN_CORNERS" else 0 * span)
        return first + steps * span / (count - 1)
    size = span + torch.where(span < 0, -1.0, 1.0)
    if mode == "DEFAULT":
        return first + steps * size / count
    if mode == "OFFSET_CORNERS":
        least = torch.where(span.abs() < 1, torch.where(span < 0, -1.0, 1.0), span)
        return first + (steps + 0.5) * least / count
    return first + (steps + 0.5) * size / count - torch.where(span < 0, -0.5, 0.5)


def _whole(mode: str, size: int, count: int) -> torch.Tensor:
    points = _grid(mode, torch.tensor(0.0), torch.tensor(float(size - 1)), count)
    return points.clamp(0, size - 1)


def _interpolate(x: torch.Tensor, axis: int, points: torch.Tensor) -> torch.Tensor:
    """Linear interpolation along `axis` at fractional positions inside it."""
    points = points.to(x.device)
    low = points.floor()
    shape = [1] * x.ndim
    shape[axis] = -1
    share = (points - low).reshape(shape)
    low = low.long()
    high = torch.clamp(low + 1, max=x.shape[axis] - 1)
    below, above = torch.index_select(x, axis, low), torch.index_select(x, axis, high)
    return torch.lerp(below, above, share)


def _resize_linear(x: torch.Tensor, size: list[int], mode: str) -> torch.Tensor:
    kind = x.dtype
    x = x if x.is_floating_point() else x.float()
    for axis, count in zip(range(x.ndim - len(size), x.ndim), size, strict=True):
        if mode != "UNALIGN_CORNERS" or x.shape[axis] != count:
            x = _interpolate(x, axis, _whole(mode, x.shape[axis], count))
    return x.to(kind)


def _resize_nearest(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    for axis, count in zip(range(x.ndim - len(size), x.ndim), size, strict=True):
        places = torch.div(torch.arange(count) * x.shape[axis], count, rounding_mode="floor")
        x = torch.index_select(x, axis, places.to(x.device))
    return x


def _resize_to_nearest(x: torch.Tensor, size: list[int], mode: str) -> torch.Tensor:
    """The pixel nearest to where each sample lies."""
    for axis, count in zip(range(x.ndim - len(size), x.ndim), size, strict=True):
        places = (_whole(mode, x.shape[axis], count) + 0.5).floor().long()
        x = torch.index_select(x, axis, places.clamp(max=x.shape[axis] - 1).to(x.device))
    return x


def _target_size(ctx: RuleContext, op: Op) -> list[int]:
    """Height and width of the result: as stated, else by the op's factors or sizes."""
    shape = output_shape(op)
    if shape is not None:
        return shape[-2:]
    if op.type.startswith("resize"):
        return [
            ctx.integer(op, "target_size_height"),
            ctx.integer(op, "target_size_width"),
        ]
    height, width = ctx.shape(op, "x")[-2:]
    return [
        math.floor(height * ctx.number(op, "scale_factor_height", 1.0)),
        math.floor(width * ctx.number(op, "scale_factor_width", 1.0)),
    ]


@rule("upsample_nearest_neighbor", "resize_nearest_neighbor")
def nearest(ctx: RuleContext, op: Op) -> Any:
    x, size = ctx.tensor(op, "x"), _target_size(ctx, op)
    if len(ctx.shape(op, "x")) == 4:  # torch's own is faster, for batches of images
        return ctx.emit(F.interpolate, x, size, None, "nearest")
    return ctx.emit(_resize_nearest, x, size)


def _linear(ctx: RuleContext, op: Op, size: list[int], mode: str) -> Any:
    """To `size`, which are the last axes."""
    x, rank = ctx.tensor(op, "x"), len(ctx.shape(op, "x"))
    is_float = torch_type(op.outputs[0][1].dtype).is_floating_point
    alike = mode in _LIKE_TORCH and not (mode == "ALIGN_CORNERS" and 1 in size)
    if rank == 4 and len(size) == 2 and alike and is_float:
        return ctx.emit(F.interpolate, x, size, None, "bilinear", _LIKE_TORCH[mode])
    if mode not in _SAMPLING_MODES:
        raise ctx.unsupported(op, f"sampling_mode {mode}")
    return ctx.emit(_resize_linear, x, size, mode)


@rule("upsample_bilinear")
def upsample_bilinear(ctx: RuleContext, op: Op) -> Any:
    aligned = ctx.flag(op, "align_corners", True)
    centred = ctx.flag(op, "half_pixel_centers", not aligned)
    mode = "UNALIGN_CORNERS" if centred else "DEFAULT"
    return _linear(ctx, op, _target_size(ctx, op), "STRICT_ALIGN_CORNERS" if aligned else mode)


@rule("resize_bilinear")
def resize_bilinear(ctx: RuleContext, op: Op) -> Any:
    return _linear(ctx, op, _target_size(ctx, op), ctx.text(op, "sampling_mode", "DEFAULT"))


@rule("resize")
def resize(ctx: RuleContext, op: Op) -> Any:
    count = ctx.integer(op, "resized_dims")
    sizes = ctx.integers(op, "shape")
    sizes = sizes[len(sizes) - count :]
    old = ctx.shape(op, "x")[-count:] if count else ()
    sizes = [size or before for size, before in zip(sizes, old, strict=True)]
    how = ctx.text(op, "interpolation_mode", "LINEAR")
    mode = ctx.text(op, "sampling_mode", "DEFAULT")
    if how == "LINEAR":
        return _linear(ctx, op, sizes, mode)
    if how != "NEAREST_NEIGHBOR" or mode not in _SAMPLING_MODES:
        raise ctx.unsupported(op, f"interpolation_mode {how} with sampling_mode {mode}")
    return ctx.emit(_resize_to_nearest, ctx.tensor(op, "x"), sizes, mode)


# Boxes


def _corners(boxes: torch.Tensor, mode: str) -> list[torch.Tensor]:
    """(top, left, bottom, right) of boxes [N, 4]."""
    a, b, c, d = boxes.float().unbind(-1)
    if mode.endswith("WIDTH_FIRST"):
        a, b, c, d = b, a, d, c
    if mode.startswith("CENTER_SIZE"):
        return [a - (c - 1) / 2, b - (d - 1) / 2, a + (c - 1) / 2, b + (d - 1) / 2]
    return [a, b, c, d]


def _weights(points: torch.Tensor, size: int) -> torch.Tensor:
    """Share of each of `size` pixels in samples at `points`, [..., points, size]; none where a
    sample lies beyond the outermost pixels' centres."""
    pixels = torch.arange(size, dtype=torch.float32, device=points.device)
    shares = torch.clamp(1 - (points[..., None] - pixels).abs(), min=0)
    return shares * ((points >= 0) & (points <= size - 1))[..., None]


def _crop_resize(
    x: torch.Tensor,
    boxes: torch.Tensor,
    images: torch.Tensor | None,
    size: list[int],
    scale: list[float],
    modes: tuple[str, str],
    padding: float,
) -> torch.Tensor:
    """Boxes [N, 4] of images [B, C, H, W]: [N, C, h, w] of one image each, else [N, B, C, h, w]."""
    coordinates, sampling = modes
    top, left, bottom, right = _corners(boxes, coordinates)
    rows = _weights(_grid(sampling, top * scale[0], bottom * scale[0], size[0]), x.shape[2])
    columns = _weights(_grid(sampling, left * scale[1], right * scale[1], size[1]), x.shape[3])
    shifted = x.float() - padding  # samples outside are `padding`: nought here
    if images is not None:
        cut = torch.einsum("nchw,nyh,nxw->ncyx", shifted[images.long()], rows, columns)
    else:
        cut = torch.einsum("bchw,nyh,nxw->nbcyx", shifted, rows, columns)
    return cut + padding


@rule("crop_resize")
def crop_resize(ctx: RuleContext, op: Op) -> Any:
    height, width = ctx.shape(op, "x")[-2:]
    factor = ctx.number(op, "spatial_scale", 1.0)
    normal = ctx.flag(op, "normalized_coordinates")
    scale = [factor * (height - 1), factor * (width - 1)] if normal else [factor, factor]
    size = [ctx.integer(op, f"target_{side}", 1) for side in ("height", "width")]
    coordinates = ctx.text(op, "box_coordinate_mode", "CORNERS_HEIGHT_FIRST")
    sampling = ctx.text(op, "sampling_mode", "DEFAULT")
    if sampling not in _SAMPLING_MODES:
        raise ProgramError(f"{op.type} at {op.name}: there is no sampling_mode {sampling}")
    if coordinates.startswith("CENTER_SIZE") and normal:
        raise ctx.unsupported(op, "boxes by centre and size in normalized coordinates")
    rest = (size, scale, (coordinates, sampling), ctx.number(op, "pad_value", 0.0))
    x = ctx.tensor(op, "x")
    if ctx.has(op, "boxes"):
        boxes, count = ctx.tensor(op, "boxes"), ctx.shape(op, "boxes")[0]
        images = ctx.optional_tensor(op, "box_indices")
        images = torch.arange(count) if images is None else images
        return ctx.emit(_crop_resize, x, boxes, images, *rest)
    roi, shape = ctx.tensor(op, "roi"), ctx.shape(op, "roi")
    boxes = ctx.emit(torch.reshape, roi, [shape[0], shape[2]])
    if shape[2] == 4:
        return ctx.emit(_crop_resize, x, boxes, None, *rest)
    images = ctx.emit(torch.select, boxes, 1, 0)
    cut = ctx.emit(_crop_resize, x, ctx.emit(torch.narrow, boxes, 1, 1, 4), images, *rest)
    return ctx.emit(torch.unsqueeze, cut, 1)
