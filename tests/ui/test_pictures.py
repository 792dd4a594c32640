"""Finished pictures: dragging, copying, saving, trashing, using them again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QFile, QItemSelectionModel, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from gui.mac import FallbackServices
from gui.request import RandomSource
from gui.state.pictures.drag import drag_data
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.toast import Toast
from tests.support.pictures import picture

COLOURS = ("#a03020", "#30a020", "#2030a0")


@pytest.fixture
def made(workspace, queue, qtbot):
    """Three finished pictures, oldest first."""
    workspace.prompt_panel.prompt.edit.setPlainText("three flags")
    workspace.prompt_panel.controls["count"].input.spin.setValue(3)
    workspace.prompt_panel.controls["guidance_scale"].input.spin.setValue(3.5)
    QTest.mouseClick(workspace.prompt_panel.generate, Qt.MouseButton.LeftButton)
    queue.run()
    paths = [queue.picture(picture(colour=colour)) for colour in COLOURS]
    queue.finish()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == paths[-1])
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 3)
    qtbot.waitUntil(lambda: all(workspace.filmstrip.has_thumbnail(row) for row in range(3)))
    return paths


def same_pixels(one: QImage, other: QImage) -> bool:
    form = QImage.Format.Format_RGB888
    return one.convertToFormat(form) == other.convertToFormat(form)


def test_a_drag_offers_the_saved_file_and_its_pixels(made):
    data = drag_data([made[0]], QImage(made[0]))
    assert [url.toLocalFile() for url in data.urls()] == [made[0]]
    assert same_pixels(QImage(data.imageData()), QImage(made[0]))


def test_a_drag_from_the_strip_offers_the_pixels_of_the_picture_on_show(workspace, made):
    pictures = workspace.studio.pictures
    shown = pictures.mimeData([pictures.index(0)])
    assert same_pixels(QImage(shown.imageData()), QImage(made[-1]))
    assert not pictures.mimeData([pictures.index(1)]).hasImage(), "no file is read for a drag"


def test_a_drag_of_several_offers_every_file(workspace, made):
    view = workspace.filmstrip.list
    view.selectAll()
    data = view.model().mimeData(view.selectedIndexes())
    assert {url.toLocalFile() for url in data.urls()} == set(made)
    assert view.dragEnabled()


def test_choosing_in_the_filmstrip_shows_that_picture(workspace, made, qtbot):
    strip = workspace.filmstrip
    index = strip.list.model().index(2, 0)
    at = strip.list.visualRect(index).center()
    QTest.mouseClick(strip.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == made[0])
    assert same_pixels(workspace.canvas.view.image(), QImage(made[0]))


def test_arrow_keys_walk_the_filmstrip(workspace, made, qtbot):
    workspace.filmstrip.list.setFocus()
    QTest.keyClick(workspace.filmstrip.list, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == made[1])


def test_copy_puts_file_and_pixels_on_the_clipboard(workspace, made):
    workspace.actions_.copy_picture.trigger()
    assert workspace.canvas.stack.findChild(Toast).text.text() == "Copied"
    assert not workspace.canvas.banner.isVisible(), "a banner is for what goes wrong"
    data = QGuiApplication.clipboard().mimeData()
    assert [url.toLocalFile() for url in data.urls()] == [made[-1]]
    assert same_pixels(QImage(data.imageData()), QImage(made[-1]))


def test_edit_copy_means_text_in_a_text_field_and_the_picture_elsewhere(workspace, made, qtbot):
    edit = workspace.prompt_panel.prompt.edit
    edit.setFocus()
    edit.selectAll()
    workspace.editing.edit("copy")
    assert QGuiApplication.clipboard().text() == "three flags"
    workspace.filmstrip.list.setFocus()
    workspace.editing.edit("copy")
    assert QGuiApplication.clipboard().mimeData().hasImage()


def test_save_as_writes_the_same_bytes(workspace, made, tmp_path, monkeypatch, qtbot):
    target = tmp_path / "my picture"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    workspace.actions_.save_as.trigger()
    qtbot.waitUntil(lambda: Path(f"{target}.png").exists())
    assert Path(f"{target}.png").read_bytes() == Path(made[-1]).read_bytes()
    assert [p.name for p in tmp_path.glob("*.part")] == []


def test_save_as_into_a_missing_folder_is_one_sentence(
    workspace, made, tmp_path, monkeypatch, qtbot
):
    target = tmp_path / "gone" / "x.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    banner = workspace.canvas.banner
    workspace.actions_.save_as.trigger()
    qtbot.waitUntil(lambda: "could not be saved" in banner.statement.text())
    assert not target.parent.exists()


def use_own_trash(tmp_path, monkeypatch):
    """Let the freedesktop Trash lie in the test's folder (macOS uses the person's own)."""
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


def test_move_to_trash_keeps_the_file_there(workspace, made, tmp_path, monkeypatch, qtbot):
    use_own_trash(tmp_path, monkeypatch)
    bytes_ = Path(made[-1]).read_bytes()
    workspace.filmstrip.list.setFocus()
    QTest.keyClick(workspace.filmstrip.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not Path(made[-1]).exists())
    if sys.platform != "darwin":
        trashed = [p for p in tmp_path.rglob("*.png") if p.name == Path(made[-1]).name]
        assert [p.read_bytes() for p in trashed] == [bytes_]
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == made[1])


def test_the_trash_keys_in_a_text_field_move_no_picture(workspace, made):
    workspace.prompt_panel.prompt.edit.setFocus()
    workspace.pictures_desk.trash()
    assert all(Path(path).exists() for path in made)


def test_after_the_trash_the_neighbour_has_the_focus(workspace, made, tmp_path, monkeypatch, qtbot):
    use_own_trash(tmp_path, monkeypatch)
    strip, pictures = workspace.filmstrip, workspace.studio.pictures
    strip.list.setCurrentIndex(strip.list.model().index(2, 0))
    strip.list.setFocus(Qt.FocusReason.TabFocusReason)
    for left, neighbour in ((2, made[1]), (1, made[2])):
        with qtbot.waitSignal(pictures.refreshed):  # the index has been asked again
            QTest.keyClick(strip.list, Qt.Key.Key_Delete)
        qtbot.waitUntil(lambda left=left: pictures.rowCount() == left)
        assert strip.list.hasFocus() and strip.selected_paths() == [neighbour]
        assert workspace.canvas.picture.path == neighbour


def test_the_strip_shows_the_focus_of_the_keyboard(workspace, made):
    view = workspace.filmstrip.list
    workspace.prompt_panel.prompt.edit.setFocus()
    cell = view.visualRect(view.currentIndex())
    before = view.viewport().grab(cell).toImage()
    view.setFocus(Qt.FocusReason.TabFocusReason)
    assert shows_ring(view)
    assert view.viewport().grab(cell).toImage() != before


def test_undo_brings_pictures_back_from_the_trash(workspace, made, tmp_path, monkeypatch, qtbot):
    use_own_trash(tmp_path, monkeypatch)
    bytes_ = [Path(path).read_bytes() for path in made]
    pictures, banner = workspace.studio.pictures, workspace.canvas.banner
    workspace.filmstrip.list.setFocus()
    workspace.filmstrip.list.selectAll()
    QTest.keyClick(workspace.filmstrip.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: pictures.rowCount() == 0)
    assert banner.statement.text() == "3 pictures are in the Trash."
    assert workspace.actions_.undo.text() == "Undo Move to Trash"
    QTest.mouseClick(banner.undo_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pictures.rowCount() == 3)
    assert [Path(path).read_bytes() for path in made] == bytes_
    qtbot.waitUntil(lambda: pictures.paths_of(range(3)) == made[::-1])  # in their old order
    assert not [p for p in (tmp_path / "xdg").rglob("*") if p.is_file()], "the Trash is as before"
    workspace.actions_.redo.trigger()
    qtbot.waitUntil(lambda: not any(Path(path).exists() for path in made))
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: pictures.rowCount() == 3)


def test_nothing_is_overwritten_by_undo(workspace, made, tmp_path, monkeypatch, qtbot):
    use_own_trash(tmp_path, monkeypatch)
    workspace.filmstrip.list.setFocus()
    QTest.keyClick(workspace.filmstrip.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 2)
    Path(made[-1]).write_text("something else")
    workspace.actions_.undo.trigger()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: "another file in its place" in banner.statement.text())
    assert Path(made[-1]).read_text() == "something else"


def test_undo_in_a_text_field_means_its_text(workspace, made, tmp_path, monkeypatch, qtbot):
    use_own_trash(tmp_path, monkeypatch)
    workspace.filmstrip.list.setFocus()
    QTest.keyClick(workspace.filmstrip.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: workspace.studio.pictures.rowCount() == 2)
    edit = workspace.prompt_panel.prompt.edit
    edit.clear()
    edit.setFocus()
    QTest.keyClicks(edit, "fog")
    workspace.actions_.undo.trigger()
    assert "fog" not in edit.toPlainText() and workspace.studio.pictures.rowCount() == 2


def test_a_file_that_will_not_go_stays_on_the_strip(workspace, made, monkeypatch, qtbot):
    class Stuck(QFile):
        def moveToTrash(self) -> bool:
            return False

    monkeypatch.setattr("gui.state.desktop.QFile", Stuck)
    workspace.filmstrip.list.setFocus()
    workspace.actions_.trash.trigger()
    qtbot.waitUntil(lambda: "Trash" in workspace.canvas.banner.statement.text())
    assert Path(made[-1]).exists()
    assert workspace.studio.pictures.rowCount() == 3
    assert workspace.studio.undo.undo_text == ""


def test_use_these_settings_makes_the_same_request_again(workspace, queue, made):
    panel = workspace.prompt_panel
    facts = workspace.canvas.picture.facts
    panel.prompt.edit.setPlainText("something else")
    panel.controls["guidance_scale"].input.spin.setValue(12)
    panel.controls["random_source"].input.select_data(RandomSource.TORCH.value)
    workspace.actions_.use_settings.trigger()
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    again = queue.last.request
    assert (again.prompt, again.seed, again.guidance_scale) == (
        "three flags",
        facts.seed,
        3.5,
    )
    assert (again.count, again.random_source) == (1, RandomSource.NUMPY)


def test_use_as_starting_picture(workspace, queue, made):
    workspace.actions_.use_as_start.trigger()
    panel = workspace.prompt_panel
    panel.controls["start_image.strength"].input.spin.setValue(0.35)
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    start = queue.last.request.start_image
    assert (start.path, start.strength) == (made[-1], 0.35)
    QTest.mouseClick(panel.start.remove_button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    assert queue.last.request.start_image is None


def drop(widget, data: QMimeData) -> None:
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    widget.dropEvent(event)


def test_a_dropped_file_becomes_the_starting_picture(workspace, tmp_path):
    file = tmp_path / "start.png"
    picture(40, 30).save(str(file))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    drop(workspace.prompt_panel.start, data)
    assert workspace.prompt_panel.start.path() == str(file)
    assert workspace.prompt_panel.strength.isVisible()


def test_dropped_pixels_without_a_file_are_kept_as_one(workspace, qtbot):
    data = QMimeData()
    data.setImageData(picture(40, 30))
    drop(workspace.prompt_panel.start, data)
    qtbot.waitUntil(lambda: workspace.prompt_panel.start.path() != "")
    assert same_pixels(QImage(workspace.prompt_panel.start.path()), picture(40, 30))


def test_a_file_that_is_no_picture_is_refused_in_one_sentence(workspace, tmp_path, qtbot):
    file = tmp_path / "letter.png"
    file.write_text("dear reader")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    drop(workspace.prompt_panel.start, data)
    qtbot.waitUntil(lambda: workspace.prompt_panel.start.path() == "")
    assert "letter.png" in workspace.canvas.banner.statement.text()


def test_reveal_shows_the_file_and_says_when_it_is_gone(workspace, made, monkeypatch, qtbot):
    shown = []

    class Finder(FallbackServices):
        def reveal(self, path):
            if not path.exists():
                super().reveal(path)
            shown.append(path)

    monkeypatch.setattr("gui.state.desktop.services", Finder)
    workspace.actions_.reveal.trigger()
    qtbot.waitUntil(lambda: shown == [Path(made[-1])])
    Path(made[-1]).unlink()
    workspace.actions_.reveal.trigger()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: "no longer where it was" in banner.statement.text())
    assert len(shown) == 1


def test_the_context_menu_acts_on_the_picture_on_show(workspace, made):
    texts = [a.text() for a in workspace.pictures_desk.menu().actions() if a.text()]
    assert texts[:2] == ["Copy Picture", "Save Picture As…"]
    assert "Use as Starting Picture" in texts


def test_zoom_true_size_shows_one_pixel_per_pixel(workspace, made):
    view = workspace.canvas.view
    assert view.picture_rect().width() > 64
    workspace.actions_.true_size.trigger()
    ratio = view.devicePixelRatioF()
    assert view.picture_rect().width() * ratio == 64
    workspace.actions_.fit.trigger()
    assert view.picture_rect().width() > 64


def test_fitting_keeps_the_shape_and_stays_inside(workspace, queue, qtbot):
    workspace.prompt_panel.prompt.edit.setPlainText("wide")
    QTest.mouseClick(workspace.prompt_panel.generate, Qt.MouseButton.LeftButton)
    queue.run()
    path = queue.picture(picture(1536, 512))
    queue.finish()
    view = workspace.canvas.view
    qtbot.waitUntil(lambda: view.path() == path)
    rect = view.picture_rect()
    assert rect.width() / rect.height() == pytest.approx(3.0, rel=0.02)
    assert view.rect().contains(rect.toRect())


def test_selecting_several_and_trashing_them(workspace, made, tmp_path, monkeypatch, qtbot):
    use_own_trash(tmp_path, monkeypatch)
    view, pictures = workspace.filmstrip.list, workspace.studio.pictures
    view.setFocus()
    for row in (0, 1):
        view.selectionModel().select(pictures.index(row), QItemSelectionModel.SelectionFlag.Select)
    workspace.actions_.trash.trigger()
    qtbot.waitUntil(lambda: pictures.rowCount() == 1)
    assert [Path(path).exists() for path in made] == [True, False, False]


def text_of(edit) -> str:
    return edit.toPlainText()


def test_what_replaces_the_prompt_can_be_taken_back(workspace, queue, made):
    """Use Settings, an example and Reset: the text by undo in its field, the rest by undo."""
    panel, state = workspace.prompt_panel, workspace.studio.draft
    panel.prompt.edit.selectAll()
    QTest.keyClicks(panel.prompt.edit, "my own long prompt")
    panel.controls["steps"].input.spin.setValue(44)
    mine = state.draft
    workspace.actions_.use_settings.trigger()
    assert text_of(panel.prompt.edit) == "three flags"
    panel.prompt.edit.setFocus()
    workspace.actions_.undo.trigger()
    assert text_of(panel.prompt.edit) == "my own long prompt"
    workspace.actions_.redo.trigger()
    assert text_of(panel.prompt.edit) == "three flags"

    panel.generate.setFocus()
    assert workspace.actions_.undo.text() == "Undo Use Settings"
    workspace.actions_.undo.trigger()
    assert state.draft == mine
    assert panel.controls["steps"].input.value() == 44
    workspace.actions_.redo.trigger()
    assert text_of(panel.prompt.edit) == "three flags"
    assert state.draft != mine
    workspace.actions_.undo.trigger()

    panel.reset.click()
    assert state.draft.request.steps is None
    workspace.actions_.undo.trigger()
    assert state.draft == mine
    workspace.canvas.empty.example_chosen.emit("a blue boat")
    assert text_of(panel.prompt.edit) == "a blue boat"
    assert workspace.studio.queue.last.request.prompt == "a blue boat", "one click makes it"
    workspace.actions_.undo.trigger()
    assert text_of(panel.prompt.edit) == "my own long prompt"


def test_a_drag_lights_the_place_for_what_it_takes_and_only_for_that(workspace, tmp_path):
    zone = workspace.prompt_panel.start

    def lit(data: QMimeData) -> bool:
        event = QDragEnterEvent(
            QPoint(10, 10), Qt.DropAction.CopyAction, data,
            Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        event.ignore()
        zone.dragEnterEvent(event)
        was = zone._hovering
        assert was == event.isAccepted()
        zone.dragLeaveEvent(QDragLeaveEvent())
        return was

    def urls(*names: str) -> QMimeData:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(tmp_path / name)) for name in names])
        return data

    pixels = QMimeData()
    pixels.setImageData(picture(8, 8))
    words = QMimeData()
    words.setText("a cat")
    page = QMimeData()
    page.setUrls([QUrl("https://example.org/a.png")])
    assert lit(urls("a.png")) and lit(urls("b.JPG")) and lit(pixels)
    for refused in (urls("model"), urls("model.safetensors"), urls("a.txt"), words, page):
        assert not lit(refused)


def test_a_window_that_is_opened_again_shows_yesterdays_pictures(
    workspace, made, open_workspace, qtbot
):
    workspace.main_window.close()
    again, _ = open_workspace()
    pictures = again.studio.pictures
    qtbot.waitUntil(lambda: pictures.paths_of(range(3)) == made[::-1])
    qtbot.waitUntil(again.filmstrip.isVisible)
    shown = again.filmstrip.list
    at = shown.visualRect(shown.model().index(1, 0)).center()
    QTest.mouseClick(again.filmstrip.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: again.canvas.view.path() == made[1])
    assert again.canvas.title.whole_text() == "three flags"


def test_files_that_come_and_go_outside_are_followed(workspace, home, qtbot):
    from tests.library.test_picture_scan import save

    pictures = workspace.studio.pictures
    path = save(home / "Pictures" / "2026-11-02", "a fox in fog")
    workspace.studio.library.refresh()
    qtbot.waitUntil(lambda: pictures.paths_of([0]) == [str(path)])
    path.unlink()
    workspace.studio.library.look_at([str(path)])
    qtbot.waitUntil(lambda: pictures.rowCount() == 0)


def test_the_window_holds_no_more_for_many_pictures_than_for_some(
    workspace, queue, qtbot, monkeypatch
):
    """Rows and thumbnails out of sight are let go, and come again when they are looked at."""
    from gui.state.pictures import gallery, thumbnails

    # As in the product, what is held is several times what is asked for together and what is in
    # sight; else the pages that the strip wants and those wanted here drive each other out.
    monkeypatch.setattr(gallery, "PAGE", 5)
    monkeypatch.setattr(gallery, "KEPT_ROWS", 40)
    monkeypatch.setattr(thumbnails, "KEPT", 30)
    pictures = workspace.studio.pictures
    for number in range(60):
        workspace.studio.draft.set("prompt", f"flag {number}")
        workspace.studio.generate()
        queue.run()
        queue.picture(picture(8, 8))
        queue.finish()
    qtbot.waitUntil(lambda: pictures.rowCount() == 60)
    oldest = pictures.index(59)
    qtbot.waitUntil(lambda: oldest.data(Qt.ItemDataRole.UserRole) is not None)
    assert oldest.data(Qt.ItemDataRole.UserRole).facts.prompt == "flag 0"
    qtbot.waitUntil(lambda: oldest.data(Qt.ItemDataRole.DecorationRole) is not None)
    assert len(pictures._rows) <= 40 and len(workspace.studio.thumbnails._images) <= 30


def test_the_sentence_about_a_starting_picture_stays_until_something_is_changed(
    workspace, tmp_path, qtbot
):
    file = tmp_path / "letter.heic"
    file.write_text("dear reader")
    banner = workspace.canvas.banner
    workspace.prompt_panel.start.set_path(str(file))
    qtbot.waitUntil(lambda: "letter.heic" in banner.statement.text())
    with qtbot.waitSignal(workspace.studio.draft.settled):
        pass  # the draft is saved a moment after the picture was taken away
    assert banner.isVisible() and banner.error is not None
    workspace.prompt_panel.prompt.edit.setPlainText("a fox")
    qtbot.waitUntil(lambda: banner.error is None)
