"""Grids from their cells to the contact sheet, on a real engine process with a stand-in."""

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
from pytestqt.qtbot import QtBot

from gui.axes import make_grid, parse_axis
from gui.grid import Grid
from gui.library.picture_record import read_record
from gui.library.queue import JobStore
from gui.request import PictureRecord, PictureRequest
from gui.state.job_queue import JobQueue
from gui.state.queue.sheets import ContactSheets

ROOT = Path(__file__).parents[2]
WAIT = 60_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    return tmp_path


class Desk:
    """A queue with what makes its sheets."""

    def __init__(self) -> None:
        self.queue = JobQueue()
        self.sheets = ContactSheets(self.queue)
        self.made: list[tuple[str, PictureRecord]] = []
        self.sheets.made.connect(lambda path, record: self.made.append((path, record)))
        self.queue.start()

    def close(self) -> None:
        self.queue.shutdown()
        self.sheets.close()


@pytest.fixture
def opened(home: Path, qtbot: QtBot) -> Iterator[Callable[[], Desk]]:
    desks: list[Desk] = []

    def build() -> Desk:
        desks.append(Desk())
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


def grid_of(
    prompt: str, columns: str = "1-3", rows: str = "5, 6"
) -> tuple[Grid, list[PictureRequest], PictureRequest]:
    base = PictureRequest(prompt, "m")
    grid, cells = make_grid(
        base, parse_axis("seed", columns, base), parse_axis("guidance_scale", rows, base)
    )
    return grid, cells, base


def sheets_in(home: Path) -> list[Path]:
    return [
        path
        for path in home.rglob("*.png")
        if (record := read_record(path)) is not None and record.grid is not None
    ]


def test_the_sheet_is_made_when_the_last_cell_is_over(
    opened: Callable[[], Desk], qtbot: QtBot, home: Path
) -> None:
    desk = opened()
    grid, cells, base = grid_of("steps=2 sleep=0.01")
    desk.queue.submit_all(cells, grid, base)
    qtbot.waitUntil(lambda: bool(desk.made), timeout=WAIT)
    assert not desk.queue.waiting() and desk.queue.current is None
    ((path, record),) = desk.made
    assert record.grid == grid and read_record(Path(path)) == record
    assert sheets_in(home) == [Path(path)]
    qtbot.waitUntil(lambda: not desk.sheets.busy, timeout=WAIT)
    assert desk.queue.finished_grids() == []


def test_also_when_some_failed_and_again_when_they_are_retried(
    opened: Callable[[], Desk], qtbot: QtBot, home: Path
) -> None:
    desk = opened()
    grid, cells, base = grid_of(f"crash_once={home / 'first'} crash_once={home / 'second'}")
    bad = PictureRequest.from_json({**cells[1].to_json(), "prompt": "error=memory"})
    jobs = desk.queue.submit_all([cells[0], bad, *cells[2:]], grid, base)
    qtbot.waitUntil(lambda: len(desk.made) == 1, timeout=WAIT)
    assert jobs[1].status == "failed"
    desk.queue.edit(jobs[1].id, cells[1])  # only what waits can be edited
    assert jobs[1].request == bad
    desk.queue.retry(jobs[1].id)
    qtbot.waitUntil(lambda: len(desk.made) == 2, timeout=WAIT)
    assert len(sheets_in(home)) == 2, "none is replaced"


def test_the_sheet_is_made_after_a_restart_and_only_once(
    opened: Callable[[], Desk], qtbot: QtBot, home: Path
) -> None:
    queue = JobQueue()
    queue.start()
    grid, cells, base = grid_of("steps=2 sleep=0.01")
    jobs = queue.submit_all(cells, grid, base)
    qtbot.waitUntil(lambda: all(job.status == "done" for job in jobs), timeout=WAIT)
    queue.shutdown()  # nobody made the sheet
    first = opened()
    qtbot.waitUntil(lambda: len(first.made) == 1, timeout=WAIT)
    first.close()
    second = opened()
    qtbot.waitUntil(lambda: not second.sheets.busy, timeout=WAIT)
    assert second.made == [] and len(sheets_in(home)) == 1


WINDOW = """
from PySide6.QtCore import QCoreApplication
from gui.state.job_queue import JobQueue
from gui.state.queue.sheets import ContactSheets
app = QCoreApplication([])
queue = JobQueue()
sheets = ContactSheets(queue)
queue.start()
print("ready", flush=True)
app.exec()
"""


def test_windows_killed_at_random_in_the_middle_of_a_grid(
    opened: Callable[[], Desk], qtbot: QtBot, home: Path
) -> None:
    store = JobStore.default()
    grid, cells, base = grid_of("steps=2 sleep=0.01", "10-15", "5, 6, 7")
    store.add_all(cells, grid, base)
    store.close()
    chance = random.Random(11)
    for _ in range(5):
        window = subprocess.Popen([sys.executable, "-c", WINDOW], cwd=ROOT, stdout=subprocess.PIPE)
        assert window.stdout is not None and window.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.2, 1.2))
        os.kill(window.pid, signal.SIGKILL)
        window.wait()
        window.stdout.close()
    desk = opened()
    qtbot.waitUntil(lambda: desk.queue.current is None and not desk.queue.waiting(), timeout=WAIT)
    qtbot.waitUntil(lambda: not desk.sheets.busy, timeout=WAIT)
    assert len(sheets_in(home)) == 1
    places = [
        (record.request.grid.column, record.request.grid.row)
        for path in home.rglob("*.png")
        if (record := read_record(path)) is not None and record.request.grid is not None
    ]
    assert sorted(places) == sorted((x, y) for x in range(6) for y in range(3)), "each once"
