"""Crash reports, of processes that really crash."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gui.errors import SfumatoError
from gui.process import crashes
from gui.process.child import ChildLost, ChildProcess

BEGIN = (
    "import os, sys, threading\nfrom gui.process.crashes import Watch\nwatch = Watch('window')\n"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


def run(code: str, alone: bool = True) -> int:
    """A watched process that does this; its exit status."""
    text = (BEGIN if alone else "") + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", text], stderr=subprocess.DEVNULL, timeout=60, check=False
    ).returncode


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT", "SIGBUS"])
def test_a_crash_says_where_it_was(how: str) -> None:
    number = getattr(signal, how)
    assert run(f"def work():\n    os.kill(os.getpid(), {int(number)})\nwork()") == -number
    (report,) = crashes.collect()
    text = crashes.read(report)
    assert text.startswith("Sfumato ") and "window" in text and "in work" in text
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert stat.S_IMODE(report.parent.stat().st_mode) == 0o700
    assert crashes.reports() == [report] and not crashes.collect(), "told once"


def test_a_process_that_ends_well_leaves_nothing(home: Path) -> None:
    assert run("watch.end()") == 0
    assert not list(crashes.folder().iterdir())


def test_a_process_that_is_killed_leaves_no_report() -> None:
    """The memory ran out, or somebody wanted it so: there is nothing to read."""
    assert run("os.kill(os.getpid(), 9)") == -9
    assert not crashes.collect() and not list(crashes.folder().iterdir())


def test_an_exception_that_nobody_caught_in_any_thread() -> None:
    code = """
        def fail():
            raise ValueError("inside a thread, 狐")
        thread = threading.Thread(target=fail); thread.start(); thread.join()
        watch.end()
    """
    assert run(code) == 0
    (report,) = crashes.reports()
    assert "ValueError: inside a thread, 狐" in crashes.read(report)
    assert run("raise RuntimeError('at the end')") == 1
    (report,) = crashes.collect()
    assert "RuntimeError: at the end" in crashes.read(report)


def test_a_process_that_still_runs_is_left_alone() -> None:
    code = BEGIN + "print('ready', flush=True); sys.stdin.read(); watch.end()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    assert not crashes.collect() and len(list(crashes.folder().iterdir())) == 1
    process.communicate(timeout=30)
    assert not list(crashes.folder().iterdir())


def test_an_interrupt_is_no_crash() -> None:
    assert run("raise KeyboardInterrupt") == -signal.SIGINT
    assert not crashes.collect()


def test_a_child_that_crashes(tmp_path: Path) -> None:
    """Its parent keeps the end of its log."""
    code = "import sys, os; print('loading the UNet', flush=True); os.abort()"
    child = ChildProcess("The engine", [sys.executable, "-c", code], tmp_path / "engine.log")
    with pytest.raises(ChildLost):
        child.receive()
    child.close()
    (report,) = crashes.reports()
    text = crashes.read(report)
    assert "SIGABRT" in text and "loading the UNet" in text and "engine" in report.name


def test_a_child_that_is_ended_leaves_none(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    child = ChildProcess("The engine", [sys.executable, "-c", code], tmp_path / "engine.log")
    with pytest.raises(SfumatoError):
        child.receive()
    child.close()
    assert not crashes.reports()


def test_only_the_newest_are_kept() -> None:
    for number in range(crashes.MOST + 5):
        assert crashes.keep("The engine", -signal.SIGSEGV, f"number {number}")
    kept = crashes.reports()
    assert len(kept) == crashes.MOST and f"number {crashes.MOST + 4}" in crashes.read(kept[0])


def test_a_folder_that_is_a_file(home: Path) -> None:
    crashes.folder().parent.mkdir(parents=True)
    crashes.folder().write_text("in the way")
    assert run("watch.end()") == 0 and not crashes.collect() and not crashes.reports()
    assert crashes.keep("The engine", -signal.SIGSEGV, "") is None
