"""Networks that take a picture and give a larger one: what they are called, what they take.

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
from gui.errors import ErrorKind, SfumatoError
from gui.files import children, is_folder

SIDES_KEY = "sides"
"""User-defined metadata: sides in pixels that a network with several sizes takes, by spaces."""
FACTOR_KEY = "factor"
"""User-defined metadata: how many times as wide and high its pictures become."""
RANGE_KEY = "range"
"""User-defined metadata: its values of black and white, by a space."""

_USUAL_SIDES = (256, 128, 512, 64)
"""Tried where a network takes several sizes and does not say which."""
_FACTORS = ("2", "3", "4", "8")
_FEWEST, _MOST = 16, 4096
"""Sides that make sense for a piece of a picture."""


@dataclass(frozen=True)
class PictureNetwork:
    """An upscaler on this disk."""

    name: str
    """Its file's name without the ending."""
    component: ComponentInfo
    sides: tuple[int, ...]
    """Sides in pixels of the square pieces that it takes, the preferred first."""
    factor: int = 0
    """How many times as wide and high its pictures become; 0: not stated."""
    range: tuple[float, float] | None = None
    """Its values of black and white; None: not stated."""

    @property
    def summary(self) -> str:
        return self.component.metadata.get("shortDescription", "")


def inspect_picture_network(path: Path) -> PictureNetwork:
    """Describe an upscaler.

    Raises:
        SfumatoError: BAD_MODEL for a missing, damaged or foreign file; UNSUPPORTED for one that
            takes or gives anything but one picture.
    """
    component = component_of(FileRole(ComponentKind.PICTURE), (describe_file(path),))
    pictures = (*component.inputs, *component.outputs)
    one_each = len(component.inputs) == len(component.outputs) == 1
    if not one_each or not all(_is_picture(tensor) for tensor in pictures):
        takes = ", ".join(t.name for t in component.inputs) or "nothing"
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{path.name} does not enlarge pictures: an upscaler takes one picture and gives one; "
            "choose another.",
            f"takes {takes}; {pictures}",
        )
    stated = component.metadata
    factor = stated.get(FACTOR_KEY, "")
    return PictureNetwork(
        path.stem,
        component,
        _sides(component),
        int(factor) if factor.isdecimal() and factor in _FACTORS else 0,
        stated_range(stated.get(RANGE_KEY, "")),
    )


def upscalers(left_out: list[tuple[Path, SfumatoError]] | None = None) -> list[PictureNetwork]:
    """Those that ship with the app, then those in the person's folder.

    Args:
        left_out: gets what is no upscaler, and why.
    """
    return list(_upscalers([] if left_out is None else left_out))


def find_upscaler(name: str = "") -> PictureNetwork:
    """The upscaler of that name (without regard to case), or of that path; empty: the first.

    Raises:
        SfumatoError: BAD_REQUEST where there is none of that name; as `inspect_picture_network`.
    """
    if not name and (first := next(_upscalers([]), None)):
        return first
    return find_named(
        name,
        inspect_picture_network,
        upscalers,
        what="upscaler",
        folder="Upscalers",
    )


def _files(folder: Path) -> Iterator[Path]:
    """Packages in the folder, and in the folders of those that came from the Hub."""
    for path in children(folder):
        if path.suffix.lower() in EXTENSIONS:
            yield path
        elif is_folder(path) and not path.name.startswith("."):
            yield from children(path)


def _upscalers(left_out: list[tuple[Path, SfumatoError]]) -> Iterator[PictureNetwork]:
    seen: set[str] = set()
    for folder in (paths.resource("upscalers"), paths.upscalers_dir()):
        if not is_folder(folder):
            continue
        for path in sorted(_files(folder)):
            if path.suffix.lower() not in EXTENSIONS or path.stem.casefold() in seen:
                continue
            try:
                network = inspect_picture_network(path)
            except SfumatoError as error:
                left_out.append((path, error))
                continue
            seen.add(path.stem.casefold())
            yield network


def _is_picture(tensor: TensorSpec) -> bool:
    return (
        len(tensor.shape) == 4
        and tensor.shape[0] in (1, None)
        and (tensor.shape[1] == PICTURE_CHANNELS)
    )


def _sides(component: ComponentInfo) -> tuple[int, ...]:
    tensor = component.inputs[0]
    height, width = tensor.shape[2:]
    if tensor.flexible is None and height is not None and width is not None:
        if height != width or not _FEWEST <= height <= _MOST:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"{component.files[0].name} takes pictures of {width} × {height} pixels only, "
                "which pieces of a picture cannot be; choose another upscaler.",
            )
        return (height,)
    stated = component.metadata.get(SIDES_KEY, "").split()
    sides = tuple(int(s) for s in stated if s.isdecimal() and _FEWEST <= int(s) <= _MOST)
    sides = sides or _USUAL_SIDES
    if tensor.flexible is None:
        return sides
    squares = {shape[2] for shape in tensor.flexible.shapes if shape[2:3] == shape[3:]}
    listed = tuple(sorted(side for side in squares if _FEWEST <= side <= _MOST))
    taken = (tensor.shape[0] or 1, tensor.shape[1] or PICTURE_CHANNELS)
    fitting = tuple(s for s in sides if tensor.flexible.allows((*taken, s, s)))
    return fitting or listed or sides


def stated_range(text: str) -> tuple[float, float] | None:
    """Values of black and white as metadata has them; None: not stated, or nonsense."""
    try:
        low, high = map(float, text.split())
    except ValueError:
        return None
    return (low, high) if -256 <= low < high <= 256 else None
