"""Arithmetic, comparison, activations, sums along axes."""

from __future__ import annotations

from typing import Any

import torch

from gui.coreml.portable.openvino.graph import (
    TRANSLATIONS,
    Graph,
    Node,
    UntranslatableError,
    translates,
)

_UNARY = {
    "abs": "abs",
    "acos": "acos",
    "asin": "asin",
    "atan": "atan",
    "ceil": "ceiling",
    "cos": "cos",
    "cosh": "cosh",
    "erf": "erf",
    "exp": "exp",
    "floor": "floor",
    "log": "log",
    "neg": "negative",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "sign": "sign",
    "silu": "swish",
    "sin": "sin",
    "sinh": "sinh",
    "softplus": "softplus",
    "sqrt": "sqrt",
    "tan": "tan",
    "tanh": "tanh",
}
"""Of floats alone."""

_BINARY = {
    "add": ("add", False),
    "sub": ("subtract", False),
    "__rsub__": ("subtract", True),
    "mul": ("multiply", False),
    "maximum": ("maximum", False),
    "minimum": ("minimum", False),
}
"""The node, and whether the operands change places; of integers too."""

_COMPARISONS = {
    "__eq__": "equal",
    "eq": "equal",
    "ne": "not_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "lt": "less",
    "le": "less_equal",
}

_LOGICAL = {"logical_and": "logical_and", "logical_or": "logical_or", "logical_xor": "logical_xor"}

_REDUCTIONS = {
    "amax": "reduce_max",
    "amin": "reduce_min",
    "mean": "reduce_mean",
    "sum": "reduce_sum",
}


def common_type(*values: Any) -> torch.dtype:
    """The type that torch computes with where these meet."""
    if all(_is_float(value) for value in values):
        return torch.float32
    first, *rest = (_plain(value) for value in values)
    kind = torch.result_type(first, rest[0]) if rest else first.dtype
    for value in rest[1:]:
        kind = torch.result_type(torch.empty((), dtype=kind, device="meta"), value)
    return kind


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in (torch.float32, torch.float16)


