"""Pausing, running on mains only, order and edits, and several processes on one queue: on a real
engine process with a stand-in pipeline."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from gui.library.queue import JobStore
from gui.request import PictureRequest
from gui.state import job_queue
from gui.state.job_queue import Job, JobQueue
from gui.state.queue.waits import Waits

ROOT = Path(__file__).parents[2]
WAIT = 60_000


class FakePower(QObject):
    """A battery that the test plugs in and out."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.on_battery: bool | None = None
        self.watched = False

    def watch(self, on: bool) -> None:
        self.watched = on

    def close(self) -> None:
        self.watched = False

    def plug(self, is_in: bool) -> None:
        self.on_battery = not is_in
        self.changed.emit()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    monkeypatch.setattr(job_queue, "LOOK_MS", 30)
    return tmp_path


@pytest.fixture
def make(home: Path, qtbot: QtBot) -> Iterator[Callable[..., JobQueue]]:
    made: list[JobQueue] = []

    def build(**more: object) -> JobQueue:
        queue = JobQueue(**more)  # type: ignore[arg-type]
        made.append(queue)
        queue.start()
        return queue

    yield build
    for queue in made:
        queue.shutdown()


def ask(prompt: str, **more: object) -> PictureRequest:
    return PictureRequest(prompt, "m", **more)  # type: ignore[arg-type]


def ended(*jobs: Job) -> Callable[[], bool]:
    return lambda: all(j.status not in ("queued", "running") for j in jobs)


def prompts(queue: JobQueue) -> list[str]:
    return [job.request.prompt for job in queue.waiting()]


def test_a_pause_lets_the_present_picture_end_and_outlasts_the_process(
    make: Callable[..., JobQueue], qtbot: QtBot
) -> None:
    queue = make()
    seeds: list[int] = []
    queue.picture_ready.connect(lambda p: seeds.append(p.record.request.seed))
    job = queue.submit(ask("steps=3 sleep=0.05", seed=7, count=3))
    queue.submit(ask("after"))
    qtbot.waitUntil(lambda: job.status == "running", timeout=WAIT)
    queue.pause(True)
    assert (job.status, queue.waits) == ("running", Waits.PAUSED)
    qtbot.waitUntil(lambda: job.status == "queued", timeout=WAIT)
    assert (seeds, len(job.pictures)) == ([7], 1)
    queue.shutdown()

    again = make()
    told: list[str] = []
    again.notice.connect(told.append)
    again.picture_ready.connect(lambda p: seeds.append(p.record.request.seed))
    first, second = again.jobs()
    assert again.paused and again.current is None and told == []
    qtbot.wait(100)
    assert (first.status, second.status) == ("queued", "queued")
    again.pause(False)
    qtbot.waitUntil(ended(first, second), timeout=WAIT)
    assert (first.status, second.status) == ("done", "done") and seeds[:3] == [7, 8, 9]
    assert not make().paused


