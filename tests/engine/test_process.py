"""The real engine process with stand-in pipelines: it works, stops, crashes, hangs, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.engine import messages
from gui.engine.runner import EngineRunner, OutcomeStatus, Patience
from gui.errors import ErrorKind
from gui.library.picture_record import read_record
from gui.process.child import ChildLost, worker_command
from gui.process.messages import Answer, Told
from gui.process.supervisor import Supervisor
from gui.request import ComputeUnit, PictureRequest
from tests.engine.conftest import Recorder

Make = Callable[..., Recorder]
ROOT = Path(__file__).parents[2]


def ask(prompt: str, model: str = "m", **more: object) -> PictureRequest:
    return PictureRequest(prompt, model, **more)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child that nobody waited for still has a number.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and ") Z " in stat.read_text())


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_job_goes_through_every_event(engine: Make, home: Path) -> None:
    recorder = engine()
    events: list[messages.JobEvent] = []
    outcome = recorder.runner.run("j", ask("steps=3", seed=5, count=2), 0, events.append)
    assert outcome.status is OutcomeStatus.FINISHED
    names = [type(e).__name__ for e in events]
    without = [name for name in names if name != "Image"]
    assert without == ["Loading"] * 3 + ["Prepared"] + ["Step"] * 6
    # The first is saved while the second is made.
    assert names.index("Image") > 6 and names[-1] == "Image" and names.count("Image") == 2
    step = events[5]
    assert isinstance(step, messages.Step) and step.preview is not None
    assert (step.picture_index, step.step, step.steps) == (0, 2, 3)
    assert step.preview.rgb == bytes([2, 0, 7]) * (16 * 16)
    images = [e for e in events if isinstance(e, messages.Image)]
    assert [read_record(Path(i.path)) for i in images] == [i.record for i in images]
    assert [i.record.request.seed for i in images] == [5, 6]
    assert recorder.states == ["starting", "ready", "loading", "busy", "ready"]


def test_the_model_stays_loaded_until_another_is_asked_for(engine: Make) -> None:
    runner = engine().runner

    def loads(request: PictureRequest) -> int:
        events: list[messages.JobEvent] = []
        assert runner.run("j", request, 0, events.append).status is OutcomeStatus.FINISHED
        return sum(isinstance(e, messages.Loading) for e in events)

    assert loads(ask("one")) == 3
    assert loads(ask("two", steps=9)) == 0
    assert loads(ask("three", compute_unit=ComputeUnit.CPU_ONLY)) == 3
    assert loads(ask("four", model="other")) == 3
    assert loads(ask("five", model="other")) == 0


def test_a_job_can_go_on_in_the_middle(engine: Make, tmp_path: Path) -> None:
    request = ask("x", seed=10, count=4, output_file=str(tmp_path / "p.png"))
    images: list[messages.Image] = []

    def keep(event: messages.JobEvent) -> None:
        if isinstance(event, messages.Image):
            images.append(event)

    assert engine().runner.run("j", request, 2, keep).status is OutcomeStatus.FINISHED
    assert [(i.picture_index, i.record.request.seed, Path(i.path).name) for i in images] == [
        (2, 12, "p-3.png"),
        (3, 13, "p-4.png"),
    ]


class TestErrors:
    def test_errors_are_values_and_leave_the_engine_alive(
        self, engine: Make, tmp_path: Path
    ) -> None:
        runner = engine().runner
        (tmp_path / "file").write_text("")
        bad = [
            (ask("error=bad-image"), ErrorKind.BAD_IMAGE),
            (ask("x", model="missing"), ErrorKind.BAD_MODEL),
            (ask("raise=boom"), ErrorKind.INTERNAL),
            (ask("x", output_dir=str(tmp_path / "file" / "sub")), ErrorKind.STORAGE),
            (ask("x", output_file=str(tmp_path / "a.jpg")), ErrorKind.BAD_REQUEST),
        ]
        pids = set()
        for request, kind in bad:
            outcome = runner.run("j", request)
            assert outcome.status is OutcomeStatus.FAILED
            assert outcome.error is not None and outcome.error.kind is kind
            assert outcome.error.message.endswith(".")
            pids.add(runner.pid)
        assert runner.run("j", ask("fine")).status is OutcomeStatus.FINISHED
        assert pids == {runner.pid}

    def test_what_nobody_foresaw_is_reported_with_its_traceback(self, engine: Make) -> None:
        error = engine().runner.run("j", ask("raise=boom")).error
        assert error is not None
        assert "RuntimeError: boom" in error.detail and "standins.py" in error.detail
        assert "boom" not in error.message


class TestStopping:
    def stop_soon(self, runner: EngineRunner, times: int = 1) -> Callable[[object], None]:
        """Presses Stop in another thread, as the window does, at the first step."""
        pressed: list[threading.Thread] = []

        def on_event(event: object) -> None:
            if isinstance(event, messages.Step) and not pressed:

                def press() -> None:
                    for _ in range(times):
                        runner.stop("j")
                        time.sleep(0.1)

                pressed.append(threading.Thread(target=press))
                pressed[0].start()

        return on_event

    def test_stop_lands_within_one_step(self, engine: Make) -> None:
        recorder = engine()
        seen: list[messages.JobEvent] = []
        press = self.stop_soon(recorder.runner)

        def on_event(event: messages.JobEvent) -> None:
            seen.append(event)
            press(event)

        started = time.monotonic()
        outcome = recorder.runner.run("j", ask("steps=500 sleep=0.1"), 0, on_event)
        assert outcome.status is OutcomeStatus.CANCELLED
        assert sum(isinstance(e, messages.Step) for e in seen) <= 3
        assert time.monotonic() - started < 10
        assert recorder.states[-2:] == ["stopping", "ready"]
        pid = recorder.runner.pid
        assert recorder.runner.run("j", ask("again")).status is OutcomeStatus.FINISHED
        assert recorder.runner.pid == pid

    def test_stop_while_loading_lands_between_two_networks(self, engine: Make) -> None:
        runner = engine().runner
        seen: list[messages.JobEvent] = []

        def on_event(event: messages.JobEvent) -> None:
            seen.append(event)
            runner.stop("j")

        assert runner.run("j", ask("load=0.3"), 0, on_event).status is OutcomeStatus.CANCELLED
        assert [type(e).__name__ for e in seen] == ["Loading"]
        assert runner.run("j", ask("x")).status is OutcomeStatus.FINISHED

    def test_a_second_stop_ends_a_hung_engine(self, engine: Make) -> None:
        recorder = engine()
        runner = recorder.runner
        started = time.monotonic()
        outcome = runner.run("j", ask("hang_at=1"), 0, self.stop_soon(runner, times=2))
        assert outcome.status is OutcomeStatus.CANCELLED
        assert time.monotonic() - started < 10
        assert runner.pid is None
        assert runner.run("k", ask("fine")).status is OutcomeStatus.FINISHED

    def test_a_late_stop_does_not_hit_the_next_job(self, engine: Make) -> None:
        runner = engine().runner
        assert runner.run("a", ask("x")).status is OutcomeStatus.FINISHED
        runner.stop("a")
        assert runner.run("b", ask("x")).status is OutcomeStatus.FINISHED


class TestCrashes:
    def test_a_crash_is_noticed_at_once_and_the_next_job_works(self, engine: Make) -> None:
        recorder = engine()
        last: list[float] = []
        outcome = recorder.runner.run(
            "j", ask("crash_at=2"), 0, lambda _e: last.append(time.monotonic())
        )
        noticed = time.monotonic() - last[-1]
        assert outcome.status is OutcomeStatus.LOST
        assert outcome.error is not None and outcome.error.kind is ErrorKind.ENGINE
        assert "SIGABRT" in outcome.error.detail
        assert "standins.py" in outcome.error.detail  # faulthandler's trace, from the log
        assert noticed < 5  # dumping a core may take a moment
        assert recorder.states[-1] == "lost"
        assert recorder.runner.run("j", ask("fine")).status is OutcomeStatus.FINISHED

    def test_killed_from_outside_while_working(self, engine: Make) -> None:
        runner = engine().runner

        def on_event(event: messages.JobEvent) -> None:
            if isinstance(event, messages.Step) and runner.pid:
                os.kill(runner.pid, signal.SIGKILL)

        started = time.monotonic()
        outcome = runner.run("j", ask("steps=100 sleep=0.2"), 0, on_event)
        assert outcome.status is OutcomeStatus.LOST
        assert outcome.error is not None and "memory" in outcome.error.message
        assert time.monotonic() - started < 10

    def test_killed_while_idle(self, engine: Make) -> None:
        runner = engine().runner
        runner.run("j", ask("x"))
        assert runner.pid is not None
        os.kill(runner.pid, signal.SIGKILL)
        with pytest.raises(ChildLost):
            runner.idle(timeout=10)
        assert runner.pid is None

    def test_a_silent_engine_is_ended_at_its_deadline(self, engine: Make) -> None:
        patience = Patience(steps=1, step_floor=1.0, first_step=20)
        recorder = engine(patience)
        outcome = recorder.runner.run("j", ask("hang_at=2 steps=5"))
        assert outcome.status is OutcomeStatus.LOST
        assert outcome.error is not None and "stopped answering" in outcome.error.message

    def test_an_engine_that_cannot_start(
        self, engine: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:crashing_backend")
        outcome = engine().runner.run("j", ask("x"))
        assert outcome.status is OutcomeStatus.NOT_STARTED
        assert outcome.error is not None and outcome.error.kind is ErrorKind.ENGINE

    def test_an_engine_that_never_gets_ready(
        self, engine: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:slow_backend")
        outcome = engine(Patience(start=0.5)).runner.run("j", ask("x"))
        assert outcome.status is OutcomeStatus.NOT_STARTED
        assert outcome.error is not None and "in time" in outcome.error.message

    def test_a_missing_executable(self, home: Path) -> None:
        runner = EngineRunner(command=[str(home / "absent")])
        outcome = runner.run("j", ask("x"))
        runner.close()
        assert outcome.status is OutcomeStatus.NOT_STARTED
        assert outcome.error is not None and "could not be started" in outcome.error.message

    @pytest.mark.parametrize("noise", [b"x" * 40, b"\x80\x04pickle", b"\0\0\0\x02{}"])
    def test_noise_on_the_line_ends_the_engine(self, home: Path, noise: bytes) -> None:
        code = (
            "import sys; from multiprocessing.connection import Connection;"
            f"Connection(int(sys.argv[2])).send_bytes({noise!r}); import time; time.sleep(60)"
        )
        engine = Supervisor(messages.ENGINE, [sys.executable, "-c", code])
        engine.start()
        pid = engine.pid
        with pytest.raises(ChildLost):
            engine.receive()
        assert pid is not None and gone_within(pid, 2)
        engine.close()


PARENT = """
import os, sys
from gui.engine import messages
from gui.engine.runner import EngineRunner
from gui.request import PictureRequest
runner = EngineRunner()
def on_event(event):
    if isinstance(event, messages.Prepared if "sleep=20" in sys.argv[1] else messages.Step):
        print(runner.pid, flush=True)
        os.kill(os.getpid(), 9)