def _plain(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    with torch._C.DisableTorchFunctionSubclass():
        return torch.empty(value.shape, dtype=value.dtype, device="meta")


def _floats_only(*values: Any) -> None:
    if common_type(*values) != torch.float32:
        raise UntranslatableError("numbers that are no floats")


def _unary(name: str) -> Any:
    def translation(g: Graph, out: torch.Tensor, x: Any, inplace: bool = False) -> Node:
        _floats_only(x)
        return getattr(g.ops, name)(g.node(x))

    return translation


def _binary(name: str, swapped: bool) -> Any:
    def translation(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
        x, y = (y, x) if swapped else (x, y)
        if out.dtype == torch.bool:
            raise UntranslatableError("arithmetic with truth values")
        return getattr(g.ops, name)(g.node(x, out.dtype), g.node(y, out.dtype))

    return translation


def _comparison(name: str) -> Any:
    def translation(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
        kind = common_type(x, y)
        return getattr(g.ops, name)(g.node(x, kind), g.node(y, kind))

    return translation


def _logical(name: str) -> Any:
    def translation(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
        return getattr(g.ops, name)(g.node(x, torch.bool), g.node(y, torch.bool))

    return translation


def _reduction(name: str) -> Any:
    def translation(g: Graph, out: torch.Tensor, x: Any, dim: Any, keepdim: bool = False) -> Node:
        _floats_only(x)
        axes = [dim] if isinstance(dim, int) else dim
        return getattr(g.ops, name)(g.node(x), g.integers(axes), keepdim)

    return translation


for _name, _node in _UNARY.items():
    TRANSLATIONS[_name] = _unary(_node)
for _name, (_node, _swapped) in _BINARY.items():
    TRANSLATIONS[_name] = _binary(_node, _swapped)
for _name, _node in _COMPARISONS.items():
    TRANSLATIONS[_name] = _comparison(_node)
for _name, _node in _LOGICAL.items():
    TRANSLATIONS[_name] = _logical(_node)
for _name, _node in _REDUCTIONS.items():
    TRANSLATIONS[_name] = _reduction(_node)


@translates("div")
def div(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
    return g.ops.divide(g.node(x, out.dtype), g.node(y, out.dtype))


@translates("__rdiv__")
def reversed_div(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
    return div(g, out, y, x)


@translates("pow")
def power(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
    _floats_only(x, y)
    return g.ops.power(g.node(x, out.dtype), g.node(y, out.dtype))


@translates("square")
def square(g: Graph, out: torch.Tensor, x: Any) -> Node:
    _floats_only(x)
    return g.ops.multiply(g.node(x), g.node(x))


@translates("rsqrt")
def rsqrt(g: Graph, out: torch.Tensor, x: Any) -> Node:
    _floats_only(x)
    return g.ops.divide(g.node(1.0), g.ops.sqrt(g.node(x)))


@translates("reciprocal")
def reciprocal(g: Graph, out: torch.Tensor, x: Any) -> Node:
    _floats_only(x)
    return g.ops.divide(g.node(1.0), g.node(x))


@translates("exp2")
def exp2(g: Graph, out: torch.Tensor, x: Any) -> Node:
    _floats_only(x)
    return g.ops.power(g.node(2.0), g.node(x))


@translates("round")
def rounded(g: Graph, out: torch.Tensor, x: Any) -> Node:
    _floats_only(x)
    return g.ops.round(g.node(x), "HALF_TO_EVEN")


@translates("relu6")
def relu6(g: Graph, out: torch.Tensor, x: Any, inplace: bool = False) -> Node:
    return clamp(g, out, x, 0.0, 6.0)


@translates("clamp")
def clamp(g: Graph, out: torch.Tensor, x: Any, min: Any = None, max: Any = None) -> Node:
    _floats_only(x)
    if isinstance(min, torch.Tensor) or isinstance(max, torch.Tensor):
        raise UntranslatableError("bounds that are tensors")
    node = g.node(x)
    node = node if min is None else g.ops.maximum(node, g.node(float(min))).output(0)
    return node if max is None else g.ops.minimum(node, g.node(float(max)))


@translates("leaky_relu")
def leaky_relu(
    g: Graph, out: torch.Tensor, x: Any, negative_slope: float = 0.01, inplace: bool = False
) -> Node:
    _floats_only(x)
    return g.ops.prelu(g.node(x), g.node(float(negative_slope)))


@translates("elu")
def elu(g: Graph, out: torch.Tensor, x: Any, alpha: float = 1.0, inplace: bool = False) -> Node:
    _floats_only(x)
    return g.ops.elu(g.node(x), float(alpha))


@translates("prelu")
def prelu(g: Graph, out: torch.Tensor, x: Any, slope: Any) -> Node:
    _floats_only(x, slope)
    return g.ops.prelu(g.node(x), g.node(slope))


@translates("gelu")
def gelu(g: Graph, out: torch.Tensor, x: Any, approximate: str = "none") -> Node:
    _floats_only(x)
    return g.ops.gelu(g.node(x), "tanh" if approximate == "tanh" else "erf")


@translates("softmax")
def softmax(g: Graph, out: torch.Tensor, x: Any, dim: int) -> Node:
    _floats_only(x)
    return g.ops.softmax(g.node(x), dim % max(out.ndim, 1))


@translates("logical_not")
def logical_not(g: Graph, out: torch.Tensor, x: Any) -> Node:
    return g.ops.logical_not(g.node(x, torch.bool))


@translates("where")
def where(g: Graph, out: torch.Tensor, condition: Any, x: Any, y: Any) -> Node:
    return g.ops.select(g.node(condition, torch.bool), g.node(x, out.dtype), g.node(y, out.dtype))


@translates("addcmul")
def addcmul(g: Graph, out: torch.Tensor, x: Any, first: Any, second: Any) -> Node:
    product = g.ops.multiply(g.node(first, out.dtype), g.node(second, out.dtype))
    return g.ops.add(g.node(x, out.dtype), product)


@translates("lerp")
def lerp(g: Graph, out: torch.Tensor, start: Any, end: Any, weight: Any) -> Node:
    begin = g.node(start, out.dtype)
    span = g.ops.subtract(g.node(end, out.dtype), begin)
    return g.ops.add(begin, g.ops.multiply(span, g.node(weight, out.dtype)))


@translates("cumsum")
def cumsum(g: Graph, out: torch.Tensor, x: Any, dim: int) -> Node:
    _floats_only(x)
    return g.ops.cum_sum(g.node(x), g.node(dim % out.ndim))


@translates("to", "float", "long")
def converted(g: Graph, out: torch.Tensor, x: Any, *_: Any) -> Node:
    return g.converted(g.node(x), out.dtype)
