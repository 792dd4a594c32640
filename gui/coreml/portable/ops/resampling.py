"""Enlarging and shrinking of images."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, output_shape, rule


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
        int(height * ctx.number(op, "scale_factor_height", 1.0)),
        int(width * ctx.number(op, "scale_factor_width", 1.0)),
    ]


@rule("upsample_nearest_neighbor", "resize_nearest_neighbor")
def nearest(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(F.interpolate, ctx.tensor(op, "x"), _target_size(ctx, op), None, "nearest")


def _bilinear(ctx: RuleContext, op: Op, align_corners: bool) -> Any:
    size = _target_size(ctx, op)
    return ctx.emit(F.interpolate, ctx.tensor(op, "x"), size, None, "bilinear", align_corners)


@rule("upsample_bilinear")
def upsample_bilinear(ctx: RuleContext, op: Op) -> Any:
    align_corners = ctx.flag(op, "align_corners", True)
    if not align_corners and not ctx.flag(op, "half_pixel_centers", True):
        raise ctx.unsupported(op, "neither aligned corners nor half-pixel centres")
    return _bilinear(ctx, op, align_corners)


@rule("resize_bilinear")
def resize_bilinear(ctx: RuleContext, op: Op) -> Any:
    """Sampling modes that torch shares; the others place samples as it never does."""
    mode = ctx.text(op, "sampling_mode", "DEFAULT")
    if mode not in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "UNALIGN_CORNERS"):
        raise ctx.unsupported(op, f"sampling_mode {mode}")
    return _bilinear(ctx, op, mode != "UNALIGN_CORNERS")
