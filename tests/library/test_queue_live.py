"""Where the running job stands, told to other processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gui import paths
from gui.library.queue import JobStore
from gui.library.queue_live import LiveReader, LiveState, LiveWriter
from gui.request import PictureRequest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


def test_nothing_is_written_while_nobody_looks(home: Path) -> None:
    writer = LiveWriter()
    writer.tell(LiveState("a", step=1))
    assert not paths.data_dir().exists()
    reader = LiveReader()
    assert writer.is_wanted()
    reader.close()
    assert not writer.is_wanted()
    writer.tell(LiveState("a", step=2))
    assert not (paths.data_dir() / "queue.live").exists()


def test_who_looks_sees_the_newest_once() -> None:
    writer, first, second = LiveWriter(), LiveReader(), LiveReader()
    states = [LiveState("a", step=step, steps=3, width=2, height=1) for step in (1, 2)]
    for state in states:
        writer.tell(state, bytes([state.step] * 6))
    assert first.newer() == second.newer() == (states[1], b"\2" * 6)
    assert first.newer() is None
    writer.tell(LiveState("b", loading="unet"))
    assert first.newer() == (LiveState("b", loading="unet"), b"")
    assert (paths.data_dir() / "queue.live").stat().st_mode & 0o077 == 0
    first.close()
    second.close()


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\2{}", b"\0\0\1\0{", b"\xff" * 90])
def test_what_makes_no_sense_is_nothing(data: bytes) -> None:
    reader = LiveReader()
    (paths.data_dir() / "queue.live").write_bytes(data)
    assert reader.newer() is None
    reader.close()


def test_the_owner_is_told_once_what_to_stop(home: Path) -> None:
    owner = JobStore(home / "queue.sqlite3")
    other = JobStore(home / "queue.sqlite3", own=False)
    (job,) = owner.add_all([PictureRequest("p", "")])
    owner.claim(job.id)
    assert other.remove(job.id) == set(), "it runs"
    other.ask_to_stop(job.id)
    assert owner.changed_elsewhere() and owner.take_stops() == [job.id]
    assert owner.take_stops() == [] and not owner.option(f"stop:{job.id}")
    owner.close()
    other.close()
