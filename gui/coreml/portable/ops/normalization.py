"""Layer, batch, instance and L2 normalization."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, normalized_axis, rule
from gui.coreml.portable.ops.elementwise import epsilon


@rule("layer_norm")
def layer_norm(ctx: RuleContext, op: Op) -> Any:
    x, shape = ctx.tensor(op, "x"), ctx.shape(op, "x")
    rank = len(shape)
    axes = sorted(normalized_axis(a, rank) for a in ctx.integers(op, "axes", list(range(rank))))
    sizes = [shape[a] for a in axes]
    gamma, beta = ctx.optional_tensor(op, "gamma"), ctx.optional_tensor(op, "beta")
    eps = epsilon(ctx, op, 1e-5)
    if axes == list(range(rank - len(axes), rank)):
        return ctx.emit(F.layer_norm, x, sizes, gamma, beta, eps)
    # torch normalizes the last axes only; with channels last this move costs nothing
    order = [i for i in range(rank) if i not in axes] + axes
    back = [order.index(i) for i in range(rank)]
    moved = ctx.emit(torch.permute, x, order)
    return ctx.emit(torch.permute, ctx.emit(F.layer_norm, moved, sizes, gamma, beta, eps), back)


def batch_norm_affine(
    mean: np.ndarray,
    variance: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    eps: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Inference-time batch norm as x · scale + shift per channel, in float64."""
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + eps)
    if gamma is not None:
        scale = scale * gamma
    shift = -mean.astype(np.float64) * scale
    if beta is not None:
        shift = shift + beta
    return scale, shift


@rule("batch_norm")
def batch_norm(ctx: RuleContext, op: Op) -> Any:
    scale, shift = batch_norm_affine(
        ctx.constant(op, "mean"),
        ctx.constant(op, "variance"),
        ctx.constant(op, "gamma", None),
        ctx.constant(op, "beta", None),
        epsilon(ctx, op, 1e-5),
    )
    shape = [1, -1] + [1] * (len(ctx.shape(op, "x")) - 2)
    factor, offset = (torch.from_numpy(v.astype(np.float32)).reshape(shape) for v in (scale, shift))
    return ctx.emit(torch.addcmul, offset, ctx.tensor(op, "x"), factor)


@rule("instance_norm")
def instance_norm(ctx: RuleContext, op: Op) -> Any:
    gamma, beta = ctx.optional_tensor(op, "gamma"), ctx.optional_tensor(op, "beta")
    eps = epsilon(ctx, op, 1e-5)
    return ctx.emit(F.instance_norm, ctx.tensor(op, "x"), None, None, gamma, beta, True, 0.0, eps)


@rule("l2_norm")
def l2_norm(ctx: RuleContext, op: Op) -> Any:
    """x / sqrt(sum(x²) + ε) over the last three axes."""
    x, rank = ctx.tensor(op, "x"), len(ctx.shape(op, "x"))
    axes = list(range(max(rank - 3, 0), rank))
    total = ctx.emit(torch.sum, ctx.emit(torch.square, x), axes, True)
    inverse = ctx.emit(torch.rsqrt, ctx.emit(operator.add, total, epsilon(ctx, op, 1e-6)))
    return ctx.emit(operator.mul, x, inverse)


@rule("local_response_norm")
def local_response_norm(ctx: RuleContext, op: Op) -> Any:
    """x / (k + α / size · sum of squares over neighbouring channels) to the power of β."""
    numbers = [ctx.number(op, n, d) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("k", 1.0))]
    return ctx.emit(F.local_response_norm, ctx.tensor(op, "x"), ctx.integer(op, "size"), *numbers)
