"""Write a resized program: a package's specification, or a compiled model's text.

Nothing but types and constants changes.  In a package they are fields of the protobuf message; in a
text they are found statement by statement, and everything else stays as it was to the byte.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gui.convert.patch.sizes import NotResizable, Resized, Shape
from gui.coreml.portable.blobs import WeightFileError
from gui.coreml.portable.ir import ProgramError, TensorType, UnsupportedProgramError
from gui.errors import ErrorKind, SfumatoError

Message = Any

FAULTS = (UnsupportedProgramError, ProgramError, WeightFileError, ValueError)
"""What reading a program raises that makes no sense."""


def damaged(path: Path, error: Exception) -> SfumatoError:
    """The error of a file whose reading raised one of `FAULTS`."""
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"{path.name} is damaged or no Core ML program; get the model again.",
        str(error),
    )


# --- packages -------------------------------------------------------------------------------------


def rewrite_spec(spec: Message, resized: Resized) -> None:
    """Change a ``Model_pb2.Model`` of one function in place."""
    (function,) = spec.mlProgram.functions.values()
    for value in function.inputs:
        _set_type(value.type, resized.types.get(value.name))
    for block in function.block_specializations.values():
        for op in block.operations:
            for value in op.outputs:
                _set_type(value.type, resized.types.get(value.name))
            name = op.outputs[0].name if op.outputs else ""
            if op.type == "const" and name in resized.constants:
                _set_values(op.attributes["val"], resized.constants[name])
            for (owner, operand), values in resized.literals.items():
                if owner == name:
                    _set_values(op.inputs[operand].arguments[0].value, values)
    for features in (spec.description.input, spec.description.output):
        for feature in features:
            stated = resized.types.get(feature.name)
            if stated is not None and feature.type.WhichOneof("Type") == "multiArrayType":
                array = feature.type.multiArrayType
                if array.shape:
                    array.shape[:] = stated.static_shape


def _set_type(value_type: Message, stated: TensorType | None) -> None:
    if stated is None:
        return
    for dimension, size in zip(value_type.tensorType.dimensions, stated.static_shape, strict=True):
        dimension.constant.size = size


def _set_values(value: Message, values: np.ndarray) -> None:
    tensor = value.immediateValue.tensor
    kind = tensor.WhichOneof("value")
    if kind == "bytes":
        tensor.bytes.values = values.tobytes()
    elif kind in ("ints", "longInts"):
        getattr(tensor, kind).values[:] = [int(v) for v in values.reshape(-1)]
    else:
        raise NotResizable("keeps sizes in a form that is not known")


# --- texts ----------------------------------------------------------------------------------------

_RESULT = re.compile(r"(tensor<\s*\w+\s*,\s*)\[([^\[\]]*)\](\s*>\s+)([A-Za-z_@][\w.\-@/]*)")
_OPERATION = re.compile(r"^(?P<left>[^=]*?)=\s*(?P<kind>\w+)\s*\(", re.DOTALL)
_VALUE = re.compile(
    r"(\bval\s*=\s*tensor<\s*\w+\s*,\s*\[[^\[\]]*\]\s*>\s*\(\s*)(\[[^\[\]]*\]|-?\w+)(\s*\))"
)
_SCALAR_VALUE = re.compile(r"(\bval\s*=\s*u?int\d+\s*\(\s*)(-?\w+)(\s*\))")


def rewrite_text(text: str, resized: Resized) -> str:
    """The text of a program of one function, resized.

    Raises:
        NotResizable: where a constant is written in a way that is not known.
    """
    if text.count("func ") != 1:
        raise NotResizable("holds several functions")
    head = text.index("func ")
    start = text.index("{", head) + 1
    parts = [text[:head], _types(text[head:start], resized)]
    parts += [_statement(statement, resized) for statement in _statements(text[start:])]
    return "".join(parts)


def _statements(text: str) -> Iterator[str]:
    """Pieces that end after a semicolon outside of quotes; together they are the text."""
    start = 0
    quoted = False
    for place, mark in ((m.start(), m.group()) for m in re.finditer(r'\\.|"|;', text)):
        if mark == '"':
            quoted = not quoted
        elif mark == ";" and not quoted:
            yield text[start : place + 1]
            start = place + 1
    yield text[start:]


def _types(text: str, resized: Resized) -> str:
    def typed(match: re.Match[str]) -> str:
        stated = resized.types.get(match[4])
        if stated is None:
            return match[0]
        sizes = ", ".join(map(str, stated.static_shape))
        return f"{match[1]}[{sizes}]{match[3]}{match[4]}"

    return _RESULT.sub(typed, text)


def _statement(text: str, resized: Resized) -> str:
    operation = _OPERATION.match(text)
    if operation is None:
        return text
    left = operation["left"]
    names = [m[4] for m in _RESULT.finditer(left)] or left.split()[-1:]
    body = text[len(left) :]
    if operation["kind"] == "const" and names[0] in resized.constants:
        body = _with_values(body, _VALUE, resized.constants[names[0]], names[0])
    for (owner, operand), values in resized.literals.items():
        if owner in names:
            pattern = re.compile(_VALUE.pattern.replace(r"\bval", rf"\b{re.escape(operand)}"))
            body = _with_values(body, pattern, values, owner)
    return _types(left, resized) + body


def _with_values(body: str, pattern: re.Pattern[str], values: np.ndarray, name: str) -> str:
    flat = [str(int(v)) for v in values.reshape(-1)]
    written = f"[{', '.join(flat)}]" if values.ndim else flat[0]
    changed, count = pattern.subn(lambda m: m[1] + written + m[3], body, count=1)
    if not count and not values.ndim:
        changed, count = _SCALAR_VALUE.subn(lambda m: m[1] + written + m[3], body, count=1)
    if not count:
        raise NotResizable(f"keeps sizes in a form that is not known (at {name})")
    return changed


def rewrite_metadata(data: bytes, shapes: Mapping[str, Shape]) -> bytes:
    """A compiled model's `metadata.json` with other shapes of inputs and outputs; unchanged where
    it states none.

    Args:
        shapes: new ones, by name.
    """
    try:
        stated = json.loads(data)
    except ValueError:
        return data
    text = data.decode("utf-8")
    for model in stated if isinstance(stated, list) else ():
        for schema in ("inputSchema", "outputSchema"):
            for feature in model.get(schema, ()):
                new = shapes.get(feature.get("name", ""))
                old = feature.get("shape")
                if new is None or not isinstance(old, str) or old == "[]":
                    continue
                text = _with_shape(text, feature["name"], old, list(new))
    return text.encode("utf-8")


def _with_shape(text: str, name: str, old: str, new: list[int]) -> str:
    """Change one feature's shape within its braces, and nowhere else."""
    before = json.loads(old)
    form, changed = " × ".join(map(str, before)), " × ".join(map(str, new))
    for match in re.finditer(r"\{[^{}]*\}", text):
        block = match[0]
        if re.search(rf'"name"\s*:\s*{re.escape(json.dumps(name))}', block):
            block = block.replace(json.dumps(old), json.dumps(str(new)))
            block = block.replace(form, changed)
            text = text[: match.start()] + block + text[match.end() :]
            break
    return text


