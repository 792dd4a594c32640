"""From a function in `ir` to a `plan`: constants folded, dead code gone, weights laid out."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable import packing
from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import (
    Function,
    Op,
    Operand,
    ProgramError,
    Ref,
    TensorType,
    UnsupportedProgramError,
    constant_value,
    resolve,
)
from gui.coreml.portable.ops import RULES, RuleContext
from gui.coreml.portable.ops.context import CONVOLUTIONS, torch_type
from gui.coreml.portable.ops.linear_algebra import attention
from gui.coreml.portable.plan import Plan, Step, Symbol, TorchCall
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
    """Translates one function whose shapes are all known.

    Args:
        function: with static types.
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
        self._channels_last = channels_last
        ops = remove_dead_ops(function.ops, function.outputs)
        clean = Function(function.name, function.opset, function.inputs, function.outputs, ops)
        check_ops(clean)
        self.rewrites: Counter[str] = Counter()
        """How often each pattern was found."""
        self._function = rewrite(clean, self.rewrites) if rewriting else clean
        self.types = self._function.types()
        self._steps: list[Step] = []
        self._registers = 0
        self._place = ""
        self._tensors: dict[tuple[str, bool], torch.Tensor] = {}
        self._unread = Counter(r.name for op in self._function.ops for r in op.refs())
        self._unread.update(self._function.outputs)

    def plan(self) -> Plan:
        """Do it.

        Raises:
            ProgramError: an op's operands make no sense.
            UnsupportedProgramError: no rule for an op or for this use of it.
            WeightFileError: a constant cannot be read.
        """
        function = self._function
        inputs = []
        for name, stated in function.inputs:
            symbol: Any = self._symbol()
            inputs.append(symbol.register)
            self._place = f"input {name}"
            if self._channels_last and len(stated.shape) == 4:
                symbol = self.emit(_channels_last, symbol)
            self.values[name] = symbol
        for op in function.ops:
            self._translate(op)
            for ref in op.refs():
                self._forget_if_read(ref.name)
        missing = [name for name in function.outputs if name not in self.values]
        if missing:
            raise ProgramError(f"the output {missing[0]} is never computed")
        outputs = [self.tensor_of(Ref(name)) for name in function.outputs]
        return Plan(self._steps, inputs, outputs, self._registers)

    def _translate(self, op: Op) -> None:
        if op.type == "const":
            self.values[op.name] = _checked_constant(op)
            return
        self._place = f"{op.type} {op.name}"
        for (name, stated), value in zip(op.outputs, apply_rule(self, op), strict=False):
            rounds = self._compute is Compute.EMULATE_FP16 and stated.dtype == "fp16"
            if rounds and isinstance(value, Symbol):
                value = self.emit(_round_to_fp16, value)
            self.values[name] = value

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

    def _record(self, function: TorchCall, arguments: list[Any], keywords: Any) -> Symbol:
        symbol = self._symbol()
        self._steps.append(Step(function, arguments, keywords, symbol.register, self._place))
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
        if is_plain and self._channels_last and self._compute is not Compute.BF16:
            packed = packing.pack(weight, strides, padding, dilations, shape)
            if packed is not None:
                call = packing.packed_convolution
                return self.emit(call, x, packed, bias, strides, padding, dilations)
        weight = self._tensor(self.operand(op, "weight"), for_images=self._channels_last)
        convolve = CONVOLUTIONS[len(strides) - 1]
        return self.emit(convolve, x, weight, bias, strides, padding, dilations, groups)

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


class _ShapeInference(RuleContext):
    """Performs the rules on meta tensors: shapes without data."""

    def emit(self, function: TorchCall, *arguments: Any, **keywords: Any) -> Any:
        if any(isinstance(a, torch.Tensor) and a.is_meta for a in arguments):
            arguments = tuple(a.to("meta") if isinstance(a, torch.Tensor) else a for a in arguments)
        return function(*arguments, **keywords)

    def tensor_of(self, operand: Operand) -> Any:
        value = operand
        if isinstance(operand, Ref):
            if operand.name not in self.values:
                raise ProgramError(f"{operand.name} is used before it is computed")
            value = self.values[operand.name]
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
        UnsupportedProgramError: no rule, or a shape that depends on values.
    """
    context = _ShapeInference()
    inputs = []
    for name, stated in function.inputs:
        fixed = TensorType(stated.dtype, shapes.get(name, stated.shape))
        inputs.append((name, fixed))
        context.types[name] = fixed
        kind = torch_type(fixed.dtype)
        context.values[name] = torch.empty(fixed.static_shape, dtype=kind, device="meta")
    live = remove_dead_ops(function.ops, function.outputs)
    check_ops(Function(function.name, function.opset, inputs, function.outputs, live))
    ops = [_specialised_op(context, op) for op in live]
    return Function(function.name, function.opset, inputs, function.outputs, ops)


def _specialised_op(context: _ShapeInference, op: Op) -> Op:
    if op.type == "const":
        context.values[op.name] = constant_value(op)
        context.types.update(op.outputs)
        return op
    if op.type.startswith("constexpr_"):
        for name, stated in op.outputs:
            kind = torch_type(stated.dtype)
            context.values[name] = torch.empty(stated.static_shape, dtype=kind, device="meta")
        context.types.update(op.outputs)
        return op
    results = apply_rule(context, op)
    outputs = []
    for (name, stated), result in zip(op.outputs, results, strict=False):
        context.values[name] = result
        outputs.append((name, TensorType(stated.dtype, tuple(result.shape))))
    context.types.update(outputs)
    if len(results) == 1 and not results[0].is_meta:  # arithmetic with shapes: now a constant
        return Op("const", {}, outputs, {"val": results[0].numpy()})
    return Op(op.type, op.inputs, outputs, op.attributes)


def _checked_constant(op: Op) -> Any:
    """The constant, which must have the shape that the program states for it."""
    value, stated = constant_value(op), op.outputs[0][1]
    if isinstance(value, (np.ndarray, Blob)) and stated.is_static and value.shape != stated.shape:
        raise ProgramError(f"the constant {op.name} of {stated.shape} holds {value.shape}")
    return value


def check_ops(function: Function) -> None:
    """Refuse ops without a rule before any work is done.

    Raises:
        UnsupportedProgramError: naming the first of them.
    """
    for op in function.ops:
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
