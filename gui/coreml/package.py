"""Describe a `.mlpackage` from its protobuf specification; weights stay unread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from gui.coreml import proto
from gui.coreml.flexible import default_shape, several
from gui.coreml.model import FileFormat, Flexibility, TensorSpec
from gui.coreml.survey import Description, Survey, check_count
from gui.errors import ErrorKind, SfumatoError

# Model.proto, ArrayFeatureType.ArrayDataType
_GREY = (10, 40)
_BGR = 30
"""Numbers of FeatureTypes.proto's colour spaces; grey also in halves."""
_ARRAY_TYPES = {
    65552: "fp16",
    65568: "fp32",
    65600: "fp64",
    131080: "int8",
    131104: "int32",
}


def describe_package(path: Path) -> Description:
    """Read a package's inputs, outputs, operations and metadata.

    Raises:
        SfumatoError: BAD_MODEL for a damaged or foreign package, UNSUPPORTED for a Core ML model
            that is not an ML Program.
    """
    spec, root = proto.read_package_spec(path)
    description = describe_spec(spec, path)
    description.survey.check_blobs(root, path)
    return description


def describe_spec(spec: Any, path: Path) -> Description:
    """What a specification says, whether or not its package is on disk.

    Args:
        spec: a ``Model_pb2.Model``.
        path: the package, for its name.

    Raises:
        SfumatoError: as `describe_package`, weights aside.
    """
    programs = list(_programs(spec, path.name))
    survey = Survey()
    description, function, functions = _interface(spec)
    check_count(max(len(description.input), len(description.output)))
    types: dict[str, tuple[int | None, ...]] = {}
    for program in programs:
        for name, body in program.functions.items():
            if function and len(program.functions) > 1 and name != function:
                continue
            if body.opset not in body.block_specializations:
                raise SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"The program in {path.name} is damaged; get the model again.",
                    f"function {name!r} has no block for {body.opset!r}",
                )
            _survey_block(body.block_specializations[body.opset], survey, types)
    metadata = spec.description.metadata
    found = dict(metadata.userDefined)
    for key in ("shortDescription", "versionString", "author", "license"):
        if value := getattr(metadata, key):
            found[key] = value
    return Description(
        path=path,
        format=FileFormat.PACKAGE,
        inputs=tuple(_tensor(f, types) for f in description.input),
        outputs=tuple(_tensor(f, types) for f in description.output),
        survey=survey,
        spec_version=spec.specificationVersion,
        function=function,
        functions=functions,
        metadata=found,
    )


def _programs(spec: Any, name: str) -> Iterator[Any]:
    """The ML Programs of a model: one, or one per stage of a pipeline."""
    kind = spec.WhichOneof("Type")
    if kind == "mlProgram":
        yield spec.mlProgram
    elif kind == "pipeline" and len(spec.pipeline.models):
        for stage in spec.pipeline.models:
            yield from _programs(stage, name)
    else:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{name} is an older kind of Core ML model than can be used; choose another model.",
            f"type {kind}",
        )


def _interface(spec: Any) -> tuple[Any, str, tuple[str, ...]]:
    """Where inputs and outputs are described, the default function, all functions.

    Multifunction models (specification 9) describe them per function and leave the model's own
    lists empty.
    """
    description = spec.description
    functions = {f.name: f for f in description.functions}
    if not functions:
        return description, "", ()
    default = description.defaultFunctionName
    if default not in functions:
        default = next(iter(functions))
    return functions[default], default, tuple(functions)


def _tensor(feature: Any, types: dict[str, tuple[int | None, ...]]) -> TensorSpec:
    kind = feature.type.WhichOneof("Type")
    optional = bool(feature.type.isOptional)
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        flexible = _flexibility(array)
        shape = tuple(int(d) for d in array.shape) or default_shape(flexible)
        return TensorSpec(
            feature.name,
            _ARRAY_TYPES.get(array.dataType, "unknown"),
            shape or types.get(feature.name, ()),
            optional,
            flexible,
        )
    if kind == "imageType":
        image = feature.type.imageType
        channels = 1 if image.colorSpace in _GREY else 3
        kind = "image-bgr" if image.colorSpace == _BGR else "image"
        return TensorSpec(feature.name, kind, (1, channels, image.height, image.width), optional)
    return TensorSpec(feature.name, str(kind or "unknown"), (), optional)


