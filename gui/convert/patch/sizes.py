"""Infer a program's shapes anew for another picture size, and what its constants then say.

A converted program fixes its size in two ways: in the type of every value, and in constants, nearly
all of them the target shapes of reshapes.  The types follow from the inputs by the rules that the
portable runtime computes with.  A reshape's new target follows from how each axis came about:
every axis is a product of factors, each with its old and its new size, which reshapes only group
anew.  So [2, 320, 1, 4096] is known to be 64 × 64 positions side by side, and becomes
[2, 320, 1, 96 · 64].

What cannot be resized is refused: slices at fixed places of an axis that changes (SPLIT_EINSUM_V2),
constants as large as the picture, control flow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import (
    Function,
    NotKnownYetError,
    Op,
    ProgramError,
    Ref,
    TensorType,
    UnsupportedProgramError,
    constant_value,
    resolve,
)
from gui.coreml.portable.lower import ShapeInference, apply_rule
from gui.coreml.portable.ops.context import torch_type

Factor = tuple[int, int]
"""Old and new size."""
Dim = tuple[Factor, ...]
"""The factors of an axis, outermost first."""
Dims = tuple[Dim, ...]
Shape = tuple[int, ...]


class NotResizable(Exception):  # noqa: N818 - reads as what it says
    """The text is the rest of a sentence that begins with the file's name."""


@dataclass
class Resized:
    """A function for another size."""

    types: dict[str, TensorType]
    """Of the values whose type changes."""
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """New values of constants, by name."""
    literals: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """New values of operands that are written into an operation, by its name and theirs."""


def resize(function: Function, inputs: Mapping[str, Shape]) -> Resized:
    """What changes in a function whose inputs get other shapes.

    Args:
        inputs: new shapes, by name; inputs left out keep theirs.

    Raises:
        NotResizable: with the reason.
        ProgramError, UnsupportedProgramError: the program is none that can be run.
    """
    return _Resizing(function, inputs).done()


