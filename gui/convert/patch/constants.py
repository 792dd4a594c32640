"""A network's weights as they lie in the weight files of its packages or compiled models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gui.convert.patch.names import parameter_of
from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import Function, Op, Ref, constant_value

_CONSUMERS = {"conv": ("weight", "bias"), "linear": ("weight", "bias"), "gather": ("x",)}
"""Operations that use a parameter as it is in PyTorch, and by which operands."""
_NORMS = {
    "layer_norm": {"gamma": "weight", "beta": "bias"},
    "batch_norm": {"gamma": "weight", "beta": "bias"},
}
_BEFORE = {
    "conv1": "norm1",
    "conv2": "norm2",
    "proj_in": "norm",
    "conv_out": "conv_norm_out",
    "attn1.to_q": "norm1",
    "attn1.to_k": "norm1",
    "attn1.to_v": "norm1",
    "attn2.to_q": "norm2",
    "ff.net.0.proj": "norm3",
}
"""Layers of a UNet, and the norms that stand before them."""

_PASSED = frozenset(
    {"reshape", "transpose", "split", "slice_by_index", "slice_by_size", "expand_dims", "squeeze",
     "concat", "identity", "cast"}
)  # fmt: skip
"""What lies between a projection of queries and their product with the keys."""


@dataclass(frozen=True)
class Weight:
    """One parameter in one file."""

    parameter: str
    """Canonical name."""
    model: Path
    """The package or compiled model."""
    op: Op
    """``const``, or the operation that unpacks it."""
    shape: tuple[int, ...]
    factor: float | None = 1.0
    """What the stored numbers are multiples of the parameter's by; None: it cannot be told, or the
    constant is another parameter's too."""
    operands: Mapping[str, Any] = field(default_factory=dict)
    """Constants that the operation reads, by name."""

    @property
    def blob(self) -> Blob | None:
        """Where it lies if it is stored as plain floats."""
        value = constant_value(self.op) if self.op.type == "const" else None
        return value if isinstance(value, Blob) and value.dtype in ("fp16", "fp32") else None

    @property
    def is_packed(self) -> bool:
        return self.op.type != "const"


def weights_of(
    model: Path, functions: Sequence[Function], named: Mapping[str, str] | None = None
) -> Iterator[Weight]:
    """Every parameter that a file's programs hold.

    Args:
        model: the file, for `Weight.model`.
        functions: of its programs.
        named: parameters of constants whose names do not tell them.
    """
    for function in functions:
        yield from _weights(model, function, named or {})


def _weights(model: Path, function: Function, named: Mapping[str, str]) -> Iterator[Weight]:
    uses = _Uses(function, named)
    for op in function.ops:
        is_constant = op.type == "const" or op.type.startswith("constexpr_")
        if not is_constant or not op.outputs or not op.outputs[-1][1].is_static:
            continue
        name, stated = op.outputs[-1]
        found = uses.of(name)
        users = [u for u, operand in found if operand in _CONSUMERS.get(u.type, ())]
        norms = [(u, operand) for u, operand in found if u.type in _NORMS]
        parameter = uses.parameter(name)
        if norms and not parameter:
            parameter = _norm_parameter(*norms[0], uses)
            users += [norm for norm, _ in norms]
        elif norms:
            users += [norm for norm, _ in norms]
        if not parameter or not users:
            continue
        # identical constants are stored once, and cannot be changed for one of their users
        factor = _factor(parameter, users[0], uses) if len(found) == 1 else None
        operands = {
            ref.name: constant_value(uses.constants[ref.name])
            for ref in op.refs()
            if ref.name in uses.constants
        }
        yield Weight(parameter, model, op, stated.static_shape, factor, operands)


def _norm_parameter(norm: Op, operand: str, uses: _Uses) -> str:
    """The parameter of a norm whose constants bear no name of their own: told by the layer that
    reads the norm's result."""
    leaf = _NORMS[norm.type].get(operand)
    reader = _next(norm, uses, _PASSED | {"silu", "sigmoid", "mul"}, frozenset({"conv", "linear"}))
    weight = reader and reader[0].inputs.get("weight")
    if leaf is None or not isinstance(weight, Ref):
        return ""
    layer = uses.parameter(weight.name).rpartition(".")[0]
    for ending, name in _BEFORE.items():
        if layer == ending or layer.endswith(f".{ending}"):
            stem = layer.removesuffix(ending)
            return f"{stem}{name}.{leaf}"
    return ""


