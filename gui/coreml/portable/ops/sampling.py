"""Images sampled at computed coordinates."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, rule

# torch reflects at the outermost pixels' centres where corners are aligned, at their outer edges
# where they are not; the two paddings need no more than that
_PADDINGS = {
    "constant": ("zeros", False),
    "border": ("border", False),
    "reflection": ("reflection", True),
    "symmetric": ("reflection", False),
}


def _in_pixels(points: torch.Tensor, sizes: torch.Tensor, mode: str, aligned: bool) -> torch.Tensor:
    """Coordinates (x, y) in pixels, 0 being the first one's centre."""
    if mode == "unnormalized":
        return points
    if mode == "normalized_zero_to_one":
        points = 2 * points - 1
    return (points + 1) / 2 * (sizes - 1) if aligned else ((points + 1) * sizes - 1) / 2


def _resample(
    x: torch.Tensor,
    coordinates: torch.Tensor,
    sampling: str,
    padding: str,
    value: float,
    mode: str,
    aligned: bool,
) -> torch.Tensor:
    sizes = torch.tensor([x.shape[3], x.shape[2]], dtype=torch.float32, device=x.device)
    pixels = _in_pixels(coordinates.float(), sizes, mode, aligned)
    outside, corners = _PADDINGS[padding]
    if corners:
        grid = 2 * pixels / torch.clamp(sizes - 1, min=1) - 1
    else:
        grid = (2 * pixels + 1) / sizes - 1
    if padding != "constant":
        value = 0.0
    sampled = F.grid_sample(x.float() - value, grid, sampling, outside, corners)
    return sampled + value


@rule("resample")
def resample(ctx: RuleContext, op: Op) -> Any:
    sampling, padding = ctx.text(op, "sampling_mode"), ctx.text(op, "padding_mode")
    mode = ctx.text(op, "coordinates_mode")
    if padding not in _PADDINGS or sampling not in ("bilinear", "nearest"):
        raise ctx.unsupported(op, f"sampling_mode {sampling} with padding_mode {padding}")
    return ctx.emit(
        _resample,
        ctx.tensor(op, "x"),
        ctx.tensor(op, "coordinates"),
        sampling,
        padding,
        ctx.number(op, "padding_value", 0.0),
        mode,
        ctx.flag(op, "align_corners"),
    )


def _affine(x: torch.Tensor, matrix: torch.Tensor, size: list[int], aligned: bool) -> torch.Tensor:
    theta = matrix.float().reshape(-1, 2, 3).expand(x.shape[0], 2, 3)
    grid = F.affine_grid(theta, [x.shape[0], x.shape[1], *size], aligned)
    return F.grid_sample(x, grid, "bilinear", "zeros", aligned)


@rule("affine")
def affine(ctx: RuleContext, op: Op) -> Any:
    if ctx.number(op, "padding_value", 0.0) or ctx.text(op, "padding_mode") != "constant":
        raise ctx.unsupported(op, "padding by anything but nought")
    if ctx.text(op, "coordinates_mode") != "normalized_minus_one_to_one":
        raise ctx.unsupported(op, f"coordinates_mode {ctx.text(op, 'coordinates_mode')}")
    size = [ctx.integer(op, "output_height"), ctx.integer(op, "output_width")]
    aligned = ctx.flag(op, "align_corners", True)
    return ctx.emit(_affine, ctx.tensor(op, "x"), ctx.tensor(op, "transform_matrix"), size, aligned)