class _Resizing:
    def __init__(self, function: Function, inputs: Mapping[str, Shape]) -> None:
        self._function = function
        self._context = ShapeInference()
        self._old = function.types()
        self._dims: dict[str, Dims] = {}
        self._constants = {op.name: op for op in function.ops if op.type == "const"}
        self._result = Resized({})
        self._kept: dict[str, np.ndarray] = {}
        """Constants as some operation wants them unchanged."""
        for name, stated in function.inputs:
            if not stated.is_static:
                raise NotResizable("takes several sizes already")
            new = inputs.get(name, stated.static_shape)
            sizes = zip(stated.static_shape, new, strict=True)
            self._note(name, stated, tuple((size,) for size in sizes))

    def done(self) -> Resized:
        for op in self._function.ops:
            if op.type == "const":
                self._context.values[op.name] = constant_value(op)
                self._context.types.update(op.outputs)
            elif self._is_untouched(op):
                self._leave(op)
            else:
                self._resize(op)
        return self._result

    def _note(self, name: str, stated: TensorType, dims: Dims) -> None:
        new = replace(stated, shape=tuple(_new(dim) for dim in dims))
        self._dims[name] = dims
        self._context.types[name] = new
        self._context.values[name] = torch.empty(
            new.static_shape, dtype=torch_type(new.dtype), device="meta"
        )
        if new != stated:
            self._result.types[name] = new

    def _is_untouched(self, op: Op) -> bool:
        """Whether no input's size changes, nor how it came about."""
        return all(
            old == new
            for ref in op.refs()
            for dim in self._dims.get(ref.name, ())
            for old, new in dim
        )

    def _leave(self, op: Op) -> None:
        for operand in op.inputs.values():
            for item in operand if isinstance(operand, list) else (operand,):
                if isinstance(item, Ref) and item.name in self._constants:
                    self._keep(item.name)
        for name, stated in op.outputs:
            if not stated.is_static:
                raise NotResizable("takes several sizes already")
            self._context.types[name] = stated
            self._context.values[name] = (
                torch.empty(stated.static_shape, dtype=torch_type(stated.dtype), device="meta")
                if stated.dtype != "string"
                else None
            )
            self._dims[name] = tuple(((size, size),) for size in stated.static_shape)

    def _resize(self, op: Op) -> None:
        if op.blocks:
            raise NotResizable("decides about sizes while it runs")
        adjust = _ADJUSTMENTS.get(op.type)
        given = dict(op.inputs)
        dims: Dims | None = None
        if adjust is not None:
            changes, dims = adjust(self, op)
            for operand, values in changes.items():
                given[operand] = values
                self._change(op, operand, values)
        self._keep_others(op, given)
        flexible = [(n, replace(t, shape=(None,) * len(t.shape))) for n, t in op.outputs]
        trial = Op(op.type, given, flexible, op.attributes)
        try:
            results = apply_rule(self._context, trial)
        except NotKnownYetError as error:
            raise NotResizable("decides about sizes while it runs") from error
        except (ProgramError, UnsupportedProgramError) as error:
            raise NotResizable(f"is made for one size alone (at {op.name})") from error
        for (name, stated), result in zip(op.outputs, results, strict=True):
            old, new = stated.static_shape, tuple(result.shape)
            if len(old) != len(new):
                raise NotResizable(f"is made for one size alone (at {op.name})")
            self._note(name, stated, dims or self._dims_of(op, old, new))

    # Constants

    def _change(self, op: Op, operand: str, values: np.ndarray) -> None:
        """Note that an operand's constant must hold other values."""
        target = op.inputs[operand]
        if not isinstance(target, Ref):
            self._result.literals[op.name, operand] = values
            return
        present = self._result.constants.get(target.name, self._kept.get(target.name))
        if present is not None and not np.array_equal(present, values):
            raise NotResizable(f"shares a size among layers that differ (at {op.name})")
        old = np.asarray(resolve(constant_value(self._constants[target.name])))
        if np.array_equal(old, values):
            self._kept[target.name] = old
        else:
            self._result.constants[target.name] = values

    def _keep_others(self, op: Op, given: Mapping[str, Any]) -> None:
        for operand, value in op.inputs.items():
            if value is given.get(operand) and isinstance(value, Ref):
                self._keep(value.name)

    def _keep(self, name: str) -> None:
        if name in self._result.constants:
            raise NotResizable(f"shares a size among layers that differ (at {name})")
        if name in self._constants and not isinstance(
            value := constant_value(self._constants[name]), Blob | str | list | dict
        ):
            self._kept[name] = np.asarray(value)

    def integers(self, op: Op, operand: str) -> list[int] | None:
        """An operand that is a list of numbers; None where there is none."""
        value = op.inputs.get(operand)
        if isinstance(value, Ref):
            if value.name not in self._constants:
                raise NotResizable("decides about sizes while it runs")
            value = constant_value(self._constants[value.name])
        if value is None:
            return None
        return [int(v) for v in np.asarray(resolve(value)).reshape(-1)]

    def array(self, op: Op, operand: str, values: Sequence[int]) -> np.ndarray:
        """New values in the form of an operand's old ones."""
        value = op.inputs[operand]
        if isinstance(value, Ref):
            value = constant_value(self._constants[value.name])
        old = np.asarray(resolve(value))
        return np.array(values, old.dtype).reshape(old.shape)

    def dims(self, op: Op, operand: str) -> Dims:
        value = op.inputs[operand]
        if isinstance(value, Ref) and value.name in self._dims:
            return self._dims[value.name]
        shape = self._context.shape_of(op, value, operand)
        return tuple(((size, size),) for size in shape)

    # Axes

    def _dims_of(self, op: Op, old: Shape, new: Shape) -> Dims:
        """How each axis of a result came about."""
        if op.type == "transpose":
            perm = self.integers(op, "perm") or []
            dims = self.dims(op, "x")
            return tuple(dims[axis] for axis in perm)
        operands = [self._dims[ref.name] for ref in op.refs() if ref.name in self._dims]
        found = []
        for axis, size in enumerate(zip(old, new, strict=True)):
            places = [d[axis - len(old)] for d in operands if len(d) >= len(old) - axis]
            places += [dim for d in operands for dim in d]
            found.append(next((dim for dim in places if _sizes(dim) == size), (size,)))
        return tuple(found)


def _merged(factors: Sequence[Factor]) -> Dim:
    """Factors that stay as they are, side by side, as one: channels that were taken as groups may
    be cut into heads next."""
    found: list[Factor] = []
    for old, new in factors:
        if found and old == new and found[-1][0] == found[-1][1]:
            old, new = old * found[-1][0], new * found.pop()[1]
        found.append((old, new))
    return tuple(found)


def _new(dim: Dim) -> int:
    return _sizes(dim)[1]


def _sizes(dim: Dim) -> Factor:
    old = new = 1
    for before, after in dim:
        old, new = old * before, new * after
    return old, new


# --- operations whose constants speak of sizes ----------------------------------------------------

