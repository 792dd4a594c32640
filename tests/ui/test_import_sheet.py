"""Pictures from outside: what made them, what becomes of it here, and what is done with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QMessageBox, QPushButton

from gui import paths
from gui.library.picture_record import record_text
from gui.picture_sizes import PictureSizes
from gui.request import PictureRecord, PictureRequest
from gui.state.model_entry import ModelEntry
from tests.library.metadata import forms

WEB_UI = (
    "an owl in the rain\nNegative prompt: blurry\nSteps: 33, Sampler: DPM++ 2M, Schedule type: "
    "SGM Uniform, CFG scale: 6.5, Seed: 777, Size: 96x64, Model hash: 879db523c3, "
    "Model: dreamshaper_8, Hires upscale: 2, Version: v1.7.0"
)
OURS = PictureRecord(
    PictureRequest("a fox", "", steps=21, guidance_scale=4.5, scheduler="Euler a", seed=99),
    96, 64, "Sfumato Starter",
)  # fmt: skip


def write(path: Path, **texts: str) -> str:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    Image.new("RGB", (96, 64), "#308050").save(path, pnginfo=info)
    return str(path)


def drop(widget, *files: str) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(file) for file in files])
    widget.dropEvent(
        QDropEvent(QPointF(10, 10), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                   Qt.KeyboardModifier.NoModifier)
    )  # fmt: skip


@pytest.fixture
def dropped(workspace, qtbot):
    """Drop files on the window, and the sheet that comes."""

    def drop_on_window(*files: str):
        drop(workspace, *files)
        qtbot.waitUntil(lambda: workspace.pictures_desk.imports.sheet is not None)
        sheet = workspace.pictures_desk.imports.sheet
        qtbot.waitUntil(lambda: sheet.isVisible() and sheet._read)
        return sheet

    return drop_on_window


def texts(sheet) -> str:
    return "\n".join(label.text() for label in sheet.findChildren(QLabel) if label.isVisible())


def click(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def values(workspace, *names: str) -> list[object]:
    return [workspace.studio.draft.value(name) for name in names]


def test_every_field_is_told_and_taken_in_one_step(workspace, dropped, tmp_path, qtbot):
    workspace.studio.draft.set("prompt", "my own")
    sheet = dropped(write(tmp_path / "owl.png", parameters=WEB_UI))
    told = texts(sheet)
    for text in ("owl.png", "Stable Diffusion web UI", "an owl in the rain", "33", "777",
                 "dreamshaper_8 (879db523c3)", "It is not among your models",
                 "96 × 64", "128 × 64", "Hires upscale", "in one pass"):  # fmt: skip
        assert text in told
    assert "Its schedule “SGM Uniform” is not to be had" in told
    qtbot.waitUntil(lambda: "96 × 64 pixels" in sheet.made_with.text())
    click(sheet.use)
    assert not sheet.isVisible()
    names = ("prompt", "negative_prompt", "steps", "guidance_scale", "scheduler", "seed", "width",
             "height")  # fmt: skip
    assert values(workspace, *names) == [
        "an owl in the rain", "blurry", 33, 6.5, "DPM++ 2M", 777, 128, 64,
    ]  # fmt: skip
    assert workspace.actions_.undo.text() == "Undo Use Settings"
    workspace.studio.undo.undo()
    assert values(workspace, *names) == ["my own", "", *[None] * 6]
    workspace.studio.undo.redo()
    assert values(workspace, "seed") == [777]


def test_ticked_fields_alone_are_taken(workspace, dropped, tmp_path):
    workspace.studio.draft.set("prompt", "my own")
    sheet = dropped(write(tmp_path / "owl.png", parameters=WEB_UI))
    click(sheet.all)
    assert sheet.ticked() == [] and not sheet.use.isEnabled()
    sheet.ticks["steps"].click()
    assert sheet.all.checkState() is Qt.CheckState.PartiallyChecked
    click(sheet.use)
    assert values(workspace, "prompt", "steps", "seed") == ["my own", 33, None]


def test_a_size_that_the_model_does_not_draw_is_not_taken(
    workspace, dropped, tmp_path, monkeypatch
):
    listed = PictureSizes((128, 128), ((128, 128), (256, 128)))
    monkeypatch.setattr(ModelEntry, "sizes", property(lambda _entry: listed))
    sheet = dropped(write(tmp_path / "owl.png", parameters=WEB_UI))
    assert "size" not in sheet.ticks
    assert "“Sfumato Starter” draws no pictures of that size." in texts(sheet)
    click(sheet.use)
    assert values(workspace, "steps", "width", "height") == [33, None, None]


def test_a_model_that_is_here_is_taken_and_undo_takes_it_back(
    workspace, dropped, tmp_path, monkeypatch, qtbot
):
    fixed = property(lambda entry: "" if entry.starter else "It has one size.")
    monkeypatch.setattr(ModelEntry, "fixed_size", fixed)
    folder = tmp_path / "models" / "dreamshaper-8"
    (folder / "unet.mlpackage").mkdir(parents=True)
    with qtbot.waitSignal(workspace.studio.models.added):
        workspace.studio.models.add_folder(str(folder))
    qtbot.waitUntil(lambda: workspace.studio.models.entry(folder).info is not None)
    workspace.studio.select_model(workspace.studio.models.entries()[0])
    sheet = dropped(write(tmp_path / "owl.png", parameters=WEB_UI))
    assert "The name is the same." in texts(sheet)
    assert "512 × 768" in texts(sheet), "the size of the model that will be in use"
    assert "size" not in sheet.ticks
    sheet.ticks["seed"].click()
    sheet.ticks["model"].click()
    qtbot.waitUntil(lambda: "128 × 64" in texts(sheet) and "size" in sheet.ticks)
    assert not sheet.ticks["seed"].isChecked()
    sheet.ticks["model"].click()
    qtbot.waitUntil(lambda: "512 × 768" in texts(sheet))
    click(sheet.use)
    assert workspace.studio.model.folder == folder
    assert values(workspace, "steps", "seed", "width") == [33, None, None]
    workspace.studio.undo.undo()
    assert workspace.studio.model.starter
    assert values(workspace, "prompt") == [""]


def test_a_graph_with_gaps_names_what_is_left(workspace, dropped, tmp_path):
    graph = json.loads(json.dumps(forms.COMFY))
    graph["6"]["inputs"] |= {"sampler_name": "heunpp2", "steps": 1500, "positive": ["30", 0]}
    graph["30"] = {"class_type": "ControlNetApply", "inputs": {
        "conditioning": ["3", 0], "control_net": ["31", 0], "strength": 0.8}}  # fmt: skip
    graph["31"] = {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "canny"}}
    sheet = dropped(write(tmp_path / "graph.png", prompt=json.dumps(graph)))
    told = texts(sheet)
    for text in ("heunpp2", "canny", "fog.safetensors (0.5)", "It is not among your LoRAs",
                 "1500", "1000", "The picture that guided it"):  # fmt: skip
        assert text in told
    click(sheet.use)
    assert values(workspace, "prompt", "scheduler", "steps") == ["a fox in fog", None, 1000]


def test_our_own_picture_offers_its_settings_and_itself(workspace, dropped, tmp_path, qtbot):
    path = write(tmp_path / "fox.png", sfumato=record_text(OURS))
    sheet = dropped(path)
    assert "Made with Sfumato" in texts(sheet)
    click(sheet.start)
    assert workspace.prompt_panel.start.path() == path
    assert values(workspace, "prompt") == [""]
    sheet = dropped(path)
    click(sheet.use)
    assert values(workspace, "prompt", "steps", "seed") == ["a fox", 21, 99]


def test_a_picture_that_says_nothing_becomes_the_start(workspace, tmp_path, qtbot):
    path = write(tmp_path / "holiday.png", Comment="holiday")
    drop(workspace, path)
    qtbot.waitUntil(lambda: workspace.prompt_panel.start.path() == path)
    assert workspace.pictures_desk.imports.sheet is None
    letter = tmp_path / "letter.png"
    letter.write_text("dear reader")
    drop(workspace, str(letter))
    qtbot.waitUntil(lambda: "letter.png" in workspace.canvas.banner.statement.text())


def test_the_menu_says_that_nothing_was_found(workspace, tmp_path, monkeypatch, qtbot):
    path = write(tmp_path / "holiday.png", Comment="holiday")
    dialog = "gui.ui.pictures.import_desk.QFileDialog.getOpenFileNames"
    monkeypatch.setattr(dialog, lambda *_: ([path], ""))
    workspace.actions_.import_settings.trigger()
    sheet = workspace.pictures_desk.imports.sheet
    qtbot.waitUntil(lambda: "does not say what made it" in texts(sheet))
    assert not sheet.use.isVisible() and sheet.start.isEnabled()


def test_several_pictures_are_gone_through(dropped, workspace, tmp_path, qtbot):
    files = [
        write(tmp_path / "owl.png", parameters=WEB_UI),
        write(tmp_path / "holiday.png", Comment="holiday"),
        write(tmp_path / "fox.png", sfumato=record_text(OURS)),
    ]
    sheet = dropped(*files)
    assert sheet.place.text() == "1 of 3" and not sheet.back.isEnabled()
    click(sheet.forth)
    qtbot.waitUntil(lambda: "does not say what made it" in texts(sheet))
    click(sheet.forth)
    qtbot.waitUntil(lambda: "fox.png" in texts(sheet) and "seed" in sheet.ticks)
    assert not sheet.forth.isEnabled()
    click(sheet.use)
    assert values(workspace, "prompt") == ["a fox"]


def test_a_damaged_record_gives_way_to_what_others_read(dropped, workspace, tmp_path):
    sheet = dropped(write(tmp_path / "a.png", sfumato='{"record": 7}', parameters=WEB_UI))
    assert "Its own record is damaged" in texts(sheet)
    click(sheet.use)
    assert values(workspace, "seed") == [777]


def test_text_from_outside_is_only_text(dropped, workspace, tmp_path):
    evil = "<h1>fox</h1>\u202egnp"
    sheet = dropped(write(tmp_path / "a.png", parameters=WEB_UI.replace("an owl", evil)))
    shown = [label for label in sheet.findChildren(QLabel) if "fox</h1>" in label.text()]
    assert shown and all(label.textFormat() is Qt.TextFormat.PlainText for label in shown)
    assert "\u202e" not in texts(sheet)


def test_the_hub_is_searched_for_a_model_that_is_missing(workspace, dropped, tmp_path, qtbot):
    sheet = dropped(write(tmp_path / "owl.png", parameters=WEB_UI))
    (search,) = (b for b in sheet.findChildren(QPushButton) if b.text() == "Find It on the Hub")
    click(search)
    assert values(workspace, "seed") == [777]
    assert workspace.models_panel.hub.search.text() == "dreamshaper 8"
    assert not sheet.isVisible()


def in_library(**texts: str) -> None:
    paths.pictures_dir().mkdir(parents=True, exist_ok=True)
    write(paths.pictures_dir() / "a.png", **texts)


def test_show_the_model_brings_its_card_into_sight(home, open_workspace, tmp_path, qtbot):
    in_library(sfumato=record_text(OURS))
    workspace, _ = open_workspace()
    folder = tmp_path / "models" / "other"
    (folder / "unet.mlpackage").mkdir(parents=True)
    with qtbot.waitSignal(workspace.studio.models.added):
        workspace.studio.models.add_folder(str(folder))
    qtbot.waitUntil(lambda: workspace.studio.model.folder == folder)
    workspace.actions_.hub.trigger()
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == 1)
    workspace.actions_.gallery.trigger()
    qtbot.waitUntil(lambda: workspace.studio.gallery.picture(0) is not None)
    workspace.gallery.grid.choose(0)
    workspace.actions_.show_model.trigger()
    panel = workspace.models_panel
    qtbot.waitUntil(lambda: panel.segments.current() == 0)
    assert panel.list.currentIndex().data() == "Sfumato Starter"
    assert workspace.studio.model.starter


def test_show_the_model_offers_the_hub_where_it_is_not_here(home, open_workspace, qtbot):
    in_library(parameters=WEB_UI)
    workspace, _ = open_workspace()
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == 1)
    workspace.actions_.gallery.trigger()
    qtbot.waitUntil(lambda: workspace.studio.gallery.picture(0) is not None)
    workspace.gallery.grid.choose(0)
    workspace.actions_.show_model.trigger()
    qtbot.waitUntil(lambda: bool(workspace.findChildren(QMessageBox)))
    (box,) = workspace.findChildren(QMessageBox)
    assert "“dreamshaper_8” is not among your models." in box.text()
    (search,) = (b for b in box.buttons() if b.text() == "Search the Hub")
    click(search)
    assert workspace.models_panel.hub.search.text() == "dreamshaper 8"
