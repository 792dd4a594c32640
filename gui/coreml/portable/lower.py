"""From a function in `ir` to a `plan`: constants folded, dead code gone, weights laid out."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable import onednn
from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.in_place import overwrite
from gui.coreml.portable.ir import (
    Block,
    Function,
    NotKnownYetError,
    Op,
    Operand,
    ProgramError,
    Ref,
    TensorType,
    UnsupportedProgramError,
    constant_value,
    resolve,
)
from gui.coreml.portable.later import Packing
from gui.coreml.portable.ops import RULES, RuleContext
from gui.coreml.portable.ops.context import CONVOLUTIONS, torch_type
from gui.coreml.portable.ops.control_flow import CONTROL_FLOW
from gui.coreml.portable.ops.linear_algebra import attention
from gui.coreml.portable.plan import ExecutionPlan, PlanStep, Symbol, TorchCall
from gui.coreml.portable.rewrites import remove_dead_ops, rewrite

_RULE_FAILURES = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch and numpy raise for operands that make no sense."""


class Compute(StrEnum):
    """How floating-point values are computed with."""

    FP32 = "fp32"
    """Everything in float32; fp16 is only how weights are stored."""
    BF16 = "bf16"
    """Convolutions and matrix products in bfloat16, the rest in float32."""
    EMULATE_FP16 = "emulate_fp16"
    """float32, but every fp16 result is rounded to fp16: shows overflow and rounding that Core ML
    would have on a processor that computes in fp16."""


_LARGE_WEIGHT = 1 << 18
"""Elements from which on a weight is worth a thread's while."""

_HEAVY: frozenset[TorchCall] = frozenset(
    (F.linear, F.conv1d, F.conv2d, F.conv3d, torch.matmul, torch.einsum, attention)
)


