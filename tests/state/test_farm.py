"""A farm from the window: its own process, the queue that it takes over, what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.errors import SfumatoError
from gui.library.job import JobStatus
from gui.library.queue_live import LiveReader, LiveState
from gui.request import PictureRequest
from gui.state.farm import Farm
from gui.state.job_queue import JobQueue
from gui.state.queue.waits import Waits
from tests.support.farm import Mac


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    return tmp_path


@pytest.fixture
def window(home: Path) -> Iterator[tuple[Farm, JobQueue, list[SfumatoError]]]:
    """What a window has of both, and what it is told of failures."""
    farm, queue = Farm(), JobQueue()
    problems: list[SfumatoError] = []
    farm.failed.connect(problems.append)
    farm.start()
    queue.start()
    yield farm, queue, problems
    farm.close()
    queue.shutdown()


def test_a_window_founds_a_farm_draws_in_it_and_leaves_it(
    window: tuple[Farm, JobQueue, list[SfumatoError]], qtbot: QtBot, home: Path
) -> None:
    farm, queue, problems = window
    assert not farm.within
    made: list[str] = []
    queue.made_elsewhere.connect(made.append)
    farm.found("Own Mac")
    qtbot.waitUntil(lambda: farm.told is not None and farm.told.linked)
    qtbot.waitUntil(lambda: [view.name for view in farm.seat_views()] == ["Own Mac"])
    assert farm.seat_views()[0].own
    qtbot.waitUntil(lambda: queue.waits is Waits.FARM)

    watched = LiveReader()  # as programs that ask over HTTP do
    told: list[LiveState] = []
    job = queue.submit(PictureRequest("steps=30 sleep=0.05 size=8", "", seed=1))
    qtbot.waitUntil(lambda: bool(farm.drawing(job.id)))
    qtbot.waitUntil(lambda: farm.preview(farm.drawing(job.id)[0]) is not None)
    preview = farm.preview(farm.drawing(job.id)[0])
    assert preview is not None
    assert (preview.width(), preview.height()) == (8, 8)
    qtbot.waitUntil(
        lambda: bool(told.extend(s for s, _ in filter(None, [watched.newer()])) or told)
    )
    watched.close()
    assert (told[0].job, told[0].steps, told[0].width) == (job.id, 30, 8)
    qtbot.waitUntil(lambda: len(made) == 1)
    assert Path(made[0]).is_file()
    assert [j.status for j in queue.jobs()] == [JobStatus.DONE]

    # One that fails is told, as any that this window made itself.
    failed: list[str] = []
    queue.job_failed.connect(lambda _job, error: failed.append(error.message))
    queue.submit(PictureRequest("error=memory", "", seed=1))
    qtbot.waitUntil(lambda: failed == ["A sentence for a person."])

    # One that runs is stopped by hand.
    job = queue.submit(PictureRequest("steps=2000 sleep=0.05", "", seed=1))
    qtbot.waitUntil(lambda: bool(farm.drawing(job.id)))
    farm.stop_job(job.id)
    qtbot.waitUntil(lambda: queue.jobs()[-1].status is JobStatus.CANCELLED)

    # Another Mac joins with a code from the window.
    codes: list[str] = []
    farm.invited.connect(codes.append)
    farm.invite()
    qtbot.waitUntil(lambda: bool(codes))
    other = Mac(home / "other", "Other")
    code = other.home / "code"
    code.write_text(codes[0])
    try:
        other._begin(
            "join", f"127.0.0.1:{_port(farm)}", "--name", "Other", "--no-bonjour",
            "--file", str(code),
        )  # fmt: skip
        qtbot.waitUntil(lambda: len(farm.seat_views()) == 2)
        qtbot.waitUntil(lambda: farm.seat_views()[1].doing == "Waits for something to draw")
        other.kill()
        qtbot.waitUntil(lambda: farm.seat_views()[1].doing == "Away")
    finally:
        other.kill()

    farm.leave()
    qtbot.waitUntil(lambda: not farm.within)
    qtbot.waitUntil(lambda: queue.waits is Waits.NO)
    job = queue.submit(PictureRequest("steps=1", "", seed=3))
    qtbot.waitUntil(lambda: queue.jobs()[-1].status is JobStatus.DONE)
    assert not problems


def _port(farm: Farm) -> int:
    assert farm.told is not None
    return int(farm.told.address.rpartition(":")[2])


def test_what_is_no_code_is_told_in_one_sentence(
    window: tuple[Farm, JobQueue, list[SfumatoError]], qtbot: QtBot
) -> None:
    farm, queue, problems = window
    farm.join("sfumato-farm-nonsense")
    qtbot.waitUntil(lambda: bool(problems))
    assert "This is no join code" in problems[0].message
    assert not farm.busy
    assert queue.waits is Waits.NO


def test_without_a_farm_nothing_of_it_is_loaded(home: Path) -> None:
    """A window that nobody asked for a farm knows none of its words, and starts no process."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from PySide6.QtCore import QCoreApplication\n"
        "app = QCoreApplication([])\n"
        "from gui.state.farm import Farm\n"
        "farm = Farm(); farm.start()\n"
        "never = {'gui.farm.wire', 'gui.farm.messages', 'distributed', 'zeroconf'}\n"
        "bad = never & set(sys.modules)\n"
        "assert not bad, bad\n"
        "assert farm._process is None\n"
        "farm.close()\n"
    )
    root = str(Path(__file__).parents[2])
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
