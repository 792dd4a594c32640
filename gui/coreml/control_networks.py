"""ControlNets on this disk: those in a model's own folder, and those in the person's library.

Reads descriptions only, no weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gui import paths
from gui.coreml.inspect import component_of, describe_file
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.names import EXTENSIONS, FileRole
from gui.errors import ErrorKind, SfumatoError
from gui.files import children, expanded, is_folder

_GENERIC = ("controlnet", "t2iadapter")
"""File names that say nothing; the folder's does."""


def find_control_network(name: str, own: tuple[ComponentInfo, ...]) -> ComponentInfo:
    """The ControlNet of that name (without regard to case), or of that path.

    Args:
        own: those in the model's folder, which come first.

    Raises:
        SfumatoError: BAD_REQUEST where there is none of that name; BAD_MODEL or UNSUPPORTED where
            its file is damaged or something else.
    """
    if Path(name).suffix.lower() in EXTENSIONS:
        return inspect_control_network(expanded(name))
    found = [*own, *control_networks()]
    for network in found:
        if network.name.casefold() == name.casefold():
            return network
    known = ", ".join(f"“{network.name}”" for network in found)
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"There is no ControlNet called “{name}”; choose one of these: {known}."
        if known
        else "There is no ControlNet yet; put one into the ControlNets folder, or give its file.",
    )


def control_networks() -> list[ComponentInfo]:
    """Those in the library; what is no ControlNet is left out."""
    return list(_found())


def inspect_control_network(path: Path) -> ComponentInfo:
    """Describe a ControlNet's file.

    Raises:
        SfumatoError: BAD_MODEL for a missing, damaged or foreign file; UNSUPPORTED for a network
            that is no ControlNet.
    """
    role = FileRole(ComponentKind.CONTROLNET, prefix=_name(path))
    component = component_of(role, (describe_file(path),))
    if component.input("controlnet_cond") is None:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{path.name} is no ControlNet: it takes no control picture; choose another.",
            ", ".join(t.name for t in component.inputs),
        )
    return component


def _found() -> Iterator[ComponentInfo]:
    folder = paths.controlnets_dir()
    for path in children(folder) if is_folder(folder) else ():
        inside = [path] if path.suffix.lower() in EXTENSIONS else children(path)
        for file in inside:
            if file.suffix.lower() in EXTENSIONS:
                try:
                    yield inspect_control_network(file)
                except SfumatoError:
                    continue


def _name(path: Path) -> str:
    stem = path.stem
    if stem.lower() in _GENERIC:
        return path.parent.name
    prefix = "controlnet_"
    return stem[len(prefix) :] if stem.lower().startswith(prefix) else stem
