"""Shape and type of the commonest calls' results, of floats.

torch tells of any call (on its ``meta`` device), but of these through its compiler, whose import
alone takes most of a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

_FLOATS = (torch.float32, torch.float16)

_LIKE_FIRST = frozenset(
    (
        *("abs", "acos", "asin", "atan", "ceil", "clamp", "cos", "cosh", "elu", "erf", "exp"),
        *(
            "exp2",
            "floor",
            "gelu",
            "group_norm",
            "instance_norm",
            "layer_norm",
            "leaky_relu",
            "log",
        ),
        *("neg", "reciprocal", "relu", "relu6", "round", "rsqrt", "sigmoid", "sign", "silu", "sin"),
        *("sinh", "softmax", "softplus", "sqrt", "square", "tan", "tanh"),
    )
)
_LIKE_ALL = frozenset(
    (
        *("add", "sub", "mul", "div", "__rsub__", "__rdiv__", "maximum", "minimum", "pow"),
        *("addcmul", "lerp"),
    )
)
_COMPARING = frozenset(("__eq__", "eq", "ne", "gt", "ge", "lt", "le"))


def result_of(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> torch.Tensor | None:
    """The result of a call as a meta tensor; None: torch is to be asked.

    Args:
        args: stand-ins, constants (of 16 bits too, which stand for 32) and plain values.
    """
    if name in _LIKE_FIRST:
        return _meta(args[0].shape) if _are_floats(args[:1]) else None
    if name in _LIKE_ALL or name in _COMPARING:
        if kwargs or not _are_floats(args):
            return None
        shape = _broadcast(args)
        return _meta(shape, torch.bool if name in _COMPARING else torch.float32)
    rule = _RULES.get(name)
    shape = rule(*args, **kwargs) if rule else None
    return None if shape is None else _meta(shape)


def _meta(shape: Any, kind: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(tuple(shape), dtype=kind, device="meta")


def _are_floats(values: Sequence[Any]) -> bool:
    """Whether these are tensors of floats, and plain numbers beside them."""
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return all(t.dtype in _FLOATS for t in tensors) and all(
        isinstance(value, torch.Tensor) or type(value) in (int, float) for value in values
    )


def _broadcast(values: Sequence[Any]) -> torch.Size:
    return torch.broadcast_shapes(*(v.shape for v in values if isinstance(v, torch.Tensor)))


def _where(condition: Any, x: Any, y: Any) -> Any:
    return _broadcast((condition, x, y)) if _are_floats((x, y)) else None


def _cat(tensors: Any, dim: int = 0) -> Any:
    first = tensors[0]
    if not _are_floats(tensors) or any(t.ndim != first.ndim for t in tensors):
        return None
    shape, along = list(first.shape), dim % first.ndim
    for tensor in tensors:
        if any(
            a != b for n, (a, b) in enumerate(zip(shape, tensor.shape, strict=True)) if n != along
        ):
            return None
    shape[along] = sum(tensor.shape[along] for tensor in tensors)
    return shape


def _stack(tensors: Any, dim: int = 0) -> Any:
    shape = list(tensors[0].shape)
    if not _are_floats(tensors) or any(list(t.shape) != shape for t in tensors):
        return None
    shape.insert(dim % (len(shape) + 1), len(tensors))
    return shape


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    fits = weight.ndim == 2 and x.ndim > 0 and x.shape[-1] == weight.shape[1]
    return (*x.shape[:-1], weight.shape[0]) if fits and _are_floats((x, weight)) else None


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    fits = query.ndim == key.ndim == value.ndim and query.shape[:-2] == value.shape[:-2]
    fits = fits and query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]
    return (*query.shape[:-1], value.shape[-1]) if fits else None


def _mean(x: Any, dim: Any, keepdim: bool = False) -> Any:
    axes = {axis % x.ndim for axis in ([dim] if isinstance(dim, int) else dim)}
    if not _are_floats((x,)) or not axes:
        return None
    shape = [1 if n in axes else size for n, size in enumerate(x.shape)]
    return shape if keepdim else [size for n, size in enumerate(x.shape) if n not in axes]


def _interpolate(x: Any, size: Any = None, *_: Any, **__: Any) -> Any:
    is_whole = isinstance(size, (list, tuple)) and len(size) == x.ndim - 2 and math.prod(size) > 0
    return (*x.shape[:2], *size) if is_whole and _are_floats((x,)) else None


_RULES: dict[str, Callable[..., Any]] = {
    "cat": _cat,
    "interpolate": _interpolate,
    "linear": _linear,
    "mean": _mean,
    "scaled_dot_product_attention": _attention,
    "stack": _stack,
    "sum": _mean,
    "where": _where,
}
