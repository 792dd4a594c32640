"""Activation functions."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RULES, RuleContext, rule
from gui.coreml.portable.plan import TorchCall

_PLAIN: dict[str, TorchCall] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
}


def _plain_rule(function: TorchCall) -> Any:
    return lambda ctx, op: ctx.emit(function, ctx.tensor(op, "x"))


for _name, _function in _PLAIN.items():
    RULES[_name] = _plain_rule(_function)


def _affine(ctx: RuleContext, x: Any, scale: float, shift: float) -> Any:
    return ctx.emit(operator.add, ctx.emit(operator.mul, x, scale), shift)


@rule("leaky_relu")
def leaky_relu(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(F.leaky_relu, ctx.tensor(op, "x"), ctx.number(op, "alpha", 0.01))


@rule("elu")
def elu(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(F.elu, ctx.tensor(op, "x"), ctx.number(op, "alpha", 1.0))


@rule("prelu")
def prelu(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(F.prelu, ctx.tensor(op, "x"), ctx.tensor(op, "alpha"))


@rule("linear_activation")
def linear_activation(ctx: RuleContext, op: Op) -> Any:
    return _affine(
        ctx, ctx.tensor(op, "x"), ctx.number(op, "alpha", 1.0), ctx.number(op, "beta", 0.0)
    )


@rule("sigmoid_hard")
def sigmoid_hard(ctx: RuleContext, op: Op) -> Any:
    line = _affine(
        ctx, ctx.tensor(op, "x"), ctx.number(op, "alpha", 0.2), ctx.number(op, "beta", 0.5)
    )
    return ctx.emit(torch.clamp, line, 0.0, 1.0)


@rule("scaled_tanh")
def scaled_tanh(ctx: RuleContext, op: Op) -> Any:
    inner = ctx.emit(operator.mul, ctx.tensor(op, "x"), ctx.number(op, "beta", 1.0))
    return ctx.emit(operator.mul, ctx.emit(torch.tanh, inner), ctx.number(op, "alpha", 1.0))


@rule("gelu")
def gelu(ctx: RuleContext, op: Op) -> Any:
    mode, x = ctx.text(op, "mode", "EXACT"), ctx.tensor(op, "x")
    if mode == "SIGMOID_APPROXIMATION":
        # x · sigmoid(1.702 x): Hendrycks and Gimpel, "Gaussian Error Linear Units"
        return ctx.emit(operator.mul, x, ctx.emit(torch.sigmoid, ctx.emit(operator.mul, x, 1.702)))
    kinds = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}
    if mode not in kinds:
        raise ctx.unsupported(op, f"mode {mode}")
    return ctx.emit(F.gelu, x, approximate=kinds[mode])


def _thresholded(x: torch.Tensor, alpha: float) -> torch.Tensor:
    return torch.where(x >= alpha, x, torch.zeros_like(x))


@rule("thresholded_relu")
def thresholded_relu(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(_thresholded, ctx.tensor(op, "x"), ctx.number(op, "alpha", 1.0))


@rule("clamped_relu")
def clamped_relu(ctx: RuleContext, op: Op) -> Any:
    leaky = ctx.emit(F.leaky_relu, ctx.tensor(op, "x"), ctx.number(op, "alpha"))
    return ctx.emit(torch.clamp, leaky, max=ctx.number(op, "beta"))


@rule("softplus_parametric")
def softplus_parametric(ctx: RuleContext, op: Op) -> Any:
    """α · log(1 + exp(β x)) with an α and a β per channel, which is axis 1."""
    shape = [1, -1] + [1] * (len(ctx.shape(op, "x")) - 2)
    alpha, beta = (
        ctx.emit(torch.reshape, ctx.tensor(op, name), shape) for name in ("alpha", "beta")
    )
    soft = ctx.emit(F.softplus, ctx.emit(operator.mul, ctx.tensor(op, "x"), beta))
    return ctx.emit(operator.mul, soft, alpha)
