"""Read Core ML's protobuf specification without paying for coremltools.

`import coremltools` takes seconds and pulls in torch and numpy, yet the generated protobuf modules
in its `proto` folder need nothing but `google.protobuf`.  They import one another relatively, so a
package of our own name laid over that folder loads them alone.  A real ``import coremltools`` in
the same process, before or after, keeps working: protobuf's descriptor pool accepts the same file
description twice and answers both with the same message classes.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, check_links, is_file, read_bytes, read_json_object
from gui.names import is_safe

_ALIAS = "gui.coreml._specification"
_lock = threading.Lock()

MAX_MANIFEST_BYTES = 16 << 20
MAX_SPEC_BYTES = (2 << 30) - 1
"""Protobuf's own limit."""


def module(name: str) -> Any:
    """The generated protobuf module `name`, e.g. ``module("MIL_pb2")``.

    Raises:
        SfumatoError: INTERNAL where coremltools is not installed or lacks the module.
    """
    with _lock:
        try:
            if _ALIAS not in sys.modules:
                sys.modules[_ALIAS] = _alias_package()
            return importlib.import_module(f"{_ALIAS}.{name}")
        except ImportError as error:
            raise SfumatoError(
                ErrorKind.INTERNAL,
                "The Core ML file reader is not installed; install Sfumato again.",
                repr(error),
            ) from error


def _alias_package() -> Any:
    """An empty package whose search path is coremltools' `proto` folder."""
    found = importlib.util.find_spec("coremltools")  # locates, does not import
    if found is None or not found.submodule_search_locations:
        raise ImportError("coremltools is not installed")
    folders = [str(Path(p) / "proto") for p in found.submodule_search_locations]
    spec = importlib.machinery.ModuleSpec(_ALIAS, None, is_package=True)
    spec.submodule_search_locations = folders
    return importlib.util.module_from_spec(spec)


def package_model_file(path: Path) -> Path:
    """The specification file that a package's manifest names as its root.

    Raises:
        SfumatoError: BAD_MODEL for a missing, unreadable or nonsensical manifest, or one that
            points outside the package.
    """
    manifest_path = path / "Manifest.json"

    def bad(message: str, detail: object = "") -> SfumatoError:
        return SfumatoError(ErrorKind.BAD_MODEL, message, f"{manifest_path}: {detail}")

    try:
        manifest = read_json_object(manifest_path, MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise bad(f"{path.name} has no Manifest.json; get the model again.", error) from error
    except UnreadableFile as error:
        raise bad(f"The manifest of {path.name} {error}; get the model again.") from error
    try:
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (KeyError, TypeError) as error:
        raise bad(
            f"The manifest of {path.name} names no model; get the model again.", repr(error)
        ) from error
    if not isinstance(item, str):
        raise bad(f"The manifest of {path.name} names no model; get the model again.", repr(item))
    if not is_safe(item):
        raise bad(
            f"The manifest of {path.name} points outside the package; get the model again.",
            repr(item),
        )
    file = path / "Data" / item
    if not is_file(file):
        raise bad(
            f"{path.name} lacks its model description; get the model again.", f"{file} is missing"
        )
    return file


def read_package_spec(path: Path) -> tuple[Any, Path]:
    """Parse a `.mlpackage`'s specification; weights stay unread.

    Args:
        path: the package folder.

    Returns:
        The ``Model_pb2.Model`` message, and the folder that blob file names (``@model_path/…``)
        are relative to.

    Raises:
        SfumatoError: BAD_MODEL for a missing, truncated or foreign file.
    """
    check_links(path)
    file = package_model_file(path)
    return read_spec(file), file.parent


def read_spec(file: Path) -> Any:
    """Parse one specification file (`model.mlmodel`) into a ``Model_pb2.Model``.

    Raises:
        SfumatoError: BAD_MODEL where the bytes are no Core ML specification.
    """
    try:
        data = read_bytes(file, MAX_SPEC_BYTES)
    except (OSError, UnreadableFile) as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model description in {_package_name(file)} cannot be read; get the model again.",
            f"{file}: {error}",
        ) from error
    return parse_spec(data, _package_name(file), str(file))


def parse_spec(data: bytes, name: str, where: str = "") -> Any:
    """Parse the bytes of a specification into a ``Model_pb2.Model``.

    Args:
        data: contents of a `model.mlmodel`.
        name: the package's name, for messages.
        where: the file, for reports.

    Raises:
        SfumatoError: BAD_MODEL where the bytes are no Core ML specification.
    """
    from google.protobuf.message import DecodeError

    model = module("Model_pb2").Model()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model description in {name} is truncated or damaged; get the model again.",
            f"{where}: {error}",
        ) from error
    if model.specificationVersion <= 0 or model.WhichOneof("Type") is None:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{name} is truncated or holds no Core ML model; get the model again.",
            f"{where}: specification {model.specificationVersion}, type {model.WhichOneof('Type')}",
        )
    return model


def _package_name(file: Path) -> str:
    """The enclosing package's name, for messages."""
    return next((p.name for p in file.parents if p.suffix == ".mlpackage"), file.name)
