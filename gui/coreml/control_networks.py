"""ControlNets and T2I-Adapters on this disk: those in a model's own folder, and those in the
person's library.

Reads descriptions only, no weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gui import paths
from gui.coreml import fit
from gui.coreml.dialect import is_adapter
from gui.coreml.inspect import component_of, describe_file
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.named import find_named
from gui.coreml.names import EXTENSIONS, LEADING, FileRole
from gui.errors import ErrorKind, SfumatoError
from gui.files import children, is_folder

GENERIC = ("controlnet", "t2iadapter")
"""File names that say nothing; the folder's does."""


def find_control_network(name: str, own: tuple[ComponentInfo, ...]) -> ComponentInfo:
    """The ControlNet of that name (without regard to case), or of that path.

    Args:
        own: those in the model's folder, which come first.

    Raises:
        SfumatoError: BAD_REQUEST where there is none of that name; BAD_MODEL or UNSUPPORTED where
            its file is damaged or something else.
    """
    return find_named(
        name,
        inspect_control_network,
        lambda: [*own, *control_networks()],
        what="ControlNet",
        folder="ControlNets",
    )


def control_networks(
    left_out: list[tuple[Path, SfumatoError]] | None = None,
) -> list[ComponentInfo]:
    """Those in the library.

    Args:
        left_out: gets what is no ControlNet, and why.
    """
    return list(_found([] if left_out is None else left_out))


def inspect_control_network(path: Path) -> ComponentInfo:
    """Describe a ControlNet's or T2I-Adapter's file.

    Raises:
        SfumatoError: BAD_MODEL for a missing, damaged or foreign file; UNSUPPORTED for a network
            that is neither.
    """
    role = FileRole(ComponentKind.CONTROLNET, prefix=_name(path))
    component = component_of(role, (describe_file(path),))
    if component.input("controlnet_cond") is None and not is_adapter(component):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{path.name} is no ControlNet: it takes no control picture; choose another.",
            ", ".join(t.name for t in component.inputs),
        )
    fit.check_contract(component)
    fit.check_operations(component)
    return component


def _found(left_out: list[tuple[Path, SfumatoError]]) -> Iterator[ComponentInfo]:
    folder = paths.controlnets_dir()
    for path in children(folder) if is_folder(folder) else ():
        inside = [path] if path.suffix.lower() in EXTENSIONS else children(path)
        for file in inside:
            if file.suffix.lower() in EXTENSIONS:
                try:
                    yield inspect_control_network(file)
                except SfumatoError as error:
                    left_out.append((file, error))


def _name(path: Path) -> str:
    stem = path.stem
    if stem.lower() in GENERIC:
        return path.parent.name
    lower = stem.lower()
    prefix = next((p for p in LEADING if lower.startswith(p)), "")
    return stem[len(prefix) :]