def _round_to_fp16(x: torch.Tensor) -> torch.Tensor:
    return x.half().float()


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def as_tensor(value: np.ndarray | torch.Tensor | list[Any]) -> torch.Tensor:
    """A constant as a tensor of the type that it is computed with; fp32 stays where it is."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype == torch.float16 else value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ProgramError(f"a constant of type {array.dtype} is used as a tensor")
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int32 if array.dtype == np.uint16 else np.int64)
    if array.size > 1 and not any(array.strides):  # one number for all: no need to store it again
        first = torch.from_numpy(array.reshape(-1)[:1].copy()).reshape(())
        return as_tensor(first).expand(array.shape)
    if not array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, order="C")
    tensor = torch.from_numpy(array)
    return tensor.float() if tensor.dtype == torch.float16 else tensor


class Lowering(RuleContext):
    """Translates one function.

    Ops whose rule needs a value or a shape that exists only while running become one step that
    applies the rule then (`_LateOp`).

    Args:
        function: its types should be static; where they are not, more is left for later.
        compute: how to compute with floats.
        rewriting: recognise group norm and attention.
        channels_last: memory layout of images and their weights.
    """

    def __init__(
        self,
        function: Function,
        compute: Compute = Compute.FP32,
        *,
        rewriting: bool = True,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self._compute = compute
        self._rewriting, self._channels_last = rewriting, channels_last
        ops = remove_dead_ops(function.ops, function.outputs)
        clean = Function(function.name, function.opset, function.inputs, function.outputs, ops)
        check_ops(clean)
        self.rewrites: Counter[str] = Counter()
        """How often each pattern was found."""
        self._function = rewrite(clean, self.rewrites) if rewriting else clean
        self.types = self._function.types()
        self._steps: list[PlanStep] = []
        self._registers = 0
        self._place = ""
        self._tensors: dict[tuple[str, bool], torch.Tensor] = {}
        self._packing: Packing | None = None
        self._unread = Counter(r.name for op in self._function.ops for r in op.refs())
        self._unread.update(self._function.outputs)

    def plan(self) -> ExecutionPlan:
        """Do it: a plan that gives the function's outputs, then what its states hold.

        Raises:
            ProgramError: an op's operands make no sense.
            UnsupportedProgramError: no rule for an op or for this use of it.
            WeightFileError: a constant cannot be read.
        """
        with Packing() as self._packing:
            plan = self._plan()
        self._packing = None
        return plan

    def _plan(self) -> ExecutionPlan:
        function = self._function
        inputs = []
        for name, stated in function.inputs:
            symbol: Any = self._symbol()
            inputs.append(symbol.register)
            self._place = f"input {name}"
            if self._channels_last and len(stated.shape) == 4:
                symbol = self.emit(_channels_last, symbol)
            if stated.is_state:
                self.states[name] = symbol
            else:
                self.values[name] = symbol
        for op in function.ops:
            self._translate(op)
            for ref in op.refs():
                self._forget_if_read(ref.name)
        missing = [name for name in function.outputs if name not in self.values]
        if missing:
            raise ProgramError(f"the output {missing[0]} is never computed")
        outputs = [self.tensor_of(Ref(name)) for name in function.outputs]
        outputs += [self.states[name] for name in function.states]
        return self._finished(inputs, outputs)

    def _finished(self, inputs: list[int], outputs: Sequence[Any]) -> ExecutionPlan:
        """The plan of the steps."""
        Packing.keep(self._steps)
        overwrite(self._steps, outputs)
        return ExecutionPlan(self._steps, inputs, outputs, self._registers)

    def _translate(self, op: Op) -> None:
        if op.type == "const":
            self.values[op.name] = _checked_constant(op)
            return
        self._place = f"{op.type} {op.name}"
        done = len(self._steps)
        try:
            results = apply_rule(self, op)
        except NotKnownYetError:
            del self._steps[done:]
            results = self._leave_for_later(op)
        for (name, stated), value in zip(op.outputs, results, strict=False):
            rounds = self._compute is Compute.EMULATE_FP16 and stated.dtype == "fp16"
            if rounds and isinstance(value, Symbol):
                value = self.emit(_round_to_fp16, value)
            self.values[name] = value

    def _leave_for_later(self, op: Op) -> tuple[Any, ...]:
        """The op as one step."""
        names = list(dict.fromkeys(ref.name for ref in op.refs()))
        operands = {name: self._operand_for_later(name) for name in names}
        tensors = {n: v for n, v in operands.items() if isinstance(v, (Symbol, torch.Tensor))}
        others = {n: v for n, v in operands.items() if n not in tensors}
        late = _LateOp(op, list(tensors), others, {n: self.types[n] for n in names})
        result = self._record(late, list(tensors.values()), {})
        if len(op.outputs) == 1:
            return (result,)
        count = range(len(op.outputs))
        return tuple(self._record(operator.getitem, [result, i], {}) for i in count)

    def _operand_for_later(self, name: str) -> Any:
        """A symbol, a tensor, or what is no tensor: text, lists of it."""
        value = self.values.get(name)
        is_plain = isinstance(value, (str, dict, list)) or (
            isinstance(value, np.ndarray) and value.dtype.kind not in "fiub"
        )
        return value if is_plain else self.tensor_of(Ref(name))

    def _forget_if_read(self, name: str) -> None:
        """Constants not needed any more are dropped at once, so that a weight never stands in
        memory in two layouts for long."""
        self._unread[name] -= 1
        if self._unread[name] == 0:
            self.values.pop(name, None)
            for layout in (False, True):
                self._tensors.pop((name, layout), None)

    def _symbol(self) -> Symbol:
        self._registers += 1
        return Symbol(self._registers - 1)

    # RuleContext

    def emit(self, function: TorchCall, *arguments: Any, **keywords: Any) -> Any:
        if not any(isinstance(a, Symbol) for a in arguments):
            return function(*arguments, **keywords)
        if self._compute is Compute.BF16 and function in _HEAVY:
            narrow = [self._narrowed(a) for a in arguments]
            result = self._record(function, narrow, keywords)
            return self._record(torch.Tensor.to, [result, torch.float32], {})
        return self._record(function, list(arguments), keywords)

    def emit_always(self, function: TorchCall, *arguments: Any) -> Any:
        return self._record(function, list(arguments), {})

    def block(self, block: Block, states: list[str]) -> tuple[ExecutionPlan, list[Any]]:
        known = {name for name, _ in block.inputs} | set(states)
        around = dict.fromkeys(r.name for r in block.captured() if r.name not in known)
        values = {name: self.values.get(name) for name in around}
        running = [name for name, value in values.items() if isinstance(value, Symbol)]
        inputs = [
            *block.inputs,
            *((name, replace(self.types[name], is_state=True)) for name in states),
            *((name, self.types[name]) for name in running),
        ]
        inner = Lowering(
            Function(self._place, self._function.opset, inputs, block.outputs, block.ops),
            self._compute,
            rewriting=self._rewriting,
            channels_last=self._channels_last,
        )
        for name, value in values.items():
            if name not in running and value is not None:
                inner.values[name] = value
                inner.types[name] = self.types[name]
        return inner.plan(), [values[name] for name in running]

    def _record(self, function: TorchCall, arguments: list[Any], keywords: Any) -> Symbol:
        symbol = self._symbol()
        self._steps.append(PlanStep(function, arguments, keywords, symbol.register, self._place))
        return symbol

    def _narrowed(self, value: Any) -> Any:
        if isinstance(value, Symbol):
            return self._record(torch.Tensor.to, [value, torch.bfloat16], {})
        is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.to(torch.bfloat16) if is_float else value

    def tensor_of(self, operand: Operand) -> Any:
        return self._tensor(operand, for_images=False)

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
        weight = self._tensor(self.operand(op, "weight"), for_images=False)
        bias = self.optional_tensor(op, "bias")
        is_plain = groups == 1 and isinstance(x, Symbol) and isinstance(weight, torch.Tensor)
        is_plain = is_plain and self._channels_last and self._compute is not Compute.BF16
        if is_plain and onednn.packs_convolution(weight):
            shaping = (strides, padding, dilations)
            packed = self._packed(op, onednn.pack_convolution, weight, *shaping, shape)
            return self.emit(onednn.convolution, x, packed, bias, *shaping)
        weight = self._tensor(self.operand(op, "weight"), for_images=self._channels_last)
        convolve = CONVOLUTIONS[len(strides) - 1]
        return self.emit(convolve, x, weight, bias, strides, padding, dilations, groups)

    def linear(self, op: Op, x: Any, shape: tuple[int, ...], weight: Any, bias: Any) -> Any:
        is_plain = isinstance(x, Symbol) and not any(isinstance(v, Symbol) for v in (weight, bias))
        is_plain = is_plain and len(shape) > 1 and self._compute is not Compute.BF16
        if is_plain and onednn.packs_linear(weight):
            packed = self._packed(op, onednn.pack_linear, weight, math.prod(shape[:-1]))
            return self.emit(onednn.linear, x, packed, bias)
        return self.emit(F.linear, x, weight, bias)

    def _packed(self, op: Op, pack: TorchCall, weight: torch.Tensor, *arguments: Any) -> Any:
        """A packed ``weight`` of the op, or the promise of one."""
        operand = op.inputs.get("weight")
        stored = self.values.get(operand.name) if isinstance(operand, Ref) else operand

        def action() -> torch.Tensor:
            packed = pack(weight, *arguments)
            if isinstance(stored, Blob):
                stored.release()
            return packed

        is_large = weight.numel() >= _LARGE_WEIGHT
        return self._packing.promise(action) if self._packing and is_large else action()

    def _tensor(self, operand: Operand, *, for_images: bool) -> Any:
        if not isinstance(operand, Ref):
            return as_tensor(resolve(operand))
        if operand.name not in self.values:
            raise ProgramError(f"{operand.name} is used before it is computed")
        value = self.values[operand.name]
        if isinstance(value, Symbol):
            return value
        key = (operand.name, for_images)
        tensor = self._tensors.get(key)
        if tensor is None:
            tensor = as_tensor(resolve(value))
            if for_images and tensor.ndim == 4:
                tensor = _channels_last(tensor)
            self._tensors[key] = tensor
        return tensor

    def stored(self, value: np.ndarray | torch.Tensor) -> torch.Tensor:
        return as_tensor(value)


class _LateOp(RuleContext):
    """An op as a step of a plan: its rule is applied while running, to the tensors themselves.

    Args:
        op: its operands are references or literals.
        names: of the operands that the step is called with, in order.
        others: operands that are no tensors, by name.
        types: of all of them.
    """

    def __init__(
        self, op: Op, names: list[str], others: dict[str, Any], types: dict[str, TensorType]
    ) -> None:
        super().__init__()
        self._op, self._names = op, names
        self.values, self.types = others, types

    def __call__(self, *tensors: torch.Tensor) -> Any:
        now = _LateOp(self._op, self._names, self.values.copy(), self.types.copy())
        for name, tensor in zip(self._names, tensors, strict=True):
            now.values[name] = tensor
            now.types[name] = TensorType(self.types[name].dtype, tuple(tensor.shape))
        results = apply_rule(now, self._op)
        return results[0] if len(self._op.outputs) == 1 else results

    def emit(self, function: TorchCall, *arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    def tensor_of(self, operand: Operand) -> Any:
        value = self.values[operand.name] if isinstance(operand, Ref) else operand
        return value if isinstance(value, torch.Tensor) else as_tensor(resolve(value))

    def stored(self, value: np.ndarray | torch.Tensor) -> torch.Tensor:
        return as_tensor(value)


_UNKNOWN = Symbol(-1)
"""Stands, in shape inference, for a value whose shape depends on values."""

_SHAPED_BY_VALUES = frozenset({"non_zero", "non_maximum_suppression"})


class ShapeInference(RuleContext):
    """Performs the rules on meta tensors: shapes without data."""

    def emit(self, function: TorchCall, *arguments: Any, **keywords: Any) -> Any:
        if any(isinstance(a, torch.Tensor) and a.is_meta for a in arguments):
            arguments = tuple(a.to("meta") if isinstance(a, torch.Tensor) else a for a in arguments)
        return function(*arguments, **keywords)

    def emit_always(self, function: TorchCall, *arguments: Any) -> Any:
        result = self.emit(function, *arguments)
        return result.to("meta") if isinstance(result, torch.Tensor) else result

    def tensor_of(self, operand: Operand) -> Any:
        value = operand
        if isinstance(operand, Ref):
            if operand.name not in self.values:
                raise ProgramError(f"{operand.name} is used before it is computed")
            value = self.values[operand.name]
        if value is _UNKNOWN:
            raise NotKnownYetError("a shape", getattr(operand, "name", "?"))
        if isinstance(value, torch.Tensor):
            return value
        if isinstance(value, Blob):  # never decides a shape
            return torch.empty(value.shape, dtype=torch_type(value.dtype), device="meta")
        return as_tensor(value)

    def stored(self, value: np.ndarray | torch.Tensor) -> torch.Tensor:
        return as_tensor(value)


def specialise(function: Function, shapes: dict[str, tuple[int, ...]]) -> Function:
    """Fix flexible shapes: the same function with every type static for these input shapes.

    Args:
        shapes: of the inputs, by name; inputs left out keep their stated shape.

    Raises:
        ProgramError: the shapes do not fit the program.
        UnsupportedProgramError: no rule for an op.
    """
    context = ShapeInference()
    inputs = []
    for name, stated in function.inputs:
        fixed = replace(stated, shape=shapes.get(name, stated.shape))
        inputs.append((name, fixed))
        context.types[name] = fixed
        (context.states if stated.is_state else context.values)[name] = _of_type(fixed)
    live = remove_dead_ops(function.ops, function.outputs)
    check_ops(Function(function.name, function.opset, inputs, function.outputs, live))
    ops = [_specialised_op(context, op) for op in live]
    return Function(function.name, function.opset, inputs, function.outputs, ops)


def _specialised_op(context: ShapeInference, op: Op) -> Op:
    if op.type == "const":
        context.values[op.name] = constant_value(op)
        context.types.update(op.outputs)
        return op
    if op.type.startswith("constexpr_"):
        return _as_stated(context, op)
    if op.blocks or op.type in _SHAPED_BY_VALUES:
        return _as_stated(context, op)
    try:
        results = apply_rule(context, op)
    except NotKnownYetError:
        return _as_stated(context, op)
    outputs = []
    for (name, stated), result in zip(op.outputs, results, strict=False):
        context.values[name] = result
        outputs.append((name, TensorType(stated.dtype, tuple(result.shape))))
    context.types.update(outputs)
    if len(results) == 1 and not results[0].is_meta:  # arithmetic with shapes: now a constant
        return Op("const", {}, outputs, {"val": results[0].numpy()})
    return Op(op.type, op.inputs, outputs, op.attributes, op.blocks)


def _as_stated(context: ShapeInference, op: Op) -> Op:
    """An op whose results are what the program says, as far as it says it."""
    for name, stated in op.outputs:
        context.values[name] = _of_type(stated) if stated.is_static else _UNKNOWN
    context.types.update(op.outputs)
    return op


def _of_type(stated: TensorType) -> torch.Tensor:
    return torch.empty(stated.static_shape, dtype=torch_type(stated.dtype), device="meta")


def _checked_constant(op: Op) -> Any:
    """The constant, which must have the shape that the program states for it."""
    value, stated = constant_value(op), op.outputs[0][1]
    if isinstance(value, (np.ndarray, Blob)) and stated.is_static and value.shape != stated.shape:
        raise ProgramError(f"the constant {op.name} of {stated.shape} holds {value.shape}")
    return value


def check_ops(body: Function | Block) -> None:
    """Refuse ops without a rule before any work is done.

    Raises:
        UnsupportedProgramError: naming the first of them.
    """
    for op in body.ops:
        if op.blocks and op.type not in CONTROL_FLOW:
            raise UnsupportedProgramError(op.type, op.name, "control flow")
        for block in op.blocks:
            check_ops(block)
        if op.type != "const" and op.type not in RULES:
            raise UnsupportedProgramError(op.type, op.name)


def apply_rule(context: RuleContext, op: Op) -> tuple[Any, ...]:
    """The op's values.

    Raises:
        ProgramError: where torch or numpy refuse its operands.
    """
    try:
        result = RULES[op.type](context, op)
    except (ProgramError, UnsupportedProgramError, MemoryError):
        raise
    except _RULE_FAILURES as error:
        raise ProgramError(f"{op.type} at {op.name}: {error}") from error
    return result if isinstance(result, tuple) else (result,)
