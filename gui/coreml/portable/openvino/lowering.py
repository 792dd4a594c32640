"""A function for OpenVINO: lowered as for torch, but with weights as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import Function, Op, Operand, Ref
from gui.coreml.portable.lower import (
    Compute,
    Lowering,
    ShapeInference,
    apply_rule,
    as_tensor,
)
from gui.coreml.portable.openvino.segments import Cutter
from gui.coreml.portable.openvino.staging import Again
from gui.coreml.portable.ops.context import CONVOLUTIONS, torch_type
from gui.coreml.portable.plan import ExecutionPlan, Symbol, TorchCall

_MOVES = frozenset((torch.reshape, torch.permute, torch.transpose, torch.narrow, torch.Tensor.to))
"""Calls that a weight of 16 bits goes through as it is."""


class RefusedError(Exception):
    """OpenVINO does not compile the network."""


class OpenVinoLowering(Lowering):
    """Translates one function; its plan has segments.

    A weight that is stored with 16 bits stays so, and stays in its file, until the segment that
    reads it is compiled.  Such a tensor stands for one of 32 bits.

    Args:
        function: its types are static.
        compute: fp32 or bf16.
        threads: of a running segment.
        rewriting: see `Lowering`.
    """

    def __init__(
        self, function: Function, compute: Compute, threads: int, *, rewriting: bool = True
    ) -> None:
        super().__init__(function, Compute.FP32, rewriting=rewriting, channels_last=False)
        self._threads, self._bf16 = threads, compute is Compute.BF16
        self._known: dict[int, torch.Tensor] = {}
        self._blobs: dict[int, Blob] = {}
        self._unpacked: dict[int, tuple[StorageWeakRef, Again]] = {}
        """By storage, as the blobs."""

    def _finished(self, inputs: list[int], outputs: Sequence[Any]) -> ExecutionPlan:
        for register, (_, stated) in zip(inputs, self._function.inputs, strict=True):
            self._know(Symbol(register), stated.static_shape, stated.dtype)
        cutter = Cutter(self._known, self._threads, bf16=self._bf16, read=self._read)
        try:
            return cutter.plan(self._steps, inputs, outputs, self._registers)
        except RuntimeError as error:
            raise RefusedError(str(error)) from error

    def _translate(self, op: Op) -> None:
        super()._translate(op)
        if op.type.startswith("constexpr_"):
            self._remember(op)
        for name, stated in op.outputs:
            value = self.values.get(name)
            if isinstance(value, Symbol) and stated.is_static:
                self._know(value, stated.static_shape, stated.dtype)

    def _know(self, symbol: Symbol, shape: tuple[int, ...], mil_type: str) -> None:
        meta = torch.empty(shape, dtype=torch_type(mil_type), device="meta")
        self._known.setdefault(symbol.register, meta)

    def _remember(self, op: Op) -> None:
        """How to unpack the op's weights once more."""
        context = ShapeInference()  # performs a rule on constants
        context.values = {ref.name: self.values[ref.name] for ref in op.refs()}
        context.types = {ref.name: self.types[ref.name] for ref in op.refs()}
        for n, (name, _) in enumerate(op.outputs):
            storage = self.values[name].untyped_storage()
            unpack = lambda n=n: apply_rule(context, op)[n]  # noqa: E731
            self._unpacked[storage.data_ptr()] = StorageWeakRef(storage), unpack

    def _read(self, weight: torch.Tensor) -> Again:
        """Lets go of a weight's pages in its file; see `Staging`."""
        storage = weight.untyped_storage().data_ptr()
        if storage in self._blobs:
            self._blobs[storage].release()
        alive, unpack = self._unpacked.get(storage, (None, None))
        if alive is None or unpack is None or alive.expired():  # then its place is another's now
            return lambda: weight
        layout = weight.size(), weight.stride(), weight.storage_offset()
        return lambda: unpack().as_strided(*layout)

    # RuleContext

    def emit(self, function: TorchCall, *arguments: Any, **keywords: Any) -> Any:
        if any(isinstance(a, Symbol) for a in arguments):
            return self._record(function, list(arguments), keywords)
        if function in _MOVES:
            first, *rest = arguments
            is_half = isinstance(first, torch.Tensor) and first.dtype == torch.float16
            if is_half and rest == [torch.float32]:
                return first
            moved = _wide(first) if function is torch.Tensor.to else first
            return function(moved, *rest, **keywords)
        return function(*(_wide(a) for a in arguments), **keywords)

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
        weight, bias = self.tensor(op, "weight"), self.optional_tensor(op, "bias")
        convolve = CONVOLUTIONS[len(strides) - 1]
        return self.emit(convolve, x, weight, bias, strides, padding, dilations, groups)

    def linear(self, op: Op, x: Any, shape: tuple[int, ...], weight: Any, bias: Any) -> Any:
        return self.emit(torch.nn.functional.linear, x, weight, bias)

    def _tensor(self, operand: Operand, *, for_images: bool) -> Any:
        value = self.values.get(operand.name) if isinstance(operand, Ref) else operand
        if isinstance(value, torch.Tensor) and value.dtype == torch.float16:
            return value
        if not isinstance(value, Blob) or value.dtype != "fp16":
            return super()._tensor(operand, for_images=for_images)
        key = (operand.name, False) if isinstance(operand, Ref) else None
        tensor = self._tensors.get(key) if key else None
        if tensor is None:
            tensor = torch.from_numpy(value.numpy())
            self._blobs[tensor.untyped_storage().data_ptr()] = value
            if key:
                self._tensors[key] = tensor
        return tensor

    def stored(self, value: np.ndarray | torch.Tensor) -> torch.Tensor:
        is_half = value.dtype in (np.float16, torch.float16)
        if not is_half:
            return as_tensor(value)
        return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))


def _wide(value: Any) -> Any:
    is_half = isinstance(value, torch.Tensor) and value.dtype == torch.float16
    return value.float() if is_half else value
