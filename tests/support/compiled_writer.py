"""Write a package as a compiled model, the way Core ML's compiler lays one out.

Only a Mac can compile.  What a reader needs of the result is text: the program in `model.mil` (two
dialects, before and since the iOS 18 operation set), weights copied as they are, and
`metadata.json`.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gui.coreml import proto

_NEW_OPSETS = ("CoreML8", "CoreML9")
_OPSETS = {"CoreML5": "ios15", "CoreML6": "ios16", "CoreML7": "ios17", "CoreML8": "ios18",
           "CoreML9": "ios26"}  # fmt: skip
_NUMPY: dict[str, Any] = {
    "fp16": np.float16, "fp32": np.float32, "fp64": np.float64, "bool": np.bool_,
    "int8": np.int8, "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16,
    "int32": np.int32, "uint32": np.uint32, "int64": np.int64, "uint64": np.uint64,
}  # fmt: skip
_SCHEMA_TYPES = {65552: "Float16", 65568: "Float32", 131104: "Int32"}


def compile_package(
    package: Path, compiled: Path, *, metadata: bool = True, shapes: bool = True
) -> Path:
    """Write `package` as the `.mlmodelc` folder `compiled`.

    Args:
        metadata: also write `metadata.json`.
        shapes: give shapes in it; older files say ``[]``.
    """
    spec, root = proto.read_package_spec(package)
    compiled.mkdir(parents=True)
    if spec.WhichOneof("Type") == "pipeline":
        for n, stage in enumerate(spec.pipeline.models):
            _write_program(stage, root, compiled / f"model{n}")
    else:
        _write_program(spec, root, compiled)
    (compiled / "coremldata.bin").write_bytes(b"\x00" * 64)
    if metadata:
        text = json.dumps([_metadata(spec, shapes)], indent=2)
        (compiled / "metadata.json").write_text(text, encoding="utf-8")
    return compiled


def compile_folder(folder: Path, compiled: Path, **options: Any) -> Path:
    """Write a folder of packages as a folder of compiled models with the Swift apps' names."""
    from gui.coreml.names import role_of

    names = {
        "text_encoder": "TextEncoder", "text_encoder_2": "TextEncoder2", "unet": "Unet",
        "control-unet": "ControlledUnet", "vae_decoder": "VAEDecoder",
        "vae_encoder": "VAEEncoder", "safety_checker": "SafetyChecker",
    }  # fmt: skip
    for package in sorted(folder.glob("*.mlpackage")):
        role = role_of(package)
        assert role is not None
        if role.kind == "controlnet":
            place = compiled / "controlnet" / f"{role.prefix.title()}.mlmodelc"
        else:
            chunk = f"Chunk{role.chunk}" if role.chunk else ""
            place = compiled / f"{names[role.kind]}{chunk}.mlmodelc"
        compile_package(package, place, **options)
    return compiled