_Adjusted = tuple[dict[str, np.ndarray], Dims | None]


def _reshape(state: _Resizing, op: Op) -> _Adjusted:
    wanted = op.outputs[0][1].static_shape
    dims = regroup(state.dims(op, "x"), wanted, op.name)
    stated = state.integers(op, "shape")
    if stated is None:
        raise NotResizable("decides about sizes while it runs")
    sizes = [s if s in (0, -1) else _new(d) for s, d in zip(stated, dims, strict=True)]
    return {"shape": state.array(op, "shape", sizes)}, dims


def regroup(dims: Dims, wanted: Shape, place: str) -> Dims:
    """The axes of a reshape's result.

    Args:
        dims: of what is reshaped.
        wanted: the result's old shape.
        place: for the refusal.

    Raises:
        NotResizable: where axes that change are cut in a way that cannot be followed.
    """
    left = [factor for dim in dims for factor in dim if factor != (1, 1)]
    if any(old == 1 for old, _ in left):
        raise NotResizable("is too small to be told how it is built")
    found: list[Dim] = []
    for size in wanted:
        taken: list[Factor] = []
        have = 1
        while have < size:
            if not left:
                raise NotResizable(f"is made for one size alone (at {place})")
            old, new = left[0]
            rest = size // have
            if rest % old == 0:
                taken.append(left.pop(0))
                have *= old
            elif old == new and size % have == 0 and old % rest == 0:
                taken.append((rest, rest))
                left[0] = (old // rest, old // rest)
                have *= rest
            else:
                raise NotResizable(f"is made for one size alone (at {place})")
        if have != size:
            raise NotResizable(f"is made for one size alone (at {place})")
        found.append(_merged(taken) or ((1, 1),))
    if left:
        raise NotResizable(f"is made for one size alone (at {place})")
    return tuple(found)


def _slice_by_index(state: _Resizing, op: Op) -> _Adjusted:
    dims = state.dims(op, "x")
    begin, end = state.integers(op, "begin"), state.integers(op, "end")
    if begin is None or end is None:
        raise NotResizable("decides about sizes while it runs")
    masks = {n: state.integers(op, n) or [0] * len(dims) for n in _MASKS}
    new_end = list(end)
    for axis, dim in enumerate(dims):
        old, new = _sizes(dim)
        if masks["squeeze_mask"][axis]:
            continue
        whole = (masks["begin_mask"][axis] or begin[axis] == 0) and (
            masks["end_mask"][axis] or end[axis] == old
        )
        if not whole and any(before != after for before, after in dim):
            raise NotResizable(FIXED_SLICES)
        if whole and end[axis] == old:
            new_end[axis] = new
    return {"end": state.array(op, "end", new_end)}, None


FIXED_SLICES = "cuts the picture into slices of a fixed width, as SPLIT_EINSUM_V2 does"
_MASKS = ("begin_mask", "end_mask", "squeeze_mask")


def _slice_by_size(state: _Resizing, op: Op) -> _Adjusted:
    dims = state.dims(op, "x")
    begin, size = state.integers(op, "begin"), state.integers(op, "size")
    if begin is None or size is None:
        raise NotResizable("decides about sizes while it runs")
    new_size = list(size)
    for axis, dim in enumerate(dims):
        old, new = _sizes(dim)
        whole = begin[axis] == 0 and size[axis] in (-1, old)
        if not whole and any(before != after for before, after in dim):
            raise NotResizable(FIXED_SLICES)
        if size[axis] == old:
            new_size[axis] = new
    return {"size": state.array(op, "size", new_size)}, None


def _split(state: _Resizing, op: Op) -> _Adjusted:
    dims = state.dims(op, "x")
    axis = (state.integers(op, "axis") or [0])[0]
    if any(old != new for old, new in dims[axis]):
        raise NotResizable(FIXED_SLICES)
    return {}, None


def _resize_to(state: _Resizing, op: Op) -> _Adjusted:
    """Enlarging to a stated size, by the same factor as before."""
    changes = {}
    for name, axis in (("target_size_height", -2), ("target_size_width", -1)):
        target = state.integers(op, name)
        old, new = _sizes(state.dims(op, "x")[axis])
        if target is None or (target[0] * new) % old:
            raise NotResizable(f"is made for one size alone (at {op.name})")
        changes[name] = state.array(op, name, [target[0] * new // old])
    return changes, None


_ADJUSTMENTS = {
    "reshape": _reshape,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "split": _split,
    "resize_bilinear": _resize_to,
    "resize_nearest_neighbor": _resize_to,
}
