"""A model that was just chosen is loaded before a picture is asked for, and gives way at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from gui.engine import messages
from gui.engine.runner import EngineRunner, Outcome, OutcomeStatus, Patience
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Machine
from gui.request import PictureRequest
from gui.state import preparing
from gui.state.job_queue import JobQueue
from gui.state.pipeline_thread import PipelineThread
from gui.state.preparing import ModelPreparing
from tests.support.fake_queue import FakeQueue

WAIT = 60_000


def ask(prompt: str, model: str, **values: Any) -> PictureRequest:
    return PictureRequest(prompt, model, **values)


@dataclass
class Heard:
    """A queue on a real engine process, and what its thread told."""

    queue: JobQueue
    thread: PipelineThread
    loadings: list[tuple[str, str]] = field(default_factory=list)
    ended: dict[str, Outcome] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.thread.loading.connect(self._on_loading)
        self.thread.job_ended.connect(self._on_ended)
        self.queue.engine_state_changed.connect(
            lambda state: self.lost.append(state) if state == "lost" else None
        )

    def _on_loading(self, job: str, event: messages.Loading) -> None:
        self.loadings.append((job, event.component))

    def _on_ended(self, job: str, outcome: Outcome) -> None:
        self.ended[job] = outcome


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> Iterator[Callable[..., Heard]]:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    made: list[JobQueue] = []

    def build(patience: Patience | None = None) -> Heard:
        thread = PipelineThread(lambda on_state: EngineRunner(patience, on_state))
        queue = JobQueue(thread=thread)
        made.append(queue)
        heard = Heard(queue, thread)
        heard.listen()
        queue.start()
        return heard

    yield build
    for queue in made:
        queue.shutdown()


COMPONENTS = ["text_encoder", "unet", "vae_decoder"]


def test_generate_finds_the_model_loaded(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.prepare(ask("anything", "a"))
    qtbot.waitUntil(lambda: "ahead-1" in heard.ended, timeout=WAIT)
    assert heard.loadings == [("ahead-1", component) for component in COMPONENTS]
    job = heard.queue.submit(ask("x", "a"))
    qtbot.waitUntil(lambda: job.status == "done", timeout=WAIT)
    assert len(heard.loadings) == 3 and heard.queue.jobs() == [job]


def test_generate_goes_on_with_what_is_being_loaded(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    """And the person sees that it is."""
    heard = make()
    heard.queue.prepare(ask("load=0.5", "a"))
    qtbot.waitUntil(lambda: len(heard.loadings) == 1, timeout=WAIT)
    job = heard.queue.submit(ask("x", "a"))
    qtbot.waitUntil(lambda: job.status == "done", timeout=WAIT)
    assert [component for _, component in heard.loadings] == COMPONENTS
    assert heard.loadings[0][0] == "ahead-1" and heard.loadings[-1][0] == job.id
    assert heard.lost == []


def test_another_model_is_given_way_to_after_one_network(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make()
    heard.queue.prepare(ask("load=0.5", "a"))
    qtbot.waitUntil(lambda: len(heard.loadings) == 1, timeout=WAIT)
    job = heard.queue.submit(ask("x", "b"))
    qtbot.waitUntil(lambda: job.status == "done", timeout=WAIT)
    assert heard.ended["ahead-1"].status is OutcomeStatus.CANCELLED
    assert [name for who, name in heard.loadings if who == job.id] == COMPONENTS
    assert len(heard.loadings) < 6 and heard.lost == []


def test_a_network_that_takes_its_time_is_given_up_for_another_model(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make(Patience(give_way=0.3))
    heard.queue.prepare(ask("load=300", "a"))
    qtbot.waitUntil(lambda: len(heard.loadings) == 1, timeout=WAIT)
    job = heard.queue.submit(ask("x", "b"))
    qtbot.waitUntil(lambda: job.status == "done", timeout=WAIT)
    assert "lost" in heard.lost and job.crashes == 0


def test_a_stop_while_it_is_waited_for(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.prepare(ask("load=0.5", "a"))
    qtbot.waitUntil(lambda: len(heard.loadings) == 1, timeout=WAIT)
    job = heard.queue.submit(ask("x", "a"))
    heard.queue.stop_current()
    qtbot.waitUntil(lambda: job.status == "cancelled", timeout=WAIT)
    assert heard.ended["ahead-1"].status is OutcomeStatus.CANCELLED and heard.lost == []


def test_the_model_chosen_last_is_loaded(make: Callable[..., Heard], qtbot: QtBot) -> None:
    heard = make()
    heard.queue.prepare(ask("load=0.5", "a"))
    qtbot.waitUntil(lambda: len(heard.loadings) == 1, timeout=WAIT)
    heard.queue.drop_prepared()
    heard.queue.prepare(ask("x", "b"))
    qtbot.waitUntil(lambda: "ahead-2" in heard.ended, timeout=WAIT)
    assert [name for who, name in heard.loadings if who == "ahead-2"] == COMPONENTS
    assert heard.ended["ahead-1"].status is OutcomeStatus.CANCELLED


def test_a_model_that_cannot_be_loaded_is_told_of_only_when_it_is_used(
    make: Callable[..., Heard], qtbot: QtBot
) -> None:
    heard = make()
    told: list[Any] = []
    for signal in (heard.queue.notice, heard.queue.job_failed, heard.queue.job_changed):
        signal.connect(lambda *what: told.append(what))
    heard.queue.prepare(ask("x", "missing"))
    qtbot.waitUntil(lambda: "ahead-1" in heard.ended, timeout=WAIT)
    assert heard.ended["ahead-1"].status is OutcomeStatus.FAILED and told == []


@dataclass(frozen=True)
class Entry:
    folder: Path
    info: object | None = "read"
    usable: bool = True
    memory: int = 6


class Chooser:
    """Somebody who chooses models."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preparing, "PAUSE_MS", 1)
        monkeypatch.setattr(preparing, "machine", lambda: Machine("Linux", memory_bytes=10))
        self.queue = FakeQueue()
        self.entry = Entry(Path("a"))
        self.saves = False
        self.problem: SfumatoError | None = None
        self.state = ModelPreparing(
            self.queue,
            lambda: self.entry,  # type: ignore[arg-type, return-value]
            self.requests,
            saves_power=lambda: self.saves,
        )

    def requests(self, entry: Any) -> list[PictureRequest]:
        if self.problem is not None:
            raise self.problem
        return [ask("x", str(entry.folder))]

    def choose(self, **values: Any) -> list[str]:
        """Returns what is loaded by and by."""
        wanted: dict[str, Any] = {"folder": Path("b"), **values}
        self.entry = Entry(**wanted)
        self.state.chosen("")
        return self.settled()

    def settled(self) -> list[str]:
        from PySide6.QtWidgets import QApplication

        until = time.monotonic() + 0.3
        while time.monotonic() < until and not self.queue.prepared:
            QApplication.processEvents()
            time.sleep(0.005)
        return [request.model for request in self.queue.prepared]


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch, qapp: object) -> Iterator[Chooser]:
    made = Chooser(monkeypatch)
    yield made
    made.state.close()


