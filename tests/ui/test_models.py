"""The list of models and what choosing one does to the panel."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QPushButton

from gui import paths
from gui.coreml.model import Family
from gui.coreml.sidecar import ModelCard, Sidecar
from gui.library.models.folders import model_folders
from gui.state.model_entry import ModelEntry, marks_of
from tests.support.pictures import picture
from tests.ui.conftest import BROKEN, make_info

USER = Qt.ItemDataRole.UserRole


@pytest.fixture
def installed(home):
    """Three model folders, two of them where a download puts them."""
    for name in ("maker--fine/split", "maker--broken/original", "no-encoder"):
        (paths.models_dir() / name / "unet.mlpackage").mkdir(parents=True)
    return paths.models_dir()


def entry_named(workspace, name):
    return next(e for e in workspace.studio.models.entries() if e.folder.name == name)


def add(workspace, folder, qtbot):
    """Add a folder by reference, which is looked at in the background."""
    with qtbot.waitSignal(workspace.studio.models.added):
        workspace.studio.models.add_folder(str(folder))


def choose(workspace, name, qtbot):
    """Click the model's card."""
    view = workspace.models_panel.list
    row = workspace.studio.models.row_of(entry_named(workspace, name).folder)
    at = view.visualRect(workspace.studio.models.index(row)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_the_starter_comes_first_and_is_chosen(installed, workspace):
    entries = workspace.studio.models.entries()
    assert entries[0].starter
    assert {e.folder.name for e in entries[1:]} == {"split", "original", "no-encoder"}
    assert workspace.tool_bar.model_title.whole_text() == "Sfumato Starter"


def test_cards_say_what_the_model_is(installed, workspace):
    models = workspace.studio.models
    index = models.index(models.row_of(entry_named(workspace, "split").folder))
    text = index.data(Qt.ItemDataRole.AccessibleTextRole)
    for fact in ("split", "512 × 768", "1.23 GB", "Split einsum", "6-bit palette"):
        assert fact in text


def test_choosing_a_model_moves_untouched_values_only(installed, workspace, queue, qtbot):
    panel = workspace.prompt_panel
    panel.prompt.edit.setPlainText("x")
    panel.controls["guidance_scale"].input.spin.setValue(9.0)
    choose(workspace, "split", qtbot)
    assert panel.controls["steps"].input.value() == 30
    assert panel.controls["guidance_scale"].input.value() == 9.0
    assert "512 × 768" in panel.size_choice.currentText()
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    assert queue.last.request.model == str(entry_named(workspace, "split").folder)


def test_a_model_that_cannot_be_used_says_why_everywhere(installed, workspace, queue, qtbot):
    choose(workspace, "original", qtbot)
    assert not workspace.prompt_panel.generate.isEnabled()
    assert workspace.canvas.empty.text.text() == BROKEN
    assert BROKEN in workspace.models_panel.details.text.text()
    workspace.prompt_panel.prompt.edit.setPlainText("x")
    workspace.actions_.generate.trigger()
    assert workspace.canvas.banner.statement.text().startswith(BROKEN.rstrip("."))
    assert queue.jobs() == []


def test_without_an_encoder_the_starting_picture_is_not_sent(
    installed, workspace, queue, qtbot, tmp_path
):
    file = tmp_path / "start.png"
    picture().save(str(file))
    panel = workspace.prompt_panel
    panel.start.set_path(str(file))
    panel.prompt.edit.setPlainText("x")
    choose(workspace, "no-encoder", qtbot)
    assert not panel.start.available
    assert "encoder" in panel.start.accessibleDescription()
    assert not panel.strength.isVisible()
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    assert queue.last.request.start_image is None
    choose(workspace, "split", qtbot)
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    start = queue.last.request.start_image
    assert start is not None and start.path == str(file)


def test_the_safety_switch_is_there_only_for_models_that_have_a_checker(
    workspace, queue, qtbot, tmp_path
):
    safety = workspace.prompt_panel.safety
    assert safety.isHidden()
    folder = tmp_path / "with-safety"
    (folder / "unet.mlpackage").mkdir(parents=True)
    add(workspace, folder, qtbot)
    qtbot.waitUntil(lambda: not safety.isHidden())
    safety.setChecked(False)
    workspace.prompt_panel.prompt.edit.setPlainText("x")
    QTest.mouseClick(workspace.prompt_panel.generate, Qt.MouseButton.LeftButton)
    assert queue.last.request.safety_checker is False


def drop_on(widget, path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    widget.dropEvent(event)


def test_a_dropped_folder_is_added_chosen_and_remembered(
    workspace, open_workspace, tmp_path, qtbot
):
    folder = tmp_path / "my-model"
    (folder / "unet.mlpackage").mkdir(parents=True)
    with qtbot.waitSignal(workspace.studio.models.added):
        drop_on(workspace.models_panel, folder)
    assert workspace.studio.model.folder == folder
    qtbot.waitUntil(lambda: workspace.studio.model.usable)
    workspace.main_window.close()
    again, _ = open_workspace()
    assert again.studio.model.folder == folder


def test_a_dropped_package_means_its_folder(workspace, qtbot, tmp_path):
    package = tmp_path / "my-model" / "unet.mlpackage"
    package.mkdir(parents=True)
    with qtbot.waitSignal(workspace.studio.models.added):
        drop_on(workspace.models_panel, package)
    assert workspace.studio.model.folder == package.parent


def test_the_add_command_opens_a_dialog_and_adds(workspace, qtbot, tmp_path, monkeypatch):
    folder = tmp_path / "chosen"
    (folder / "unet.mlpackage").mkdir(parents=True)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    with qtbot.waitSignal(workspace.studio.models.added):
        workspace.actions_.add_model.trigger()
    assert workspace.studio.model.folder == folder


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"notes.txt": b"x"}, "holds no Core ML models"),
        ({}, "holds no Core ML models"),
        ({"__MACOSX/unet.mlpackage/x": b"x", ".DS_Store": b"x"}, "holds no Core ML models"),
        ({"model_index.json": b"{}"}, "has to be converted first"),
        ({"fog.safetensors": b"x"}, "has to be converted first"),
        ({"fog.ckpt": b"x"}, "pickled checkpoint"),
        ({"fog.zip": b"x"}, "unpack it"),
    ],
)
def test_a_folder_without_models_is_refused_and_says_what_it_is(
    workspace, qtbot, tmp_path, content, says
):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    before = workspace.studio.models.entries()
    with qtbot.waitSignal(workspace.studio.models.add_failed):
        workspace.studio.models.add_folder(str(folder))
    statement = workspace.canvas.banner.statement.text()
    assert "mine" in statement and says in statement
    assert workspace.studio.models.entries() == before
    assert workspace.studio.model.starter and workspace.studio.settings.model_folders == []


