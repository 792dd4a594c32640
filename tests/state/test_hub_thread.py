"""The window's thread for the Hub, with real child processes that crash, babble and dawdle."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.errors import ErrorKind, SfumatoError
from gui.hub import messages
from gui.hub.messages import AskMachine, Pause, Search, StartSource, Updates, Verify
from gui.hub.types import DownloadState, SearchQuery
from gui.process.messages import Question
from gui.process.supervisor import MAX_DEATHS
from gui.state.hub import thread as hub_thread
from gui.state.hub.thread import HubThread

COMMAND = [sys.executable, "-m", "tests.state.hub_standin"]


@pytest.fixture
def hub(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubThread]:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    thread = HubThread(COMMAND, close_seconds=60.0)  # the time it needs on a busy machine
    yield thread
    thread.close()


@pytest.fixture
def ask(hub: HubThread, qtbot: QtBot) -> Callable:
    """Ask and wait; an error is raised."""

    def put(question: Question) -> object:
        answers: list = []
        hub.ask(question, answers.append, answers.append)
        qtbot.waitUntil(lambda: bool(answers))
        if isinstance(answers[0], SfumatoError):
            raise answers[0]
        return answers[0]

    return put


@pytest.fixture
def begun(hub: HubThread, qtbot: QtBot) -> Callable[[str], None]:
    """Waits until a `Verify` is worked on: one that still waits would be taken back instead."""
    at_work: set[str] = set()
    hub.event_received.connect(lambda event: at_work.add(event.status.id))
    return lambda folder: qtbot.waitUntil(lambda: folder in at_work)


def pid_of(ask: Callable) -> int:
    return int(ask(AskMachine()).chip)


def test_no_process_is_started_before_the_first_question(hub: HubThread, ask: Callable) -> None:
    assert not hub.isRunning() and hub.pid == 0
    assert pid_of(ask) == hub.pid != os.getpid()


def test_answers_come_in_any_order_on_the_windows_thread(hub: HubThread, qtbot: QtBot) -> None:
    got: list[tuple[str, int]] = []
    for others in ("2", "1", "0"):
        hub.ask(Verify(others), lambda found: got.append((found[0].path, threading.get_ident())))
    qtbot.waitUntil(lambda: len(got) == 3)
    assert [text for text, _ in got] == ["0", "1", "2"]
    assert {thread for _, thread in got} == {threading.get_ident()}


def test_errors_and_events_arrive_typed(hub: HubThread, ask: Callable, qtbot: QtBot) -> None:
    with pytest.raises(SfumatoError) as refusal:
        ask(Pause("raise"))
    assert (refusal.value.kind, refusal.value.detail) == (ErrorKind.ACCESS, "401")
    events: list = []
    hub.event_received.connect(events.append)
    ask(Pause("move"))
    [event] = events
    assert isinstance(event, messages.DownloadMoved)
    assert event.status.state is DownloadState.FETCHING


def test_a_forgotten_question_is_never_answered_and_the_child_is_told(
    hub: HubThread, ask: Callable, begun: Callable[[str], None]
) -> None:
    answers: list = []
    request = hub.ask(Verify("1"), answers.append, answers.append)
    begun("1")
    hub.forget(request)
    ask(Verify("0"))
    ask(Verify("2"))  # so the forgotten one has been answered too
    assert answers == []
    assert ask(Updates()) == {"1": "cancelled"}


def test_a_child_that_dies_is_replaced(hub: HubThread, ask: Callable, qtbot: QtBot) -> None:
    first = pid_of(ask)
    lost: list = []
    hub.lost.connect(lambda error, often: lost.append((error, often)))
    os.kill(first, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(lost))
    [(error, often)] = lost
    assert error.kind is ErrorKind.ENGINE and "SIGKILL" in error.detail and not often
    assert pid_of(ask) not in (first, 0)


def test_a_question_that_changes_nothing_is_asked_again(ask: Callable, tmp_path: Path) -> None:
    answer = ask(Search(SearchQuery(), str(tmp_path / "once")))
    assert answer.reference == "again"


def test_nobody_waits_for_ever(
    hub: HubThread,
    ask: Callable,
    begun: Callable[[str], None],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_up: list[SfumatoError] = []
    hub.ask(StartSource("a/b"), None, given_up.append)
    hub.ask(Verify("1"), None, given_up.append)
    begun("1")
    with monkeypatch.context() as short:
        short.setattr(hub_thread, "PATIENCE", {StartSource: 0.0, Verify: 0.0})
        hub._look.setInterval(50)
        qtbot.waitUntil(lambda: len(given_up) == 2)
    assert all("does not answer" in error.message for error in given_up)
    ask(Verify("0"))
    ask(Verify("2"))
    assert ask(Updates()) == {"1": "cancelled"}


def test_one_that_may_have_done_something_is_not(ask: Callable) -> None:
    with pytest.raises(SfumatoError, match="stopped unexpectedly"):
        ask(Pause("die"))


def test_nonsense_ends_the_child_and_not_the_thread(ask: Callable) -> None:
    with pytest.raises(SfumatoError, match="stopped unexpectedly"):
        ask(Pause("babble"))
    assert pid_of(ask)


def test_a_child_that_keeps_dying_is_left_alone_until_it_is_needed(
    hub: HubThread, ask: Callable
) -> None:
    lost: list = []
    hub.lost.connect(lambda error, often: lost.append(often))
    for _ in range(MAX_DEATHS):
        with pytest.raises(SfumatoError) as failure:
            ask(Pause("die"))
    assert lost == [False] * (MAX_DEATHS - 1) + [True]
    assert "keeps failing" in failure.value.message
    assert pid_of(ask)


def test_a_program_that_cannot_be_started_is_an_error(qtbot: QtBot) -> None:
    hub = HubThread(["/nowhere/at-all"])
    errors: list = []
    hub.ask(Search(SearchQuery()), None, errors.append)
    qtbot.waitUntil(lambda: bool(errors))
    hub.close()
    assert errors[0].kind is ErrorKind.ENGINE


def test_closing_lets_the_child_bring_its_work_to_rest(
    hub: HubThread, ask: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_NOTE", str(tmp_path / "note"))
    pid = pid_of(ask)
    answers: list = []
    hub.ask(StartSource("a/b"), answers.append, answers.append)
    started = time.monotonic()
    hub.close()
    assert time.monotonic() - started < 50
    assert (tmp_path / "note").read_text() == "paused"
    assert not hub.isRunning() and answers == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
