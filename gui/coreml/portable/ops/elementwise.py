"""Arithmetic, comparison and rounding, element by element."""

from __future__ import annotations

import operator
from typing import Any

import torch

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RULES, RuleContext, rule, torch_type
from gui.coreml.portable.plan import Symbol, TorchCall

_UNARY: dict[str, TorchCall] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "logical_not": torch.logical_not,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}

_BINARY: dict[str, TorchCall] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "floor_div": torch.floor_divide,
    "mod": torch.remainder,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
_TAKES_PYTHON_NUMBERS = {
    "add",
    "sub",
    "mul",
    "equal",
    "not_equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
}


def scalar(constant: Any, other: Any) -> Any:
    """A one-number constant beside a running value as a Python number, which torch takes faster."""
    is_scalar = isinstance(constant, torch.Tensor) and constant.ndim == 0 and not constant.is_meta
    return constant.item() if is_scalar and isinstance(other, Symbol) else constant


def _unary_rule(function: TorchCall) -> Any:
    return lambda ctx, op: ctx.emit(function, ctx.tensor(op, "x"))


def _binary_rule(function: TorchCall, takes_numbers: bool) -> Any:
    def apply(ctx: RuleContext, op: Op) -> Any:
        x, y = ctx.tensor(op, "x"), ctx.tensor(op, "y")
        if takes_numbers:
            x, y = scalar(x, y), scalar(y, x)
        return ctx.emit(function, x, y)

    return apply


for _name, _function in _UNARY.items():
    RULES[_name] = _unary_rule(_function)
for _name, _function in _BINARY.items():
    RULES[_name] = _binary_rule(_function, _name in _TAKES_PYTHON_NUMBERS)


@rule("real_div")
def real_div(ctx: RuleContext, op: Op) -> Any:
    x, y = ctx.tensor(op, "x"), ctx.tensor(op, "y")
    quotient = ctx.emit(operator.truediv, scalar(x, y), scalar(y, x))
    result = torch_type(op.outputs[0][1].dtype)
    if result.is_floating_point:
        return quotient
    return ctx.emit(torch.Tensor.to, ctx.emit(torch.trunc, quotient), result)


def epsilon(ctx: RuleContext, op: Op, default: float) -> float:
    return ctx.number(op, "epsilon", default)


@rule("rsqrt")
def rsqrt(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(
        torch.rsqrt, ctx.emit(operator.add, ctx.tensor(op, "x"), epsilon(ctx, op, 1e-12))
    )


@rule("inverse")
def inverse(ctx: RuleContext, op: Op) -> Any:
    shifted = ctx.emit(operator.add, ctx.tensor(op, "x"), epsilon(ctx, op, 1e-4))
    return ctx.emit(torch.reciprocal, shifted)


@rule("log")
def log(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(torch.log, ctx.emit(operator.add, ctx.tensor(op, "x"), epsilon(ctx, op, 1e-45)))


@rule("clip")
def clip(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(
        torch.clamp, ctx.tensor(op, "x"), ctx.number(op, "alpha"), ctx.number(op, "beta")
    )


@rule("threshold")
def threshold(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit(torch.clamp, ctx.tensor(op, "x"), min=ctx.number(op, "alpha"))


@rule("cast")
def cast(ctx: RuleContext, op: Op) -> Any:
    """MIL casts to integers by truncation, as torch does."""
    return ctx.emit(torch.Tensor.to, ctx.tensor(op, "x"), torch_type(ctx.text(op, "dtype")))


@rule("identity")
def identity(ctx: RuleContext, op: Op) -> Any:
    return ctx.tensor(op, "x")


@rule("select")
def select(ctx: RuleContext, op: Op) -> Any:
    condition = ctx.emit(torch.Tensor.to, ctx.tensor(op, "cond"), torch.bool)
    return ctx.emit(torch.where, condition, ctx.tensor(op, "a"), ctx.tensor(op, "b"))
