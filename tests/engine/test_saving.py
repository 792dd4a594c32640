"""The next picture is begun while the last one is saved."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gui.engine import messages
from gui.engine.messages import Generate, JobEvent
from gui.engine.server import Engine
from gui.errors import Cancelled, ErrorKind, SfumatoError, disk_error
from gui.library import pictures
from gui.library.picture_record import read_record
from gui.request import PictureRequest
from tests.engine.standins import StandinBackend

WAIT = 20
SAVE = pictures.save_picture


class Job:
    """What a job tells, and whether it is still wanted."""

    def __init__(self, on_event: Callable[[JobEvent], None] = lambda _event: None) -> None:
        self.events: list[JobEvent] = []
        self.stopped = False
        self._on_event = on_event

    def cancelled(self) -> bool:
        return self.stopped

    def tell(self, event: Any) -> None:
        self.events.append(event)
        self._on_event(event)

    def run(self, prompt: str, folder: Path, count: int) -> None:
        request = PictureRequest(prompt, "m", seed=3, count=count, output_dir=str(folder))
        Engine(StandinBackend()).generate(Generate("j", request), self)  # pyright: ignore[reportArgumentType]

    @property
    def images(self) -> list[messages.Image]:
        return [e for e in self.events if isinstance(e, messages.Image)]

    def steps(self, picture: int) -> list[int]:
        return [
            e.step for e in self.events
            if isinstance(e, messages.Step) and e.picture_index == picture
        ]  # fmt: skip


@pytest.fixture
def held(home: Path, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Pictures are saved only once this is set."""
    go = threading.Event()

    def save(*args: Any) -> Path:
        assert go.wait(WAIT), "nothing went on while a picture was being saved"
        return SAVE(*args)

    monkeypatch.setattr(pictures, "save_picture", save)
    return go


def test_steps_of_the_next_picture_are_made_while_one_is_saved(
    held: threading.Event, tmp_path: Path
) -> None:
    def on_event(event: JobEvent) -> None:
        if isinstance(event, messages.Step) and (event.picture_index, event.step) == (1, 2):
            held.set()

    job = Job(on_event)
    job.run("steps=4", tmp_path / "made", 3)
    assert [image.picture_index for image in job.images] == [0, 1, 2]
    for image in job.images:
        record = read_record(Path(image.path))
        assert record is not None and record.request.seed == 3 + image.picture_index
        assert job.steps(image.picture_index) == [1, 2, 3, 4]
    assert len({image.path for image in job.images}) == 3


def test_only_one_finished_picture_waits(held: threading.Event, tmp_path: Path) -> None:
    """The second is made while the first is saved; the third is not begun before."""
    begun = threading.Event()

    def on_event(event: JobEvent) -> None:
        if isinstance(event, messages.Step) and event.picture_index == 2:
            assert held.is_set()
        if isinstance(event, messages.Step) and (event.picture_index, event.step) == (1, 3):
            begun.set()

    def release() -> None:
        assert begun.wait(WAIT)
        threading.Event().wait(0.05)  # a third would begin meanwhile
        held.set()

    releasing = threading.Thread(target=release)
    releasing.start()
    job = Job(on_event)
    job.run("steps=3", tmp_path / "made", 3)
    releasing.join()
    assert len(job.images) == 3


def test_a_stop_loses_no_finished_picture(held: threading.Event, tmp_path: Path) -> None:
    def on_event(event: JobEvent) -> None:
        if isinstance(event, messages.Step) and (event.picture_index, event.step) == (1, 1):
            job.stopped = True
            held.set()

    job = Job(on_event)
    with pytest.raises(Cancelled):
        job.run("steps=500", tmp_path / "made", 2)
    assert [image.picture_index for image in job.images] == [0]
    assert job.steps(1) == [1]
    assert Path(job.images[0].path).is_file()


def test_a_full_disk_is_told_before_the_next_picture_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed = threading.Event()

    def save(*_args: Any) -> Path:
        failed.set()
        raise disk_error(OSError(errno.ENOSPC, "full"), "Pictures cannot be saved in /x")

    def on_event(event: JobEvent) -> None:
        if isinstance(event, messages.Step) and event.picture_index == 1:
            assert failed.wait(WAIT)

    monkeypatch.setattr(pictures, "save_picture", save)
    job = Job(on_event)
    with pytest.raises(SfumatoError) as caught:
        job.run("steps=1000 sleep=0.01", tmp_path / "made", 2)
    assert caught.value.kind is ErrorKind.STORAGE
    assert job.images == [] and len(job.steps(1)) < 1000


def test_an_error_in_the_next_picture_loses_no_finished_one(
    held: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_event(event: JobEvent) -> None:
        if isinstance(event, messages.Step) and event.picture_index == 1:
            held.set()
            raise RuntimeError("a defect")

    job = Job(on_event)
    with pytest.raises(RuntimeError, match="a defect"):
        job.run("steps=3", tmp_path / "made", 2)
    assert [image.picture_index for image in job.images] == [0]
