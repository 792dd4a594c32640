"""Pictures leave the window in other forms: by Save As, and by the sheet, one or many at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from gui.state.pictures.export import ExportOptions, ExportReport
from gui.state.pictures.types import IndexedPicture
from tests.support import exiftool


@pytest.fixture
def sheet(gallery, workspace, qtbot, tmp_path):
    """The sheet over all seven pictures, with a folder of the test's."""
    gallery.grid.setFocus()
    workspace.editing.edit("selectAll")
    workspace.studio.settings.export_folder = str(tmp_path / "out")
    return opened(workspace, qtbot)


def opened(workspace, qtbot):
    workspace.actions_.export.trigger()
    out = workspace.pictures_desk.ways_out
    qtbot.waitUntil(lambda: out._sheet is not None and out._sheet.isVisible())
    return out._sheet


def export(sheet, workspace, qtbot) -> ExportReport:
    with qtbot.waitSignal(workspace.studio.export.finished) as told:
        QTest.mouseClick(sheet.go, Qt.MouseButton.LeftButton)
    return told.args[0]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_that_are_chosen_are_written_and_nothing_is_replaced(sheet, workspace, qtbot, tmp_path):
    out = tmp_path / "out"
    assert sheet.title.text() == "Export 7 Pictures"
    sheet.form.select_data("jpeg")
    sheet.size_kind.select_data("longest")
    sheet.longest.setValue(48)
    sheet.name.setText("{number} {prompt}")
    report = export(sheet, workspace, qtbot)
    assert len(report.written) == 7 and not report.errors and not sheet.isVisible()
    assert names(out)[:2] == ["1 a-lighthouse-in-fog.jpg", "2 a-red-fox.jpg"]
    with Image.open(out / "1 a-lighthouse-in-fog.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (48, 32))
    assert "Seed: 100" in exiftool.told(out / "1 a-lighthouse-in-fog.jpg")["ExifIFD:UserComment"]

    opened(workspace, qtbot)
    assert (sheet.form.currentData(), sheet.name.text()) == ("jpeg", "{number} {prompt}"), "as last"
    assert sheet.longest.value() == 48
    before = (out / "2 a-red-fox.jpg").read_bytes()
    sheet.settings.setChecked(False)
    export(sheet, workspace, qtbot)
    assert len(names(out)) == 14 and (out / "2 a-red-fox.jpg").read_bytes() == before
    assert exiftool.metadata(out / "2 a-red-fox-2.jpg") == {}


def test_stop_keeps_what_is_written_and_leaves_the_rest(sheet, workspace, qtbot, tmp_path):
    workspace.studio.export.progressed.connect(lambda *_: sheet.reject())
    report = export(sheet, workspace, qtbot)
    assert report.stopped and report.sentence == "Stopped: 1 of 7 pictures are exported."
    assert len(names(tmp_path / "out")) == 1
    assert workspace.canvas.banner.statement.text() == report.sentence


def test_a_picture_that_is_gone_does_not_keep_the_others(sheet, files, workspace, qtbot, tmp_path):
    files[2].unlink()
    report = export(sheet, workspace, qtbot)
    assert len(report.written) == 6 and len(names(tmp_path / "out")) == 6
    assert report.sentence.startswith("6 pictures were exported. 1 picture could not be: “002.png”")
    assert workspace.canvas.banner.statement.text() == report.sentence


def test_a_name_that_makes_none_is_said_before_anything_is_written(sheet, qtbot, tmp_path):
    qtbot.waitUntil(lambda: sheet.example.whole_text() == "000.png")
    sheet.name.setText("{sed}")
    qtbot.waitUntil(lambda: sheet.problem.isVisible())
    assert "“{sed}”" in sheet.problem.whole_text() and not sheet.go.isEnabled()
    sheet.name.clear()
    seed = next(a for a in sheet.fields_menu.actions() if a.text() == "The seed")
    seed.trigger()
    qtbot.waitUntil(lambda: sheet.example.whole_text() == "100.png" and sheet.go.isEnabled())
    assert not (tmp_path / "out").exists()


def test_a_form_shows_what_it_has(sheet):
    assert not sheet.quality.isVisible() and not sheet.longest.isVisible()
    sheet.form.select_data("avif")
    sheet.size_kind.select_data("scale")
    assert sheet.quality.isVisible() and sheet.scale.isVisible() and not sheet.longest.isVisible()
    assert "so that the picture can be found" in sheet.settings_note.text()
    sheet.settings.setChecked(False)
    assert "Nothing in the file" in sheet.settings_note.text()


def test_credentials_go_with_the_settings_and_say_what_they_are_worth(sheet):
    assert not sheet.options().credentials, "off unless they are wanted"
    sheet.credentials.setChecked(True)
    assert sheet.options().credentials
    assert "not who you are" in sheet.credentials_note.text()
    sheet.settings.setChecked(False)
    assert not sheet.credentials.isEnabled() and not sheet.options().credentials


def test_damaged_settings_of_the_sheet_cost_a_preference(workspace):
    workspace.studio.settings.export_options = {"form": "tiff", "quality": 80, "scale": "x"}
    assert workspace.studio.export.options == ExportOptions(quality=80)


def current(gallery) -> IndexedPicture:
    picture = gallery.current()
    assert picture is not None
    return picture


@pytest.mark.parametrize(
    ("name", "chosen", "made", "form"),
    [("a.jpg", "", "a.jpg", "JPEG"), ("b.webp", "", "b.webp", "WEBP"),
     ("c", "HEIC picture (*.heic *.heif)", "c.heic", "HEIF"), ("d", "", "d.png", "PNG")],
)  # fmt: skip
def test_save_as_writes_the_form_its_ending_asks_for(
    gallery, workspace, qtbot, tmp_path, monkeypatch, name, chosen, made, form
):
    import pillow_heif

    pillow_heif.register_heif_opener()
    gallery.grid.choose(1)
    target = tmp_path / made
    target.write_bytes(b"which the person was asked about")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / name), chosen))
    workspace.actions_.save_as.trigger()
    qtbot.waitUntil(lambda: target.stat().st_size > 100)
    with Image.open(target) as image:
        assert image.format == form
    if form == "PNG":
        assert target.read_bytes() == Path(current(gallery).path).read_bytes()


def test_save_as_something_else_is_one_sentence(gallery, workspace, qtbot, tmp_path, monkeypatch):
    gallery.grid.choose(0)
    target = tmp_path / "a.tiff"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    workspace.actions_.save_as.trigger()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: "a.tiff" in banner.statement.text())
    assert not target.exists()
