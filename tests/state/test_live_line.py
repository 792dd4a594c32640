"""Live pictures on a real engine process with a stand-in pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.engine.runner import Outcome
from gui.request import PictureRequest
from gui.state.job_queue import JobQueue

SLOW = "steps=2000 sleep=0.01"


def ask(prompt: str) -> PictureRequest:
    return PictureRequest(prompt, "m", seed=5)


@pytest.fixture
def queue(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    made = JobQueue()
    made.start()
    qtbot.waitUntil(lambda: made.engine_state == "ready")
    yield made
    made.shutdown()


@pytest.fixture
def ended(queue: JobQueue) -> dict[str, str]:
    """How each live picture and job came out."""
    found: dict[str, str] = {}

    def hear(live_id: str, outcome: Outcome) -> None:
        found[live_id] = str(outcome.status)

    queue.live.ended.connect(hear)
    return found


def test_the_newest_stops_what_runs_and_displaces_what_waits(
    queue: JobQueue, qtbot: QtBot, ended: dict[str, str], tmp_path: Path
) -> None:
    states: list[str] = []
    frames: list[str] = []
    queue.engine_state_changed.connect(states.append)
    queue.live.frame.connect(lambda live_id, image: frames.append(f"{live_id} {image.width()}"))
    with qtbot.waitSignal(queue.live.step):
        queue.live.show("first", ask(SLOW))
    queue.live.show("second", ask("steps=3"))
    queue.live.show("third", ask("steps=3 size=24"))
    qtbot.waitUntil(lambda: "third" in ended)
    assert ended == {"first": "cancelled", "third": "finished"}
    assert frames == ["third 24"]
    assert "lost" not in states, "the engine and its model stay"
    assert not queue.jobs() and not list(tmp_path.rglob("*.png"))


def test_a_job_goes_before_what_is_live(
    queue: JobQueue, qtbot: QtBot, ended: dict[str, str]
) -> None:
    with qtbot.waitSignal(queue.live.step):
        queue.live.show("live", ask(SLOW))
    assert queue.is_free
    job = queue.submit(ask("steps=3"))
    assert not queue.is_free
    qtbot.waitUntil(lambda: str(job.status) == "done")
    assert ended["live"] == "cancelled"
    assert queue.is_free


def test_a_model_that_loads_is_loaded_to_the_end_for_the_next_one(
    queue: JobQueue, qtbot: QtBot, ended: dict[str, str]
) -> None:
    loadings: list[str] = []
    queue.live.loading.connect(lambda live_id, _event: loadings.append(live_id))
    with qtbot.waitSignal(queue.live.loading):
        queue.live.show("first", ask(f"load=0.3 {SLOW}"))
    queue.live.show("second", ask("load=0.3 steps=3"))
    qtbot.waitUntil(lambda: "second" in ended)
    assert ended == {"first": "cancelled", "second": "finished"}
    assert loadings == ["first"] * 3
