"""The queue as the window uses it, on a real engine process with a stand-in pipeline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.engine import runner as runner_module
from gui.engine.runner import EngineRunner, Patience
from gui.errors import ErrorKind, SfumatoError
from gui.library.job import JobStatus
from gui.library.queue import JobStore
from gui.process import supervisor
from gui.request import PictureRequest
from gui.state.job_queue import FinishedPicture, Job, JobQueue, LoadingUpdate, StepUpdate
from gui.state.pipeline_thread import PipelineThread

ROOT = Path(__file__).parents[2]
WAIT = 60_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    return tmp_path


class Heard:
    """A queue and everything it signalled."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.states: list[str] = []
        self.statuses: list[tuple[str, str]] = []
        self.loadings: list[LoadingUpdate] = []
        self.steps: list[StepUpdate] = []
        self.pictures: list[FinishedPicture] = []
        self.failures: list[tuple[Job, SfumatoError]] = []
        self.notices: list[str] = []
        queue.engine_state_changed.connect(self.states.append)
        queue.job_changed.connect(lambda j: self.statuses.append((j.request.prompt, str(j.status))))
        queue.loading_changed.connect(self.loadings.append)
        queue.step_changed.connect(self.steps.append)
        queue.picture_ready.connect(self.pictures.append)
        queue.job_failed.connect(lambda job, error: self.failures.append((job, error)))
        queue.notice.connect(self.notices.append)


@pytest.fixture
def make(home: Path, qtbot: QtBot) -> Iterator[Callable[..., Heard]]:
    made: list[JobQueue] = []

    def build(**more: object) -> Heard:
        queue = JobQueue(**more)  # type: ignore[arg-type]
        made.append(queue)
        return Heard(queue)

    yield build
    for queue in made:
        queue.shutdown()
        assert not queue._thread.isRunning()


def ask(prompt: str, **more: object) -> PictureRequest:
    return PictureRequest(prompt, "m", **more)  # type: ignore[arg-type]


def ended(*jobs: Job) -> Callable[[], bool]:
    return lambda: all(j.status not in ("queued", "running") for j in jobs)


def test_a_request_becomes_signals_and_pictures(
    make: Callable[..., Heard], qtbot: QtBot, home: Path
) -> None:
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask("steps=3 sleep=0.05 size=32", seed=9, count=2))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done"
    assert [p.record.request.seed for p in heard.pictures] == [9, 10]
    assert job.pictures == [p.path for p in heard.pictures]
    for path in job.pictures:
        with Image.open(path) as image:
            assert image.size == (32, 32)
    assert [(e.component, e.index, e.total) for e in heard.loadings] == [
        ("text_encoder", 0, 3), ("unet", 1, 3), ("vae_decoder", 2, 3),
    ]  # fmt: skip
    last = heard.steps[-1]
    assert (last.picture_index, last.count, last.step, last.steps) == (1, 2, 3, 3)
    assert last.preview is not None
    assert last.preview.pixelColor(31, 31) == QColor(3, 1, 7)
    assert 0.04 < last.seconds_per_step < 30
    assert last.seconds_left == 0
    assert heard.steps[0].seconds_left > last.seconds_per_step
    assert heard.states == ["starting", "ready", "loading", "busy", "ready"]


