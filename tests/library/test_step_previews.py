"""Previews of steps on disk: found again, bounded, never half, never another picture's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gui.library import step_previews
from gui.library.picture_scan import facts_of
from gui.library.step_previews import StepFrame, StepRecorder, StepSeries

ROOT = Path(__file__).parents[2]


@pytest.fixture
def picture(home: Path) -> Path:
    path = home / "picture.png"
    Image.new("RGB", (16, 16), "#336699").save(path)
    return path


def frame(step: int, width: int = 12, height: int = 8) -> StepFrame:
    """A smooth slope whose colour tells the step."""
    x, y = np.meshgrid(np.linspace(0, 60, width), np.linspace(0, 60, height))
    pixels = np.stack([x + 10 * step, y + 5 * step, 255 - x - y], -1).clip(0, 255).astype(np.uint8)
    return StepFrame(step, width, height, pixels.tobytes())


def series(count: int = 5, **size: int) -> StepSeries:
    return StepSeries(count, tuple(frame(k + 1, **size) for k in range(count)))


def known_as(path: Path) -> str:
    return facts_of(path).fingerprint


def array(one: StepFrame) -> np.ndarray:
    return np.frombuffer(one.rgb, np.uint8).reshape(one.height, one.width, 3).astype(int)


@pytest.mark.parametrize("size", [{}, {"width": 64, "height": 64}, {"width": 5, "height": 3}])
def test_what_was_seen_comes_back(picture: Path, size: dict[str, int]) -> None:
    kept = series(7, **size)
    assert step_previews.keep(picture, kept) > 0
    found = step_previews.read(known_as(picture))
    assert found is not None and found.steps == 7
    assert [one.step for one in found.frames] == list(range(1, 8))
    for ours, theirs in zip(found.frames, kept.frames, strict=True):
        difference = np.abs(array(ours) - array(theirs))
        assert difference.mean() < 3, "a slope survives JPEG; a neighbour's colour would not"


def test_they_follow_a_picture_that_moves_and_leave_one_that_changes(picture: Path) -> None:
    step_previews.keep(picture, series())
    moved = picture.with_name("elsewhere.png")
    shutil.move(picture, moved)
    assert step_previews.read(known_as(moved)) is not None
    Image.new("RGB", (16, 16), "#993366").save(moved)
    assert step_previews.read(known_as(moved)) is None


def test_of_many_steps_evenly_chosen_ones_are_kept() -> None:
    recorder = StepRecorder()
    for step in range(1, 351):
        recorder.saw(0, 350, frame(step))
    found = recorder.take(0)
    assert found is not None and found.steps == 350
    kept = [one.step for one in found.frames]
    assert kept[0] == 1 and kept[-1] == 350
    assert len(kept) <= step_previews.MOST_FRAMES + 1
    assert max(b - a for a, b in pairwise(kept)) <= 4


def test_a_picture_gets_its_own_steps_alone() -> None:
    recorder = StepRecorder()
    for step in range(1, 4):
        recorder.saw(0, 3, frame(step))
    assert recorder.take(1) is None
    for step in range(1, 3):
        recorder.saw(1, 2, frame(step + 10))
    found = recorder.take(1)
    assert found is not None and [one.step for one in found.frames] == [11, 12]
    recorder.saw(2, 1, frame(1))
    assert recorder.take(2) is None, "one step alone is the picture"


def write_aged(name: str, age: float, size: int = 1000) -> Path:
    file = step_previews.file_of(name * 32)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def test_beyond_the_limit_the_oldest_go(home: Path) -> None:
    files = [
        write_aged(name, age) for name, age in zip("abcdef", (9, 50, 3, 70, 1, 20), strict=True)
    ]
    assert step_previews.trim(6000) == 6000
    assert all(file.exists() for file in files)
    assert step_previews.trim(5000) <= 4500
    assert [file.exists() for file in files] == [True, False, True, False, True, True]


def test_previews_of_pictures_that_are_no_more_go(home: Path) -> None:
    kept, gone, young = write_aged("a", 9999), write_aged("b", 9999), write_aged("c", 5)
    assert step_previews.drop_strangers(lambda some: [n for n in some if n[0] == "a"]) == 1
    assert kept.exists() and young.exists() and not gone.exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda data: data.replace(b'"steps":5', b'"steps":1'),
        lambda data: data.replace(b'"width":12', b'"width":99'),
        lambda data: data.replace(b'"kept"', b'"left"'),
    ],
    ids=["half", "nothing", "steps", "size", "comment"],
)
def test_a_damaged_file_is_as_none_and_goes(picture: Path, spoil) -> None:
    step_previews.keep(picture, series())
    file = step_previews.file_of(known_as(picture))
    file.write_bytes(spoil(file.read_bytes()))
    assert step_previews.read(known_as(picture)) is None
    assert not file.exists()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 31, "A" * 32])
def test_what_is_no_fingerprint_names_no_file(home: Path, name: str) -> None:
    assert step_previews.read(name) is None


def test_a_cache_that_cannot_be_written_costs_nothing_else(picture: Path) -> None:
    step_previews.folder().parent.mkdir(parents=True, exist_ok=True)
    step_previews.folder().write_text("in the way")
    assert step_previews.keep(picture, series()) == 0
    assert step_previews.read(known_as(picture)) is None
    assert step_previews.trim() == 0


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.library.test_step_previews import series
from gui.library import step_previews
print("ready", flush=True)
number = 0
while True:
    for name in "0123456789abcdef":
        file = step_previews.file_of(name * 32)
        step_previews._write(file, step_previews._encoded(series(40, width=64, height=64)))
"""


def test_killed_at_any_moment_there_is_no_half_file(home: Path) -> None:
    for pause in (0.0, 0.003, 0.011, 0.029):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER.format(root=str(ROOT))],
            stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for file in step_previews.folder().glob("*/*.jpg"):
            found = step_previews.read(file.stem)
            assert found is not None and len(found.frames) == 40
