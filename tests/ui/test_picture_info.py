"""What made a picture: told in full, copied, used again as a whole or in part."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from gui import paths
from gui.library.picture_record import record_text
from gui.request import PictureRecord, PictureRequest, Provenance

FOREIGN = (
    "an owl in the rain\nNegative prompt: blurry\nSteps: 33, Sampler: Euler a, CFG scale: 6.5, "
    "Seed: 777, Size: 96x64, Model: dreamshaper, Hires upscale: 2, Version: v1.7.0"
)
OURS = PictureRecord(
    PictureRequest("a fox", "", negative_prompt="fog", steps=21, guidance_scale=4.5,
                   scheduler="Euler a", seed=99),
    96, 64, "Tiny", seconds=12.0, notes=("The prompt was cut.",),
    provenance=Provenance(
        "owner/tiny", "0123456789abcdef", "native", "macOS 15.1, arm64", {"torch": "2.9"},
        {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "leading"},
    ),
)  # fmt: skip


def write(name: str, key: str, text: str) -> Path:
    folder = paths.pictures_dir()
    folder.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    info.add_text(key, text)
    Image.new("RGB", (96, 64), "#308050").save(folder / name, pnginfo=info)
    return folder / name


@pytest.fixture
def desk(home, request, open_workspace):
    """The window over one picture: ours, or another program's."""
    if request.param == "ours":
        write("a.png", "sfumato", record_text(OURS))
    elif request.param == "foreign":
        write("a.png", "parameters", FOREIGN)
    else:
        write("a.png", "Comment", "holiday")
    return open_workspace()


@pytest.fixture
def info(workspace, qtbot):
    """The info window of the only picture, chosen in the gallery."""
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == 1)
    workspace.actions_.gallery.trigger()
    qtbot.waitUntil(lambda: workspace.studio.gallery.picture(0) is not None)
    workspace.gallery.grid.choose(0)
    workspace.actions_.info.trigger()
    shown = workspace.pictures_desk.info
    qtbot.waitUntil(lambda: "File" in texts(shown))
    return shown


def texts(info) -> str:
    return "\n".join(label.text() for label in info.scroller.widget().findChildren(QLabel))


ours = pytest.mark.parametrize("desk", ["ours"], indirect=True)
foreign = pytest.mark.parametrize("desk", ["foreign"], indirect=True)
silent = pytest.mark.parametrize("desk", ["silent"], indirect=True)


@ours
def test_everything_that_made_a_picture_is_told_and_copied(info, qtbot):
    qtbot.waitUntil(lambda: "a fox" in texts(info))
    for text in ("fog", "21", "4.5", "Euler a", "99", "Tiny", "The prompt was cut.", "96 × 64"):
        assert text in texts(info)
    for text in (
        "owner/tiny at 0123456789ab",
        "Core ML, Automatic",
        "leading",
        "torch 2.9",
        "15.1",
    ):
        assert text in texts(info)
    QTest.mouseClick(info.copy, Qt.MouseButton.LeftButton)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert {"Prompt: a fox", "Steps: 21", "Seed: 99", "Model: Tiny"} <= set(lines)


@ours
def test_ticked_settings_alone_are_used(workspace, info, qtbot):
    qtbot.waitUntil(lambda: "seed" in info.ticks)
    workspace.studio.draft.set("prompt", "my own")
    for name, tick in info.ticks.items():
        tick.setChecked(name in ("steps", "seed"))
    QTest.mouseClick(info.use, Qt.MouseButton.LeftButton)
    draft = workspace.studio.draft
    assert [draft.value(name) for name in ("prompt", "steps", "seed", "scheduler")] == [
        "my own", 21, 99, None,
    ]  # fmt: skip
    assert workspace.actions_.undo.text() == "Undo Use Settings"


@foreign
def test_another_programs_settings_fill_the_draft_as_far_as_they_go(workspace, info, qtbot):
    qtbot.waitUntil(lambda: "an owl in the rain" in texts(info))
    assert "Stable Diffusion web UI" in texts(info)
    assert "Hires upscale" in texts(info) and "in one pass" in texts(info)
    workspace.actions_.use_settings.trigger()
    draft = workspace.studio.draft
    qtbot.waitUntil(lambda: draft.value("prompt") == "an owl in the rain")
    values = [draft.value(n) for n in ("negative_prompt", "steps", "guidance_scale", "seed")]
    assert values == ["blurry", 33, 6.5, 777]
    assert "“dreamshaper” is not here" in workspace.canvas.banner.statement.text()
    workspace.actions_.undo.trigger()
    assert draft.value("prompt") == ""


@silent
def test_a_picture_without_settings_says_so(workspace, info, qtbot):
    assert not info.use.isEnabled() and not info.ticks
    assert not info.show_model.isEnabled()
    workspace.actions_.use_settings.trigger()
    banner = workspace.canvas.banner.statement
    qtbot.waitUntil(lambda: "does not say what made it" in banner.text())


@ours
def test_favourite_and_tags_are_kept_and_found(workspace, info, qtbot):
    QTest.mouseClick(info.favourite, Qt.MouseButton.LeftButton)
    info.tags.setFocus()
    QTest.keyClicks(info.tags, "fox,  best of ")
    QTest.keyClick(info.tags, Qt.Key.Key_Return)
    pictures = workspace.studio.gallery

    def marks():
        picture = pictures.picture(0)
        return picture and (picture.favourite, picture.tags)

    qtbot.waitUntil(lambda: marks() == (True, ("best of", "fox")))
    workspace.studio.undo.undo()
    qtbot.waitUntil(lambda: marks() == (True, ()))
