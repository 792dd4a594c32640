"""The steps of a finished picture, seen again under the canvas of the real window."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from gui import paths
from gui.library import step_previews
from gui.library.pictures import save_picture
from gui.library.step_previews import StepFrame, StepSeries
from gui.request import PictureRecord, PictureRequest
from gui.ui.settings.dialog import SettingsDialog

STEPS = 8


def write(number: int, *, kept: bool) -> Path:
    request = PictureRequest(f"picture {number}", "", seed=number, steps=STEPS)
    record = PictureRecord(request, 64, 64, "Tiny", created=f"2026-05-0{number + 1}T12:00:00+00:00")
    pixels = np.full((64, 64, 3), (250, 250, 250), np.uint8)
    where = PictureRequest("", "", output_dir=str(paths.pictures_dir()))
    path = save_picture(pixels, record, where)
    if kept:
        frames = [
            StepFrame(step, 8, 8, bytes((20 * step, 0, 0)) * 64) for step in range(1, STEPS + 1)
        ]
        assert step_previews.keep(path, StepSeries(STEPS, tuple(frames)))
    return path


@pytest.fixture
def files(home) -> list[Path]:
    """Two pictures; of the first alone the steps are kept."""
    return [write(0, kept=True), write(1, kept=False)]


@pytest.fixture
def desk(files, open_workspace):
    return open_workspace()


@pytest.fixture
def look(workspace, files, qtbot):
    """Puts a picture on the canvas."""
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.rowCount() == 2 and all(map(pictures.picture, (0, 1))))

    def put(number: int) -> None:
        picture = pictures.find(str(files[number]))
        workspace.canvas.look_at(picture)
        qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[number]))

    return put


def red(workspace) -> int:
    """Of what the canvas shows."""
    image = workspace.canvas.view.image()
    return image.pixelColor(image.width() // 2, image.height() // 2).red()


def test_each_step_is_seen_and_the_picture_at_the_end(workspace, look, files, qtbot) -> None:
    look(0)
    canvas, scrubber = workspace.canvas, workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    assert scrubber.text.text() == f"Step {STEPS} of {STEPS}" and red(workspace) == 250
    for value in (0, 3, 6):
        scrubber.slider.setValue(value)
        assert abs(red(workspace) - 20 * (value + 1)) < 6
        assert scrubber.text.text() == f"Step {value + 1} of {STEPS}"
        assert canvas.view.path() == "", "what is dragged out is a picture, not a preview"
        assert canvas.view.surface.size_in_pixels().width() == 64
    scrubber.slider.setFocus()
    QTest.keyClick(scrubber.slider, Qt.Key.Key_Right)
    assert red(workspace) == 250 and canvas.view.path() == str(files[0])
    assert canvas.picture.path == str(files[0]), "commands act on the picture all the while"


def test_a_click_on_the_slider_goes_there(workspace, look, qtbot) -> None:
    look(0)
    slider = workspace.canvas.scrubber.slider
    qtbot.waitUntil(slider.isVisible)
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(2, slider.height() // 2))
    assert slider.value() == 0
    middle = QPoint(slider.width() // 2, slider.height() // 2)
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=middle)
    assert slider.value() in (3, 4)


def test_steps_are_played_to_the_end_and_can_be_paused(workspace, look, qtbot) -> None:
    look(0)
    scrubber = workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    seen: list[int] = []
    scrubber.slider.valueChanged.connect(seen.append)
    scrubber.play.click()
    assert scrubber.playing and scrubber.play.accessibleName() == "Pause"
    qtbot.waitUntil(lambda: not scrubber.playing)
    assert seen == list(range(STEPS)) and red(workspace) == 250
    scrubber.play.click()
    qtbot.waitUntil(lambda: scrubber.slider.value() == 2)
    scrubber.play.click()
    assert not scrubber.playing
    at = scrubber.slider.value()
    scrubber.play.click()
    assert scrubber.playing and scrubber.slider.value() == at, "it goes on from where it was"


def test_where_there_are_none_nothing_is_seen(workspace, look, qtbot) -> None:
    look(0)
    qtbot.waitUntil(workspace.canvas.scrubber.isVisible)
    answers: list[str] = []
    workspace.canvas._steps.arrived.connect(lambda picture, _steps: answers.append(picture))
    look(1)
    qtbot.waitUntil(lambda: bool(answers))
    assert not workspace.canvas.scrubber.isVisible()


def test_it_makes_room_for_what_is_made_and_for_the_gallery(workspace, queue, look, qtbot) -> None:
    look(0)
    scrubber = workspace.canvas.scrubber
    qtbot.waitUntil(scrubber.isVisible)
    scrubber.play.click()
    workspace.actions_.gallery.trigger()
    assert not scrubber.isVisible() and not scrubber.playing
    workspace.actions_.gallery.trigger()
    assert scrubber.isVisible()
    queue.submit(PictureRequest("a boat", ""))
    queue.run()
    workspace.canvas.follow()
    assert not scrubber.isVisible()
    queue.step(1, 4, preview=QImage(8, 8, QImage.Format.Format_RGB32))
    scrubber.slider.setValue(1)
    assert workspace.canvas.view.image().width() == 8, "the running one stays"


def test_a_cache_that_was_deleted_is_no_loss(workspace, look, files, qtbot) -> None:
    step_previews.clear()
    look(0)
    answers: list[str] = []
    workspace.canvas._steps.arrived.connect(lambda picture, _steps: answers.append(picture))
    workspace.canvas.look_at(workspace.studio.pictures.find(str(files[0])))
    qtbot.waitUntil(lambda: bool(answers))
    assert not workspace.canvas.scrubber.isVisible()


def test_requests_keep_their_steps_as_the_settings_say(workspace, queue, qtbot) -> None:
    settings = workspace.studio.settings
    workspace.prompt_panel.prompt.edit.setPlainText("a boat")

    def sent() -> PictureRequest:
        workspace.studio.generate()
        return queue.last.request

    assert sent().keep_previews and sent().previews
    dialog = SettingsDialog(settings)
    dialog.keep_steps.click()
    assert not sent().keep_previews and sent().previews
    dialog.keep_steps.click()
    dialog.previews.click()
    assert not dialog.keep_steps.isEnabled()
    assert not sent().keep_previews and not sent().previews
    dialog.deleteLater()


def test_steps_of_pictures_that_are_gone_go_at_the_next_start(
    files, open_workspace, home, qtbot
) -> None:
    kept = list(step_previews.folder().glob("*/*.jpg"))
    assert len(kept) == 1
    stranger = step_previews.file_of("f" * 32)
    stranger.parent.mkdir(parents=True, exist_ok=True)
    stranger.write_bytes(kept[0].read_bytes())
    for file in (*kept, stranger):
        old = time.time() - 9999
        os.utime(file, (old, old))
    open_workspace()
    qtbot.waitUntil(lambda: not stranger.exists())
    assert kept[0].exists()