def test_jobs_run_in_order_and_errors_do_not_stop_the_rest(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make()
    jobs = [heard.queue.submit(ask(p)) for p in ("a", "error=memory", "raise=x", "b")]
    assert [j.status for j in heard.queue.jobs()] == ["queued"] * 4
    heard.queue.start()
    qtbot.waitUntil(ended(*jobs), timeout=WAIT)
    assert [j.status for j in jobs] == ["done", "failed", "failed", "done"]
    assert [(j.id, e.kind) for j, e in heard.failures] == [
        (jobs[1].id, ErrorKind.MEMORY),
        (jobs[2].id, ErrorKind.INTERNAL),
    ]


def test_nonsense_is_refused_with_a_sentence(make: Callable[..., Heard]) -> None:
    heard = make()
    with pytest.raises(SfumatoError) as caught:
        heard.queue.submit(ask("x", seed=-1))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert heard.queue.jobs() == []


def test_stop_and_stop_again(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.start()
    soft = heard.queue.submit(ask("steps=1000 sleep=0.05"))
    after = heard.queue.submit(ask("steps=2 then=hang"))
    qtbot.waitUntil(lambda: len(heard.steps) >= 2, timeout=WAIT)
    heard.queue.stop_current()
    qtbot.waitUntil(ended(soft, after), timeout=WAIT)
    assert (soft.status, after.status) == ("cancelled", "done")
    assert heard.failures == []

    heard.steps.clear()
    hung = heard.queue.submit(ask("hang_at=1"))
    rest = heard.queue.submit(ask("after"))
    qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)
    heard.queue.stop_current()
    heard.queue.stop_current()  # a double click
    qtbot.waitUntil(lambda: heard.queue.engine_state == "stopping", timeout=WAIT)
    qtbot.wait(600)
    assert hung.status == "running"
    heard.queue.stop_current()
    qtbot.waitUntil(ended(hung, rest), timeout=WAIT)
    assert (hung.status, rest.status) == ("cancelled", "done")
    assert heard.failures == []


def test_stop_before_the_engine_is_ready(
    make: Callable[..., Heard], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask("x"))
    heard.queue.stop_current()
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "cancelled"


def test_a_crash_is_retried_once_from_the_first_missing_picture(
    make: Callable[..., Heard], qtbot: QtBot, tmp_path: Path
) -> None:
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask(f"crash_once={tmp_path / 'marker'}", seed=1, count=3))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done"
    assert [p.record.request.seed for p in heard.pictures] == [1, 2, 3]
    assert len(set(job.pictures)) == 3
    assert heard.failures == []
    assert any("once more" in n for n in heard.notices)
    assert "lost" in heard.states


