"""Matrix products and attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable import onednn
from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, alike, rule


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None,
) -> torch.Tensor:
    """softmax(query · keyᵀ · scale + mask) · value; scale None means 1/√channels."""
    if mask is None and onednn.takes_attention(query, key, value):
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        return onednn.attention(query, key, value, factor)
    if query.ndim == 3 and mask is None:  # torch's fast path wants a heads axis
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        return F.scaled_dot_product_attention(query, key, value, scale=scale).squeeze(1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)


def _operands(ctx: RuleContext, op: Op, *names: str) -> list[Any]:
    """Operands in one element type: from iOS 17 on, MIL multiplies integers by floats."""
    operands = [ctx.operand(op, name) for name in names]
    return alike(ctx, op, [ctx.tensor_of(operand) for operand in operands], operands)


@rule("linear")
def linear(ctx: RuleContext, op: Op) -> Any:
    names = ("x", "weight", "bias") if ctx.has(op, "bias") else ("x", "weight")
    x, weight, *bias = _operands(ctx, op, *names)
    return ctx.linear(op, x, ctx.shape(op, "x"), weight, bias[0] if bias else None)


@rule("matmul")
def matmul(ctx: RuleContext, op: Op) -> Any:
    x, y = _operands(ctx, op, "x", "y")
    if ctx.flag(op, "transpose_x"):
        x = ctx.emit(torch.transpose, x, -1, -2)
    if ctx.flag(op, "transpose_y"):
        y = ctx.emit(torch.transpose, y, -1, -2)
    return ctx.emit(torch.matmul, x, y)


@rule("einsum")
def einsum(ctx: RuleContext, op: Op) -> Any:
    operands = ctx.operand(op, "values")
    operands = operands if isinstance(operands, list) else [operands]
    tensors = alike(ctx, op, [ctx.tensor_of(o) for o in operands], operands)
    return ctx.emit(torch.einsum, ctx.text(op, "equation"), *tensors)


@rule("scaled_dot_product_attention")
def scaled_dot_product_attention(ctx: RuleContext, op: Op) -> Any:
    names = ("query", "key", "value")
    operands = [ctx.tensor(op, name) for name in names]
    return ctx.emit(attention, *operands, ctx.optional_tensor(op, "attn_mask"), None)