@pytest.mark.parametrize(
    "path", ["a\0b", "~no-such-person/model", "/" + "霧" * 90, "/" + "/".join(["x" * 200] * 30), ""]
)
def test_a_path_that_is_none_is_one_sentence(workspace, qtbot, path):
    with qtbot.waitSignal(workspace.studio.models.add_failed):
        workspace.studio.models.add_folder(path)
    assert workspace.canvas.banner.statement.text().endswith(".")
    assert workspace.studio.model.starter


def test_a_file_is_no_model(workspace, qtbot, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("x")
    with qtbot.waitSignal(workspace.studio.models.add_failed):
        workspace.open_path(str(file))
    assert "notes.txt" in workspace.canvas.banner.statement.text()
    assert workspace.studio.model.starter


def test_a_folder_of_several_models_adds_each(workspace, qtbot, tmp_path):
    for name in ("original", "split_einsum"):
        (tmp_path / "fog" / name / "unet.mlpackage").mkdir(parents=True)
    add(workspace, tmp_path / "fog", qtbot)
    folders = [e.folder for e in workspace.studio.models.entries() if e.added]
    assert folders == [tmp_path / "fog" / "original", tmp_path / "fog" / "split_einsum"]
    assert workspace.studio.model.folder == folders[0]
    assert "2 models" in workspace.canvas.banner.statement.text()


def test_a_package_stands_for_its_folder_and_is_added_once(workspace, qtbot, tmp_path):
    (tmp_path / "fog" / "unet.mlpackage").mkdir(parents=True)
    for path in (tmp_path / "fog" / "unet.mlpackage", tmp_path / "fog"):
        add(workspace, path, qtbot)
    assert workspace.studio.settings.model_folders == [str(tmp_path / "fog")]


def test_removing_an_added_model_leaves_its_files(workspace, qtbot, tmp_path):
    folder = tmp_path / "mine"
    (folder / "unet.mlpackage").mkdir(parents=True)
    add(workspace, folder, qtbot)
    entry = entry_named(workspace, "mine")
    menu = workspace.models_panel.menu_for(entry)
    action = next(a for a in menu.actions() if a.text() == "Remove from List")
    action.trigger()
    assert workspace.studio.models.entry(folder) is None
    assert workspace.studio.model.starter
    assert folder.is_dir()


@pytest.mark.parametrize("key", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_an_added_model_goes_by_key_and_comes_back_by_undo(workspace, qtbot, tmp_path, key):
    studio = workspace.studio
    for name in ("first", "second"):
        (tmp_path / name / "unet.mlpackage").mkdir(parents=True)
        add(workspace, tmp_path / name, qtbot)
    qtbot.waitUntil(lambda: all(e.usable for e in studio.models.entries()))
    choose(workspace, "first", qtbot)
    before = studio.models.entries()
    QTest.keyClick(workspace.models_panel.list, key)
    assert studio.models.entry(tmp_path / "first") is None and studio.model.starter
    assert studio.settings.model_folders == [str(tmp_path / "second")]
    assert (tmp_path / "first" / "unet.mlpackage").is_dir()
    assert "stay where they are" in workspace.canvas.banner.statement.text()
    studio.undo.undo()
    assert studio.models.entries() == before and studio.model.folder == tmp_path / "first"
    assert set(studio.settings.model_folders) == {str(tmp_path / n) for n in ("first", "second")}
    studio.undo.redo()
    assert studio.models.entry(tmp_path / "first") is None and studio.model.starter


def test_the_key_asks_before_files_go_and_leaves_the_starter(installed, workspace, qtbot):
    panel = workspace.models_panel
    asked: list[ModelEntry] = []
    panel.trash_requested.disconnect()
    panel.trash_requested.connect(asked.append)
    choose(workspace, "split", qtbot)
    QTest.keyClick(panel.list, Qt.Key.Key_Backspace)
    assert [entry.folder.name for entry in asked] == ["split"]
    panel.list.setCurrentIndex(workspace.studio.models.index(0))
    QTest.keyClick(panel.list, Qt.Key.Key_Delete)
    assert len(asked) == 1 and workspace.studio.models.entries()[0].starter


def test_a_remembered_model_that_is_gone_is_reported(workspace, open_workspace, tmp_path, qtbot):
    folder = paths.models_dir() / "soon-gone"
    (folder / "unet.mlpackage").mkdir(parents=True)
    workspace.studio.settings.selected_model = str(folder)
    workspace.main_window.close()
    (folder / "unet.mlpackage").rmdir()
    folder.rmdir()
    again, _ = open_workspace()
    assert again.studio.model.starter
    assert "soon-gone" in again.canvas.banner.statement.text()


def test_reading_the_model_in_use_again_chooses_nothing(installed, workspace, qtbot):
    studio, examples = workspace.studio, workspace.canvas.empty.chips
    chosen: list[str] = []
    studio.model_selected.connect(lambda entry: chosen.append(entry.name))
    chip = examples.findChildren(QPushButton)[0]
    chip.setFocus()
    with qtbot.waitSignals([studio.model_read, studio.models.refreshed]):
        studio.models.refresh()
    assert chosen == []
    assert examples.findChildren(QPushButton)[0] is chip, "what is in use was taken away"
    choose(workspace, "split", qtbot)
    studio.select_model(studio.model)
    assert chosen == ["split"]


def test_a_remembered_model_is_in_use_once_it_is_found(installed, workspace, open_workspace, qtbot):
    choose(workspace, "split", qtbot)
    again, _ = open_workspace()
    assert again.tool_bar.model_title.whole_text() == "split"
    assert again.models_panel.list.currentIndex().data() == "split"
    assert "512 × 768" in again.prompt_panel.size_choice.currentText()


def test_details_escape_what_files_say(workspace, tmp_path, qtbot):
    folder = tmp_path / "<b>bold</b>&"
    (folder / "unet.mlpackage").mkdir(parents=True)
    add(workspace, folder, qtbot)
    qtbot.waitUntil(lambda: workspace.studio.model.usable)
    workspace.models_panel.details_section.set_open(True)
    assert "<b>bold" not in workspace.models_panel.details.text.text()


def test_what_a_models_card_says_is_text(workspace):
    card = ModelCard("<b>bold</b> <img src='x.png'>", examples=("black & white", "a castle, " * 40))
    note = Sidecar(Family.SD1, name="<i>Fine</i>", card=card)
    entry = ModelEntry(Path("/m"), info=make_info(Path("/m")), sidecar=note)
    workspace.canvas.set_model(entry)
    empty = workspace.canvas.empty
    for text in (empty.text, workspace.tool_bar.model_title, workspace.canvas.banner.statement):
        assert text.textFormat() == Qt.TextFormat.PlainText
    first, second = (empty._flow.itemAt(k).widget() for k in range(2))
    assert first.text() == "black && white" and first.accessibleName() == "black & white"
    assert len(second.text()) <= 60 and second.text().endswith("…")
    said = []
    empty.example_chosen.connect(said.append)
    for chip in (first, second):
        chip.click()
    assert said == list(card.examples)


def test_models_that_look_the_same_can_be_told_apart(home, workspace, qtbot):
    for name in ("maker--fine/split", "other--fine/split"):
        (paths.models_dir() / name / "unet.mlpackage").mkdir(parents=True)
    models = workspace.studio.models
    with qtbot.waitSignal(models.refreshed):
        models.refresh()
    said = [
        models.index(k).data(Qt.ItemDataRole.AccessibleTextRole) for k in range(models.rowCount())
    ]
    assert len(set(said)) == 3
    assert "maker--fine/split" in said[1] and "other--fine/split" in said[2]
    shutil.rmtree(paths.models_dir() / "other--fine")
    with qtbot.waitSignal(models.refreshed):
        models.refresh()
    assert models.entries()[1].source_line() == ""


def test_variants_of_one_model_say_how_they_differ():
    def entry(title):
        hub = {"variant": title, "title": title}
        note = Sidecar(Family.SD1, name="fine", source_repo="maker/fine", extra={"hub": hub})
        folder = Path("/models") / title
        return ModelEntry(folder, info=make_info(folder), sidecar=note)

    alike = [entry(f"Split einsum · {word} · 6-bit palette") for word in ("packages", "compiled")]
    assert marks_of(alike) == ["packages", "compiled"]
    assert marks_of(alike[:1]) == [""]
    assert replace(alike[0], mark="packages").source_line() == "maker · packages"


def test_the_name_on_the_hub_is_said_where_the_model_has_another():
    note = Sidecar(Family.SD1, name="Fine Art", source_repo="maker/fine", extra={"hub": {"x": 1}})
    entry = ModelEntry(Path("/m"), info=make_info(Path("/m")), sidecar=note)
    assert entry.source_line() == "maker/fine"


def test_hidden_folders_hold_no_models(home):
    root = paths.models_dir()
    for name in (".downloads/half", "maker--fine/.old", "maker--fine/split"):
        (root / name / "unet.mlpackage").mkdir(parents=True)
    assert list(model_folders(root)) == [root / "maker--fine/split"]


def test_a_click_for_the_menu_chooses_no_model(installed, workspace, qtbot):
    before = workspace.studio.model
    view = workspace.models_panel.list
    row = workspace.studio.models.row_of(entry_named(workspace, "split").folder)
    at = view.visualRect(workspace.studio.models.index(row)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.RightButton, pos=at)
    assert workspace.studio.model == before
    choose(workspace, "split", qtbot)
    assert workspace.studio.model.folder.name == "split"
