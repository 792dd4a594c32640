"""Compute units measured on the window's behalf: asked for, unasked, and behind all pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gui.hub.types import Machine
from gui.library import unit_times
from gui.library.unit_times import Measurement, UnitOutcome
from gui.measure.client import Measurer
from gui.request import ComputeUnit, PictureRequest
from gui.state import measuring
from gui.state.background import Background
from gui.state.measuring import ModelMeasuring
from gui.state.model_entry import ModelEntry
from tests.measure.test_units import ALL, CPU, GPU, MAC, NE
from tests.support.fake_queue import FakeQueue
from tests.ui.conftest import make_info

Make = Callable[..., ModelMeasuring]


class Told:
    """What the window heard."""

    def __init__(self, made: ModelMeasuring) -> None:
        self.found: list[Measurement] = []
        self.notices: list[str] = []
        self.units: list[str] = []
        self.hints: set[str] = set()
        made.measured.connect(lambda _folder, found: self.found.append(found))
        made.notice.connect(self.notices.append)
        made.changed.connect(lambda: self._on_changed(made))

    def _on_changed(self, made: ModelMeasuring) -> None:
        if made.status is not None:
            self.hints.add(made.status.hint)
            if made.status.unit not in (*self.units, ""):
                self.units.append(made.status.unit)

    @property
    def outcomes(self) -> dict[ComputeUnit, UnitOutcome]:
        return {times.unit: times.outcome for times in self.found[-1].units}


@pytest.fixture
def queue(qapp) -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    info = make_info(tmp_path / "dreams")
    return ModelEntry(info.folder, info=info, identity="0123456789", memory=3 * 2**30)


@pytest.fixture
def saves_energy() -> list[bool]:
    return [False]


@pytest.fixture
def make(
    queue: FakeQueue,
    entry: ModelEntry,
    saves_energy: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Make]:
    """Makes one for a Mac, whose units do as they are told (`tests.measure.standins`)."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(measuring, "IDLE_MS", 20)
    made: list[Any] = []

    def make(
        *deeds: str, unit: ComputeUnit = ALL, memory: int = 16 * 2**30, mac: bool = True
    ) -> ModelMeasuring:
        computer = MAC if mac else replace(MAC, runtime="portable")
        here = Machine("Darwin", apple_silicon=mac, memory_bytes=memory)
        monkeypatch.setattr(measuring, "this_computer", lambda: computer)
        monkeypatch.setattr(measuring, "machine", lambda: here)
        command = [sys.executable, "-m", "tests.measure.standins", *deeds]
        background = Background()
        one = ModelMeasuring(
            queue,
            lambda: entry,
            lambda: unit,
            background,
            make_measurer=lambda: Measurer(computer, command),
            ask_power=lambda: saves_energy[0],
        )
        made.extend((one, background))
        return one

    yield make
    for each in made:
        each.close()


def picture(queue: FakeQueue) -> None:
    """A picture is made from begin to end."""
    queue.submit(PictureRequest("fog", "m"))
    queue.run()
    queue.picture_ready.emit(None)
    queue.finish()


def test_a_person_asks_and_every_unit_is_tried(make: Make, entry: ModelEntry, qtbot: Any) -> None:
    made = make("CPU_AND_NE=0.5", "CPU_AND_GPU=0.3", "ALL=crash", "CPU_ONLY=9")
    told = Told(made)
    made.measure(entry)
    assert made.status is not None
    qtbot.waitUntil(lambda: made.status is None, timeout=20_000)
    assert told.units == ["Neural Engine", "GPU", "All processors", "CPU"]
    assert told.outcomes[ALL] is UnitOutcome.CRASHED
    assert unit_times.choice(told.found[-1]) == {"unet": GPU}
    assert len(told.found) == 5  # after each unit, and at the end
    assert any("preparing this model for the Neural Engine" in hint for hint in told.hints)
    assert told.notices == []
    found: list[Measurement | None] = []
    made.look_up(entry, found.append)
    qtbot.waitUntil(lambda: bool(found))
    assert found == [told.found[-1]]


