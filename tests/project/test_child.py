"""The transport between the window and its child processes, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui import bundle_main
from gui.errors import ErrorKind
from gui.process import child
from gui.process.child import ChildLost, ChildProcess

ECHO = """
import os, time
from gui.process.child import ParentWatch, decode_json, encode_json, run_child

def work(connection, options):
    while True:
        message = decode_json(connection.recv_bytes())
        if message.get("do") == "shout":
            print("to the log")
        elif message.get("do") == "crash":
            raise RuntimeError("a defect")
        elif message.get("do") == "garble":
            connection.send_bytes(b"[1, 2]")
        elif message.get("do") == "sleep":
            with ParentWatch():
                time.sleep(60)
        connection.send_bytes(encode_json({"pid": os.getpid(), **message}))

run_child("echo", work)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], ChildProcess]]:
    made: list[ChildProcess] = []

    def make(code: str = ECHO) -> ChildProcess:
        command = [sys.executable, "-c", code]
        made.append(ChildProcess("The echo", command, tmp_path / "logs" / "echo.log"))
        return made[-1]

    yield make
    for process in made:
        process.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_messages_go_there_and_back(start: Callable[[], ChildProcess]) -> None:
    echo = start()
    echo.send_json({"text": "ein Löwe, 狮子", "n": 1.5, "list": [None, True]})
    answer = echo.receive_json()
    assert answer.pop("pid") == echo.pid
    assert answer == {"text": "ein Löwe, 狮子", "n": 1.5, "list": [None, True]}


def test_what_a_child_prints_lands_in_its_log(start: Callable[[], ChildProcess]) -> None:
    echo = start()
    echo.send_json({"do": "shout"})
    echo.receive_json()
    echo.close()
    assert "to the log" in echo.log_tail()


def test_a_crash_is_an_error_with_the_traceback_in_its_detail(
    start: Callable[[], ChildProcess],
) -> None:
    echo = start()
    echo.send_json({"do": "crash"})
    with pytest.raises(ChildLost) as lost:
        echo.receive_json()
    assert lost.value.error.kind is ErrorKind.ENGINE
    assert lost.value.error.message == "The echo stopped unexpectedly."
    assert "RuntimeError: a defect" in lost.value.error.detail


def test_a_kill_is_told_from_a_crash(start: Callable[[], ChildProcess]) -> None:
    echo = start()
    os.kill(echo.pid, signal.SIGKILL)
    with pytest.raises(ChildLost, match="perhaps because the memory ran out"):
        echo.receive_json()
    with pytest.raises(ChildLost):
        for _ in range(50):  # the first ones may still fit the socket's buffer
            echo.send_json({"text": "x" * 100_000})


def test_what_is_no_message_ends_the_child(start: Callable[[], ChildProcess]) -> None:
    echo = start()
    echo.send_json({"do": "garble"})
    with pytest.raises(ChildLost):
        echo.receive_json()
    assert gone(echo.pid)


def test_closing_ends_a_child_that_is_busy(start: Callable[[], ChildProcess]) -> None:
    echo = start()
    echo.send_json({"do": "sleep"})
    began = time.monotonic()
    echo.close()
    assert gone(echo.pid)
    assert time.monotonic() - began < 5


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ChildLost, match="The echo process could not be started"):
        ChildProcess("The echo", [str(tmp_path / "absent")], tmp_path / "echo.log")


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = f"""
import sys
from pathlib import Path
from gui.process.child import ChildProcess
echo = ChildProcess("The echo", [sys.executable, "-c", {ECHO!r}], Path({str(tmp_path)!r}) / "e.log")
echo.send_json({{"text": "up"}})
echo.receive_json()
echo.send_json({{"do": "sleep"}})
print(echo.pid, flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid)


def test_every_child_of_the_bundle_is_its_second_executable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "frozen", "macosx_app", raising=False)
    monkeypatch.setattr(sys, "executable", "/Applications/Sfumato.app/Contents/MacOS/Sfumato")
    engine = "/Applications/Sfumato.app/Contents/MacOS/engine"
    assert child.worker_command("engine") == [engine]
    assert child.worker_command("hub") == [engine, "--role", "hub"]


@pytest.mark.parametrize("role", ["engine", "hub", "convert", "coreml"])
def test_the_second_executable_plays_each_role(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[tuple[str, list[str]]] = []

    def stand_in(name: str) -> Callable[[list[str]], None]:
        def main(arguments: list[str]) -> None:
            played.append((name, arguments))
            raise SystemExit(0)

        return main

    import gui.convert.service
    import gui.coreml.service
    import gui.engine.server
    import gui.hub.service

    monkeypatch.setattr(gui.engine.server, "main", stand_in("engine"))
    monkeypatch.setattr(gui.hub.service, "main", stand_in("hub"))
    monkeypatch.setattr(gui.convert.service, "main", stand_in("convert"))
    monkeypatch.setattr(gui.coreml.service, "main", stand_in("coreml"))
    command = ["engine", *([] if role == "engine" else ["--role", role]), "--socket-fd", "5"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        bundle_main.engine_main()
    assert played == [(role, ["--socket-fd", "5"])]
