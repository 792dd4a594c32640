"""Resize the networks of a model: new shapes of the inputs, then every program after them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gui.convert.patch.programs import (
    FAULTS,
    damaged,
    rewrite_description,
    rewrite_metadata,
    rewrite_spec,
    rewrite_text,
)
from gui.convert.patch.sizes import FIXED_SLICES, NotResizable, Resized, Shape, resize
from gui.convert.types import ImageSize
from gui.coreml import proto
from gui.coreml.compiled import MAX_TEXT_BYTES
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.portable import from_proto, from_text
from gui.coreml.portable.blobs import WeightFolder
from gui.coreml.portable.ir import Function
from gui.errors import ErrorKind, SfumatoError
from gui.files import read_bytes, read_text

K = ComponentKind
MULTIPLE = 64
"""Pixels by which sizes go: the UNet halves its latents three times, of 8 pixels each."""
LARGEST = 2048


def check_size(size: ImageSize) -> None:
    """Raises SfumatoError: BAD_REQUEST for a size that no model can have."""
    for side in (size.width, size.height):
        if side % MULTIPLE or not MULTIPLE <= side <= LARGEST:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"Width and height must be multiples of {MULTIPLE} up to {LARGEST}, not "
                f"{size.width} × {size.height}.",
            )


def resized_files(component: ComponentInfo, old: ImageSize, size: ImageSize) -> dict[Path, bytes]:
    """What changes in a network's files for another picture size.

    Args:
        old: the size they are for.

    Returns:
        New contents by file; none for a network that does not know of the size.

    Raises:
        SfumatoError: UNSUPPORTED, with the reason; BAD_MODEL where a file cannot be read.
    """
    known: dict[str, Shape] = {}
    files: dict[Path, bytes] = {}
    for path in component.files:
        try:
            files |= _resized(path, component.kind, old, size, known)
        except NotResizable as error:
            raise _refusal(path.name, str(error)) from error
        except FAULTS as error:
            raise damaged(path, error) from error
    return files


def _refusal(name: str, reason: str) -> SfumatoError:
    advice = "convert the model at the size you want."
    if reason == FIXED_SLICES:
        advice = "choose its “split_einsum” or “original” variant, or convert it at that size."
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"This model cannot make pictures of another size: {name} {reason}; {advice}",
        name,
    )


def _resized(
    path: Path, kind: ComponentKind, old: ImageSize, size: ImageSize, known: dict[str, Shape]
) -> dict[Path, bytes]:
    """One file of a network.

    Args:
        known: new shapes of what earlier files of the network give; added to.
    """
    if path.suffix == ".mlmodelc":
        return _compiled(path, kind, old, size, known)
    spec, root = proto.read_package_spec(path)
    if spec.WhichOneof("Type") != "mlProgram":
        raise NotResizable("is a chain of programs")
    function = _only(from_proto.read_functions(spec.mlProgram, WeightFolder(root)))
    resized = _resize(function, kind, old, size, known)
    if resized is None:
        return {}
    rewrite_spec(spec, resized)
    return {proto.package_model_file(path): spec.SerializeToString(deterministic=True)}


def _compiled(
    path: Path, kind: ComponentKind, old: ImageSize, size: ImageSize, known: dict[str, Shape]
) -> dict[Path, bytes]:
    file = path / "model.mil"
    if not file.is_file():
        raise NotResizable("is a chain of programs")
    text = read_text(file, MAX_TEXT_BYTES)
    function = _only(from_text.read_functions(text, WeightFolder(path)))
    resized = _resize(function, kind, old, size, known)
    if resized is None:
        return {}
    changed = {file: rewrite_text(text, resized).encode("utf-8")}
    names = [name for name, _ in function.inputs] + function.outputs
    was = {name: function.types()[name].static_shape for name in names if name in resized.types}
    new = {name: resized.types[name].static_shape for name in was}
    metadata = path / "metadata.json"
    if metadata.is_file():
        changed[metadata] = rewrite_metadata(read_bytes(metadata, MAX_TEXT_BYTES), new)
    description = path / "coremldata.bin"
    if description.is_file():
        data = read_bytes(description, MAX_TEXT_BYTES)
        changed[description] = rewrite_description(data, was, new)
    return changed


def _only(functions: Mapping[str, Function]) -> Function:
    if len(functions) != 1:
        raise NotResizable("holds several functions")
    (function,) = functions.values()
    return function


def _resize(
    function: Function,
    kind: ComponentKind,
    old: ImageSize,
    size: ImageSize,
    known: dict[str, Shape],
) -> Resized | None:
    inputs = {
        name: known[name]
        if name in known
        else _input_shape(name, kind, stated.static_shape, old, size)
        for name, stated in function.inputs
        if stated.is_static
    }
    changed = any(inputs.get(name, t.shape) != t.shape for name, t in function.inputs)
    resized = resize(function, inputs) if changed else None
    types = function.types() | (resized.types if resized else {})
    known.update({name: types[name].static_shape for name in function.outputs})
    return resized


def _input_shape(
    name: str, kind: ComponentKind, shape: Shape, before: ImageSize, size: ImageSize
) -> Shape:
    """The shape that an input has at the new size."""
    old = (before.height, before.width)
    new = (size.height, size.width)
    if kind is K.SAFETY_CHECKER:
        # the picture itself, [1, height, width, 3]; CLIP's input has a size of its own
        return (shape[0], *new, shape[3]) if len(shape) == 4 and shape[1:3] == old else shape
    if len(shape) != 4 or name == "encoder_hidden_states":
        return shape
    return (*shape[:2], *(_scaled(shape[axis + 2], old[axis], new[axis]) for axis in (0, 1)))


def _scaled(side: int, old: int, new: int) -> int:
    """A side that is a whole picture's, or that halved some times, rounded up each time."""
    while old > side:
        old, new = -(-old // 2), -(-new // 2)
    if old != side:
        raise NotResizable("takes something that is not of the picture's size")
    return new
