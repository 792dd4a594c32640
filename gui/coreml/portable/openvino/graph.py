"""torch calls as nodes of OpenVINO: a call is made with stand-ins for its tensors, and what it does
to them is written down.

A stand-in (`Traced`) is a tensor without data, of torch's ``meta`` device, that knows its node.
torch hands every call that meets one to `Graph.call` (``__torch_function__``), which has torch say
what shape and type the result has and a translation of `TRANSLATIONS` make the node; the two must
agree.  Functions of our own that are made of several torch calls need no translation themselves:
they are followed through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gui.coreml.portable.openvino.results import result_of
from gui.coreml.portable.openvino.staging import Staging

Node = Any
"""An output of a node (``openvino.Output``)."""
Translation = Callable[..., Node]
"""(graph, meta tensor of the result, the call's own arguments) → node."""

TRANSLATIONS: dict[str, Translation] = {}
"""By the call's name, which is the same for torch's functions, methods and operators."""

TYPES = {
    torch.float32: "f32",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.bool: "boolean",
}
"""Element types that OpenVINO's CPU plugin computes with as torch does."""

_ASKING = frozenset(
    (
        *("__len__", "dim", "element_size", "is_complex", "is_contiguous", "is_floating_point"),
        *("ndimension", "nelement", "numel", "size", "stride"),
    )
)
"""Methods that ask a tensor about itself."""

FAILURES = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch, or OpenVINO, raises for a call with stand-ins that cannot be followed."""


class UntranslatableError(Exception):
    """A call has no translation, or none for these operands: torch makes it."""


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Register a translation."""

    def register(function: Translation) -> Translation:
        for name in names:
            TRANSLATIONS[name] = function
        return function

    return register


class Traced(torch.Tensor):
    """A tensor that exists only while running, and its node."""

    graph: Graph
    node: Node

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return _attribute(func, args)
        if name in _ASKING:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        return _graph_of(args, kwargs or {}).call(name, func, args, kwargs or {})


def _attribute(func: Any, args: Any) -> Any:
    if getattr(func.__self__, "__name__", "") == "device":
        # Constants that a function puts beside a stand-in keep their values on the CPU
        return torch.device("cpu")
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args)


def _graph_of(args: Any, kwargs: dict[str, Any]) -> Graph:
    for value in (*args, *kwargs.values()):
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, Traced):
                return item.graph
    raise UntranslatableError("no stand-in among the operands")


class Graph:
    """Nodes of one segment while it is made.

    Args:
        ov: the package ``openvino``.
        staging: takes the weights.
    """

    def __init__(self, ov: Any, staging: Staging) -> None:
        self.ops: Any = ov.opset13
        self.library = ov
        self.staging = staging
        self.heavy = 0
        """How many calls are worth a segment: convolutions, products, attention."""
        self.parameters: dict[int, Traced] = {}
        """What comes from outside, by register."""
        self._constants: dict[tuple[int, torch.dtype], tuple[torch.Tensor, Node]] = {}

    def parameter(self, register: int, like: torch.Tensor) -> Traced:
        """The stand-in of a value that is made outside."""
        if register not in self.parameters:
            if like.dtype not in TYPES or 0 in like.shape:
                raise UntranslatableError(f"an operand of {like.dtype} {list(like.shape)}")
            node = self.ops.parameter(list(like.shape), self._type(like.dtype))
            self.parameters[register] = self._traced(node.output(0), like)
        return self.parameters[register]

    def call(self, name: str, func: Any, args: Any, kwargs: dict[str, Any]) -> Traced:
        """One torch call."""
        translation = TRANSLATIONS.get(name)
        if translation is None:
            raise UntranslatableError(name)
        with torch._C.DisableTorchFunctionSubclass():
            result = result_of(name, args, kwargs)
            if result is None:
                result = func(*_without_data(args), **_without_data(kwargs))
        if not isinstance(result, torch.Tensor) or result.dtype not in TYPES or 0 in result.shape:
            raise UntranslatableError(f"{name} to what is no tensor of ours")
        node = translation(self, result, *args, **kwargs)
        node = node.output(0) if hasattr(node, "get_output_size") else node
        shape = node.get_partial_shape()
        if shape.is_dynamic or tuple(shape.to_shape()) != tuple(result.shape):
            raise UntranslatableError(f"{name} to {shape} where torch has {list(result.shape)}")
        return self._traced(self.converted(node, result.dtype), result)

    def _traced(self, node: Node, like: torch.Tensor) -> Traced:
        meta = torch.empty(like.shape, dtype=like.dtype, device="meta")
        traced = torch.Tensor._make_subclass(Traced, meta)
        traced.graph, traced.node = self, node
        return traced

    def _type(self, kind: torch.dtype) -> Any:
        return getattr(self.library.Type, TYPES[kind])

    # What translations ask for

    def node(self, value: Any, kind: torch.dtype | None = None) -> Node:
        """An operand as a node of this element type; None: of its own."""
        if isinstance(value, Traced):
            node = value.node
            return node if kind is None else self.converted(node, kind)
        if not isinstance(value, torch.Tensor):
            value = torch.tensor(value)
            kind = kind or value.dtype
        if value.is_meta:
            raise UntranslatableError("a constant without data")
        own = torch.float32 if value.dtype == torch.float16 else value.dtype
        return self._constant(value, kind or own)

    def _constant(self, value: torch.Tensor, kind: torch.dtype) -> Node:
        if kind not in TYPES:
            raise UntranslatableError(f"a constant of {kind}")
        known = self._constants.get((id(value), kind))
        if known is None:
            array = value.detach().to(kind).contiguous().numpy()
            known = value, self.ops.constant(array).output(0)
            self._constants[id(value), kind] = known
        return known[1]

    def weight(self, value: Any) -> Node:
        """A weight of a layer: an operand that the layer alone reads, and brings into a layout of
        its own."""
        if isinstance(value, Traced) or value.is_meta:
            return self.node(value, torch.float32)
        key = id(value), torch.float32
        if key not in self._constants:
            array = self.staging.array(value)
            node = (
                self._constant(value, torch.float32)
                if array is None
                else self.ops.constant(array, shared_memory=True).output(0)
            )
            self._constants[key] = value, node
        return self._constants[key][1]

    def converted(self, node: Node, kind: torch.dtype) -> Node:
        wanted = self._type(kind) if kind in TYPES else None
        if wanted is None:
            raise UntranslatableError(f"a value of {kind}")
        if node.get_element_type() == wanted:
            return node
        if kind == torch.bool:  # torch: whatever is not nought
            nought = self.ops.constant(0, node.get_element_type())
            return self.ops.not_equal(node, nought).output(0)
        return self.ops.convert(node, wanted).output(0)

    def integers(self, values: Any) -> Node:
        """Sizes, axes or places as a constant."""
        return self.node(torch.tensor(list(values), dtype=torch.int64))

    def reshaped(self, node: Node, shape: Any) -> Node:
        return self.ops.reshape(node, self.integers(shape), False).output(0)


def _without_data(values: Any) -> Any:
    """Tensors as torch's meta tensors; weights of 16 bits as the 32 that they stand for."""
    if isinstance(values, dict):
        return {name: _without_data(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)(_without_data(value) for value in values)
    if isinstance(values, torch.Tensor) and not isinstance(values, Traced):
        kind = torch.float32 if values.dtype == torch.float16 else values.dtype
        return torch.empty(values.shape, dtype=kind, device="meta")
    return values
