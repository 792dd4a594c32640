"""Live: the picture follows the draft, the newest wins, and nothing is saved until it is kept."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest

from gui.engine import messages
from gui.engine.runner import Outcome, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError
from gui.request import Enlargement, PictureRequest
from gui.state.job_queue import JobQueue, StepUpdate
from gui.state.live import REST_MS, SOON_MS, LivePhase
from tests.support.fake_hub import FakeHub
from tests.ui.test_generate import type_prompt

FINISHED = Outcome(OutcomeStatus.FINISHED)


def plain(colour: str) -> QImage:
    image = QImage(32, 32, QImage.Format.Format_RGB888)
    image.fill(QColor(colour))
    return image


def step(live_id: str, preview: QImage, left: float = 0.3) -> StepUpdate:
    return StepUpdate(live_id, 0, 1, 1, 4, 0.1, left, preview)


@pytest.fixture
def live(workspace, queue, qtbot):  # type: ignore[no-untyped-def]
    """Switched on by its menu, and what the test plays the engine with."""
    workspace.actions_.live.trigger()
    told: list[str] = []
    workspace.studio.error_raised.connect(lambda error: told.append(error.message))
    workspace.studio.notice.connect(told.append)
    line = queue.live

    def ask(prompt: str) -> tuple[str, PictureRequest]:
        """Type a prompt, and what is asked for because of it."""
        type_prompt(workspace, prompt)
        qtbot.waitUntil(lambda: bool(line.asked) and line.asked[-1][1].prompt == prompt)
        return line.asked[-1]

    def colour() -> str:
        image = workspace.canvas.view.image()
        return image.pixelColor(0, 0).name() if not image.isNull() else ""

    return SimpleNamespace(
        ask=ask, line=line, told=told, colour=colour, state=workspace.studio.live
    )


def test_a_prompt_that_is_typed_asks_for_its_picture(workspace, queue, live):
    draft = workspace.studio.draft
    draft.set("enlargement", Enlargement.X4)
    draft.set("count", 3)
    _id, request = live.ask("a boat")
    assert len(live.line.asked) <= 2, "not for every letter"
    assert (request.prompt, request.count, request.enlargement) == ("a boat", 1, Enlargement.OFF)
    assert request.seed == draft.draft.request.seed > 0
    asked = len(live.line.asked)
    draft.set("count", 2)  # which changes nothing of the picture
    QTest.qWait(REST_MS + SOON_MS)
    assert len(live.line.asked) == asked and live.line.stops == 0
    assert not queue.jobs()


def test_while_the_hand_moves_pictures_come_as_they_are_made(workspace, live):
    """A slider that is dragged: what is being made goes on to a step that can be seen, and the
    newest follows; what is nearly done is done first."""
    first, _ = live.ask("a boat")
    draft, asked = workspace.studio.draft, live.line.asked
    strengths = [1.1, 1.2, 1.3]
    for value in strengths:
        draft.set("guidance_scale", value)
    assert asked[-1][0] == first and live.line.stops == 0, "it is let go on"
    live.line.step.emit(first, step(first, plain("red"), left=3.0))
    assert live.colour() == "#ff0000"
    second, request = asked[-1]
    assert second != first and request.guidance_scale == 1.3, "the newest, and none between"
    live.line.frame.emit(first, plain("yellow"))
    assert live.colour() == "#ff0000"
    draft.set("guidance_scale", 1.4)
    live.line.step.emit(second, step(second, plain("green"), left=0.2))
    assert asked[-1][0] == second, "it is nearly done"
    live.line.frame.emit(second, plain("blue"))
    assert live.colour() == "#0000ff" and live.state.phase is LivePhase.DRAWING
    live.line.ended.emit(second, FINISHED)
    third, request = asked[-1]
    assert request.guidance_scale == 1.4
    live.line.frame.emit(third, plain("white"))
    live.line.ended.emit(third, FINISHED)
    assert live.state.phase is LivePhase.DONE and live.colour() == "#ffffff"


def test_what_fails_of_an_earlier_draft_is_not_told(workspace, live):
    first, _ = live.ask("a boat")
    workspace.studio.draft.set("guidance_scale", 2.0)
    wrong = SfumatoError(ErrorKind.BAD_REQUEST, "It is wrong; change it.")
    live.line.ended.emit(first, Outcome(OutcomeStatus.FAILED, wrong))
    second, request = live.line.asked[-1]
    assert second != first and request.guidance_scale == 2.0 and not live.told
    live.line.ended.emit(second, Outcome(OutcomeStatus.FAILED, wrong))
    assert live.told == ["It is wrong; change it."]


def test_steps_are_shown_as_large_as_the_picture_that_they_are_of(workspace, live):
    first, _ = live.ask("a boat")
    live.line.prepared.emit(first, messages.Prepared("m", 300, 200))
    live.line.step.emit(first, step(first, plain("red")))
    surface = workspace.canvas.view.surface
    assert surface.size_in_pixels() == QSize(300, 200)
    live.line.frame.emit(first, plain("blue"))
    assert surface.size_in_pixels() == QSize(32, 32)


def test_no_frame_of_an_earlier_draft_is_shown_after_a_newer_one(workspace, live):
    first, _ = live.ask("a boat")
    live.line.step.emit(first, step(first, plain("red")))
    assert live.colour() == "#ff0000"
    second, request = live.ask("a fox at night in snow")
    assert request.prompt == "a fox at night in snow"
    live.line.frame.emit(second, plain("blue"))
    live.line.step.emit(first, step(first, plain("yellow")))
    live.line.frame.emit(first, plain("yellow"))
    live.line.ended.emit(first, Outcome(OutcomeStatus.CANCELLED))
    live.line.ended.emit(second, FINISHED)
    assert live.colour() == "#0000ff"
    assert live.state.phase is LivePhase.DONE


def test_jobs_go_first_and_live_goes_on_after_them(workspace, queue, live):
    first, request = live.ask("a boat")
    stops = live.line.stops
    queue.submit(PictureRequest("a job", ""))
    assert live.line.stops == stops + 1
    queue.run()
    live.line.frame.emit(first, plain("yellow"))
    assert not workspace.live_desk.sign.isVisible()
    assert live.colour() == ""
    queue.finish()
    again, same = live.line.asked[-1]
    assert again != first and same == request
    live.line.frame.emit(again, plain("blue"))
    assert live.colour() == "#0000ff"


def test_keep_puts_what_is_live_in_line_enlarged_and_once(workspace, queue, live):
    workspace.studio.draft.set("enlargement", Enlargement.X2)
    workspace.studio.draft.set("variation_strength", 0.2)
    live_id, shown = live.ask("a boat")
    live.line.frame.emit(live_id, plain("blue"))
    live.line.ended.emit(live_id, FINISHED)
    assert "Keep" in workspace.prompt_panel.generate.text()
    QTest.mouseClick(workspace.live_desk.sign.keep, Qt.MouseButton.LeftButton)
    (job,) = queue.jobs()
    request = job.request
    assert request.enlargement is Enlargement.X2
    assert (request.prompt, request.seed) == (shown.prompt, shown.seed)
    assert request.variation_seed == shown.variation_seed
    asked = len(live.line.asked)
    queue.run()
    queue.finish()
    assert len(live.line.asked) == asked, "the queue made it"


def test_an_engine_that_ends_switches_live_off_with_one_sentence(workspace, live):
    live_id, _ = live.ask("a boat")
    live.line.frame.emit(live_id, plain("blue"))
    lost = SfumatoError(ErrorKind.ENGINE, "The engine ended; try again.")
    live.line.ended.emit(live_id, Outcome(OutcomeStatus.LOST, lost))
    assert live.told == ["Live is off because the engine ended; switch it on again to go on."]
    assert not workspace.actions_.live.isChecked()
    assert not workspace.prompt_panel.live.isChecked()
    assert not workspace.live_desk.sign.isVisible()
    assert workspace.canvas.stack.currentWidget() is workspace.canvas.empty


def test_a_model_that_cannot_is_one_sentence_and_live_is_off(workspace, live):
    live_id, _ = live.ask("a boat")
    cannot = SfumatoError(ErrorKind.UNSUPPORTED, "It cannot be run; choose another model.")
    live.line.ended.emit(live_id, Outcome(OutcomeStatus.FAILED, cannot))
    assert live.told == ["It cannot be run; choose another model."]
    assert not live.state.on


def test_without_a_prompt_nothing_is_shown_or_asked_for(workspace, live):
    live_id, _ = live.ask("a boat")
    live.line.frame.emit(live_id, plain("blue"))
    workspace.prompt_panel.prompt.edit.selectAll()
    QTest.keyClick(workspace.prompt_panel.prompt.edit, Qt.Key.Key_Delete)
    assert workspace.canvas.stack.currentWidget() is workspace.canvas.empty
    assert live.state.phase is LivePhase.EMPTY
    assert not live.told


@pytest.fixture
def real(qapp, qtbot, home, monkeypatch):  # type: ignore[no-untyped-def]
    """The window with its own queue and engine, and the starter model."""
    from gui import app as application

    monkeypatch.setattr("gui.ui.main_window.QApplication.quit", lambda: None)
    made = application.MainWindow(application.Settings())
    made.show()
    queue = JobQueue()
    workspace = application.furnish(qapp, made, queue, FakeHub())
    workspace.studio.start()
    qtbot.waitUntil(lambda: workspace.studio.model.info is not None)
    yield workspace
    made.close()
    made.deleteLater()
    queue.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def pixels(image: QImage) -> np.ndarray:
    rgb = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(rgb.constBits(), np.uint8).reshape(rgb.height(), rgb.bytesPerLine())
    return rows[:, : 3 * rgb.width()].reshape(rgb.height(), rgb.width(), 3).copy()


def test_typing_shows_a_picture_that_keep_saves_as_any_run_would(real, home, qtbot):
    studio = real.studio
    studio.draft.set("steps", 3)
    studio.draft.set("seed", 11)
    studio.draft.set("enlargement", Enlargement.OFF)
    saved: list[str] = []
    failed: list[str] = []
    studio.picture_finished.connect(lambda picture: saved.append(picture.path))
    studio.error_raised.connect(lambda error: failed.append(error.message))
    real.actions_.live.trigger()
    type_prompt(real, "a red apple")
    live = studio.live
    qtbot.waitUntil(lambda: failed or live.phase is LivePhase.DONE)
    assert not failed
    shown = pixels(real.canvas.view.image())
    assert live.request is not None and live.request.prompt == "a red apple"
    assert not studio.queue.jobs() and not list(home.rglob("*.png"))

    real.generate()
    qtbot.waitUntil(lambda: bool(failed or saved))
    real.actions_.live.trigger()
    real.generate()  # as ever
    qtbot.waitUntil(lambda: bool(failed) or len(saved) == 2)
    assert not failed
    with Image.open(saved[0]) as kept, Image.open(saved[1]) as made:
        assert (np.array(kept) == shown).all()
        assert (np.array(made) == shown).all()
