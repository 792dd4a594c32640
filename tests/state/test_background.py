"""Work off the window's thread: in order, past a disk that is dead, and never in the way of the
end."""

from __future__ import annotations

import threading
import weakref

import pytest
from PySide6.QtCore import QObject
from PySide6.QtGui import QImage
from shiboken6 import delete

from gui.errors import SfumatoError
from gui.state import background
from gui.state.background import Background, TaskThreads
from gui.state.pictures.images import ImageLoader
from tests.support.pictures import picture


@pytest.fixture
def dead():
    """A disk that answers only when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_work_is_done_in_its_order():
    workers, done = TaskThreads("test"), []
    for number in range(200):
        workers.start(lambda number=number: done.append(number))
    assert workers.finish(60) and done == list(range(200))


def test_so_much_is_done_at_a_time():
    workers, gate = TaskThreads("test", 3), threading.Barrier(3)
    for _ in range(6):
        workers.start(lambda: gate.wait(60))  # passes where three are there at once
    assert workers.finish(60) and not gate.broken


def test_work_that_is_stuck_holds_up_neither_what_waits_nor_what_comes(dead, monkeypatch):
    monkeypatch.setattr(background, "STUCK_SECONDS", 0.05)
    workers, done = TaskThreads("test"), [threading.Event() for _ in range(5)]
    workers.start(dead.wait)
    for event in done[:3]:
        workers.start(event.set)
    assert all(event.wait(60) for event in done[:3])
    for event in done[3:]:
        workers.start(event.set)
    assert all(event.wait(60) for event in done[3:])
    dead.set()
    assert workers.finish(60)


def test_who_was_deleted_meanwhile_hears_nothing(qtbot):
    """A sheet that is closed before its answer comes."""

    class Sheet(QObject):
        def show(self, value: str) -> None:
            heard.append((self.objectName(), value))  # raises once it is deleted

    heard: list[tuple[str, str]] = []
    failed: list[SfumatoError] = []
    gone, here = Sheet(), Sheet()
    asked = Background(here)
    asked.run(lambda: "late", gone.show, failed.append)
    asked.run(lambda: "told", here.show, failed.append)
    delete(gone)
    qtbot.waitUntil(lambda: bool(heard))
    assert (heard, failed) == ([("", "told")], [])
    asked.close()


def test_work_that_failed_stops_nothing():
    workers, done = TaskThreads("test"), []
    workers.start(lambda: 1 / 0)
    workers.start(lambda: done.append(1))
    assert workers.finish(60) and done == [1]


def test_nobody_waits_long_for_a_dead_disk_at_the_end(dead, qapp, monkeypatch):
    monkeypatch.setattr(background, "SAVING_SECONDS", 0.05)
    runner, told = Background(), []
    runner.run(dead.wait, told.append, told.append)
    runner.run(lambda: told.append("not begun"), told.append, told.append)
    ended = threading.Event()
    closer = threading.Thread(target=lambda: (runner.close(), ended.set()), daemon=True)
    closer.start()
    assert ended.wait(60)
    dead.set()
    qapp.processEvents()
    assert told == []


def test_what_was_asked_for_before_the_end_is_done(qapp):
    runner, done = Background(), []
    for number in range(20):
        runner.run(lambda number=number: done.append(number), print, print)
    runner.close()
    assert done == list(range(20))


def test_a_loader_lets_go_of_what_it_has_loaded(qapp, tmp_path, qtbot):
    class Held:
        pass

    loader, held = ImageLoader(), Held()
    gone = weakref.ref(held)
    file = tmp_path / "a.png"
    assert picture().save(str(file))
    came: list[tuple[str, QImage]] = []
    loader.loaded.connect(lambda path, image: came.append((path, image)))
    loader._workers.start(lambda held=held: None)
    del held
    loader.load(str(file))
    qtbot.waitUntil(lambda: len(came) == 1)
    assert gone() is None and came[0][1].width() == 64
    loader.close()
