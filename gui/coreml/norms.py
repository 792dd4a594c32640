"""The bias of one layer norm of a finished UNet, found without running or loading anything.

Core ML's programs do not keep the names of a UNet's norms, but their order: each transformer block
has three, and the last three of the program are those of the last block on the way up.  Converters
store them as `layer_norm` with γ and β, old ones as (x̂ + β/γ) · γ.

Standard library only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui.coreml import compiled, proto

_NORMS_PER_BLOCK = 3
_LEAST_NORMS = 9 * _NORMS_PER_BLOCK
"""Of a UNet of Stable Diffusion's shape on its way up, which is all that a second half may hold.
What has fewer is another network, of which the published ones tell nothing."""
_RECORD = struct.Struct("<IIQQQ")
_SENTINEL = 0xDEADBEEF
_CODES = {"fp16": ("e", 2), "fp32": ("f", 4)}
_MOST = 100_000
"""Values of a norm; published ones have at most 1,280."""


@dataclass(frozen=True)
class _Stored:
    """A constant in a weight file."""

    file: Path
    offset: int
    dtype: str
    shape: tuple[int | None, ...]

    def values(self) -> tuple[float, ...]:
        count = 1
        for side in self.shape:
            count *= side or 0
        code, width = _CODES.get(self.dtype, ("", 0))
        if not code or not 0 < count <= _MOST:
            return ()
        with self.file.open("rb") as file:
            file.seek(self.offset)
            record = file.read(_RECORD.size)
            if len(record) < _RECORD.size:
                return ()
            sentinel, _, size, start, _ = _RECORD.unpack(record)
            if sentinel != _SENTINEL or size < count * width:
                return ()
            file.seek(start)
            data = file.read(count * width)
        return struct.unpack(f"<{count}{code}", data) if len(data) == count * width else ()


@dataclass(frozen=True)
class _Operation:
    kind: str
    result: str
    inputs: dict[str, str]
    """Names of values by parameter."""
    constant: _Stored | None = None


def last_block_shift(path: Path) -> tuple[float, ...]:
    """β of the first layer norm in the last transformer block; empty where it is not found.

    Args:
        path: a UNet's `.mlpackage` or `.mlmodelc`, or that of its second half.

    Raises:
        SfumatoError, OSError, ValueError: for a file that cannot be read.
    """
    read = _of_text if path.suffix.lower() == ".mlmodelc" else _of_package
    constants: dict[str, _Stored] = {}
    sums: dict[str, _Stored] = {}
    found: list[tuple[_Stored, _Stored | None]] = []
    for op in read(path):
        given = {k: constants[v] for k, v in op.inputs.items() if v in constants}
        if op.constant is not None:
            constants[op.result] = op.constant
        elif op.kind == "layer_norm" and "beta" in given:
            found.append((given["beta"], None))
        elif op.kind == "add" and len(given) == 1:
            sums[op.result] = next(iter(given.values()))
        elif op.kind == "mul" and len(given) == 1:
            quotient = next((sums[v] for v in op.inputs.values() if v in sums), None)
            gamma = next(iter(given.values()))
            if quotient is not None and quotient.shape == gamma.shape and _on_axis_1(gamma):
                found.append((quotient, gamma))
    if len(found) < _LEAST_NORMS:
        return ()
    first, factor = found[-_NORMS_PER_BLOCK]
    if factor is None:
        return first.values()
    return tuple(a * b for a, b in zip(first.values(), factor.values(), strict=True))


def _on_axis_1(constant: _Stored) -> bool:
    shape = constant.shape
    return len(shape) == 4 and shape[0] == shape[2] == shape[3] == 1 and shape[1] != 1


def _of_package(path: Path) -> Iterator[_Operation]:
    from gui.coreml.package import value_type

    spec, root = proto.read_package_spec(path)
    while spec.WhichOneof("Type") == "pipeline" and len(spec.pipeline.models):
        spec = spec.pipeline.models[-1]
    functions = spec.mlProgram.functions
    wanted = spec.description.defaultFunctionName or "main"
    function = functions[wanted] if wanted in functions else next(iter(functions.values()))
    for op in function.block_specializations[function.opset].operations:
        if not op.outputs:
            continue
        inputs = {
            key: binding.name
            for key, argument in op.inputs.items()
            for binding in argument.arguments[:1]
            if binding.WhichOneof("binding") == "name"
        }
        constant = _stored(op, root, value_type) if op.type == "const" else None
        yield _Operation(op.type, op.outputs[0].name, inputs, constant)


def _stored(op: Any, root: Path, value_type: Any) -> _Stored | None:
    if "val" not in op.attributes:
        return None
    value = op.attributes["val"]
    if value.WhichOneof("value") != "blobFileValue":
        return None
    blob = value.blobFileValue
    return _Stored(_inside(root, blob.fileName), int(blob.offset), *value_type(value.type))


_OPERAND = re.compile(r"\b(\w+)\s*=\s*([A-Za-z_][\w.\-@/]*)\s*(?=[,)])")


def _of_text(path: Path) -> Iterator[_Operation]:
    stage = compiled.stages(path)[-1]
    for kind, result, right in compiled.operations(compiled.read_text(stage / "model.mil", path)):
        constant = None
        if kind == "const":
            blob = next(compiled.blobs(right), None)
            if blob is None:
                continue
            name, offset, dtype, shape = blob
            constant = _Stored(_inside(stage, name), offset, dtype, shape)
        elif kind not in ("layer_norm", "add", "mul"):
            continue
        yield _Operation(kind, result, dict(_OPERAND.findall(right)), constant)


def _inside(root: Path, name: str) -> Path:
    """Where a weight file lies; the survey has refused those that lie outside the model."""
    return root / name.removeprefix("@model_path/")