if sys.argv[1] == "idle":
    runner.run("j", PictureRequest("x", "m"))
    print(runner.pid, flush=True)
    os.kill(os.getpid(), 9)
runner.run("j", PictureRequest(sys.argv[1], "m", previews=False), 0, on_event)
"""


class TestEnding:
    @pytest.mark.parametrize("doing", ["idle", "steps=1000 sleep=0.05", "steps=2 sleep=20"])
    def test_the_engine_does_not_outlive_its_window(self, home: Path, doing: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", PARENT, doing], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert gone_within(int(done.stdout.split()[0]), 8)

    def test_closing_ends_an_idle_engine_politely_and_a_busy_one_by_force(self, home: Path) -> None:
        for prompt in ("x", "hang_at=1"):
            engine = Supervisor(messages.ENGINE)
            engine.start()
            pid = engine.pid
            ready = engine.receive()
            assert isinstance(ready, Told) and isinstance(ready.event, messages.Ready)
            engine.put(messages.Generate("j", ask(prompt)))
            while True:
                message = engine.receive()
                if isinstance(message, Answer):
                    break
                if message is not None and isinstance(message.event, messages.Step):
                    break
            started = time.monotonic()
            engine.close()
            assert time.monotonic() - started < 3
            assert pid is not None and not alive(pid)

    def test_nothing_is_left_open(self, home: Path) -> None:
        def descriptors() -> set[str]:
            return set(os.listdir("/dev/fd"))  # noqa: PTH208

        before = descriptors()
        for prompt in ("x", "crash_at=1"):
            runner = EngineRunner()
            runner.run("j", ask(prompt))
            runner.close()
        assert descriptors() == before


def test_the_current_folder_is_not_on_the_engines_module_path(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a downloaded model may hold a `json.py`; it must not be run."""
    folder = home / "download"
    folder.mkdir()
    (folder / "json.py").write_text("raise SystemExit('foreign code ran')")
    (folder / "gui.py").write_text("raise SystemExit('foreign code ran')")
    monkeypatch.chdir(folder)
    runner = EngineRunner()
    assert runner.run("j", ask("x")).status is OutcomeStatus.FINISHED
    runner.close()


def test_a_bundle_starts_its_own_executable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", "macosx_app", raising=False)
    monkeypatch.setattr(sys, "executable", "/Applications/Sfumato.app/Contents/MacOS/python")
    assert worker_command("engine") == ["/Applications/Sfumato.app/Contents/MacOS/engine"]


def test_the_log_says_what_the_engine_said_and_is_kept_short(home: Path) -> None:
    log = home / "data" / "Logs" / "engine.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"old " * 400_000)
    runner = EngineRunner()
    runner.run("j", ask("raise=boom"))
    runner.close()
    assert "RuntimeError: boom" in log.read_text()
    assert log.stat().st_size < 100_000
    assert log.with_name("engine.old.log").stat().st_size == 1_600_000
