"""Front end for ``.mlpackage``: the protobuf ML Program as `ir`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gui.coreml.portable.blobs import ELEMENT_TYPES, WeightFolder, unpack_bits
from gui.coreml.portable.ir import (
    Block,
    Constant,
    Function,
    Op,
    ProgramError,
    Ref,
    TensorType,
    UnsupportedProgramError,
    fill,
)

Message = Any
"""A protobuf message; the generated classes carry no types."""

_FLOAT_NAMES = {"float16": "fp16", "float32": "fp32", "float64": "fp64", "bfloat16": "bf16"}


def read_functions(program: Message, weights: WeightFolder) -> dict[str, Function]:
    """Every function of a ``MILSpec.Program`` by name.

    Raises:
        ProgramError: the message contradicts itself.
        UnsupportedProgramError: an element type that nothing here computes with.
        WeightFileError: a weight file is missing or foreign.
    """
    reader = _Reader(weights)
    return {name: reader.function(name, f) for name, f in program.functions.items()}


class _Reader:
    def __init__(self, weights: WeightFolder) -> None:
        self._weights = weights
        self._dtype_names: dict[int, str] = {}

    def function(self, name: str, function: Message) -> Function:
        if function.opset not in function.block_specializations:
            raise ProgramError(f"the function {name} has no block for its opset {function.opset}")
        block = function.block_specializations[function.opset]
        inputs = [(i.name, self._type(i.type)) for i in function.inputs]
        ops = [self._op(operation) for operation in block.operations]
        return Function(name, function.opset, inputs, list(block.outputs), ops)

    def _op(self, operation: Message) -> Op:
        outputs = [(o.name, self._type(o.type)) for o in operation.outputs]
        inputs: dict[str, Any] = {}
        for key, argument in operation.inputs.items():
            values = [self._binding(binding) for binding in argument.arguments]
            inputs[key] = values[0] if len(values) == 1 and key != "values" else values
        attributes = {key: self._value(value) for key, value in operation.attributes.items()}
        if operation.type.startswith("constexpr_"):
            # Up to macOS 14 these keep their operands among the attributes, from 15 on as inputs.
            inputs |= {key: value for key, value in attributes.items() if key != "name"}
        blocks = [self._block(block) for block in operation.blocks]
        return Op(operation.type, inputs, outputs, attributes, blocks)

    def _block(self, block: Message) -> Block:
        inputs = [(i.name, self._type(i.type)) for i in block.inputs]
        return Block(inputs, [self._op(o) for o in block.operations], list(block.outputs))

    def _binding(self, binding: Message) -> Any:
        if binding.WhichOneof("binding") == "name":
            return Ref(binding.name)
        return self._value(binding.value)

    def _type(self, value_type: Message) -> TensorType:
        kind = value_type.WhichOneof("type")
        if kind == "tensorType":
            tensor = value_type.tensorType
            shape = tuple(
                int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
                for d in tensor.dimensions
            )
            return TensorType(self._dtype_name(tensor), shape)
        if kind == "stateType":
            wrapped = self._type(value_type.stateType.wrappedType)
            return dataclasses.replace(wrapped, is_state=True)
        return TensorType(kind or "?", ())

    def _dtype_name(self, tensor: Message) -> str:
        number = tensor.dataType
        if number not in self._dtype_names:
            enum = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type
            entry = enum.values_by_number.get(number)
            if entry is None:
                raise ProgramError(f"unknown element type number {number}")
            name = str(entry.name).lower()
            self._dtype_names[number] = _FLOAT_NAMES.get(name, name)
        return self._dtype_names[number]

    def _value(self, value: Message) -> Constant:
        if value.WhichOneof("value") == "blobFileValue":
            stated = self._type(value.type)
            place = value.blobFileValue
            return self._weights.blob(
                place.fileName, place.offset, stated.dtype, stated.static_shape
            )
        immediate = value.immediateValue
        kind = immediate.WhichOneof("value")
        if kind == "tensor":
            return self._tensor(immediate.tensor, self._type(value.type))
        if kind == "list":
            return [self._value(item) for item in immediate.list.values]
        if kind == "tuple":
            return [self._value(item) for item in immediate.tuple.values]
        if kind == "dictionary":
            pairs = immediate.dictionary.values
            return {str(self._value(pair.key)): self._value(pair.value) for pair in pairs}
        raise ProgramError("a value is empty")

    def _tensor(self, tensor: Message, stated: TensorType) -> Constant:
        kind = tensor.WhichOneof("value")
        shape = stated.static_shape
        if kind == "strings":
            texts = [str(s) for s in tensor.strings.values]
            if shape == () and len(texts) == 1:
                return texts[0]
            return texts
        if stated.dtype == "string":
            return "" if shape == () else []
        if stated.dtype not in ELEMENT_TYPES:
            raise UnsupportedProgramError(f"element type {stated.dtype}", "a literal")
        numpy_type, bits = ELEMENT_TYPES[stated.dtype]
        if kind is None:
            values = np.zeros(0, numpy_type)
        elif kind == "bytes":
            raw = np.frombuffer(tensor.bytes.values, np.uint8)
            if bits < 8:
                values = unpack_bits(raw, bits, stated.size, signed=stated.dtype == "int4")
            else:
                values = raw.view(numpy_type)
        else:
            values = np.array(getattr(tensor, kind).values, numpy_type)
        return fill(values, shape)
