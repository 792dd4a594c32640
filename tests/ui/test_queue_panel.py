"""The queue as a list beside the picture, by mouse and by keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QModelIndex, QPoint, QPointF, Qt
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest

from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_texts import png_of, png_texts
from gui.request import PictureRecord, StartImage
from gui.state.queue.rows import JOBS_FORMAT
from gui.state.queue.waits import Waits
from tests.support.pictures import picture
from tests.ui.test_generate import press_generate, type_prompt

LEFT = Qt.MouseButton.LeftButton
ALT = Qt.KeyboardModifier.AltModifier


def ask(workspace, *prompts: str) -> None:
    for prompt in prompts:
        type_prompt(workspace, prompt)
        press_generate(workspace)


def prompts(queue) -> list[str]:
    return [job.request.prompt for job in queue.jobs() if job.status == "queued"]


def shown(panel) -> list[str]:
    """The list as it is read: headings and prompts."""
    rows = panel._model.rows()
    return [f"{row.heading} {row.count}" if row.heading else row.prompt for row in rows]


def choose(panel, queue, *wanted: str) -> None:
    panel._model.refresh()
    panel.choose([job.id for p in wanted for job in queue.jobs() if job.request.prompt == p])


def press(panel, at: QPoint) -> None:
    QTest.mouseClick(panel.list.viewport(), LEFT, pos=at)


def entry(menu, text: str):
    return next(action for action in menu.actions() if action.text() == text)


@pytest.fixture
def panel(workspace):
    workspace.actions_.queue.trigger()
    return workspace.queue_room.panel


@pytest.fixture
def full(workspace, queue, panel):
    """One that failed, one that runs, four that wait."""
    ask(workspace, "failed")
    queue.run()
    queue.fail(SfumatoError(ErrorKind.ENGINE, "The engine ended; try again."))
    ask(workspace, "running")
    queue.run()
    ask(workspace, "a", "b", "c", "d")
    panel._model.refresh()
    return panel


def test_the_number_that_waits_opens_the_list_and_removes_nothing(workspace, queue):
    ask(workspace, "one & only")
    queue.run()
    ask(workspace, "another")
    panel = workspace.queue_room.panel
    assert not panel.isVisible()
    QTest.mouseClick(workspace.canvas.strip.waiting, LEFT)
    assert panel.isVisible() and workspace.actions_.queue.isChecked()
    assert len(queue.jobs()) == 2
    QTest.mouseClick(panel.close_button, LEFT)
    assert not panel.isVisible() and not workspace.actions_.queue.isChecked()


def test_everything_stands_under_its_heading(full, queue, workspace):
    assert shown(full) == [
        "In Progress 1", "running", "Failed 1", "failed", "Waiting 4", "a", "b", "c", "d",
    ]  # fmt: skip
    queue.step(3, 10)
    assert full.list.parts.activity.step == 3
    queue.picture(picture())
    queue.finish()
    full._model.refresh()
    assert shown(full)[-2:] == ["Finished 1", "running"]
    last = full._model.index(full._model.rowCount() - 1)
    told = last.data(Qt.ItemDataRole.AccessibleTextRole)
    assert told.startswith("Finished. running. 1 picture")


def test_an_empty_queue_says_what_it_is_for(workspace, panel):
    assert panel.stack.currentWidget() is panel.empty
    assert "waits here" in panel.empty.text.text()


def test_the_picture_gives_way_where_there_is_room(workspace, queue, panel, qtbot):
    canvas, window = workspace.canvas, workspace.main_window

    def room() -> int:
        """What the tools leave of the canvas's width."""
        return canvas.width() - canvas.stack.x()

    window.resize(1500, 800)
    qtbot.waitUntil(lambda: canvas.stack.width() == room() - panel.width())
    window.resize(900, 700)
    qtbot.waitUntil(lambda: canvas.stack.width() == room() >= panel.width())
    # Stop stays in sight.
    ask(workspace, "x")
    queue.run()
    strip = canvas.strip
    qtbot.waitUntil(lambda: panel.geometry().bottom() < strip.y() < canvas.height())
    window.resize(1500, 800)
    qtbot.waitUntil(lambda: canvas.stack.width() < room())
    assert panel.height() == canvas.height()
    workspace.actions_.queue.trigger()
    qtbot.waitUntil(lambda: canvas.stack.width() == room())


