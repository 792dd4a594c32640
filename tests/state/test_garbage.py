"""Objects of Qt that nobody holds any more are destroyed on the window's thread alone."""

from __future__ import annotations

import gc
import threading

from PySide6.QtCore import QObject, QThread

from gui.state.garbage import GarbageCollector


class Held:
    """An object of Qt in a circle, as widgets with their callbacks are."""

    def __init__(self) -> None:
        self.me = self
        self.object = QObject()


def busy() -> None:
    """As a worker that reads a large file."""
    kept = [{"number": [n]} for n in range(200_000)]
    assert kept


def test_a_busy_worker_destroys_nothing(qapp, qtbot) -> None:
    collector = GarbageCollector.of(qapp)
    assert GarbageCollector.of(qapp) is collector and not gc.isenabled()
    destroyed: list[threading.Thread] = []
    for _ in range(50):
        held = Held()
        held.object.destroyed.connect(lambda: destroyed.append(threading.current_thread()))
        del held
    worker = threading.Thread(target=busy)
    worker.start()
    worker.join()
    assert not destroyed, "not by the worker"
    kept = [[n] for n in range(2 * gc.get_threshold()[0])]  # or no collection is due
    qtbot.waitUntil(lambda: len(destroyed) == 50)
    assert kept
    assert set(destroyed) == {threading.main_thread()}
    assert collector.thread() is QThread.currentThread()


def test_what_python_would_collect_by_itself_is_collected(qapp) -> None:
    collector = GarbageCollector.of(qapp)
    gc.collect()
    collector.collect_due()
    before = gc.get_count()[1]
    kept = [[n] for n in range(gc.get_threshold()[0] + 100)]
    collector.collect_due()
    assert gc.get_count()[0] < gc.get_threshold()[0] and gc.get_count()[1] == before + 1
    assert kept
