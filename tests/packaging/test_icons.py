"""The icons: every size that macOS shows, Apple's padding, and the layers of macOS 26's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from macos import info_plist, layered_icon
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "path", [ROOT / "resources/icon.icns", info_plist.DOCUMENT_ICON], ids=["app", "document"]
)
def test_an_icon_has_every_size_macos_shows(path: Path) -> None:
    with Image.open(path) as icon:
        sizes = {(width * scale) for width, _height, scale in icon.info["sizes"]}  # type: ignore[index]
        assert {32, 64, 128, 256, 512, 1024} <= sizes


def test_the_icon_keeps_apples_padding() -> None:
    """The body is 824 of 1024 pixels, centred; only its shadow reaches further."""
    with Image.open(ROOT / "resources/icon.png") as picture:
        assert picture.size == (1024, 1024) and picture.mode == "RGBA"
        alpha = np.asarray(picture.getchannel("A"))
    rows = np.flatnonzero((alpha == 255).any(axis=1))
    columns = np.flatnonzero((alpha == 255).any(axis=0))
    assert abs(rows[0] - 100) <= 1 and abs(rows[-1] - 923) <= 1
    assert abs(columns[0] - 100) <= 1 and abs(columns[-1] - 923) <= 1
    assert alpha[0, 0] == 0 and alpha[512, 512] == 255


def test_the_layered_icon_is_sound() -> None:
    assert layered_icon.examine(info_plist.LAYERED_ICON) == []


def test_the_layers_over_their_ground_are_the_icon() -> None:
    """Put together plainly they look as the drawn icon does inside of its body."""
    icon = info_plist.LAYERED_ICON
    description = json.loads((icon / "icon.json").read_text())
    top, bottom = (
        np.array([float(value) for value in colour.split(":")[1].split(",")[:3]])
        for colour in description["fill"]["linear-gradient"]
    )
    fade = np.linspace(0, 1, 1024)[:, None, None]
    ground = np.broadcast_to((1 - fade) * top + fade * bottom, (1024, 1024, 3))
    whole = Image.fromarray((255 * ground).astype(np.uint8), "RGB").convert("RGBA")
    for group in reversed(description["groups"]):
        for layer in reversed(group["layers"]):
            with Image.open(icon / "Assets" / layer["image-name"]) as picture:
                whole.alpha_composite(picture)
    with Image.open(ROOT / "resources/icon.png") as picture:
        drawn = picture.convert("RGB").crop((100, 100, 924, 924)).resize((256, 256))
    ours = whole.convert("RGB").resize((256, 256))
    a, b = (np.asarray(one, float)[32:-32, 32:-32].ravel() for one in (drawn, ours))
    assert np.corrcoef(a, b)[0, 1] > 0.95


def _set(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(description: Any) -> None:
        for key in path[:-1]:
            description = description[key]
        description[path[-1]] = to

    return change


LAYER = ("groups", 0, "layers", 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_set("fill", to="blue"), "fill"),
        (_set("fill", to={"solid": "srgb:1,2,3"}), "no colour"),
        (_set("groups", to=[]), "groups: 0"),
        (_set(*LAYER, "image-name", to="gone.png"), "gone.png is missing"),
        (_set(*LAYER, "imagename", to="x"), "imagename is unknown"),
        (_set(*LAYER, "position", "scale", to=9), "scale"),
        (_set(*LAYER, "glass", to=1), "glass"),
        (_set(*LAYER, "blend-mode", to="dodge"), "blend-mode"),
        (_set("groups", 0, "shadow", "opacity", to=2), "opacity"),
        (_set("groups", 0, "translucency", to=None), "no object"),
        (_set("supported-platforms", "squares", to=["windows"]), "squares"),
    ],
)
def test_mistakes_in_the_layered_icon_are_found(
    change: Callable[[Any], None], problem: str, tmp_path: Path
) -> None:
    icon = tmp_path / "AppIcon.icon"
    shutil.copytree(info_plist.LAYERED_ICON, icon)
    description = json.loads((icon / "icon.json").read_text())
    change(description)
    (icon / "icon.json").write_text(json.dumps(description))
    assert any(problem in found for found in layered_icon.examine(icon))


def test_a_picture_that_is_no_layer_is_found(tmp_path: Path) -> None:
    icon = tmp_path / "AppIcon.icon"
    shutil.copytree(info_plist.LAYERED_ICON, icon)
    Image.new("RGB", (1024, 1024)).save(icon / "Assets/veil.png")
    Image.new("RGBA", (1024, 1024)).save(icon / "Assets/threads.png")
    Image.new("RGBA", (1024, 1024)).save(icon / "Assets/spare.png")
    problems = "\n".join(layered_icon.examine(icon))
    assert "veil.png: is no PNG" in problems and "threads.png: shows nothing" in problems
    assert "spare.png is in no layer" in problems
