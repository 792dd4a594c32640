"""Killed at random points of saving, indexing, thumbnailing, trashing and marking: nothing that was
made or said is lost, and nothing half-made is taken for a whole.

``SFUMATO_KILLS=200`` kills as often in each; `SFUMATO_SEED` gives other points.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from gui import paths
from gui.library import thumbnails
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.library.picture_record import read_record
from gui.library.picture_scan import scan
from gui.library.pictures import save_picture
from gui.library.temporaries import sweep
from gui.request import PictureRecord, PictureRequest

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("SFUMATO_KILLS", "4"))
SEED = int(os.environ.get("SFUMATO_SEED", "1"))
PATIENCE = 60.0


class Zygote:
    """Starts processes of `tests.support.picture_zygote`, and kills them."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._number = 0
        environment = {**os.environ, "SFUMATO_HOME": str(home), "XDG_DATA_HOME": str(home / "xdg")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.picture_zygote"],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def _say(self, task: object) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def start(self, mode: str, seed: int) -> Child:
        self._number += 1
        log = self._folder / f"{self._number}-{mode}.log"
        log.touch()
        return Child(int(self._say({"mode": mode, "seed": seed, "log": str(log)})), log, self)

    def end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self._say(pid) == "gone\n"

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


class Child:
    def __init__(self, pid: int, log: Path, zygote: Zygote) -> None:
        self.pid = pid
        self._log = log
        self._zygote = zygote

    def said(self) -> list[list]:
        return [json.loads(line) for line in self._log.read_text().split("\n")[:-1]]

    def has_said(self, lines: int) -> bool:
        said = self.said()
        assert not any(line[0] == "failed" for line in said), said[-1]
        return len(said) >= lines

    def kill_after(self, lines: int, seconds: float) -> list[list]:
        """Kill it this long after its so many-th word; what it has said."""
        end = time.monotonic() + PATIENCE
        while not self.has_said(lines):
            assert time.monotonic() < end, "the child does nothing"
            time.sleep(0.001)
        time.sleep(seconds)
        self._zygote.end(self.pid)
        return self.said()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / "xdg").mkdir(parents=True)
    monkeypatch.setenv("SFUMATO_HOME", str(folder))
    return folder


@pytest.fixture
def zygote(tmp_path: Path, home: Path) -> Iterator[Zygote]:
    made = Zygote(tmp_path, home)
    yield made
    made.close()


@pytest.fixture
def files(home: Path) -> list[Path]:
    """Twelve pictures, each another one."""
    made = []
    for number in range(12):
        folder = paths.pictures_dir() / str(number % 3)
        request = PictureRequest(f"picture {number}", "", seed=number, output_dir=str(folder))
        pixels = np.full((24, 32, 3), number * 20, np.uint8)
        made.append(save_picture(pixels, PictureRecord(request, 32, 24, "Tiny"), request))
    return made


def points(name: str, most: int) -> Iterator[tuple[int, int, float]]:
    """A seed, after how many words to kill, and how long after them."""
    random = Random(f"{name} {SEED}")
    for _ in range(KILLS):
        yield random.randrange(10**6), random.randrange(1, most), random.random() * 0.012


def open_index() -> PictureIndex:
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    assert index._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return index


def test_saving(zygote: Zygote, home: Path) -> None:
    saved: set[str] = set()
    for seed, lines, seconds in points("saving", 12):
        saved |= {line[1] for line in zygote.start("saving", seed).kill_after(lines, seconds)}
        named = set(paths.pictures_dir().rglob("[!.]*.png"))
        assert saved <= set(map(str, named))
        for path in named:
            with Image.open(path) as image:
                image.load()
            assert read_record(path) is not None
    for left in paths.pictures_dir().rglob(".sfumato-*.part"):
        os.utime(left, (0, 0))
        sweep(left.parent)
    assert not list(paths.pictures_dir().rglob(".sfumato-*.part"))


def test_indexing(zygote: Zygote, files: list[Path]) -> None:
    for round_, (seed, lines, seconds) in enumerate(points("indexing", 12)):
        said = zygote.start("indexing", seed).kill_after(lines, seconds)
        assert said[0] == ["opened", round_ == 0], "what was written before is still good"
        index = open_index()
        scan(index, [paths.pictures_dir()])
        assert sorted(row.path for row in index.rows(index.find().ids)) == sorted(map(str, files))
        index.close()


