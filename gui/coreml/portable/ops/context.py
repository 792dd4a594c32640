"""What a rule may ask and say: operands as tensors or Python values, and torch calls.

Two contexts exist: lowering records calls in a plan, shape inference performs them on meta tensors
(`gui.coreml.portable.lower`).  Rules know neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import (
    Block,
    NotKnownYetError,
    Op,
    Operand,
    ProgramError,
    Ref,
    TensorType,
    UnsupportedProgramError,
    resolve,
)
from gui.coreml.portable.plan import ExecutionPlan, Symbol, TorchCall

Value = Symbol | torch.Tensor
"""A tensor known now, or one that will be known when running."""

CONVOLUTIONS: tuple[TorchCall, ...] = (F.conv1d, F.conv2d, F.conv3d)
"""By number of spatial axes, less one."""

_MOST_INTEGERS = 1 << 16
"""More than any list of sizes or axes holds; a damaged file may claim billions."""

_REQUIRED: Any = object()

_TORCH_TYPES = {
    "fp32": torch.float32,
    "fp64": torch.float64,
    "int4": torch.int8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint1": torch.uint8,
    "uint2": torch.uint8,
    "uint3": torch.uint8,
    "uint4": torch.uint8,
    "uint6": torch.uint8,
    "uint8": torch.uint8,
    # torch has few operations on these two: the next wider signed type holds all their values
    "uint16": torch.int32,
    "uint32": torch.int64,
    "bool": torch.bool,
}


def torch_type(mil_type: str) -> torch.dtype:
    """The torch type that computes with a MIL element type; fp16 is computed as fp32.

    Raises:
        ProgramError: for a type that holds no numbers.
    """
    if mil_type == "fp16":
        return torch.float32
    try:
        return _TORCH_TYPES[mil_type]
    except KeyError:
        raise ProgramError(f"{mil_type} is no element type to compute with") from None


class RuleContext(ABC):
    """Names and types of a function while its ops are translated one after the other."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        """By MIL name: `Symbol`, tensor, or a constant (array, blob, text, list)."""
        self.types: dict[str, TensorType] = {}
        self.states: dict[str, Any] = {}
        """What each state holds at this point of the program, by the state's name."""

    @abstractmethod
    def emit(self, function: TorchCall, *arguments: Any, **keywords: Any) -> Any:
        """Say one torch call; done at once (folded) where every tensor among the arguments is
        known.  Symbols may stand only directly among `arguments`."""

    def emit_always(self, function: TorchCall, *arguments: Any) -> Any:
        """As `emit`, but never done in advance: for what differs from run to run."""
        return self.emit(function, *arguments)

    def block(self, block: Block, states: list[str]) -> tuple[ExecutionPlan, list[Any]]:
        """A body of control flow as a plan of its own.

        Args:
            block: the body.
            states: which states it is handed and hands back.

        Returns:
            The plan, which takes the block's inputs, then the states, then the values that it
            reads from around it, and gives the block's outputs, then the states; and those values.
        """
        raise NotKnownYetError("control flow", block.outputs[0] if block.outputs else "?")

    @abstractmethod
    def tensor_of(self, operand: Operand) -> Any:
        """An operand as a `Value`.  (Typed Any: rules hand it to torch calls.)"""

    @abstractmethod
    def stored(self, value: np.ndarray | torch.Tensor) -> torch.Tensor:
        """A constant in the type that it is computed with."""

    def convolution(
        self,
        op: Op,
        x: Any,
        shape: tuple[int, ...],
        strides: list[int],
        padding: list[int],
        dilations: list[int],
        groups: int,
    ) -> Any:
        """The op's ``weight`` and ``bias`` over `x` of this shape, padded evenly."""
        weight, bias = self.tensor(op, "weight"), self.optional_tensor(op, "bias")
        convolve = CONVOLUTIONS[len(strides) - 1]
        return self.emit(convolve, x, weight, bias, strides, padding, dilations, groups)

    def linear(self, op: Op, x: Any, shape: tuple[int, ...], weight: Any, bias: Any) -> Any:
        """`x` of this shape · the op's ``weight``ᵀ [out, in] + its ``bias`` or None."""
        return self.emit(F.linear, x, weight, bias)

    # Operands

    def has(self, op: Op, name: str) -> bool:
        return name in op.inputs or (name in op.attributes and name != "name")

    def operand(self, op: Op, name: str) -> Operand:
        if name in op.inputs:
            return op.inputs[name]
        if name in op.attributes:
            return op.attributes[name]
        raise ProgramError(f"{op.type} at {op.name} lacks its input {name}")

    def tensor(self, op: Op, name: str) -> Any:
        """Operand `name` as a tensor or symbol."""
        return self.tensor_of(self.operand(op, name))

    def optional_tensor(self, op: Op, name: str) -> Any:
        return self.tensor(op, name) if self.has(op, name) else None

    def tensors(self, op: Op, name: str) -> list[Any]:
        """A variadic operand (``values``)."""
        operands = self.operand(op, name)
        if not isinstance(operands, list):
            operands = [operands]
        return [self.tensor_of(operand) for operand in operands]

    def shape(self, op: Op, name: str) -> tuple[int, ...]:
        """Shape of operand `name`.

        Raises:
            NotKnownYetError: where it depends on values.
        """
        return self.shape_of(op, self.operand(op, name), name)

    def shape_of(self, op: Op, operand: Operand, name: str) -> tuple[int, ...]:
        """Shape of one of the op's operands; `name` is what to call it."""
        if isinstance(operand, Ref):
            stated = self.types.get(operand.name)
            if stated is None:
                raise ProgramError(f"{operand.name} is used but never computed")
            if not stated.is_static:
                raise NotKnownYetError(op.type, op.name, f"the shape of {name} is not known")
            return stated.static_shape
        return tuple(np.shape(resolve(operand)))

    def element_type(self, op: Op, name: str) -> str:
        """MIL element type of operand `name`, empty where it is a literal."""
        operand = self.operand(op, name)
        if isinstance(operand, Ref) and operand.name in self.types:
            return self.types[operand.name].dtype
        return operand.dtype if isinstance(operand, Blob) else ""

    # Constants

    def constant(self, op: Op, name: str, default: Any = _REQUIRED) -> Any:
        """Operand `name` as an array, text or list known before running.

        Raises:
            NotKnownYetError: where it is computed while running.
        """
        if default is not _REQUIRED and not self.has(op, name):
            return default
        operand = self.operand(op, name)
        if isinstance(operand, Ref):
            if operand.name not in self.values:
                raise ProgramError(f"{operand.name} is used before it is computed")
            operand = self.values[operand.name]
        value = resolve(operand)
        if isinstance(value, Symbol) or (isinstance(value, torch.Tensor) and value.is_meta):
            raise NotKnownYetError(op.type, op.name, f"{name} is not a constant")
        return value.numpy() if isinstance(value, torch.Tensor) else value

    def integer(self, op: Op, name: str, default: int | None = None) -> int:
        values = self.integers(op, name, None if default is None else [default])
        if len(values) != 1:
            raise ProgramError(f"{op.type} at {op.name}: {name} is not one number")
        return values[0]

    def integers(self, op: Op, name: str, default: list[int] | None = None) -> list[int]:
        if default is not None and not self.has(op, name):
            return default
        values = np.asarray(self.constant(op, name))
        if values.size > _MOST_INTEGERS:
            raise ProgramError(f"{op.type} at {op.name}: {name} holds {values.size} numbers")
        return [int(v) for v in values.reshape(-1)]

    def number(self, op: Op, name: str, default: float | None = None) -> float:
        if default is not None and not self.has(op, name):
            return default
        values = np.asarray(self.constant(op, name)).reshape(-1)
        if values.size != 1:
            raise ProgramError(f"{op.type} at {op.name}: {name} is not one number")
        return float(values[0])

    def flag(self, op: Op, name: str, default: bool = False) -> bool:
        return bool(self.number(op, name)) if self.has(op, name) else default

    def text(self, op: Op, name: str, default: str | None = None) -> str:
        value = self.constant(op, name) if default is None else self.constant(op, name, default)
        if not isinstance(value, str):
            raise ProgramError(f"{op.type} at {op.name}: {name} is not text")
        return value

    def unsupported(self, op: Op, reason: str) -> UnsupportedProgramError:
        return UnsupportedProgramError(op.type, op.name, reason)


