"""No file of a person's is opened, listed or looked at on the window's thread: a share that sleeps
would hold everything up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QWidget

from gui import paths
from gui.state import desktop
from tests.support.disk_watch import touched
from tests.support.fake_hub import FakeHub, summary
from tests.support.pictures import picture

REPO = "maker/dreams"


@pytest.fixture
def own(home, tmp_path) -> Path:
    """A person's folder: pictures, a checkpoint, a diffusers folder, a model."""
    folder = tmp_path / "own"
    for name in ("models/mine", "diffusers", "elsewhere"):
        (folder / name).mkdir(parents=True)
    QImage(picture(colour="#305080")).save(str(folder / "start.png"))
    (folder / "dreams.safetensors").write_text("")
    (folder / "diffusers" / "model_index.json").write_text("{}")
    os.mkfifo(folder / "pipe.png")
    paths.models_dir().mkdir(parents=True)
    return folder


@pytest.fixture
def watched(home, own, monkeypatch) -> Iterator[list[str]]:
    """What the window's thread does to the person's files, from before the window is there."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "xdg"))  # with a Trash of its own
    (home / "xdg").mkdir()
    monkeypatch.setenv("SFUMATO_CONVERTER_STANDIN", "tests.support.fake_converter:backend")
    monkeypatch.setattr(desktop.services(), "reveal", lambda path: path.stat())
    with touched(own, paths.models_dir(), home / "made", home / "Pictures") as found:
        yield found


def drop(widget: QWidget, *dropped: Path | QImage) -> None:
    """As a file manager does it: over the widget, then onto it."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in dropped if isinstance(path, Path)])
    for image in dropped:
        if isinstance(image, QImage):
            data.setImageData(image)
    how = (
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    widget.dragEnterEvent(QDragEnterEvent(widget.rect().center(), *how))
    widget.dropEvent(QDropEvent(QPointF(widget.rect().center()), *how))


def test_the_watch_sees_what_it_is_for(tmp_path):
    """Every way Python looks at a file is noticed, on this thread and of these folders only."""
    file = tmp_path / "there" / "a.txt"
    file.parent.mkdir()
    ways = [
        lambda: file.write_text(""), file.exists, file.is_file, file.stat, file.read_bytes,
        lambda: list(file.parent.iterdir()), lambda: list(file.parent.glob("*")), file.resolve,
        file.is_dir, file.is_symlink, file.lstat, lambda: os.scandir(file.parent).close(),
        lambda: file.with_name("b").mkdir(), lambda: os.access(file, os.R_OK), file.unlink,
        lambda: os.open(file, os.O_CREAT | os.O_WRONLY),
    ]  # fmt: skip
    for way in ways:
        with touched(file.parent) as found:
            way()
        assert found, way
    with touched(file.parent, spare=(file,)) as found:
        file.exists()
        tmp_path.exists()
    assert found == []


def test_a_session_looks_at_no_file_on_the_windows_thread(
    watched, own, open_workspace, qtbot, monkeypatch
):
    """Opened, dropped, typed, saved, revealed, trashed, used again, converted."""
    hub = FakeHub([summary(REPO)])
    workspace, queue = open_workspace(hub)
    studio, panel = workspace.studio, workspace.prompt_panel
    errors: list[str] = []
    studio.error_raised.connect(lambda error: errors.append(error.message))

    # pictures made, looked at, saved, shown, used again, thrown away and taken back
    panel.prompt.edit.setPlainText("a flag")
    panel.controls["count"].input.spin.setValue(2)
    workspace.generate()
    queue.run()
    made = [queue.picture(picture(colour=c)) for c in ("#a03020", "#2030a0")]
    queue.finish()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == made[-1])
    qtbot.waitUntil(lambda: studio.pictures.rowCount() == 2)
    qtbot.waitUntil(lambda: workspace.filmstrip.has_thumbnail(1))
    target = own / "elsewhere" / "saved.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    actions = workspace.actions_
    for action in (actions.save_as, actions.copy_picture, actions.reveal, actions.use_settings):
        action.trigger()
    actions.use_as_start.trigger()
    qtbot.waitUntil(lambda: os.path.lexists(target))
    workspace.filmstrip.list.setFocus()  # in a text field the key would be the text's
    actions.trash.trigger()
    qtbot.waitUntil(lambda: studio.pictures.rowCount() == 1)
    actions.undo.trigger()

    # what is opened with the window, or dropped on it
    for path in (own / "start.png", own / "pipe.png"):
        workspace.open_path(str(path))
        drop(workspace, path)
    drop(panel.start, own / "start.png")
    qtbot.waitUntil(lambda: not panel.start._thumbnail.isNull())
    drop(panel.start, picture(colour="#aabbcc"))
    qtbot.waitUntil(lambda: panel.start.path().startswith(str(paths.cache_dir())))
    drop(workspace, own / "models")
    drop(workspace.models_panel, own / "models")
    qtbot.waitUntil(lambda: len(errors) >= 2)
    drop(workspace, own / "diffusers")
    qtbot.waitUntil(lambda: workspace.convert_desk.sheet is not None)
    sheet = workspace.convert_desk.sheet
    qtbot.waitUntil(lambda: sheet.source.text() == str(own / "diffusers"))

    # the Convert sheet: typed, chosen, changed, opened again
    for text in (str(own / "dreams.safetensors"), str(own / "nothing"), "~/", REPO):
        sheet.source.edit.clear()
        QTest.keyClicks(sheet.source.edit, text)
        QTest.keyClick(sheet.source.edit, Qt.Key.Key_Return)
        qtbot.wait(20)
    sheet.source.set_path(str(own / "dreams.safetensors"))
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=60_000)
    sheet.options.name.setText("Mine")
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=60_000)
    QTest.mouseClick(sheet.convert_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: sheet.state.status.report is not None, timeout=60_000)
    sheet.state.forget()
    sheet.close()

    # the Hub: a sheet with the free space, a checkpoint that has been fetched
    workspace.models_panel.open_reference(REPO)
    workspace.models_desk.show_repo(REPO)
    qtbot.waitUntil(lambda: "free" in workspace.models_desk.sheet.bar.note.text())
    workspace.models_desk.sheet.reject()

    # the pictures' folder
    workspace.window_desk.show_settings()
    workspace.window_desk.dialogs["settings"].set_folder(str(own / "elsewhere"))
    workspace.generate()
    studio.library.refresh()
    studio.models.refresh()
    with qtbot.waitSignal(studio.models.refreshed):
        pass
    workspace.main_window.close()
    # The stand-in queue writes its pictures itself.
    assert [line for line in watched if not line.endswith(" in ")] == []