_NEAR = 512
"""Bytes after a feature's name within which its shape stands."""


def rewrite_description(data: bytes, old: Mapping[str, Shape], new: Mapping[str, Shape]) -> bytes:
    """A compiled model's `coremldata.bin` with other shapes of inputs and outputs.

    Its form is Apple's own and not published.  Files of two sizes of one network differ in the
    numbers of the shapes alone, so these are looked for after each name, written as protobuf
    writes them or as whole numbers of 4 or 8 bytes.  Where they are not found nothing is changed.

    Raises:
        NotResizable: where a new shape takes another number of bytes than the old one.
    """
    for name, shape in old.items():
        place = data.find(name.encode())
        while place >= 0:
            for encode in (_varints, _fixed("<i"), _fixed("<q")):
                pattern = encode(shape)
                at = data.find(pattern, place, place + len(name) + _NEAR)
                if at < 0:
                    continue
                written = encode(new[name])
                if len(written) != len(pattern):
                    raise NotResizable(
                        "is compiled, and its description would grow; choose its “.mlpackage” form"
                    )
                data = data[:at] + written + data[at + len(pattern) :]
                break
            place = data.find(name.encode(), place + 1)
    return data


def _varints(shape: Shape) -> bytes:
    """A packed repeated integer, field 1, as protobuf writes `ArrayFeatureType.shape`."""
    body = bytearray()
    for size in shape:
        while size > 0x7F:
            body.append(size & 0x7F | 0x80)
            size >>= 7
        body.append(size)
    return bytes([0x0A, len(body)]) + bytes(body)


def _fixed(form: str) -> Callable[[Shape], bytes]:
    return lambda shape: b"".join(struct.pack(form, size) for size in shape)