Rule = Callable[[RuleContext, Op], Any]
RULES: dict[str, Rule] = {}


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    """Register a rule for one or more op types, which are MIL's (`PORTABLE` has them all) or, with
    a dot, our own."""

    def register(function: Rule) -> Rule:
        for op_type in op_types:
            RULES[op_type] = function
        return function

    return register


def alike(ctx: RuleContext, op: Op, tensors: list[Any], operands: list[Operand]) -> list[Any]:
    """`tensors` in one element type: the one that torch promotes them all to."""
    kinds = []
    for tensor, operand in zip(tensors, operands, strict=True):
        if isinstance(tensor, torch.Tensor):
            kinds.append(tensor.dtype)
        else:
            stated = ctx.types.get(operand.name) if isinstance(operand, Ref) else None
            kinds.append(torch_type(stated.dtype) if stated else torch.float32)
    if len(set(kinds)) == 1:
        return tensors
    kind = kinds[0]
    for other in kinds[1:]:
        kind = torch.promote_types(kind, other)
    return [
        tensor if have is kind else ctx.emit(torch.Tensor.to, tensor, kind)
        for tensor, have in zip(tensors, kinds, strict=True)
    ]


def output_shape(op: Op, index: int = 0) -> list[int] | None:
    """Shape the program states for a result, None where it is flexible."""
    stated = op.outputs[index][1]
    return list(stated.static_shape) if stated.is_static else None


def normalized_axis(axis: int, rank: int) -> int:
    """A non-negative axis.

    Raises:
        ProgramError: where the tensor has no such axis.
    """
    if not -rank <= axis < rank:
        raise ProgramError(f"axis {axis} of a tensor of rank {rank}")
    return axis % rank