def _write_program(spec: Any, root: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if (root / "weights").is_dir():
        shutil.copytree(root / "weights", folder / "weights", dirs_exist_ok=True)
    text = mil_text(spec.mlProgram, _flexible_shapes(spec.description.input))
    (folder / "model.mil").write_text(text, encoding="utf-8")


def _flexible_shapes(features: Any) -> str:
    """What newer compilers write behind a function's inputs where some are flexible."""
    ranges, listed = {}, {}
    defaults = {f.name: list(f.type.multiArrayType.shape) for f in features}
    for feature in features:
        flexible = _flexibility(feature.type.multiArrayType)
        if "shapeRange" in flexible:
            ranges[feature.name] = flexible["shapeRange"]
        elif "enumeratedShapes" in flexible:
            for shape in json.loads(flexible["enumeratedShapes"]):
                key = "_".join([feature.name, *map(str, shape), ""])
                listed[key] = (feature.name, shape)
    if not ranges and not listed:
        return ""
    first = ", ".join(f'{{"{n}", {s}}}' for n, s in defaults.items() if n in ranges or listed)
    parts = [f'("DefaultShapes", {{{first}}})']
    if listed:
        each = ", ".join(f'{{"{k}", {{{{"{n}", {s}}}}}}}' for k, (n, s) in listed.items())
        parts.append(f'("EnumeratedShapes", {{{each}}})')
    if ranges:
        each = ", ".join(f'{{"{n}", {r}}}' for n, r in ranges.items())
        parts.append(f'("RangeDims", {{{each}}})')
    text, numbers = "tensor<string, []>", "tensor<int32, [?]>"
    types = ", ".join(f"tuple<{text}, dict<{text}, {numbers}>>" for _ in parts)
    return f" [FlexibleShapeInformation = tuple<{types}>(({', '.join(parts)}))]"


def _flexibility(array: Any) -> dict[str, str]:
    """The entries that Core ML's compiler writes into `metadata.json` for a flexible input
    (`FeatureType::toDictionary` in coremltools)."""
    kind = array.WhichOneof("ShapeFlexibility")
    if kind == "enumeratedShapes":
        shapes = [list(s.shape) for s in array.enumeratedShapes.shapes]
        told = " | ".join(" × ".join(map(str, shape)) for shape in shapes)
        return {"enumeratedShapes": str(shapes), "shapeFlexibility": told}
    if kind == "shapeRange":
        ranges = [[r.lowerBound, r.upperBound] for r in array.shapeRange.sizeRanges]
        told = " × ".join(str(a) if a == b else f"{a}...{b}" for a, b in ranges)
        return {"shapeRange": str(ranges), "shapeFlexibility": told}
    return {}


def mil_text(program: Any, flexible: str = "") -> str:
    """An ML Program (``MIL_pb2.Program``) as text.

    Args:
        flexible: what stands behind the inputs of its functions.
    """
    new = any(f.opset in _NEW_OPSETS for f in program.functions.values())
    writer = _Text(new)
    build = '[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}})]'
    if not new:
        build = (
            "[buildInfo = dict<tensor<string, []>, tensor<string, []>>("
            '{{"coremlc-component-MIL", "3405.2.1"}})]'
        )
    lines = [f"program({'1.3' if new else '1.0'})", build, "{"]
    for name, function in program.functions.items():
        lines += writer.function(name, function, flexible)
    return "\n".join([*lines, "}"])


class _Text:
    def __init__(self, new: bool) -> None:
        self.new = new
        names = proto.module("MIL_pb2").DataType.items()
        self.dtypes = {number: n.lower().replace("float", "fp") for n, number in names}

    def function(self, name: str, function: Any, flexible: str) -> Iterator[str]:
        block = function.block_specializations[function.opset]
        inputs = ", ".join(f"{self.type(i.type)} {i.name}" for i in function.inputs)
        yield f"    func {name}<{_OPSETS[function.opset]}>({inputs}){flexible} {{"
        for op in block.operations:
            yield f"            {self.operation(op)}"
        yield f"        }} -> ({', '.join(block.outputs)});"

    def operation(self, op: Any) -> str:
        if op.blocks:
            raise ValueError(f"{op.type} has blocks")
        outputs = ", ".join(f"{self.type(o.type)} {o.name}" for o in op.outputs)
        inputs = ", ".join(f"{k} = {self.argument(a)}" for k, a in sorted(op.inputs.items()))
        attributes = ", ".join(f"{k} = {self.value(v)}" for k, v in sorted(op.attributes.items()))
        return f"{outputs} = {op.type}({inputs})[{attributes}];"

    def argument(self, argument: Any) -> str:
        parts = [
            b.name if b.WhichOneof("binding") == "name" else self.value(b.value)
            for b in argument.arguments
        ]
        return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"

    def type(self, value_type: Any) -> str:
        dtype, shape = self._tensor(value_type)
        if self.new and not shape and not value_type.tensorType.rank:
            return dtype
        sizes = ", ".join("?" if d is None else str(d) for d in shape)
        return f"tensor<{dtype}, [{sizes}]>"

    def _tensor(self, value_type: Any) -> tuple[str, list[int | None]]:
        if value_type.WhichOneof("type") != "tensorType":
            raise ValueError("only tensors can be written")
        tensor = value_type.tensorType
        shape = [
            int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
            for d in tensor.dimensions
        ]
        return self.dtypes[tensor.dataType], shape

    def scalar(self, dtype: str, text: str) -> str:
        return f"{dtype}({text})" if self.new else f"tensor<{dtype}, []>({text})"

    def value(self, value: Any) -> str:
        if value.WhichOneof("value") == "blobFileValue":
            blob = value.blobFileValue
            path = self.scalar("string", json.dumps(blob.fileName))
            offset = self.scalar("uint64", str(blob.offset))
            return f"{self.type(value.type)}(BLOBFILE(path = {path}, offset = {offset}))"
        dtype, shape = self._tensor(value.type)
        flat = self._elements(value.immediateValue.tensor, dtype, math.prod(d or 0 for d in shape))
        return f"{self.type(value.type)}({_nested(flat, [d or 0 for d in shape])})"

    def _elements(self, tensor: Any, dtype: str, count: int) -> list[str]:
        kind = tensor.WhichOneof("value")
        if kind is None:
            return []
        if kind == "strings":
            return [json.dumps(s) for s in tensor.strings.values]
        if kind == "bytes":
            array = np.frombuffer(tensor.bytes.values, _NUMPY[dtype])
        else:
            array = np.array(getattr(tensor, kind).values, dtype=_NUMPY[dtype])
        if array.size == 1 and count > 1:  # one value stands for all
            array = np.repeat(array, count)
        return [_number(x) for x in array.tolist()]


def _number(x: float | bool) -> str:
    if isinstance(x, bool):
        return "true" if x else "false"
    if not isinstance(x, float):
        return str(x)
    if math.isfinite(x):
        return x.hex()
    return "nan" if math.isnan(x) else ("inf" if x > 0 else "-inf")


def _nested(flat: list[str], shape: list[int]) -> str:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return f"[{', '.join(flat)}]"
    step = len(flat) // shape[0] if shape[0] else 0
    rows = [_nested(flat[n * step : (n + 1) * step], shape[1:]) for n in range(shape[0])]
    return f"[{', '.join(rows)}]"


def _metadata(spec: Any, shapes: bool) -> dict[str, Any]:
    def schema(features: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": f.name,
                "type": "MultiArray",
                "dataType": _SCHEMA_TYPES.get(f.type.multiArrayType.dataType, "Float32"),
                "shape": str(list(f.type.multiArrayType.shape) if shapes else []),
                "isOptional": str(int(f.type.isOptional)),
                "hasShapeFlexibility": str(int(bool(_flexibility(f.type.multiArrayType)))),
                **_flexibility(f.type.multiArrayType),
                "shortDescription": "",
                "formattedType": "MultiArray",
            }
            for f in features
        ]

    histogram: Counter[str] = Counter()
    for function in spec.mlProgram.functions.values():
        for op in function.block_specializations[function.opset].operations:
            histogram[f"Ios16.{op.type}"] += op.type != "const"
    metadata = spec.description.metadata
    return {
        "metadataOutputVersion": "3.0",
        "storagePrecision": "Float16",
        "specificationVersion": spec.specificationVersion,
        "inputSchema": schema(spec.description.input),
        "outputSchema": schema(spec.description.output),
        "mlProgramOperationTypeHistogram": {k: n for k, n in histogram.items() if n},
        "availability": {"macOS": "13.0", "iOS": "16.0"},
        "modelType": {"name": "MLModelType_mlProgram"},
        "userDefinedMetadata": dict(metadata.userDefined),
        "version": metadata.versionString,
        "author": metadata.author,
        "generatedClassName": "Model",
        "method": "predict",
    }