class _Uses:
    """Which operations read a value, and the shapes of all values."""

    def __init__(self, function: Function, named: Mapping[str, str]) -> None:
        self._named = named
        self.types = function.types()
        self.constants = {op.name: op for op in function.ops if op.type == "const"}
        self._readers: dict[str, list[tuple[Op, str]]] = {}
        for op in function.ops:
            for operand, value in op.inputs.items():
                for item in value if isinstance(value, list) else (value,):
                    if isinstance(item, Ref):
                        self._readers.setdefault(item.name, []).append((op, operand))

    def parameter(self, constant: str) -> str:
        """The parameter that a constant is; empty: none."""
        return self._named.get(constant) or parameter_of(constant)

    def of(self, name: str) -> list[tuple[Op, str]]:
        return self._readers.get(name, [])


def _factor(parameter: str, user: Op, uses: _Uses) -> float | None:
    """What the weight was multiplied by before it was stored.

    Our converter scales queries by 1/√(width of a head) in their weights; Apple's does so in the
    graph, after the product with the keys.
    """
    owner = parameter.rpartition(".")[0]
    if not owner.endswith((".attn1.to_q", ".attn2.to_q")):
        return 1.0
    product = _next(user, uses, _PASSED, frozenset({"matmul", "einsum", "mul", "real_div"}))
    if product is None:
        ends_in = _next(user, uses, _PASSED, frozenset({"scaled_dot_product_attention"}))
        return None if ends_in is None else 1.0
    op, came_from = product
    if op.type in ("mul", "real_div"):
        return 1.0
    scaled = _next(op, uses, _PASSED, frozenset({"mul", "real_div", "softmax"}))
    if scaled is None:
        return None
    if scaled[0].type != "softmax":
        return 1.0
    width = _contracted(op, came_from, uses)
    return None if width is None else float(np.float32(width**-0.5))


def _next(
    start: Op, uses: _Uses, passed: frozenset[str], wanted: frozenset[str]
) -> tuple[Op, str] | None:
    """The first operation of these kinds that reads what `start` gives, and the name by which."""
    seen: set[str] = set()
    waiting = [name for name, _ in start.outputs]
    while waiting:
        name = waiting.pop(0)
        for reader, _ in uses.of(name):
            if reader.type in wanted:
                return reader, name
            if reader.type in passed and reader.name not in seen:
                seen.add(reader.name)
                waiting += [output for output, _ in reader.outputs]
    return None


def _contracted(op: Op, name: str, uses: _Uses) -> int | None:
    """The size of the axis that a product of queries and keys sums over."""
    shape = uses.types[name].shape
    if op.type == "matmul":
        side = next((s for s in ("x", "y") if op.inputs.get(s) == Ref(name)), "x")
        flag = _value(op.inputs.get(f"transpose_{side}"), uses)
        first = bool(flag) == (side == "x")
        return shape[-2] if first else shape[-1]
    equation = _value(op.inputs.get("equation"), uses)
    operands = op.inputs.get("values")
    if not isinstance(equation, str) or not isinstance(operands, list):
        return None
    left, _, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    place = operands.index(Ref(name))
    summed = [axis for axis, letter in enumerate(terms[place]) if letter not in result]
    return shape[summed[0]] if len(summed) == 1 else None


def _value(operand: Any, uses: _Uses) -> Any:
    if isinstance(operand, Ref):
        constant = uses.constants.get(operand.name)
        return None if constant is None else constant_value(constant)
    return operand


def shapes_of(weights: Mapping[str, Sequence[Weight]]) -> dict[str, tuple[int, ...]]:
    """Shapes by parameter, linear layers written as 1×1 convolutions told as linear."""
    found = {}
    for name, places in weights.items():
        shape = places[0].shape
        found[name] = shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape
    return found


def by_parameter(weights: Iterator[Weight]) -> dict[str, list[Weight]]:
    """Where each parameter lies; in a chunked network and in one that is also there whole, it may
    lie in two files."""
    found: dict[str, list[Weight]] = {}
    for weight in weights:
        found.setdefault(weight.parameter, []).append(weight)
    twice = Counter((w.parameter, w.model) for places in found.values() for w in places)
    doubtful = {name for (name, _), count in twice.items() if count > 1}
    return {name: places for name, places in found.items() if name not in doubtful}
