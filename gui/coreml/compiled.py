"""Describe a compiled `.mlmodelc` from `model.mil` (its program as text) and `metadata.json`.

A compiled model holds no protobuf.  Its program's text is scanned, not parsed: operation names and
result types, the signature, constants kept in weight files.  `metadata.json` is optional and adds
what a program does not say; its shapes are often ``[]`` and are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gui import files
from gui.coreml.flexible import default_shape, of_lists
from gui.coreml.model import FileFormat, Flexibility, TensorSpec
from gui.coreml.survey import Description, Survey, check_count
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, check_links, parse_json, read_bytes

MAX_TEXT_BYTES = 512 * 2**20
"""Longest `model.mil` or `metadata.json` that is read."""

# Operation set of the program → Core ML specification version
_SPEC_VERSIONS = {"ios15": 6, "ios16": 7, "ios17": 8, "ios18": 9, "ios26": 10}

Types = dict[str, str]
"""Names of values → their types as written."""

Stated = dict[str, tuple[tuple[int, ...], Flexibility | None]]
"""Names of inputs → their default shapes, and what others they take."""

# Whatever text it is given, each of these takes time in proportion to its length: a part that
# repeats starts where a word does and ends at the next bracket, so that no stretch of the text is
# looked at again from every place in it.
_TENSOR_TYPE = r"tensor<\s*\w+\s*,\s*\[[^\[\]]*\]\s*>"
_TYPE = rf"\b(?:{_TENSOR_TYPE}|state<[^<>=;]*<[^<>=;]*>\s*>|\w+)"
_TENSOR = re.compile(r"tensor<\s*(\w+)\s*,\s*\[([^\[\]]*)\]\s*>")
_FUNCTION = re.compile(r"\bfunc\s+(\w+)\s*<\s*(\w+)\s*>\s*\(([^()]*)\)")
_PARAMETER = re.compile(rf"({_TYPE})\s+([\w.\-@/]+)\s*(?:,|$)")
_RESULTS = re.compile(r"\}\s*->\s*\(([^()]*)\)\s*;")
_CALL = re.compile(r"\s*(\w+)\s*\(")
_FLEXIBLE = re.compile(r"\s*\[\s*FlexibleShapeInformation\s*=[^;]{0,100000}?\]\s*\{")
_PARTS = re.compile(r'"(DefaultShapes|RangeDims|EnumeratedShapes)"')
_NAMED_LIST = re.compile(r'"([\w.\-@/]+)"\s*,\s*(\[[\[\]\d,\s\-]*\])')
_BLOB = re.compile(
    rf"\b({_TENSOR_TYPE}|\w+)\s*\(\s*BLOBFILE\s*\(\s*path\s*=\s*"
    r'(?:tensor<\s*string\s*,\s*\[\]\s*>|string)\s*\(\s*"([^"]*)"\s*\)\s*,\s*offset\s*=\s*'
    r"(?:tensor<\s*uint64\s*,\s*\[\]\s*>|uint64)\s*\(\s*(\d+)\s*\)"
)


def describe_compiled(path: Path) -> Description:
    """Read a compiled model's inputs, outputs, operations and metadata.

    Raises:
        SfumatoError: BAD_MODEL for a damaged or incomplete model, UNSUPPORTED for one that is not
            an ML Program.
    """
    check_links(path)
    places = stages(path)
    metadata = _metadata(path / "metadata.json")
    programs = [(read_text(stage / "model.mil", path), Survey()) for stage in places]
    description = _describe(path, programs, metadata)
    for stage, (_, survey) in zip(places, programs, strict=True):
        survey.check_blobs(stage, path)
    return description


def describe_program(path: Path, texts: Sequence[str], metadata: dict[str, Any]) -> Description:
    """What the programs of a compiled model say, whether or not it is on disk.

    Args:
        path: the model, for its name.
        texts: its `model.mil`, or that of each stage of a pipeline in running order.
        metadata: the object in its `metadata.json`, as `parse_metadata` gives it.

    Raises:
        SfumatoError: as `describe_compiled`, weights aside.
    """
    return _describe(path, [(text, Survey()) for text in texts], metadata)


def _describe(
    path: Path, programs: Sequence[tuple[str, Survey]], metadata: dict[str, Any]
) -> Description:
    """Scan each stage's text into its own survey, and add all up."""
    survey = Survey()
    inputs: dict[str, TensorSpec] = {}
    outputs: dict[str, TensorSpec] = {}
    spec_version = 0
    functions: tuple[str, ...] = ()
    default = str(metadata.get("defaultFunctionName", "main"))
    for text, stage_survey in programs:
        stage_inputs, stage_outputs, opset, functions = _scan(
            text, default, stage_survey, path.name
        )
        survey.absorb(stage_survey)
        for tensor in stage_inputs:
            if tensor.name not in outputs:
                inputs.setdefault(tensor.name, tensor)
        outputs = {t.name: t for t in stage_outputs}
        spec_version = max(spec_version, _SPEC_VERSIONS.get(opset.lower(), 0))
    optional = _optional_inputs(metadata)
    pictures = _pictures(metadata)
    stated: Stated = {}
    if any(None in t.shape for t in inputs.values()):
        stated = _shapes_in_programs(text for text, _ in programs)
        told = _shapes_in(metadata)
        stated |= {n: found for n, found in told.items() if found[1] or n not in stated}
    return Description(
        path=path,
        format=FileFormat.COMPILED,
        inputs=tuple(
            TensorSpec(
                t.name,
                pictures.get(t.name, t.dtype),
                _default(t, stated),
                t.name in optional,
                _flexibility(t, stated),
            )
            for t in inputs.values()
        ),
        outputs=tuple(
            TensorSpec(t.name, pictures.get(t.name, t.dtype), t.shape) for t in outputs.values()
        ),
        survey=survey,
        spec_version=_spec_version(metadata) or spec_version,
        function=functions[0] if len(functions) > 1 else "",
        functions=functions if len(functions) > 1 else (),
        metadata=text_fields(metadata),
    )


