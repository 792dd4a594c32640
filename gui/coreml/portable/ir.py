"""An ML Program as plain data: what both front ends produce and everything else consumes.

MIL (Core ML's Model Intermediate Language) is in static single assignment form: each value has one
name, one producing op and a type.  Constants are ops of type ``const`` whose value sits in the
attribute ``val``.  Nothing here knows protobuf, text or torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gui.coreml.portable.blobs import Blob


class ProgramError(Exception):
    """The program is malformed: the file is damaged or not what it claims to be."""


class UnsupportedProgramError(Exception):
    """The program is sound but uses something that has no rule here.

    Args:
        what: op type or feature.
        place: name of the value that the op computes, as the file calls it.
        reason: what exactly is missing; empty where the whole op is.
    """

    def __init__(self, what: str, place: str, reason: str = "") -> None:
        super().__init__(f"{what} at {place}" + (f": {reason}" if reason else ""))
        self.what, self.place, self.reason = what, place, reason


class NotKnownYetError(UnsupportedProgramError):
    """A rule asks for a value or a shape that exists only while running."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type by its MIL name (``fp16``, ``int32`` …) and shape; None where flexible.

    Types that are no tensors (strings' containers, dictionaries) have their kind as `dtype`.
    """

    dtype: str
    shape: tuple[int | None, ...]
    is_state: bool = False
    """A state: a tensor that a function is handed and may overwrite."""

    @property
    def is_static(self) -> bool:
        return None not in self.shape

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, which must hold no flexible size.

        Raises:
            ProgramError: where it does.
        """
        if not self.is_static:
            raise ProgramError(f"the shape {self.shape} is not known before running")
        return tuple(int(d) for d in self.shape if d is not None)

    @property
    def size(self) -> int:
        return math.prod(self.static_shape)


@dataclass(frozen=True, slots=True)
class Ref:
    """Use of another op's result, or of a function input."""

    name: str


Constant = Any
"""np.ndarray | Blob | str | list | dict: a value known before running."""
Operand = Any
"""Ref | Constant | list of either."""


@dataclass(slots=True, eq=False)
class Op:
    type: str
    inputs: dict[str, Operand]
    outputs: list[tuple[str, TensorType]]
    attributes: dict[str, Constant] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    """Bodies of control flow: both branches of ``cond``, test and body of ``while_loop``."""

    @property
    def name(self) -> str:
        """Name of the first result: where in the program this op stands."""
        if self.outputs:
            return self.outputs[0][0]
        stated = self.attributes.get("name", "?")
        return stated if isinstance(stated, str) else "?"

    def refs(self) -> Iterator[Ref]:
        """Every value this op reads, repetitions included; its blocks' among them."""
        for operand in self.inputs.values():
            for item in operand if isinstance(operand, list) else (operand,):
                if isinstance(item, Ref):
                    yield item
        for block in self.blocks:
            yield from block.captured()

    @property
    def has_effect(self) -> bool:
        """It does something besides computing its results: it overwrites a state."""
        return self.type == WRITE_STATE or any(o.has_effect for b in self.blocks for o in b.ops)


@dataclass(slots=True, eq=False)
class Block:
    """A body of control flow; it reads values of the function around it by their names."""

    inputs: list[tuple[str, TensorType]]
    ops: list[Op]
    outputs: list[str]

    def captured(self) -> Iterator[Ref]:
        """Every value it reads from around it, repetitions included."""
        own = {name for name, _ in self.inputs}
        for op in self.ops:
            yield from (ref for ref in op.refs() if ref.name not in own)
            own.update(name for name, _ in op.outputs)
        yield from (Ref(name) for name in self.outputs if name not in own)


WRITE_STATE = "write_state"


@dataclass(slots=True)
class Function:
    name: str
    opset: str
    inputs: list[tuple[str, TensorType]]
    outputs: list[str]
    ops: list[Op]

    @property
    def states(self) -> dict[str, TensorType]:
        """The inputs that are states."""
        return {name: stated for name, stated in self.inputs if stated.is_state}

    def types(self) -> dict[str, TensorType]:
        """Type of every value by name."""
        table = dict(self.inputs)
        for op in self.ops:
            table.update(op.outputs)
        return table


def constant_value(op: Op) -> Constant:
    """Value of a ``const`` op (older writers put it among the inputs)."""
    if "val" in op.attributes:
        return op.attributes["val"]
    if "val" in op.inputs:
        return op.inputs["val"]
    raise ProgramError(f"the constant {op.name} has no value")


def resolve(value: Constant) -> Constant:
    """The value itself, read from the weight file where it lives there."""
    return value.numpy() if isinstance(value, Blob) else value


def fill(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Shape a literal; one element stands for all (MIL's splat), without spending memory on it.

    Raises:
        ProgramError: where the number of elements does not match.
    """
    count = math.prod(shape)
    if values.size == 1 and count != 1:
        return np.broadcast_to(values.reshape(()), shape)
    if values.size != count:
        raise ProgramError(f"a literal holds {values.size} elements where {shape} needs {count}")
    return values.reshape(shape)
