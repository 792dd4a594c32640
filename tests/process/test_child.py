"""Child processes, with real ones: asked, refused, cancelled, killed, stopped, left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui import bundle_main
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.process import child, messages, supervisor
from gui.process.child import ChildLost, environment_of_child
from gui.process.messages import Answer, Told, pack
from gui.process.supervisor import Supervisor
from tests.support.echo import COMMAND, ECHO, Count, Counted, Echo, Meanwhile, Misbehave

Make = Callable[..., Supervisor]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Supervisor] = []

    def make_(command: list[str] = COMMAND, **more: object) -> Supervisor:
        log = tmp_path / "logs" / "echo.log"
        made.append(Supervisor(ECHO, command, log, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make_
    for one in made:
        one.close()


@pytest.fixture
def echo(make: Make) -> Supervisor:
    return make()


def gone(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_questions_and_answers_are_values(echo: Supervisor) -> None:
    answer = echo.ask(Echo("ein Löwe, 狮子 \ud800", 1.5, (None, True)))
    assert (answer.text, answer.number, answer.maybe) == (
        "ein Löwe, 狮子 \ud800",
        1.5,
        (None, True),
    )
    assert answer.pid == echo.pid
    assert echo.ask(Echo()).pid == echo.pid


def test_what_a_child_tells_on_the_way_comes_with_its_pixels(echo: Supervisor) -> None:
    told: list[Counted] = []
    assert echo.ask(Count(3), told.append) == 3
    assert told == [Counted(k, bytes([k] * 3)) for k in range(3)]


def test_a_log_is_for_nobody_else(echo: Supervisor, tmp_path: Path) -> None:
    echo.ask(Echo())
    assert (tmp_path / "logs" / "echo.log").stat().st_mode & 0o777 == 0o600


def test_what_a_child_prints_lands_in_its_log(echo: Supervisor) -> None:
    echo.ask(Misbehave("shout"))
    assert "to the log" in echo.log_tail()


def test_an_error_is_the_answer_and_the_child_goes_on(echo: Supervisor) -> None:
    with pytest.raises(SfumatoError, match="The disk is full") as refused:
        echo.ask(Misbehave("refuse"))
    assert (refused.value.kind, refused.value.detail) == (ErrorKind.STORAGE, "a detail")
    with pytest.raises(SfumatoError, match="copy the details") as defect:
        echo.ask(Misbehave("raise"))
    assert "RuntimeError: a defect" in defect.value.detail
    with pytest.raises(SfumatoError, match="sent an answer that cannot be read"):
        echo.ask(Misbehave("nonsense"))
    pid = echo.pid
    assert echo.ask(Echo()).pid == pid


def test_one_question_does_not_wait_for_another(echo: Supervisor) -> None:
    echo.start()
    slow = echo.put(Count(10**6))
    quick = echo.put(Meanwhile())
    answered: list[int] = []
    while quick not in answered:
        if isinstance(message := echo.receive(), Answer):
            answered.append(message.number)
    assert answered == [quick] and echo.unanswered() == [slow]


def test_a_question_is_cancelled_while_it_is_worked_on_and_before(echo: Supervisor) -> None:
    told: list[Counted] = []
    with pytest.raises(Cancelled):
        echo.ask(Count(10**6), told.append, lambda: len(told) > 2, 60)
    first, second = echo.put(Count(10**6)), echo.put(Echo())
    while not isinstance(echo.receive(), Told):
        pass
    echo.cancel(second)
    echo.cancel(first)
    ends: list[Answer] = []
    while len(ends) < 2:
        if isinstance(message := echo.receive(), Answer):
            ends.append(message)
    assert [(end.number, end.cancelled) for end in ends] == [(second, True), (first, True)]


def test_a_child_that_does_not_heed_a_cancel_is_ended(echo: Supervisor, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with pytest.raises(Cancelled):
        echo.ask(Misbehave(f"sleep={begun}"), cancelled=begun.exists, cancel_seconds=0.1)
    assert echo.pid is None


def test_a_crash_is_an_error_with_the_traceback_in_its_detail(echo: Supervisor) -> None:
    with pytest.raises(ChildLost) as lost:
        echo.ask(Misbehave("crash"))
    assert lost.value.kind is ErrorKind.ENGINE and lost.value.status == -signal.SIGABRT
    assert lost.value.message == "The echo stopped unexpectedly; try again."
    assert "SIGABRT" in lost.value.detail and "echo.py" in lost.value.detail
    assert echo.pid is None
    assert echo.ask(Echo()).pid == echo.pid  # another one


def test_a_kill_is_told_from_a_crash(echo: Supervisor) -> None:
    echo.ask(Echo())
    assert echo.pid is not None
    os.kill(echo.pid, signal.SIGKILL)
    with pytest.raises(ChildLost, match="perhaps because the memory ran out"):
        echo.ask(Echo())


def test_what_is_no_message_ends_the_child(echo: Supervisor) -> None:
    echo.start()
    pid = echo.pid
    with pytest.raises(ChildLost):
        echo.ask(Misbehave("garble"))
    assert gone(pid)


NONSENSE = [
    b"", b"\0", b"\0\0\0\x05{}", pack({}), pack({"ask": "Nobody", "id": 1}), pack({"id": 1}),
    pack({"ask": "Echo", "id": True}), pack({"ask": ["Echo"], "id": 1, "with": {}}),
    pack({"ask": "Echo", "id": 1, "with": {"number": "many"}}), pack({"ping": "x"}),
    pack({"cancel": {}}), b"\0\0\0\x06[1, 2]", b"\x80\x04\x95pickle",
]  # fmt: skip


def test_no_nonsense_from_the_parent_ends_the_child(echo: Supervisor) -> None:
    pid = echo.ask(Echo()).pid
    deep = b'{"id": 1, "ask": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    endless = b'{"ask": "Echo", "id": 1, "with": {"number": 1e999}}'
    raw = [len(text).to_bytes(4, "big") + text for text in (deep, endless)]
    for frame in (*NONSENSE, *raw):
        assert echo._process is not None
        echo._process.send(frame)
    assert echo.ask(Echo()).pid == pid


def test_no_damaged_frame_ends_the_child(echo: Supervisor) -> None:
    pid = echo.ask(Echo()).pid
    chance = random.Random(3)
    whole = [messages.ask(900, Echo("text", 2.5, (True, None))), pack({"ping": 5}),
             pack({"cancel": 7}), messages.ask(901, Meanwhile())]  # fmt: skip
    for _ in range(500):
        frame = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 6)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        assert echo._process is not None
        echo._process.send(bytes(frame[: chance.randrange(len(frame) + 1)]))
    assert echo.ask(Echo("well")).text == "well"
    assert echo.pid == pid


def test_a_parent_that_only_speaks_for_a_while_is_heard(echo: Supervisor) -> None:
    """More than two sockets hold, so that they would wait for each other if either did."""
    echo.ask(Echo())
    echo.put(Misbehave("sleep"))
    numbers = [echo.put(Echo(str(n))) for n in range(2000)]
    for number in numbers:
        echo.cancel(number)
    given_up = set[int]()
    while len(given_up) < len(numbers):
        message = echo.receive()
        if isinstance(message, Answer):
            assert message.cancelled
            given_up.add(message.number)
    assert given_up == {*numbers}


def test_closing_ends_a_child_that_is_busy(echo: Supervisor) -> None:
    echo.start()
    echo.put(Misbehave("sleep"))
    pid = echo.pid
    began = time.monotonic()
    echo.stop()
    assert gone(pid)
    assert time.monotonic() - began < 30  # it would have slept for a minute


def test_what_is_being_written_when_the_parent_hangs_up_is_written_to_the_end(
    echo: Supervisor, tmp_path: Path
) -> None:
    echo.ask(Echo())
    told = echo.put(Count(1))
    echo.put(Misbehave(f"write={tmp_path / 'file'}"))
    while not (isinstance(message := echo.receive(), Answer) and message.number == told):
        pass
    while not (tmp_path / "file.begun").exists():  # what has not begun need not be done
        time.sleep(0.005)
    echo.stop(60.0)
    assert (tmp_path / "file").read_text() == "whole"


def test_a_program_that_is_not_there(make: Make, tmp_path: Path) -> None:
    absent = make([str(tmp_path / "absent")])
    with pytest.raises(ChildLost, match=r"The echo could not be started; .*again"):
        absent.ask(Echo())


def test_one_that_does_not_come_up_is_left_alone_for_a_while(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = tmp_path / "tries"
    code = f"open({str(tries)!r}, 'a').write('x'); raise SystemExit(3)"
    broken = make([sys.executable, "-c", code])
    said: list[str] = []
    for _ in range(4):
        with pytest.raises(ChildLost) as lost:
            broken.ask(Echo())
        said.append(lost.value.message)
    assert tries.read_text() == "x" * supervisor.MAX_FAILED_STARTS
    assert broken.keeps_dying
    assert "does not start" in said[-1] and said[-1].endswith(".")
    broken.command = COMMAND
    broken.forgive()  # as a person does who tries again
    assert broken.ask(Echo("well")).text == "well"
    broken.command = [sys.executable, "-c", code]
    broken.stop()
    for _ in range(2):
        with pytest.raises(ChildLost):
            broken.ask(Echo())
    monkeypatch.setattr(supervisor, "REST_SECONDS", 0.0)
    broken.command = COMMAND
    assert broken.ask(Echo("again")).text == "again"


def test_one_that_never_listens_is_ended(make: Make) -> None:
    silent = make([sys.executable, "-c", "import time; time.sleep(600)"], start_seconds=0.3)
    with pytest.raises(ChildLost, match="did not start in time"):
        silent.ask(Echo())
    assert silent.pid is None


def test_one_that_is_stopped_while_idle_is_noticed_and_replaced(
    echo: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PING_SECONDS", 0.1)
    pid = echo.ask(Echo()).pid
    for _ in range(3):  # pings, and answers
        assert echo.wait(60)
        assert echo.receive() is None
    monkeypatch.setattr(supervisor, "PONG_SECONDS", 0.5)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ChildLost, match="stopped answering"):
        while echo.wait(60):
            echo.receive()
    assert gone(pid)
    assert echo.ask(Echo()).pid == echo.pid != pid


def test_giving_up_ends_the_child_under_a_question(echo: Supervisor) -> None:
    echo.ask(Echo())
    pid = echo.pid
    threading.Timer(0.2, echo.abandon).start()
    with pytest.raises(ChildLost):
        echo.ask(Misbehave("sleep"))
    assert gone(pid)
    with pytest.raises(ChildLost, match="given up"):
        echo.ask(Echo())


PARENT = """
import os, sys
from pathlib import Path
from gui.process.supervisor import Supervisor
from tests.support.echo import COMMAND, ECHO, Echo, Misbehave
echo = Supervisor(ECHO, COMMAND, Path(sys.argv[1]) / "e.log")
echo.ask(Echo())
print(echo.pid, flush=True)
if sys.argv[2] == "busy":
    echo.put(Misbehave("sleep"))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path, state: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path), state],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid)


