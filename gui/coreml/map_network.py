"""Networks that make a map of a picture, as of depth or lines: what they are called, what they
take.

Reads descriptions only, no weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gui import paths
from gui.coreml.inspect import PICTURE_CHANNELS, component_of, describe_file
from gui.coreml.model import ComponentInfo, ComponentKind, TensorSpec
from gui.coreml.named import find_named
from gui.coreml.names import EXTENSIONS, FileRole
from gui.coreml.picture_network import RANGE_KEY, stated_range
from gui.errors import ErrorKind, SfumatoError
from gui.files import children, is_folder

ORDER_KEY = "channels"
"""User-defined metadata: the order of its colours, ``RGB`` or ``BGR``."""
IMAGES = "image"
"""Beginning of the type of inputs and outputs that are pictures, in 0…255."""
USUAL_SIDE = 512
"""Tried where a network takes several sizes."""


@dataclass(frozen=True)
class MapNetworkInfo:
    """A depth or line network on this disk."""

    name: str
    """Its file's name without the ending."""
    component: ComponentInfo
    size: tuple[int, int]
    """Width and height of the picture it takes, in pixels."""
    range: tuple[float, float] | None = None
    """Its values of black and white; None: not stated."""
    order: str = ""
    """``RGB`` or ``BGR``; empty: not stated."""

    @property
    def summary(self) -> str:
        return self.component.metadata.get("shortDescription", "")


def inspect_map_network(path: Path) -> MapNetworkInfo:
    """Describe a network that makes maps.

    Raises:
        SfumatoError: BAD_MODEL for a missing, damaged or foreign file; UNSUPPORTED for one that
            takes or gives anything but one picture.
    """
    component = component_of(FileRole(ComponentKind.PICTURE), (describe_file(path),))
    one_each = len(component.inputs) == len(component.outputs) == 1
    if not one_each or not _takes_picture(component.inputs[0]) or not _is_map(component.outputs[0]):
        takes = ", ".join(t.name for t in component.inputs) or "nothing"
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{path.name} prepares no control pictures: such a network takes one picture and gives "
            "one map; choose another.",
            f"takes {takes}; {component.inputs} {component.outputs}",
        )
    _, channels, height, width = component.inputs[0].shape
    flexible = component.inputs[0].flexible
    if flexible and flexible.allows((1, channels or PICTURE_CHANNELS, USUAL_SIDE, USUAL_SIDE)):
        height = width = USUAL_SIDE
    stated = component.metadata
    image = component.inputs[0].dtype
    order = "RGB" if image.startswith(IMAGES) else ""  # runtimes turn what is stated
    given = stated.get(ORDER_KEY, "").upper()
    return MapNetworkInfo(
        path.stem,
        component,
        (width or USUAL_SIDE, height or USUAL_SIDE),
        (0.0, 255.0) if image.startswith(IMAGES) else stated_range(stated.get(RANGE_KEY, "")),
        order or (given if given in ("RGB", "BGR") else ""),
    )


def map_networks(left_out: list[tuple[Path, SfumatoError]] | None = None) -> list[MapNetworkInfo]:
    """Those in the person's folder.

    Args:
        left_out: gets what is none, and why.
    """
    return list(_found([] if left_out is None else left_out))


def find_map_network(name: str) -> MapNetworkInfo:
    """The one of that name (without regard to case), or of that path.

    Raises:
        SfumatoError: BAD_REQUEST where there is none of that name; as `inspect_map_network`.
    """
    return find_named(
        name,
        inspect_map_network,
        map_networks,
        what="depth or line network",
        folder="Preprocessors",
    )


def _found(left_out: list[tuple[Path, SfumatoError]]) -> Iterator[MapNetworkInfo]:
    folder = paths.preprocessors_dir()
    for path in children(folder) if is_folder(folder) else ():
        if path.suffix.lower() not in EXTENSIONS:
            continue
        try:
            yield inspect_map_network(path)
        except SfumatoError as error:
            left_out.append((path, error))


def _takes_picture(tensor: TensorSpec) -> bool:
    shape = tensor.shape
    return len(shape) == 4 and shape[0] in (1, None) and shape[1] in (1, PICTURE_CHANNELS)


def _is_map(tensor: TensorSpec) -> bool:
    """Height and width, alone or behind a batch of one and one or three channels."""
    leading = tensor.shape[:-2]
    if len(tensor.shape) < 2 or len(leading) > 2:
        return not tensor.shape  # a compiled file need not say
    return all(size in (1, PICTURE_CHANNELS, None) for size in leading)
