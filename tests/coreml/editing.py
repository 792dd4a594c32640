"""Copies of model folders that a test may damage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gui.coreml import proto


def copy_of(folder: Path, place: Path) -> Path:
    """A copy whose files are hard links: replace them, never write into them."""
    shutil.copytree(folder, place, copy_function=_link)
    return place


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def replace(file: Path, content: bytes) -> None:
    """Write a file anew, leaving what it was linked to as it is."""
    file.unlink(missing_ok=True)
    file.write_bytes(content)


def package(folder: Path, suffix: str) -> Path:
    """The package of one component, e.g. ``unet``."""
    (found,) = (p for p in folder.glob(f"*_{suffix}.mlpackage"))
    return found


def spec_file(path: Path) -> Path:
    return path / "Data" / "com.apple.CoreML" / "model.mlmodel"


def weights_file(path: Path) -> Path:
    return path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """A package's specification, written back afterwards."""
    spec, _ = proto.read_package_spec(path)
    yield spec
    replace(spec_file(path), spec.SerializeToString())


def set_shapes(path: Path, **shapes: tuple[int, ...]) -> None:
    """Declare other shapes for inputs and outputs by name."""
    with edited(path) as spec:
        for feature in (*spec.description.input, *spec.description.output):
            if feature.name in shapes:
                feature.type.multiArrayType.shape[:] = shapes[feature.name]


def set_manifest(path: Path, **values: Any) -> None:
    file = path / "Manifest.json"
    data = json.loads(file.read_text(encoding="utf-8")) | values
    replace(file, json.dumps(data).encode())