def test_only_who_talks_to_the_network_gets_tokens_and_proxies() -> None:
    secrets = {
        "HF_TOKEN": "hf_1", "HUGGING_FACE_HUB_TOKEN": "hf_2", "AWS_SECRET_ACCESS_KEY": "a",
        "GITHUB_TOKEN": "g", "OPENAI_API_KEY": "k", "https_proxy": "http://me:mine@proxy",
        "DB_PASSWORD": "p",
    }  # fmt: skip
    plain = {"PATH": "/bin", "TOKENIZERS_PARALLELISM": "false", "HF_HOME": "/h", "LANG": "C"}
    assert not secrets.keys() & environment_of_child({**secrets, **plain}, False).keys()
    assert plain.items() <= environment_of_child({**secrets, **plain}, False).items()
    everything = environment_of_child({**secrets, **plain}, True)
    assert {**secrets, **plain}.items() <= everything.items()


def test_only_the_hub_talks_to_the_network() -> None:
    from gui.convert.messages import CONVERTER
    from gui.coreml.messages import READER
    from gui.engine.messages import ENGINE
    from gui.hub.messages import HUB

    assert [one.has_tokens for one in (ENGINE, CONVERTER, READER, HUB)] == [False] * 3 + [True]


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


def test_openmps_threads_wait_as_the_person_has_it_and_else_for_a_moment() -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

    def waits(**own: str) -> tuple[str | None, ...]:
        return tuple(map(environment_of_child(own, False).get, names))

    policy, spins = waits()
    assert policy == "passive"
    assert 0 < int(spins or 0) < 300_000, "GNU's library would spin for milliseconds by itself"
    assert waits(OMP_WAIT_POLICY="active") == ("active", None)
    assert waits(GOMP_SPINCOUNT="7") == ("passive", "7")
