"""Pictures from elsewhere, dropped on the gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest

from gui import paths
from gui.state import desktop
from gui.state.pictures.types import PictureKind
from tests.ui.test_import_sheet import WEB_UI, write


def mime(*files: object) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
    return data


def drop(widget, *files: object) -> None:
    data = mime(*files)  # the event does not hold it
    widget.dropEvent(
        QDropEvent(QPointF(10, 10), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                   Qt.KeyboardModifier.NoModifier)
    )  # fmt: skip


def enters(widget, data: QMimeData) -> bool:
    event = QDragEnterEvent(QPoint(10, 10), Qt.DropAction.CopyAction, data,
                            Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)  # fmt: skip
    event.ignore()
    widget.dragEnterEvent(event)
    return event.isAccepted()


@pytest.fixture
def gallery(workspace):
    workspace.actions_.gallery.trigger()
    return workspace.gallery


def copies() -> list[Path]:
    return sorted(path for path in paths.pictures_dir().rglob("*") if path.is_file())


@pytest.fixture
def trash(tmp_path, monkeypatch):
    """A Trash of the test's own."""
    folder = tmp_path / "trash"
    folder.mkdir()

    def move(path: str) -> str:
        return str(Path(path).rename(folder / Path(path).name))

    monkeypatch.setattr(desktop, "move_to_trash", move)
    return folder


def test_dropped_pictures_are_copied_as_they_are_and_undo_takes_them_back(
    workspace, gallery, tmp_path, trash, qtbot
):
    owl = Path(write(tmp_path / "owl.png", parameters=WEB_UI))
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (60, 40), "#204060").save(photo)
    assert enters(gallery, mime(owl, photo))
    drop(gallery, owl, photo)
    pictures = workspace.studio.gallery
    qtbot.waitUntil(lambda: pictures.rowCount() == 2)
    assert {p.name: p.read_bytes() for p in copies()} == {
        "owl.png": owl.read_bytes(), "photo.jpg": photo.read_bytes(),
    }  # fmt: skip
    banner = workspace.canvas.banner.statement
    qtbot.waitUntil(lambda: "2 pictures were added to the library." in banner.text())
    qtbot.waitUntil(lambda: all(pictures.picture(row) for row in (0, 1)))
    rows = [pictures.picture(row).facts for row in (0, 1)]
    assert {facts.kind for facts in rows} == {PictureKind.IMPORTED}
    assert "an owl in the rain" in {facts.prompt for facts in rows}
    assert workspace.actions_.undo.text() == "Undo Add to the Library"
    workspace.studio.undo.undo()
    qtbot.waitUntil(lambda: pictures.rowCount() == 0 and copies() == [])
    assert owl.exists() and len(list(trash.iterdir())) == 2
    workspace.studio.undo.redo()
    qtbot.waitUntil(lambda: pictures.rowCount() == 2)
    assert len(copies()) == 2


def test_no_file_is_written_over_and_none_comes_twice(workspace, gallery, tmp_path, qtbot):
    first, second = tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"
    for place, colour in ((first, "#111111"), (second, "#eeeeee")):
        place.parent.mkdir()
        Image.new("RGB", (30, 20), colour).save(place)
    pictures = workspace.studio.gallery
    drop(gallery, first)
    qtbot.waitUntil(lambda: pictures.rowCount() == 1)
    drop(gallery, second, first)
    qtbot.waitUntil(lambda: pictures.rowCount() == 2)
    assert [p.name for p in copies()] == ["x-2.png", "x.png"]
    banner = workspace.canvas.banner.statement
    qtbot.waitUntil(lambda: "1 picture is in the library already." in banner.text())
    drop(gallery, copies()[0], second)
    qtbot.waitUntil(lambda: banner.text().startswith("2 pictures are in the library already."))
    assert len(copies()) == 2


def test_what_is_no_picture_is_told_and_the_rest_is_added(workspace, gallery, tmp_path, qtbot):
    letter = tmp_path / "letter.png"
    letter.write_text("dear reader")
    good = tmp_path / "good.png"
    Image.new("RGB", (30, 20)).save(good)
    errors: list[str] = []
    workspace.studio.error_raised.connect(lambda error: errors.append(error.message))
    drop(gallery, letter, good, tmp_path / "gone.png")
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == 1)
    assert [p.name for p in copies()] == ["good.png"]
    assert len(errors) == 2 and any("letter.png" in text for text in errors)


def test_only_pictures_from_elsewhere_light_the_gallery(gallery, tmp_path):
    assert enters(gallery, mime(tmp_path / "a.heic", tmp_path / "b.TIFF"))
    text = QMimeData()
    text.setText("a cat")
    for other in (mime(tmp_path / "model"), mime(tmp_path / "a.png", tmp_path / "b.txt"), text):
        assert not enters(gallery, other)


def test_the_sheet_adds_them_all(workspace, tmp_path, qtbot):
    files = [write(tmp_path / f"{name}.png", parameters=WEB_UI + name) for name in "ab"]
    workspace.pictures_desk.imports.open_pictures(files)
    sheet = workspace.pictures_desk.imports.sheet
    assert sheet.library.text() == "Add All to the Library"
    QTest.mouseClick(sheet.library, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 2)
    assert [p.name for p in copies()] == ["a.png", "b.png"]


def test_a_folder_that_cannot_be_written_is_one_sentence(workspace, gallery, tmp_path, qtbot):
    picture = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(picture)
    workspace.studio.settings.pictures_folder = str(picture / "below a file")
    drop(gallery, picture)
    banner = workspace.canvas.banner.statement
    qtbot.waitUntil(lambda: "“a.png” cannot be copied" in banner.text())
