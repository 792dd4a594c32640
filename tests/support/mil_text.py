"""Writes a program as the textual MIL of a compiled model, since nothing here can compile one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gui.coreml.portable import read_stages
from gui.coreml.portable.blobs import ELEMENT_TYPES, Blob
from gui.coreml.portable.ir import Block, Function, Op, Ref, TensorType

_OPSETS = {"CoreML5": "ios15", "CoreML6": "ios16", "CoreML7": "ios17", "CoreML8": "ios18"}
_HEADS = {
    "old": (
        "program(1.0)\n[buildInfo = dict<tensor<string, []>, tensor<string, []>>("
        '{{"coremlc-component-MIL", "3304.5.2"}, {"coremltools-version", "7.0"}})]\n'
    ),
    "new": (
        "program(1.3)\n[buildInfo = dict<string, string>("
        '{{"coremlc-component-MIL", "3510.2.1"}, {"coremltools-version", "9.0"}})]\n'
    ),
}


def write_compiled(package: Path, folder: Path, dialect: str) -> Path:
    """A ``.mlmodelc`` look-alike of a package.

    Args:
        dialect: ``old`` (macOS 13's time) or ``new`` (``program(1.3)``).
    """
    (stage,) = read_stages(package)
    weights = package / "Data" / "com.apple.CoreML" / "weights"
    folder.mkdir(parents=True)
    if weights.is_dir():
        shutil.copytree(weights, folder / "weights")
    text = _Writer(dialect == "new").function(stage.function)
    (folder / "model.mil").write_text(f"{_HEADS[dialect]}{{\n{text}\n}}\n", encoding="utf-8")
    return folder


class _Writer:
    def __init__(self, is_new: bool) -> None:
        self._is_new = is_new

    def function(self, function: Function) -> str:
        inputs = self._parameters(function.inputs)
        opset = _OPSETS.get(function.opset, function.opset)
        lines = [f"    func {function.name}<{opset}>({inputs}) {{"]
        lines += [f"            {self._op(op)};" for op in function.ops]
        return "\n".join([*lines, f"        }} -> ({', '.join(function.outputs)});"])

    def _parameters(self, inputs: list[tuple[str, TensorType]]) -> str:
        return ", ".join(f"{self._type(stated)} {name}" for name, stated in inputs)

    def _block(self, block: Block, name: str) -> str:
        lines = [f"{name}({self._parameters(block.inputs)}) {{"]
        lines += [f"{self._op(op)};" for op in block.ops]
        return "\n".join([*lines, f"}} -> ({', '.join(block.outputs)})"])

    def _op(self, op: Op) -> str:
        outputs = ", ".join(f"{self._type(t)} {name}" for name, t in op.outputs)
        is_old_compressed = op.type.startswith("constexpr_") and set(op.attributes) - {"name"}
        inputs = {} if is_old_compressed else op.inputs
        operands = ", ".join(f"{key} = {self._operand(value)}" for key, value in inputs.items())
        attributes = ", ".join(
            f"{key} = {self._value(value, op.outputs[0][1] if key == 'val' else None)}"
            for key, value in op.attributes.items()
        )
        blocks = "".join(
            f" {self._block(block, f'{op.name}_block{n}')}" for n, block in enumerate(op.blocks)
        )
        made = f"{outputs} = " if outputs else ""
        return f"{made}{op.type}({operands})[{attributes}]{blocks}"

    def _operand(self, value: Any) -> str:
        if isinstance(value, Ref):
            return value.name
        if isinstance(value, list):
            return f"({', '.join(self._operand(item) for item in value)})"
        return self._value(value, None)

    def _type(self, stated: TensorType) -> str:
        if stated.is_state:
            return f"state<{self._type(TensorType(stated.dtype, stated.shape))}>"
        if self._is_new and stated.shape == ():
            return stated.dtype
        sizes = ", ".join("?" if d is None else str(d) for d in stated.shape)
        return f"tensor<{stated.dtype}, [{sizes}]>"

    def _value(self, value: Any, stated: TensorType | None) -> str:
        if isinstance(value, Blob):
            root = value.file.path.parents[1]
            path = "@model_path/" + value.file.path.relative_to(root).as_posix()
            place = f"path = {self._text(path)}, offset = {self._scalar('uint64', value.offset)}"
            return f"{self._type(TensorType(value.dtype, value.shape))}(BLOBFILE({place}))"
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            quoted = ", ".join(f'"{item}"' for item in value)
            return f"tensor<string, [{len(value)}]>([{quoted}])"
        array = np.asarray(value)
        dtype = stated.dtype if stated else _name_of(array.dtype)
        return f"{self._type(TensorType(dtype, array.shape))}({_literal(array.tolist())})"

    def _scalar(self, dtype: str, value: int) -> str:
        return f"{self._type(TensorType(dtype, ()))}({value})"

    def _text(self, text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self._type(TensorType("string", ()))}("{escaped}")'


def _name_of(dtype: np.dtype[Any]) -> str:
    return next(n for n, t in ELEMENT_TYPES.items() if t.bits >= 8 and np.dtype(t.numpy) == dtype)


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"nan": "nan", "inf": "inf", "-inf": "-inf"}.get(str(value)) or value.hex()
    return str(value)
