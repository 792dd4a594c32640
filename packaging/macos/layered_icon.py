"""Check a layered icon (a `.icon` folder of Icon Composer) without a Mac.

Usage: ``python packaging/macos/layered_icon.py packaging/macos/icons/AppIcon.icon``

Apple has not published the form of `icon.json`.  What is held to here is what Icon Composer 1
writes and `actool` takes; an unknown key is a problem, for `actool` passes over some mistakes in
silence.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

MOST_GROUPS = 4
CANVAS = (1024, 1024)
COLOUR = re.compile(
    r"(?:(?:extended-)?srgb|display-p3):[01]\.\d+,[01]\.\d+,[01]\.\d+,[01]\.\d+"
    r"|(?:extended-)?gray:[01]\.\d+,[01]\.\d+"
)
BLEND_MODES = {
    "normal", "darken", "multiply", "lighten", "screen", "overlay", "plus-darker", "plus-lighter",
    "soft-light", "hard-light",
}  # fmt: skip


def examine(icon: Path) -> list[str]:
    """One line per problem; empty for an icon that `actool` should take."""
    try:
        description = json.loads((icon / "icon.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        return [f"icon.json cannot be read: {error}"]
    problems = list(_object("icon", description, _ICON))
    if problems:
        return problems
    groups = description["groups"]
    if not 1 <= len(groups) <= MOST_GROUPS:
        problems.append(f"groups: {len(groups)}, and there may be 1 to {MOST_GROUPS}")
    named = {layer["image-name"] for group in groups for layer in group["layers"]}
    there = {path.name for path in (icon / "Assets").iterdir()}
    problems += [f"Assets/{name} is missing" for name in sorted(named - there)]
    problems += [f"Assets/{name} is in no layer" for name in sorted(there - named)]
    for name in sorted(named & there):
        problems += _picture(icon / "Assets" / name)
    return problems


def _picture(path: Path) -> Iterator[str]:
    if path.suffix == ".svg":
        return
    with Image.open(path) as picture:
        if picture.format != "PNG" or picture.size != CANVAS or picture.mode != "RGBA":
            yield f"Assets/{path.name}: is no PNG of 1024 × 1024 pixels with transparency"
            return
        if picture.getchannel("A").getextrema()[1] == 0:
            yield f"Assets/{path.name}: shows nothing"


Check = Callable[[str, Any], Iterator[str]]


def _object(place: str, value: Any, fields: dict[str, tuple[bool, Check]]) -> Iterator[str]:
    """Problems of an object: keys that are missing or unknown, and values."""
    if not isinstance(value, dict):
        yield f"{place} is no object"
        return
    for name, (needed, check) in fields.items():
        if name in value:
            yield from check(f"{place}.{name}", value[name])
        elif needed:
            yield f"{place}.{name} is missing"
    for name in sorted(value.keys() - fields.keys()):
        yield f"{place}.{name} is unknown"


def _kind(*kinds: type) -> Check:
    def check(place: str, value: Any) -> Iterator[str]:
        if not isinstance(value, kinds) or (bool not in kinds and isinstance(value, bool)):
            yield f"{place} is {value!r}"

    return check


def _number(low: float, high: float) -> Check:
    def check(place: str, value: Any) -> Iterator[str]:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            yield f"{place} is {value!r}, not from {low} to {high}"

    return check


def _one_of(*values: str) -> Check:
    def check(place: str, value: Any) -> Iterator[str]:
        if value not in values:
            yield f"{place} is {value!r}, none of {', '.join(values)}"

    return check


def _inner(fields: dict[str, tuple[bool, Check]]) -> Check:
    return lambda place, value: _object(place, value, fields)


def _each(check: Check, count: int | None = None) -> Check:
    def all_of(place: str, value: Any) -> Iterator[str]:
        if not isinstance(value, list) or (count is not None and len(value) != count):
            yield f"{place} is no list" + (f" of {count}" if count else "")
            return
        for index, item in enumerate(value):
            yield from check(f"{place}[{index}]", item)

    return all_of


def _colour(place: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not COLOUR.fullmatch(value):
        yield f"{place} is {value!r}, which is no colour"


def _fill(place: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _one_of("automatic", "none", "system-light", "system-dark")(place, value)
    elif isinstance(value, dict) and "linear-gradient" in value:
        yield from _object(place, value, _GRADIENT)
    elif isinstance(value, dict) and len(value) == 1 and value.keys() <= _PLAIN_FILLS:
        yield from _colour(place, next(iter(value.values())))
    else:
        yield f"{place} is no fill"


def _squares(place: str, value: Any) -> Iterator[str]:
    if value != "shared":
        yield from _each(_one_of("iOS", "macOS"))(place, value)


_PLAIN_FILLS = {"solid", "automatic-gradient"}
_POINT = {"x": (True, _number(0, 1)), "y": (True, _number(0, 1))}
_GRADIENT = {
    "linear-gradient": (True, _each(_colour, 2)),
    "orientation": (
        False,
        _inner({"start": (True, _inner(_POINT)), "stop": (True, _inner(_POINT))}),
    ),
}
_POSITION = {
    "scale": (True, _number(0.01, 5)),
    "translation-in-points": (True, _each(_number(-512, 512), 2)),
}
_LAYER = {
    "name": (True, _kind(str)),
    "image-name": (True, _kind(str)),
    "glass": (False, _kind(bool)),
    "hidden": (False, _kind(bool)),
    "opacity": (False, _number(0, 1)),
    "blend-mode": (False, _one_of(*sorted(BLEND_MODES))),
    "fill": (False, _fill),
    "position": (False, _inner(_POSITION)),
}
_SHADOW = {
    "kind": (True, _one_of("neutral", "layer-color", "none")),
    "opacity": (True, _number(0, 1)),
}
_TRANSLUCENCY = {"enabled": (True, _kind(bool)), "value": (True, _number(0, 1))}
_GROUP = {
    "name": (False, _kind(str)),
    "layers": (True, _each(_inner(_LAYER))),
    "shadow": (True, _inner(_SHADOW)),
    "translucency": (True, _inner(_TRANSLUCENCY)),
    "specular": (False, _kind(bool)),
    "lighting": (False, _one_of("individual", "combined")),
    "blur-material": (False, _number(0, 1)),
    "hidden": (False, _kind(bool)),
    "position": (False, _inner(_POSITION)),
}
_PLATFORMS = {"squares": (True, _squares), "circles": (False, _each(_one_of("watchOS")))}
_ICON = {
    "fill": (True, _fill),
    "groups": (True, _each(_inner(_GROUP))),
    "supported-platforms": (True, _inner(_PLATFORMS)),
}


if __name__ == "__main__":
    found = examine(Path(sys.argv[1]))
    print(*found or ["The icon is sound."], sep="\n")
    sys.exit(bool(found))