def _flexibility(array: Any) -> Flexibility | None:
    """The shapes that an array may have; None where it has one."""
    kind = array.WhichOneof("ShapeFlexibility")
    if kind == "enumeratedShapes":
        shapes = tuple(tuple(int(d) for d in s.shape) for s in array.enumeratedShapes.shapes)
        return several(Flexibility(shapes=shapes))
    if kind == "shapeRange":
        ranges = ((r.lowerBound, r.upperBound) for r in array.shapeRange.sizeRanges)
        return several(
            Flexibility(ranges=tuple((low, None if high < 0 else high) for low, high in ranges))
        )
    return None


@cache
def _type_names() -> dict[int, str]:
    """MIL's data types by number, in the short form of its text (FLOAT16 → fp16)."""
    names = proto.module("MIL_pb2").DataType
    return {number: name.lower().replace("float", "fp") for name, number in names.items()}


def value_type(value_type: Any) -> tuple[str, tuple[int | None, ...]]:
    """MIL dtype and shape of a value; ("", ()) for what is no tensor."""
    if value_type.WhichOneof("type") != "tensorType":
        return "", ()
    tensor = value_type.tensorType
    dims = tuple(
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
        for d in tensor.dimensions
    )
    return _type_names().get(tensor.dataType, ""), dims


def _survey_block(block: Any, survey: Survey, types: dict[str, tuple[int | None, ...]]) -> None:
    """Note every operation of a block and of the blocks inside it.

    `types` receives the shape of every tensor by name: descriptions often leave outputs' shapes
    out.
    """
    dtypes: dict[str, str] = {}
    for op in block.operations:
        shape: tuple[int | None, ...] = ()
        for n, output in enumerate(op.outputs):
            dtype, dims = value_type(output.type)
            types[output.name] = dims
            dtypes[output.name] = dtype
            if n == 0:
                shape = dims
        survey.operation(op.type, shape)
        for value in _values(op):
            if value.WhichOneof("value") == "blobFileValue":
                blob = value.blobFileValue
                survey.blob(blob.fileName, int(blob.offset), *value_type(value.type))
        if op.type.startswith("constexpr_"):
            _survey_compressed(op, shape, survey, types, dtypes)
        for inner in op.blocks:
            _survey_block(inner, survey, types)


def _values(op: Any) -> Iterable[Any]:
    """Every constant written into an operation, as attribute or as argument."""
    yield from op.attributes.values()
    for argument in op.inputs.values():
        for binding in argument.arguments:
            if binding.WhichOneof("binding") == "value":
                yield binding.value


def _survey_compressed(
    op: Any,
    shape: tuple[int | None, ...],
    survey: Survey,
    types: dict[str, tuple[int | None, ...]],
    dtypes: dict[str, str],
) -> None:
    """Note how a weight is stored.

    Operands are attributes up to the iOS 17 operation set and arguments from iOS 18 on.
    """

    def operand(name: str) -> tuple[str, tuple[int | None, ...]]:
        if name in op.attributes:
            return value_type(op.attributes[name].type)
        for binding in op.inputs[name].arguments if name in op.inputs else ():
            if binding.WhichOneof("binding") == "value":
                return value_type(binding.value.type)
            return dtypes.get(binding.name, ""), types.get(binding.name, ())
        return "", ()

    if op.type in ("constexpr_lut_to_dense", "constexpr_lut_to_sparse"):
        _, table = operand("lut")
        # iOS 16: [entries]; iOS 18: [groups…, entries, vector size]
        entries = (table[0] if len(table) == 1 else table[-2]) if table else 0
        survey.palette(entries or 2, shape or _sparse_shape(op))
    elif op.type == "constexpr_affine_dequantize":
        survey.linear(operand("quantized_data")[0], shape)
    elif op.type in ("constexpr_blockwise_shift_scale", "constexpr_sparse_blockwise_shift_scale"):
        data = "data" if op.type == "constexpr_blockwise_shift_scale" else "nonzero_data"
        dtype = operand(data)[0]
        if dtype not in ("fp16", "fp32"):  # floats: a scale on top of another form
            survey.linear(dtype, shape)


def _sparse_shape(op: Any) -> tuple[int | None, ...]:
    """Shape of an operation's last output, for those whose first is a mask."""
    return value_type(op.outputs[-1].type)[1] if len(op.outputs) else ()