def test_what_is_chosen_is_prepared_once(chooser: Chooser) -> None:
    assert chooser.choose() == ["b"] and chooser.queue.dropped == 1
    chooser.state.look()
    assert chooser.settled() == ["b"]


@pytest.mark.parametrize("values", [{"memory": 8}, {"usable": False}])
def test_not_where_it_would_be_in_vain(chooser: Chooser, values: dict[str, Any]) -> None:
    """8 of 10 bytes are more than the share that one model may have beside others."""
    assert chooser.choose(**values) == []


def test_not_where_power_is_saved(chooser: Chooser) -> None:
    chooser.saves = True
    assert chooser.choose() == []


def test_not_while_the_draft_cannot_be_asked_for(chooser: Chooser) -> None:
    chooser.problem = SfumatoError(ErrorKind.BAD_REQUEST, "Too many; leave one out.")
    assert chooser.choose() == []


def test_once_it_has_been_read(chooser: Chooser) -> None:
    assert chooser.choose(info=None) == []
    chooser.entry = Entry(Path("b"))
    chooser.state.look()
    assert chooser.settled() == ["b"]


def test_once_the_queue_has_nothing_to_do(chooser: Chooser) -> None:
    job = chooser.queue.submit(ask("y", "c"))
    job.status = "running"
    assert chooser.choose() == []
    job.status = "done"
    chooser.queue.job_changed.emit(job)
    assert chooser.settled() == ["b"]


def test_not_once_another_one_is_in_use(chooser: Chooser) -> None:
    assert chooser.choose(info=None) == []
    chooser.entry = Entry(Path("c"))
    chooser.state.look()
    assert chooser.settled() == []