def test_after_its_first_picture_a_model_is_measured_once_when_nothing_goes_on(
    make: Make, queue: FakeQueue, qtbot: Any
) -> None:
    made = make("CPU_AND_NE=0.5", "CPU_AND_GPU=0.3", "ALL=0.4")
    told = Told(made)
    picture(queue)
    qtbot.waitUntil(lambda: bool(told.found) and made.status is None, timeout=20_000)
    assert told.outcomes.keys() == {NE, GPU, ALL}  # the CPU alone is worth no wait
    assert told.notices[0].startswith("Finding out which processor is quickest for “dreams”")
    assert told.notices[1] == "“dreams” was measured. Automatic uses: GPU."
    told.found.clear()
    picture(queue)
    qtbot.wait(150)
    assert made.status is None
    assert told.found == []


def test_whatever_is_asked_of_the_engine_comes_first(
    make: Make, queue: FakeQueue, qtbot: Any
) -> None:
    made = make("CPU_AND_NE=0.5", "CPU_AND_GPU=hang", "ALL=0.4")
    told = Told(made)
    picture(queue)
    qtbot.waitUntil(lambda: bool(told.found), timeout=20_000)
    queue.submit(PictureRequest("more fog", "m"))
    qtbot.waitUntil(lambda: made.status is None, timeout=5_000)
    assert told.outcomes == {NE: UnitOutcome.MEASURED}
    assert unit_times.choice(told.found[-1]) == {}


def test_live_comes_first_too(make: Make, queue: FakeQueue, entry: ModelEntry, qtbot: Any) -> None:
    made = make("CPU_AND_NE=hang")
    told = Told(made)
    made.measure(entry)
    qtbot.waitUntil(lambda: bool(told.units), timeout=20_000)
    queue.live.loading.emit("live-1", None)
    qtbot.waitUntil(lambda: made.status is None, timeout=5_000)
    assert told.notices == [
        "Measuring has stopped, for a picture is being made. Measure again when it is finished."
    ]


def test_another_model_ends_what_nobody_asked_for(
    make: Make, queue: FakeQueue, entry: ModelEntry, qtbot: Any
) -> None:
    made = make("CPU_AND_NE=hang")
    told = Told(made)
    picture(queue)
    qtbot.waitUntil(lambda: bool(told.units), timeout=20_000)
    made.give_way(entry)
    qtbot.waitUntil(lambda: made.status is None, timeout=5_000)
    made.measure(entry)
    made.give_way(entry)
    assert made.status is not None and not made.status.stopping  # a person asked for it
    made.stop()
    qtbot.waitUntil(lambda: made.status is None, timeout=5_000)


@pytest.mark.parametrize("why", ["energy", "choice", "memory", "no Core ML"])
def test_nothing_is_measured_unasked_where_it_would_be_a_nuisance(
    why: str, make: Make, queue: FakeQueue, saves_energy: list[bool], qtbot: Any
) -> None:
    saves_energy[0] = why == "energy"
    made = make(
        unit=GPU if why == "choice" else ALL,
        memory=7 * 2**30 if why == "memory" else 16 * 2**30,
        mac=why != "no Core ML",
    )
    told = Told(made)
    picture(queue)
    qtbot.wait(200)
    assert made.status is None
    assert (told.found, told.notices) == ([], [])


def test_on_another_system_there_is_one_unit_and_a_person_may_measure_it(
    make: Make, entry: ModelEntry, qtbot: Any
) -> None:
    made = make("CPU_ONLY=0.2", mac=False)
    told = Told(made)
    made.measure(entry)
    qtbot.waitUntil(lambda: made.status is None, timeout=20_000)
    assert told.units == ["CPU (portable)"]
    assert told.outcomes == {CPU: UnitOutcome.MEASURED}
    assert not any(told.hints)


def test_closing_the_window_ends_what_hangs(make: Make, entry: ModelEntry, qtbot: Any) -> None:
    made = make("CPU_AND_NE=hang")
    told = Told(made)
    made.measure(entry)
    qtbot.waitUntil(lambda: bool(told.units), timeout=20_000)
    made.close()
    assert told.found == []
