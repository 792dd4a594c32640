"""Who makes a value, who reads it: what rewrites ask of a function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import Function, Op, Operand, Ref, TensorType, constant_value, resolve


class Graph:
    """An index over a function.  Rewrites put their replacements in `replacements`."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.types: dict[str, TensorType] = function.types()
        self.replacements: dict[int, list[Op]] = {}
        """id() of the op to replace → ops that take its place."""
        self._makers: dict[str, Op] = {}
        self._readers: dict[str, list[Op | None]] = {}
        for op in function.ops:
            for name, _ in op.outputs:
                self._makers[name] = op
            for ref in op.refs():
                self._readers.setdefault(ref.name, []).append(op)
        for name in function.outputs:
            self._readers.setdefault(name, []).append(None)

    def maker(self, operand: Operand, *op_types: str, shared: bool = False) -> Op | None:
        """The op of one of these types that makes `operand`.

        Args:
            shared: also where the value has other readers, so that it stays needed.
        """
        if not isinstance(operand, Ref):
            return None
        op = self._makers.get(operand.name)
        if op is None or op.type not in op_types:
            return None
        return op if shared or len(self._readers.get(operand.name, ())) == 1 else None

    def only_reader(self, op: Op, *op_types: str) -> Op | None:
        """The op of one of these types that alone reads `op`'s (first) result."""
        readers = self._readers.get(op.name, ())
        reader = readers[0] if len(readers) == 1 else None
        return reader if reader is not None and reader.type in op_types else None

    def shape(self, operand: Operand) -> tuple[int | None, ...]:
        if isinstance(operand, Ref):
            known = self.types.get(operand.name)
            return known.shape if known else ()
        return tuple(np.shape(resolve(operand)))

    def constant(self, operand: Operand) -> Any:
        """The operand's value where the file states it, else None; blobs stay unread."""
        if not isinstance(operand, Ref):
            return operand
        op = self._makers.get(operand.name)
        return constant_value(op) if op is not None and op.type == "const" else None

    def array(self, operand: Operand) -> np.ndarray | None:
        """A constant operand as an array, read from the weight file where needed."""
        value = resolve(self.constant(operand))
        return None if value is None or isinstance(value, (str, dict)) else np.asarray(value)

    def scalar(self, operand: Operand) -> float | None:
        """A constant of one element."""
        value = self.constant(operand)
        if isinstance(value, Blob):
            return None
        values = self.array(operand)
        if values is None or values.size != 1 or values.dtype.kind not in "fiub":
            return None
        return float(values.reshape(-1)[0])

    def argument(self, op: Op, name: str) -> np.ndarray | None:
        """A constant named operand of `op`, None where absent or computed."""
        return self.array(op.inputs[name]) if name in op.inputs else None

    def number(self, op: Op, name: str, default: float) -> float | None:
        """A named one-element operand; `default` where absent, None where not constant."""
        return self.scalar(op.inputs[name]) if name in op.inputs else default

    def axes(self, op: Op, name: str, rank: int) -> list[int] | None:
        """Constant axes, non-negative and sorted."""
        values = self.argument(op, name)
        if values is None or rank == 0:
            return None
        return sorted(int(v) % rank for v in values.reshape(-1))

    def replace(self, op: Op, *new: Op) -> None:
        self.replacements[id(op)] = list(new)

    def rewritten(self) -> Function:
        """The function with every replacement made and what nobody reads any more removed."""
        ops = [new for op in self.function.ops for new in self.replacements.get(id(op), [op])]
        f = self.function
        return Function(f.name, f.opset, f.inputs, f.outputs, remove_dead_ops(ops, f.outputs))


def same(a: Operand, b: Operand) -> bool:
    """Both are the same computed value."""
    return isinstance(a, Ref) and isinstance(b, Ref) and a.name == b.name


def remove_dead_ops(ops: list[Op], outputs: Iterable[str]) -> list[Op]:
    """Only the ops that lead to `outputs` or that overwrite a state."""
    needed, kept = set(outputs), []
    for op in reversed(ops):
        if op.has_effect or any(name in needed for name, _ in op.outputs):
            kept.append(op)
            needed.update(ref.name for ref in op.refs())
    return kept[::-1]
