"""A network resized, beside the same network converted at that size."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gui.convert.patch.resizing import resized_files
from gui.convert.types import ImageSize
from gui.coreml import proto
from gui.coreml.inspect import inspect_component
from gui.coreml.portable import PortableRuntime
from gui.request import ComputeUnit
from tests.support.compiled_writer import compile_package

SIZES = tuple(
    ImageSize(64 * width, 64 * height)
    for width, height in (
        (1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3), (3, 2), (3, 3), (1, 4), (4, 1),
        (3, 4), (4, 3), (4, 4), (2, 5), (5, 2), (5, 5), (1, 7), (7, 1), (5, 7), (8, 8),
    )
)  # fmt: skip
"""Twenty, of every proportion; the tiny models' own is 64 × 64."""


def program(package: Path) -> bytes:
    """A package's specification without its description of where it came from."""
    spec = proto.read_spec(proto.package_model_file(package))
    spec.description.metadata.Clear()
    return spec.SerializeToString(deterministic=True)


def weights(package: Path) -> bytes:
    return (package / "Data/com.apple.CoreML/weights/weight.bin").read_bytes()


def resized(model: Path, folder: Path, old: ImageSize, size: ImageSize) -> Path:
    """A copy of a package or compiled model for another size."""
    place = folder / model.name
    shutil.copytree(model, place)
    for path, data in resized_files(inspect_component(model), old, size).items():
        (place / path.relative_to(model)).write_bytes(data)
    return place


def inputs_of(model: Path, seed: int = 5) -> dict[str, np.ndarray]:
    """Random inputs of a file's declared shapes."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.standard_normal(tuple(n or 1 for n in tensor.shape)).astype(np.float32)
        for tensor in inspect_component(model).inputs
    }


def outputs(model: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the portable runtime makes of them."""
    loaded = PortableRuntime().load(inspect_component(model), ComputeUnit.CPU_ONLY)
    return loaded(arrays)


def differences(
    own: Path, fresh: Path, old: ImageSize, size: ImageSize, *, run: bool
) -> Iterator[str]:
    """In what a resized package differs from the one that was converted at its size: nothing.

    Args:
        own: the package at its own size `old`.
        fresh: converted at `size`.
        run: also compare what both compute.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = resized(own, folder, old, size)
        if program(made) != program(fresh):
            yield f"{own.name} at {size}: its program"
        if weights(made) != weights(fresh):
            yield f"{own.name} at {size}: its weights"
        name = f"{own.stem}.mlmodelc"
        compiled = compile_package(own, folder / "own" / name)
        wanted = compile_package(fresh, folder / "fresh" / name)
        text = resized(compiled, folder / "text", old, size)
        if (text / "model.mil").read_bytes() != (wanted / "model.mil").read_bytes():
            yield f"{own.name} at {size}: its compiled text"
        if run:
            arrays: dict[str, Any] = inputs_of(fresh)
            want = outputs(fresh, arrays)
            for each in (made, text):
                got = outputs(each, arrays)
                if not all(np.array_equal(got[key], value) for key, value in want.items()):
                    yield f"{each.name} at {size}: what it computes"