def stages(path: Path) -> list[Path]:
    """Folders that hold a program: the model itself, or `model0`, `model1` … of a pipeline."""
    if (path / "model.mil").is_file():
        return [path]
    found = sorted(
        (p for p in path.glob("model[0-9]*") if (p / "model.mil").is_file()),
        key=lambda p: int(re.sub(r"\D", "", p.name) or 0),
    )
    if found:
        return found
    if any(path.glob("*.espresso.*")) or (path / "neural_network_optionals").exists():
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{path.name} is an older kind of Core ML model than can be used; choose another "
            "model.",
            str(path),
        )
    raise SfumatoError(
        ErrorKind.BAD_MODEL,
        f"{path.name} lacks its program (model.mil); get the model again.",
        str(path),
    )


def read_text(file: Path, model: Path) -> str:
    """A program's text.

    Raises:
        SfumatoError: BAD_MODEL for one that cannot be read or is too long.
    """
    try:
        return files.read_text(file, MAX_TEXT_BYTES)
    except (OSError, UnreadableFile) as error:
        what = str(error) if isinstance(error, UnreadableFile) else "is missing"
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{file.name} in {model.name} {what}; get the model again.",
            f"{file}: {error}",
        ) from error


def _scan(
    text: str, default: str, survey: Survey, name: str
) -> tuple[list[TensorSpec], list[TensorSpec], str, tuple[str, ...]]:
    """Inputs and outputs of the default function, its operation set, all functions (it first)."""
    heads = list(_FUNCTION.finditer(text))
    if not heads or not text.lstrip().startswith("program"):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The program in {name} is no ML Program; get the model again.",
            text[:80],
        )
    names = tuple(h.group(1) for h in heads)
    chosen = names.index(default) if default in names else 0
    start = heads[chosen].end()
    end = heads[chosen + 1].start() if chosen + 1 < len(heads) else len(text)
    results = list(_RESULTS.finditer(text, start, end))
    if not results:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"The program in {name} is cut short; get the model again."
        )
    types: Types = {}
    inputs = []
    check_count(heads[chosen].group(3).count(",") // 8)  # a shape has some of its own
    for match in _PARAMETER.finditer(heads[chosen].group(3).strip()):
        types[match.group(2)] = match.group(1)
        if match.group(1).startswith("state<"):
            continue  # no input: it is handed to the network beside them
        inputs.append(TensorSpec(match.group(2), *_tensor_type(match.group(1))))
    _scan_operations(text[start:end], survey, types)
    check_count(results[-1].group(1).count(","))
    wanted = [part.strip() for part in results[-1].group(1).split(",") if part.strip()]
    outputs = [TensorSpec(n, *_tensor_type(types.get(n, ""))) for n in wanted]
    return (
        inputs,
        outputs,
        heads[chosen].group(2),
        (names[chosen], *names[:chosen], *names[chosen + 1 :]),
    )


def _scan_operations(body: str, survey: Survey, types: Types) -> None:
    """Note every operation of a function's body; `types` receives every result's type."""
    for statement in _statements(body):
        left, equals, right = statement.partition("=")
        call = _CALL.match(right)
        if not equals or call is None:
            continue
        kind = call.group(1)
        results = [(m.group(2), m.group(1)) for m in _PARAMETER.finditer(left.strip())]
        types.update(results)
        shape = _tensor_type(results[0][1])[1] if results and kind != "const" else ()
        survey.operation(kind, shape)
        if kind.startswith("constexpr_") and results:
            last = _tensor_type(results[-1][1])[1]
            _scan_compressed(kind, right[call.end() :], last, survey, types)
        for name, offset, dtype, size in blobs(right):
            survey.blob(name, offset, dtype, size)


def blobs(text: str) -> Iterator[tuple[str, int, str, tuple[int | None, ...]]]:
    """Constants in weight files that a statement speaks of: file, offset, type and shape."""
    if "BLOBFILE" in text:
        for blob in _BLOB.finditer(text):
            yield blob.group(2), int(blob.group(3)), *_tensor_type(blob.group(1))


def operations(text: str) -> Iterator[tuple[str, str, str]]:
    """Every operation of a program: kind, first result's name, and what follows the kind."""
    for statement in _statements(text):
        left, equals, right = statement.partition("=")
        call = _CALL.match(right)
        if equals and call is not None and (names := left.split()):
            yield call.group(1), names[-1], right[call.end() :]


def _statements(body: str) -> Iterator[str]:
    """Operations, one at a time; a long one may run over several lines."""
    pending: list[str] = []
    for line in body.splitlines():
        pending.append(line)
        if line.rstrip().endswith((";", "{")):
            yield " ".join(pending) if len(pending) > 1 else line
            pending.clear()


def _scan_compressed(
    kind: str,
    arguments: str,
    shape: tuple[int | None, ...],
    survey: Survey,
    types: Types,
) -> None:
    def operand(name: str) -> tuple[str, tuple[int | None, ...]]:
        found = re.search(rf"\b{name}\s*=\s*\(?\s*({_TYPE})", arguments)
        if not found:
            return "", ()
        written = found.group(1)
        return _tensor_type(written if "<" in written else types.get(written, ""))

    if kind in ("constexpr_lut_to_dense", "constexpr_lut_to_sparse"):
        _, table = operand("lut")
        entries = (table[0] if len(table) == 1 else table[-2]) if table else 0
        survey.palette(entries or 2, shape)
    elif kind == "constexpr_affine_dequantize":
        survey.linear(operand("quantized_data")[0], shape)
    elif kind in ("constexpr_blockwise_shift_scale", "constexpr_sparse_blockwise_shift_scale"):
        dtype, _ = operand("data" if kind == "constexpr_blockwise_shift_scale" else "nonzero_data")
        if dtype not in ("fp16", "fp32"):
            survey.linear(dtype, shape)


def _tensor_type(text: str) -> tuple[str, tuple[int | None, ...]]:
    """``tensor<fp16, [2, 4]>`` → ("fp16", (2, 4)); a bare ``fp16`` is a scalar."""
    match = _TENSOR.match(text)
    if not match:
        return text, ()
    dims = [d.strip() for d in match.group(2).split(",") if d.strip()]
    return match.group(1), tuple(int(d) if d.isdecimal() else None for d in dims)


# Flexible shapes


def _default(tensor: TensorSpec, stated: Stated) -> tuple[int | None, ...]:
    """An input's shape, with what the program leaves open as it is by default."""
    shape, _ = stated.get(tensor.name, ((), None))
    if len(shape) != len(tensor.shape):
        return tensor.shape
    return tuple(size or own for own, size in zip(shape, tensor.shape, strict=True))


def _flexibility(tensor: TensorSpec, stated: Stated) -> Flexibility | None:
    return stated.get(tensor.name, ((), None))[1] if None in tensor.shape else None


def _shapes_in(metadata: dict[str, Any]) -> Stated:
    """What `metadata.json` states of flexible inputs."""
    entries = metadata.get("inputSchema")
    return {
        str(entry.get("name")): found
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and (found := shapes_of(entry))[0]
    }


def shapes_of(entry: dict[str, Any]) -> tuple[tuple[int, ...], Flexibility | None]:
    """Default shape and flexibility that a schema's entry states, as lists within strings; an
    empty shape where it states none."""
    lists = {key: _list(entry.get(key)) for key in ("shape", "enumeratedShapes", "shapeRange")}
    flexible = None
    if str(entry.get("hasShapeFlexibility", "0")) == "1":
        flexible = of_lists(lists["enumeratedShapes"], lists["shapeRange"])
    shape = lists["shape"]
    is_shape = all(type(n) is int and 0 < n < 2**31 for n in shape)
    return (tuple(shape) if shape and is_shape else default_shape(flexible)), flexible


def _list(text: Any) -> list[Any]:
    try:
        found = parse_json(text) if isinstance(text, str) else []
    except UnreadableFile:
        return []
    return found if isinstance(found, list) else []


def _shapes_in_programs(texts: Iterable[str]) -> Stated:
    """What programs themselves state of flexible inputs, beside their functions' signatures: newer
    compilers repeat it there."""
    found: Stated = {}
    for text in texts:
        head = _FUNCTION.search(text)
        attribute = _FLEXIBLE.match(text, head.end()) if head else None
        parts = _PARTS.split(attribute[0]) if attribute else []
        parts = parts[1:]  # before the first of them stand types
        by_part: dict[str, dict[str, list[Any]]] = {}
        for part, values in zip(parts[::2], parts[1::2], strict=True):
            for name, written in _NAMED_LIST.findall(values):
                by_part.setdefault(part, {}).setdefault(name, []).append(_list(written))
        defaults = by_part.get("DefaultShapes", {})
        for name in {name for part in by_part.values() for name in part}:
            ranges = by_part.get("RangeDims", {}).get(name, [[]])[0]
            flexible = of_lists(by_part.get("EnumeratedShapes", {}).get(name, []), ranges)
            shape = defaults.get(name, [[]])[0]
            is_shape = bool(shape) and all(type(n) is int and n > 0 for n in shape)
            found[name] = (tuple(shape) if is_shape else default_shape(flexible)), flexible
    return found


# metadata.json


def _metadata(file: Path) -> dict[str, Any]:
    """The one object in `metadata.json`; empty where the file is missing or foreign."""
    try:
        return parse_metadata(read_bytes(file, MAX_TEXT_BYTES))
    except (OSError, UnreadableFile):
        return {}  # the program alone says enough


def parse_metadata(data: bytes) -> dict[str, Any]:
    """The one object in a `metadata.json`; empty where the bytes are something else."""
    try:
        found = parse_json(data)
    except UnreadableFile:
        return {}
    if isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else {}


def _optional_inputs(metadata: dict[str, Any]) -> set[str]:
    entries = metadata.get("inputSchema")
    return {
        str(entry.get("name"))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and str(entry.get("isOptional", "0")) == "1"
    }


def _pictures(metadata: dict[str, Any]) -> dict[str, str]:
    """Inputs and outputs that Core ML takes and gives as pictures, as `TensorSpec.dtype` has it."""
    found: dict[str, str] = {}
    for schema in ("inputSchema", "outputSchema"):
        entries = metadata.get(schema)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("type") == "Image":
                is_bgr = str(entry.get("colorspace", "")).upper() == "BGR"
                found[str(entry.get("name"))] = "image-bgr" if is_bgr else "image"
    return found


def _spec_version(metadata: dict[str, Any]) -> int:
    value = metadata.get("specificationVersion")
    return value if isinstance(value, int) and 0 < value < 100 else 0


def text_fields(metadata: dict[str, Any]) -> dict[str, str]:
    """User-defined and descriptive metadata, under the names a package's specification uses."""
    user = metadata.get("userDefinedMetadata")
    found = {str(k): str(v) for k, v in user.items()} if isinstance(user, dict) else {}
    names = {
        "shortDescription": "shortDescription",
        "version": "versionString",
        "author": "author",
        "license": "license",
    }
    for key, name in names.items():
        if isinstance(metadata.get(key), str) and metadata[key]:
            found[name] = metadata[key]
    return found