def test_thumbnailing(zygote: Zygote, files: list[Path]) -> None:
    for seed, lines, seconds in points("thumbnailing", 30):
        zygote.start("thumbnailing", seed).kill_after(lines, seconds)
        kept = list(thumbnails.folder().rglob("[!.]*.jpg"))
        assert kept
        for path in kept:
            with Image.open(path) as image:
                image.load()


def test_trashing(zygote: Zygote, files: list[Path], home: Path) -> None:
    def contents(folder: Path) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in folder.rglob("[!.]*"):
            if path.is_file():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found.setdefault(digest, []).append(path)
        return found

    before = contents(paths.pictures_dir())
    trash = home / "xdg" / "Trash" / "files"
    for seed, lines, seconds in points("trashing", 8):
        zygote.start("trashing", seed).kill_after(lines, seconds)
        here, away = contents(paths.pictures_dir()), contents(trash)
        assert {*here, *away} == {*before}, "each is there, or in the Trash"
        for content, (place,) in before.items():
            assert here.get(content, [place]) == [place], "under its own name"
            for trashed in away.get(content, []):
                if not place.exists():
                    trashed.rename(place)
                trashed.unlink(missing_ok=True)


def state(index: PictureIndex) -> dict[str, tuple[bool, set[str]]]:
    rows = index.rows(index.find().ids)
    return {row.facts.fingerprint: (row.favourite, set(row.tags)) for row in rows}


def check_marks(index: PictureIndex, said: list[list], sole: bool) -> None:
    """Whatever was acknowledged is there, and nothing that nobody asked for."""
    found = state(index)
    for picture, (favourite, tags) in found.items():
        mine = [line for line in said if line[1] == picture]
        did = [line[3] for line in mine if line[0] == "did" and line[2] == "tag"]
        will = [line[3] for line in mine if line[0] == "will" and line[2] == "tag"]
        assert set(did) <= tags
        if sole:
            assert tags <= set(will)
        loved = [line for line in mine if line[2] == "favourite"]
        if sole and loved:
            last = [line[3] for line in loved if line[0] == "did"][-1:] or [False]
            assert favourite in ({loved[-1][3]} if loved[-1][0] == "did" else {*last, loved[-1][3]})
        mark = index.marks.of(picture)
        assert (mark.favourite, set(mark.tags)) == (favourite, tags), "index and journal agree"


def test_marking(zygote: Zygote, files: list[Path]) -> None:
    index = open_index()
    scan(index, [paths.pictures_dir()])
    index.close()
    said: list[list] = []
    for seed, lines, seconds in points("marking", 60):
        said += zygote.start("marking", seed).kill_after(lines, seconds)
        index = open_index()
        check_marks(index, said, sole=True)
        index.close()
    (paths.data_dir() / FILE_NAME).unlink()
    index = open_index()
    scan(index, [paths.pictures_dir()])
    check_marks(index, said, sole=True)


def test_copies_that_work_at_the_same_time(zygote: Zygote, files: list[Path]) -> None:
    """Two mark the same pictures, one reads the folders anew all the time; any of them is killed
    and started again."""
    index = open_index()
    scan(index, [paths.pictures_dir()])
    random = Random(f"copies {SEED}")
    modes = ("marking", "marking", "indexing")
    children = [zygote.start(mode, random.randrange(10**6)) for mode in modes]
    said: list[list] = []
    for _ in range(KILLS):
        at = random.randrange(len(modes))
        said += children[at].kill_after(random.randrange(1, 40), random.random() * 0.01)
        children[at] = zygote.start(modes[at], random.randrange(10**6))
    for child in children:
        said += child.kill_after(20, 0)
    index.changed_elsewhere()
    scan(index, [paths.pictures_dir()])
    marks = [line for line in said if line[0] in ("will", "did")]
    assert any(line[0] == "did" for line in marks)
    check_marks(index, marks, sole=False)
    assert sorted(row.path for row in index.rows(index.find().ids)) == sorted(map(str, files))
    with contextlib.closing(open_index()) as again:
        assert not again.rebuilt and state(again) == state(index)