def test_keys_move_remove_and_duplicate_and_undo_takes_it_back(full, queue, workspace):
    undo = workspace.studio.undo.undo
    full.list.setFocus()
    choose(full, queue, "c")
    QTest.keyClick(full.list, Qt.Key.Key_Up, ALT)
    assert prompts(queue) == ["a", "c", "b", "d"]
    full._model.refresh()
    QTest.keyClick(full.list, Qt.Key.Key_Up, ALT)
    full._model.refresh()
    QTest.keyClick(full.list, Qt.Key.Key_Up, ALT)
    assert prompts(queue) == ["c", "a", "b", "d"], "what moved stays chosen, and the top is the end"
    undo()
    assert prompts(queue) == ["a", "c", "b", "d"]
    choose(full, queue, "a", "b")
    QTest.keyClick(full.list, Qt.Key.Key_Down, ALT)
    assert prompts(queue) == ["c", "d", "a", "b"], "together"
    full._model.refresh()
    QTest.keyClick(full.list, Qt.Key.Key_Delete)
    assert prompts(queue) == ["c", "d"]
    assert workspace.canvas.banner.statement.text() == "2 requests were taken off the queue."
    undo()
    assert prompts(queue) == ["c", "d", "a", "b"]
    choose(full, queue, "c")
    QTest.keyClick(full.list, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert prompts(queue) == ["c", "c", "d", "a", "b"]
    undo()
    assert prompts(queue) == ["c", "d", "a", "b"]
    choose(full, queue, "running")
    QTest.keyClick(full.list, Qt.Key.Key_Delete)
    assert any(job.status == "running" for job in queue.jobs()) and queue.stops == 0


@pytest.mark.parametrize(
    ("what", "before", "order"),
    [
        (("d",), "a", "dabc"),
        (("a",), "", "bcda"),
        (("b", "c"), "", "adbc"),
        (("a", "c"), "d", "bacd"),
        (("a", "b"), "b", "abcd"),
        (("d",), "running", "dabc"),  # above all that waits
    ],
)
def test_a_drag_puts_waiting_ones_elsewhere(full, queue, workspace, what, before, order):
    model = full._model
    ids = {job.request.prompt: job.id for job in queue.jobs()}
    data = model.mimeData([model.index(model.row_of(ids[prompt])) for prompt in what])
    row = model.row_of(ids[before]) if before else model.rowCount()
    assert data.hasFormat(JOBS_FORMAT) and not data.hasUrls()
    move = Qt.DropAction.MoveAction
    assert model.dropMimeData(data, move, row, 0, QModelIndex())
    assert "".join(prompts(queue)) == order
    workspace.studio.undo.undo()
    if "".join(order) != "abcd":
        assert prompts(queue) == list("abcd")
    foreign = QMimeData()
    foreign.setText("a")
    assert not model.canDropMimeData(foreign, move, row, 0, QModelIndex())


@pytest.mark.parametrize(
    ("what", "on", "below", "order"),
    [
        (("d",), "b", False, "adbc"),
        (("a", "c"), "a", True, "acbd"),  # one of them is in its place already
        (("a",), "", True, "bcda"),  # below all rows
        (("a",), "failed", False, "abcd"),
    ],
)
def test_where_it_is_let_go_counts(full, queue, what, on, below, order):
    full._model.refresh()
    ids = {job.request.prompt: job.id for job in queue.jobs()}
    model, view = full._model, full.list
    data = model.mimeData([model.index(model.row_of(ids[prompt])) for prompt in what])
    rect = view.visualRect(model.index(model.row_of(ids[on or "d"])))
    at = QPointF(rect.center().x(), rect.bottom() - 3 if below else rect.top() + 3)
    if not on:
        at.setY(rect.bottom() + 30)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    drop = QDropEvent(at, Qt.DropAction.MoveAction, data, left, none)
    view.dropEvent(drop)
    assert "".join(prompts(queue)) == order


def test_a_drag_out_of_the_window_only_copies(full, queue, monkeypatch):
    dragged = []
    monkeypatch.setattr(
        "gui.ui.queue.panel.QDrag.exec", lambda drag, actions: dragged.append((drag, actions))
    )
    queue.picture(picture())
    queue.finish()
    choose(full, queue, "running")
    full.list.startDrag(Qt.DropAction.MoveAction)
    choose(full, queue, "b", "c")
    full.list.startDrag(Qt.DropAction.MoveAction)
    choose(full, queue, "failed")
    full.list.startDrag(Qt.DropAction.MoveAction)
    (out, copy), (inside, move) = dragged
    assert out.mimeData().hasUrls() and copy is Qt.DropAction.CopyAction
    assert inside.mimeData().hasFormat(JOBS_FORMAT) and move is Qt.DropAction.MoveAction


def test_only_what_waits_can_be_put_elsewhere(full, queue):
    model = full._model
    can = {row.prompt: bool(model.flags(model.index(k)) & Qt.ItemFlag.ItemIsDragEnabled)
           for k, row in enumerate(model.rows()) if row.job_id}  # fmt: skip
    assert can == {"running": False, "failed": False, "a": True, "b": True, "c": True, "d": True}


def test_a_failed_one_says_why_and_is_tried_again(full, queue):
    model = full._model
    failed = next(job for job in queue.jobs() if job.status == "failed")
    index = model.index(model.row_of(failed.id))
    assert model.rows()[index.row()].problem == "The engine ended; try again."
    press(full, full.list.parts.retry_rect(full.list.visualRect(index)).center())
    assert (failed.status, failed.error) == ("queued", None)
    model.refresh()
    assert shown(full)[2:5] == ["Waiting 5", "failed", "a"], "in its old place"


def test_headings_do_it_for_all_and_undo_takes_it_back(full, queue, workspace):
    model = full._model

    def press_heading(heading: str) -> None:
        model.refresh()
        row = next(k for k, row in enumerate(model.rows()) if row.heading == heading)
        rect = full.list.visualRect(model.index(row))
        press(full, full.list.parts.heading_rect(rect, heading).center())

    press_heading("Waiting")
    assert prompts(queue) == []
    workspace.studio.undo.undo()
    assert prompts(queue) == list("abcd")
    queue.finish()
    press_heading("Finished")
    assert [job.status for job in queue.jobs()] == ["failed", *["queued"] * 4]
    workspace.studio.undo.undo()
    assert "done" in [job.status for job in queue.jobs()]
    press_heading("Failed")
    assert len(prompts(queue)) == 5
    assert [job.status for job in queue.jobs()].count("failed") == 0


def test_the_menu_offers_what_suits_what_is_chosen(full, queue):
    def offered(*wanted: str) -> list[str]:
        choose(full, queue, *wanted)
        return [action.text() for action in full.job_menu().actions() if action.text()]

    assert offered("b") == [
        "Edit Settings", "Move to Top", "Move Up", "Move Down", "Move to Bottom", "Duplicate",
        "Remove from Queue",
    ]  # fmt: skip
    assert offered("running") == ["Stop", "Duplicate"]
    assert offered("failed") == ["Retry", "Duplicate", "Remove from Queue"]
    choose(full, queue, "c", "d")
    entry(full.job_menu(), "Move to Top").trigger()
    assert prompts(queue) == list("cdab")
    choose(full, queue, "d")
    entry(full.job_menu(), "Move to Bottom").trigger()
    assert prompts(queue) == list("cabd")


def test_editing_brings_the_settings_into_the_panel_and_back(full, queue, workspace, tmp_path):
    panel, studio = workspace.prompt_panel, workspace.studio
    picture().save(str(tmp_path / "start.png"))
    job = next(job for job in queue.jobs() if job.request.prompt == "b")
    job.request = studio.draft.draft.with_value("steps", 33).request_for("", output_dir="/out")
    job.request = type(job.request)(
        **{**vars(job.request), "prompt": "b", "seed": 5, "count": 4,
           "start_image": StartImage(str(tmp_path / "start.png"), 0.25)}
    )  # fmt: skip
    type_prompt(workspace, "what I was about to ask")
    choose(full, queue, "b")
    QTest.keyClick(full.list, Qt.Key.Key_Return)
    assert workspace.queue_room.edit_bar.isVisible() and job.id in queue.kept_back
    assert panel.prompt.edit.toPlainText() == "b"
    assert panel.controls["count"].input.value() == 4 and panel.start.path()
    assert panel.generate.text().startswith("Save Request")
    workspace.session.save_draft()
    kept = studio.settings.draft["request"]["prompt"]
    assert kept == "what I was about to ask", "also if it all ends now"
    type_prompt(workspace, "b, at night")
    panel.controls["steps"].input.spin.setValue(12)
    press_generate(workspace)
    assert not workspace.queue_room.edit_bar.isVisible() and queue.kept_back == set()
    assert prompts(queue) == ["a", "b, at night", "c", "d"]
    sent = job.request
    assert (sent.steps, sent.seed, sent.count, sent.output_dir) == (12, 5, 4, "/out")
    assert sent.start_image is not None and sent.start_image.strength == 0.25
    assert panel.prompt.edit.toPlainText() == "what I was about to ask" and not panel.start.path()
    assert panel.generate.text().startswith("Add to Queue")
    studio.undo.undo()
    assert prompts(queue) == list("abcd")
    studio.undo.redo()
    assert prompts(queue)[1] == "b, at night"


def test_an_edit_is_left_without_a_trace(full, queue, workspace):
    type_prompt(workspace, "mine")
    before = [job.request for job in queue.jobs()]
    choose(full, queue, "c")
    entry(full.job_menu(), "Edit Settings").trigger()
    type_prompt(workspace, "something else")
    QTest.mouseClick(workspace.queue_room.edit_bar.cancel, LEFT)
    assert [job.request for job in queue.jobs()] == before
    assert workspace.prompt_panel.prompt.edit.toPlainText() == "mine"
    choose(full, queue, "c")
    entry(full.job_menu(), "Edit Settings").trigger()
    workspace.studio.jobs.remove([workspace.studio.jobs.editing.id])
    assert workspace.studio.jobs.editing is None and not workspace.queue_room.edit_bar.isVisible()
    assert workspace.prompt_panel.prompt.edit.toPlainText() == "mine"


def test_an_edit_that_comes_too_late_keeps_what_was_typed(full, queue, workspace):
    choose(full, queue, "a")
    entry(full.job_menu(), "Edit Settings").trigger()
    type_prompt(workspace, "a, but better")
    queue.finish()
    queue.run()  # as another process may
    press_generate(workspace)
    assert "has begun meanwhile" in workspace.canvas.banner.statement.text()
    assert workspace.prompt_panel.prompt.edit.toPlainText() == "a, but better"
    press_generate(workspace)
    assert prompts(queue) == ["b", "c", "d", "a, but better"]


def test_a_pause_is_said_calmly_in_one_place_each(workspace, queue, panel):
    ask(workspace, "running")
    queue.run()
    ask(workspace, "next")
    QTest.mouseClick(panel.pause, LEFT)
    strip = workspace.canvas.strip
    assert queue.paused and strip.hint.text() == panel.state.text()
    assert strip.hint.text() == "Pauses once the present picture is finished."
    assert strip.stop.isVisible()
    queue.finish()
    assert not workspace.studio.activity.busy
    assert strip.isVisible() and panel.state.text() == "Paused. 1 request waits."
    assert (strip.what.whole_text(), strip.waiting.text()) == ("Paused.", "1 waiting")
    assert not strip.stop.isVisible() and not strip.bar.isVisible()
    assert workspace.actions_.pause_queue.text() == "Resume Queue"
    ask(workspace, "one more")
    assert panel.state.text() == "Paused. 2 requests wait." and queue.waits is Waits.PAUSED
    QTest.mouseClick(strip.resume, LEFT)
    assert not queue.paused and workspace.studio.activity.busy
    assert panel.state.text() == "" and not panel.state_row.isVisible()


def test_on_battery_it_is_said_what_is_waited_for(workspace, queue, panel):
    ask(workspace, "x")
    workspace.actions_.plugged_in_only.trigger()
    assert queue.plugged_in_only
    assert entry(panel.queue_menu(), "Run Only While Plugged In").isChecked()
    queue.waits = Waits.BATTERY
    queue.waits_changed.emit()
    strip = workspace.canvas.strip
    assert "is plugged in. 1 request waits." in panel.state.text()
    assert strip.what.whole_text().endswith("is plugged in.")
    assert not strip.resume.isVisible() and not workspace.studio.activity.busy


def test_another_sfumato_makes_them(workspace, queue, panel, qtbot):
    queue.waits = Waits.ELSEWHERE
    ask(workspace, "x")
    queue.run()
    strip = workspace.canvas.strip
    assert strip.what.whole_text() == "Another Sfumato that is open makes these."
    assert not strip.stop.isVisible()
    # What it finished is shown to who waits for it.
    path = str(queue.folder / "elsewhere.png")
    record = PictureRecord(queue.last.request, 8, 8, "Tiny")
    Path(path).write_bytes(png_of(Image.new("RGB", (8, 8)), png_texts(record)))
    queue.waits_changed.emit()
    queue.made_elsewhere.emit(path)
    queue.finish()
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == path)


def test_a_finished_one_shows_its_picture(workspace, queue, panel, qtbot):
    ask(workspace, "a boat")
    queue.run()
    with qtbot.waitSignal(workspace.studio.library.added):
        path = queue.picture(picture(40, 30))
    queue.finish()
    workspace.canvas.show_picture(None)
    panel._model.refresh()
    index = panel._model.index(1)
    QTest.mouseDClick(panel.list.viewport(), LEFT, pos=panel.list.visualRect(index).center())
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == path)
    data = panel._model.mimeData([index])
    assert [url.toLocalFile() for url in data.urls()] == [path]
    qtbot.waitUntil(lambda: index.data(Qt.ItemDataRole.DecorationRole) is not None)
    assert Path(path).is_file()


def test_a_thousand_that_wait_are_listed_at_once(workspace, queue, panel):
    request = workspace.studio.draft.draft.request_for("")
    queue.submit_all([request] * 1000)
    assert panel._model.rowCount() == 0, "in one go, once all have come"
    panel._model.refresh()
    assert panel._model.rowCount() == 1001