def test_a_job_that_kills_the_engine_twice_has_failed_and_the_rest_goes_on(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make()
    heard.queue.start()
    bad = heard.queue.submit(ask("crash_at=1"))
    good = heard.queue.submit(ask("fine"))
    qtbot.waitUntil(ended(bad, good), timeout=WAIT)
    assert (bad.status, good.status) == ("failed", "done")
    assert heard.queue.failed() == [bad]
    [(job, error)] = heard.failures
    assert job is bad and error.kind is ErrorKind.ENGINE and "SIGABRT" in error.detail
    assert [s for p, s in heard.statuses if p == "crash_at=1"] == [
        "running", "queued", "running", "failed",
    ]  # fmt: skip
    heard.queue.retry(bad.id)
    qtbot.waitUntil(lambda: len(heard.failures) == 2, timeout=WAIT)
    assert bad.status == "failed"


def test_an_idle_engine_that_dies_is_replaced(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.start()
    qtbot.waitUntil(lambda: heard.queue.engine_state == "ready", timeout=WAIT)
    runner = heard.queue._thread._runner
    assert runner is not None and runner.pid is not None
    os.kill(runner.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: heard.states[-3:] == ["lost", "starting", "ready"], timeout=WAIT)
    assert any("stopped unexpectedly" in n for n in heard.notices)
    job = heard.queue.submit(ask("x"))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done"


def test_an_engine_that_cannot_start_fails_one_job_keeps_the_rest_and_is_tried_again(
    make: Callable[..., Heard], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:crashing_backend")
    heard = make()
    first, second = heard.queue.submit(ask("one")), heard.queue.submit(ask("two"))
    heard.queue.start()
    qtbot.waitUntil(ended(first), timeout=WAIT)
    assert (first.status, second.status) == ("failed", "queued")
    assert heard.queue.is_held and heard.queue.waiting() == [second]
    assert not heard.queue.stop_current()
    assert heard.failures[0][1].kind is ErrorKind.ENGINE
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    third = heard.queue.submit(ask("three"))
    qtbot.waitUntil(ended(second, third), timeout=WAIT)
    assert (second.status, third.status) == ("done", "done")
    heard.queue.retry(first.id)
    qtbot.waitUntil(ended(first), timeout=WAIT)
    assert first.status == "done" and not heard.queue.is_held


def test_an_engine_that_is_told_to_end_is_no_fault_of_the_job(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask("steps=200 sleep=0.05"))
    for _ in range(3):
        heard.steps.clear()
        qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)
        runner = heard.queue._thread._runner
        assert runner is not None and runner.pid is not None
        lost = len(heard.notices)
        os.kill(runner.pid, signal.SIGTERM)
        qtbot.waitUntil(lambda lost=lost: len(heard.notices) > lost, timeout=WAIT)
    qtbot.waitUntil(lambda: job.status == "running", timeout=WAIT)
    assert job.crashes == 0


def test_an_engine_that_was_stopped_while_idle_is_replaced_when_a_job_comes(
    make: Callable[..., Heard], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PONG_SECONDS", 1.0)
    monkeypatch.setattr(runner_module, "_FRESH_SECONDS", 0.0)
    heard = make()
    heard.queue.start()
    qtbot.waitUntil(lambda: heard.queue.engine_state == "ready", timeout=WAIT)
    runner = heard.queue._thread._runner
    assert runner is not None and runner.pid is not None
    pid = runner.pid
    os.kill(pid, signal.SIGSTOP)
    job = heard.queue.submit(ask("x"))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert (job.status, job.crashes) == ("done", 0) and runner.pid != pid


def test_one_stop_ends_even_a_hung_engine_after_a_while(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make(thread=PipelineThread(lambda state: EngineRunner(Patience(stop=1.0), state)))
    heard.queue.start()
    job = heard.queue.submit(ask("hang_at=1"))
    qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)
    heard.queue.stop_current()
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "cancelled"


def test_a_hung_engine_is_ended_retried_and_given_up(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    patience = Patience(steps=1, step_floor=0.5)
    thread = PipelineThread(lambda state: EngineRunner(patience, state))
    heard = make(thread=thread)
    heard.queue.start()
    job = heard.queue.submit(ask("hang_at=2"))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "failed"
    assert "stopped answering" in heard.failures[0][1].message


def test_a_defect_in_the_thread_ends_the_job_and_nothing_else(
    make: Callable[..., Heard], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = make()
    heard.queue.start()
    with monkeypatch.context() as patch:
        patch.setattr(PipelineThread, "_keep", lambda *_: 1 / 0)
        bad = heard.queue.submit(ask("x"))
        qtbot.waitUntil(ended(bad), timeout=WAIT)
    assert heard.failures[0][1].kind is ErrorKind.INTERNAL
    assert "ZeroDivisionError" in heard.failures[0][1].detail
    good = heard.queue.submit(ask("y"))
    qtbot.waitUntil(ended(good), timeout=WAIT)
    assert (bad.status, good.status) == ("failed", "done")


class TestClosing:
    def test_closing_while_generating_keeps_the_job_and_its_pictures(
        self, make: Callable[..., Heard], qtbot: QtBot
    ) -> None:
        heard = make()
        heard.queue.start()
        job = heard.queue.submit(ask("steps=3 sleep=0.2", seed=4, count=4))
        waiting = heard.queue.submit(ask("waiting"))
        qtbot.waitUntil(lambda: len(heard.pictures) == 1, timeout=WAIT)
        started = time.monotonic()
        heard.queue.shutdown()
        assert time.monotonic() - started < 60

        again = make()
        again.queue.start()
        resumed, kept = again.queue.jobs()
        assert (resumed.id, kept.id) == (job.id, waiting.id)
        assert any("2 requests" in n for n in again.notices)
        qtbot.waitUntil(ended(resumed, kept), timeout=WAIT)
        assert (resumed.status, kept.status) == ("done", "done")
        seeds = [p.record.request.seed for p in again.pictures if p.job_id == job.id]
        assert seeds == [5, 6, 7]
        assert len(resumed.pictures) == 4

    def test_closing_does_not_wait_for_a_hung_engine(
        self, make: Callable[..., Heard], qtbot: QtBot
    ) -> None:
        heard = make()
        heard.queue.start()
        heard.queue.submit(ask("hang_at=1"))
        qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)
        started = time.monotonic()
        heard.queue.shutdown()
        assert time.monotonic() - started < 60

    def test_closing_at_any_moment(self, make: Callable[..., Heard], qtbot: QtBot) -> None:
        for delay in (0, 50, 150, 250, 350):
            heard = make(store=lambda: JobStore(None))
            heard.queue.start()
            heard.queue.submit(ask("steps=50 sleep=0.01"))
            qtbot.wait(delay)
            heard.queue.shutdown()
            heard.queue.shutdown()  # twice does no harm


KILLED_WINDOW = """
import os, signal
from PySide6.QtCore import QCoreApplication
from gui.request import PictureRequest
from gui.state.job_queue import JobQueue
app = QCoreApplication([])
queue = JobQueue()
queue.picture_ready.connect(lambda _p: os.kill(os.getpid(), signal.SIGKILL))
queue.start()
queue.submit(PictureRequest("steps=2 sleep=0.1", "m", count=3))
app.exec()
"""


def test_a_killed_window_goes_on_at_the_next_start(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WINDOW], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    heard = make()
    heard.queue.start()
    [job] = heard.queue.jobs()
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done"
    assert [p.record.request.seed for p in heard.pictures] == [1, 2]


def test_a_picture_that_nobody_was_told_of_is_not_made_again(
    make: Callable[..., Heard], qtbot: QtBot, home: Path
) -> None:
    """The window dies between a picture's name and its entry in the queue."""
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask("steps=2", seed=7, count=3))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    made = list(job.pictures)
    heard.queue.shutdown()
    store = JobStore.default()
    job.status, job.pictures = JobStatus.RUNNING, made[:1]
    Path(made[2]).unlink()
    store.update(job)
    store.close()

    again = make()
    again.queue.start()
    [resumed] = again.queue.jobs()
    qtbot.waitUntil(ended(resumed), timeout=WAIT)
    assert resumed.status == "done" and resumed.pictures[:2] == made[:2]
    assert [p.record.request.seed for p in again.pictures] == [8, 9]
    assert len(list(Path(made[0]).parent.glob("*.png"))) == 3


def test_a_job_that_is_taken_off_can_be_put_back(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.start()
    running = heard.queue.submit(ask("steps=1000 sleep=0.05"))
    jobs = [heard.queue.submit(ask(f"waiting {k}")) for k in range(3)]
    taken = heard.queue.remove(jobs[1].id)
    assert taken is not None and heard.queue.waiting() == [jobs[0], jobs[2]]
    heard.queue.put_back(taken)
    assert [job.id for job in heard.queue.waiting()] == [job.id for job in jobs]
    assert taken.status == "queued"
    heard.queue.remove(running.id)
    qtbot.waitUntil(ended(taken), timeout=WAIT)
    assert taken.status == "done"


def test_remove(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.start()
    running = heard.queue.submit(ask("steps=1000 sleep=0.05"))
    queued = heard.queue.submit(ask("never"))
    qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)
    heard.queue.remove(queued.id)
    assert queued.status == "cancelled"
    assert heard.queue.jobs() == [running]
    heard.queue.remove(running.id)
    qtbot.waitUntil(ended(running), timeout=WAIT)
    heard.queue.remove(running.id)
    assert heard.queue.jobs() == []


def test_a_window_that_lags_gets_only_the_newest_preview(
    make: Callable[..., Heard], qtbot: QtBot, home: Path
) -> None:
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask("steps=40 sleep=0.02 size=64"))
    qtbot.waitUntil(lambda: len(heard.steps) >= 2, timeout=WAIT)
    before: list[int] = []

    def be_busy() -> None:  # until the engine has made all of them
        before.append(len(heard.steps))
        deadline = time.monotonic() + WAIT / 1000
        while not list(home.rglob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.01)

    QTimer.singleShot(0, be_busy)
    qtbot.waitUntil(ended(job), timeout=WAIT)
    steps = [s.step for s in heard.steps]
    assert steps == sorted(steps)
    assert len(steps) <= before[0] + 2  # those of the busy time came as one
    assert steps[-1] == 40


def test_a_full_disk_for_the_queue_does_not_stop_pictures(
    make: Callable[..., Heard], qtbot: QtBot, home: Path
) -> None:
    (home / "data").mkdir()
    (home / "data" / "queue.sqlite3").mkdir()  # SQLite cannot open it
    heard = make()
    heard.queue.start()
    job = heard.queue.submit(ask("x"))
    qtbot.waitUntil(ended(job), timeout=WAIT)
    assert job.status == "done"
    assert any("cannot be kept" in n for n in heard.notices)


def test_the_window_process_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys, gui.state.job_queue, gui.engine.runner, gui.cli.main, gui.library.pictures;"
        "bad = {'torch', 'numpy', 'diffusers', 'transformers', 'coremltools', 'PIL'};"
        "sys.exit(str(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