def test_a_stop_is_a_stop_also_of_a_job_that_was_about_to_wait(
    make: Callable[..., JobQueue], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make()
    job = queue.submit(ask("steps=2 sleep=0.05", count=3))
    stop_job, told = queue._thread.stop_job, list[str]()

    def stopping(job_id: str) -> None:
        told.append(job_id)
        stop_job(job_id)
        if len(told) == 1:  # it is being put back in line: the person stops it at this moment
            assert len(job.pictures) == 1 and queue.stop_current()

    monkeypatch.setattr(queue._thread, "stop_job", stopping)
    qtbot.waitUntil(lambda: job.status == "running", timeout=WAIT)
    queue.pause(True)
    qtbot.waitUntil(lambda: job.status != "running", timeout=WAIT)
    assert told == [job.id] * 2
    assert job.status == "cancelled" and job.ended > 0


def test_while_plugged_in_only(make: Callable[..., JobQueue], qtbot: QtBot) -> None:
    power = FakePower()
    queue = make(power=power)
    queue.run_plugged_in_only(True)
    assert power.watched and queue.waits is Waits.BATTERY, "it is not known yet"
    job = queue.submit(ask("steps=2 sleep=0.05", count=3))
    assert job.status == "queued"
    power.plug(True)
    assert (job.status, queue.waits) == ("running", Waits.NO)
    power.plug(False)
    qtbot.waitUntil(lambda: job.status == "queued", timeout=WAIT)
    assert 1 <= len(job.pictures) < 3
    power.plug(True)
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done" and len(set(job.pictures)) == 3
    power.plug(False)
    queue.run_plugged_in_only(False)
    assert queue.waits is Waits.NO and not power.watched


def test_resumed_before_the_pause_has_come_to_the_engine(
    make: Callable[..., JobQueue], qtbot: QtBot
) -> None:
    """The job, already told to stop, goes on as any that was paused."""
    queue = make()
    job = queue.submit(ask("steps=4 sleep=0.1", count=3))
    qtbot.waitUntil(lambda: job.status == "running", timeout=WAIT)
    queue.pause(True)
    qtbot.waitUntil(lambda: bool(job.pictures), timeout=WAIT)
    queue.pause(False)
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done" and len(set(job.pictures)) == 3


def test_what_is_asked_off_the_thread_reaches_the_queue(
    make: Callable[..., JobQueue], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gui.state.power import Power

    monkeypatch.setattr("gui.state.power.ASK_SECONDS", 0.02)
    answers = iter([True, False])
    power = Power(ask=lambda: next(answers, False))
    queue = make(power=power)
    queue.run_plugged_in_only(True)
    job = queue.submit(ask("x"))
    qtbot.waitUntil(ended(job), timeout=WAIT)


def test_order_edits_and_what_is_kept_back(make: Callable[..., JobQueue], qtbot: QtBot) -> None:
    queue = make()
    running = queue.submit(ask("steps=1000 sleep=0.05"))
    qtbot.waitUntil(lambda: running.status == "running", timeout=WAIT)
    a, b, c, d = queue.submit_all([ask(letter) for letter in "abcd"])
    queue.reorder([c.id, a.id, b.id])
    assert prompts(queue) == ["c", "a", "b", "d"]
    assert queue.edit(a.id, ask("changed", count=2))
    assert not queue.edit(running.id, ask("too late"))
    queue.keep_back(c.id, True)
    queue.stop_current()
    qtbot.waitUntil(ended(a, b, d), timeout=WAIT)
    assert len(a.pictures) == 2 and prompts(queue) == ["c"]
    queue.keep_back(c.id, False)
    qtbot.waitUntil(ended(c), timeout=WAIT)
    times = [job.ended for job in (a, b, d, c)]
    assert times == sorted(times)


def test_two_windows_on_one_queue_run_each_job_once(
    make: Callable[..., JobQueue], qtbot: QtBot
) -> None:
    first, second = make(), make()
    assert (first.waits, second.waits) == (Waits.NO, Waits.ELSEWHERE)
    made: list[str] = []
    for queue in (first, second):
        queue.picture_ready.connect(lambda p: made.append(p.path))
    seen: list[str] = []
    second.made_elsewhere.connect(seen.append)
    jobs = [queue.submit(ask(f"steps=2 sleep=0.01 n={k}")) for k, queue in
            enumerate([first, second, second, first, second])]  # fmt: skip
    second.reorder([jobs[4].id, jobs[2].id])
    qtbot.waitUntil(lambda: all(j.status == "done" for j in second.jobs()), timeout=WAIT)
    assert sorted(seen) == sorted(made)
    assert len(second.jobs()) == len(first.jobs()) == len(made) == len(set(made)) == 5
    second.pause(True)
    qtbot.waitUntil(lambda: first.paused, timeout=WAIT)
    left = second.submit(ask("left"))
    qtbot.waitUntil(lambda: left.id in [j.id for j in first.jobs()], timeout=WAIT)
    assert first.remove(left.id) is not None
    qtbot.waitUntil(lambda: left.id not in [j.id for j in second.jobs()], timeout=WAIT)
    first.pause(False)
    # The other one goes on when the owner ends.
    running = first.submit(ask("steps=1000 sleep=0.05"))
    last = second.submit(ask("last"))
    qtbot.waitUntil(lambda: running.status == "running", timeout=WAIT)
    first.shutdown()
    qtbot.waitUntil(lambda: second.current is not None, timeout=WAIT)
    second.stop_current()
    qtbot.waitUntil(ended(last), timeout=WAIT)
    assert last.status == "done"


WINDOW = """
from PySide6.QtCore import QCoreApplication, QTimer
from gui.state import job_queue
job_queue.LOOK_MS = 10
app = QCoreApplication([])
queue = job_queue.JobQueue()
queue.start()
print("ready", flush=True)
def turn():
    waiting = [job.id for job in queue.waiting()]
    queue.reorder([*waiting[1:], *waiting[:1]])
    queue.pause(not queue.paused)
timer = QTimer()
timer.timeout.connect(turn)
timer.start(7)
app.exec()
"""


def test_windows_killed_at_random_while_they_work_reorder_and_pause_lose_nothing(
    make: Callable[..., JobQueue], qtbot: QtBot, home: Path
) -> None:
    store = JobStore.default()
    seeds = set(range(10, 34))
    store.add_all(ask("steps=2 sleep=0.01", seed=seed) for seed in sorted(seeds))
    store.close()
    chance = random.Random(3)
    for _ in range(4):
        window = subprocess.Popen([sys.executable, "-c", WINDOW], cwd=ROOT, stdout=subprocess.PIPE)
        assert window.stdout is not None and window.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.1, 1.5))
        os.kill(window.pid, signal.SIGKILL)
        window.wait()
        window.stdout.close()
    queue = make()
    queue.pause(False)
    qtbot.waitUntil(lambda: queue.current is None and not queue.waiting(), timeout=WAIT)
    assert [job.status for job in queue.jobs()] == ["done"] * len(seeds)
    files = [path for job in queue.jobs() for path in job.pictures]
    assert len(set(files)) == len(seeds) and all(Path(path).is_file() for path in files)
    made = sorted(int(path.stem.split("-")[1]) for path in home.rglob("*.png"))
    assert made == sorted(seeds), "each once, whoever was killed when"
