"""The queue on disk survives the end of its process, and damage."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.library.queue import JobStatus, JobStore
from gui.request import PictureRequest, StartImage

ROOT = Path(__file__).parents[2]
Opener = Callable[[Path], JobStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "queue.sqlite3"


@pytest.fixture
def open_store() -> Iterator[Opener]:
    """Opens stores and closes them in the end."""
    with contextlib.ExitStack() as stack:

        def opened(path: Path) -> JobStore:
            store = JobStore(path)
            stack.callback(store.close)
            return store

        yield opened


def ask(prompt: str) -> PictureRequest:
    return PictureRequest(prompt, "/m", count=3, start_image=StartImage("/a.png", 0.25))


def test_jobs_come_back_as_they_were_in_order(path: Path, open_store: Opener) -> None:
    store = open_store(path)
    added = [store.add(ask(f"number {n} 漢字\nline")) for n in range(5)]
    added[1].pictures = ["/x/1.png", "/x/2.png"]
    store.update(added[1])
    added[2].status = JobStatus.FAILED
    added[2].error = SfumatoError(ErrorKind.ENGINE, "It stopped.", "SIGSEGV")
    store.update(added[2])
    store.remove(added[3].id)
    store.close()
    jobs = open_store(path).recover()
    assert [j.request for j in jobs] == [ask(f"number {n} 漢字\nline") for n in (0, 1, 2, 4)]
    assert jobs[1].pictures == ["/x/1.png", "/x/2.png"]
    assert jobs[2].error is not None
    assert jobs[2].error.to_json() == added[2].error.to_json()


def test_nobody_else_can_read_the_prompts(path: Path, open_store: Opener) -> None:
    def modes() -> dict[str, int]:
        found = path.parent.glob(f"{path.name}*")
        return {file.name: file.stat().st_mode & 0o777 for file in found}

    store = open_store(path)
    store.add(ask("a secret"))
    files = ("", "-wal", "-shm")
    assert modes() == {path.name + end: 0o600 for end in files}
    for end in files:  # as an older version left them
        path.with_name(path.name + end).chmod(0o644)
    other = sqlite3.connect(path)  # still reading: the companions stay
    other.execute("SELECT * FROM jobs").fetchall()
    store.close()
    open_store(path)
    assert modes() == {path.name + end: 0o600 for end in files}
    other.close()


def test_only_failed_jobs_of_those_that_ended_are_kept_for_the_next_start(
    path: Path, open_store: Opener
) -> None:
    store = open_store(path)
    for status in (JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED, JobStatus.QUEUED):
        job = store.add(ask(status))
        job.status = status
        store.update(job)
    store.close()
    assert [j.request.prompt for j in open_store(path).recover()] == ["failed", "queued"]


def test_a_job_that_was_taken_off_is_put_back_where_it_was(path: Path, open_store: Opener) -> None:
    store = open_store(path)
    added = [store.add(ask(f"number {n}")) for n in range(3)]
    added[1].pictures, added[1].begun = ["/x/1.png"], True
    store.update(added[1])
    store.remove(added[1].id)
    store.put_back(added[1])
    store.close()
    assert open_store(path).recover() == added


def test_a_queue_of_the_version_before_is_read(path: Path, open_store: Opener) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE jobs (position INTEGER PRIMARY KEY AUTOINCREMENT,"
            " id TEXT NOT NULL UNIQUE,"
            " request TEXT NOT NULL, status TEXT NOT NULL, error TEXT, pictures TEXT NOT NULL,"
            " crashes INTEGER NOT NULL)"
        )
        text = '{"prompt": "x", "model": ""}'
        rows = [(status, text, status, "[]", 0) for status in ("set_aside", "queued")]
        db.executemany(
            "INSERT INTO jobs (id, request, status, pictures, crashes) VALUES (?, ?, ?, ?, ?)", rows
        )
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = open_store(path)
    assert [(j.id, j.status, j.begun) for j in store.recover()] == [
        ("set_aside", "failed", True), ("queued", "queued", True),
    ]  # fmt: skip
    store.add(ask("new"))
    assert [j.begun for j in store.jobs()] == [True, True, False]


KILLED = """
import os, signal, sys
from pathlib import Path
from gui.library.queue import JobStatus, JobStore
from gui.request import PictureRequest
store = JobStore(Path(sys.argv[1]))
if sys.argv[2] == "first":
    store.add(PictureRequest("running", ""))
    store.add(PictureRequest("waiting", ""))
else:
    store.recover()
job = store.jobs()[0]
job.status = JobStatus.RUNNING
job.pictures.append("/p.png")
store.update(job)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_windows_that_are_killed_lose_nothing_however_often(path: Path, open_store: Opener) -> None:
    def killed(which: str) -> None:
        done = subprocess.run([sys.executable, "-c", KILLED, str(path), which], cwd=ROOT)
        assert done.returncode == -9

    killed("first")
    store = open_store(path)
    assert [(j.request.prompt, j.status, j.pictures) for j in store.recover()] == [
        ("running", "queued", ["/p.png"]),
        ("waiting", "queued", []),
    ]
    store.close()
    killed("again")
    jobs = open_store(path).recover()
    assert [(j.status, j.crashes, j.error) for j in jobs] == [("queued", 0, None)] * 2
    assert jobs[0].pictures == ["/p.png", "/p.png"]


def test_a_damaged_file_is_kept_aside_and_said(path: Path, open_store: Opener) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, " * 500)
    store = open_store(path)
    assert "damaged" in store.notice
    store.add(ask("x"))
    assert len(store.jobs()) == 1
    kept = [p for p in path.parent.iterdir() if "damaged" in p.name]
    assert [p.read_bytes()[:7] for p in kept] == [b"this is"]


def test_an_unreadable_row_does_not_hide_the_others(path: Path, open_store: Opener) -> None:
    store = open_store(path)
    store.add(ask("bad"))
    store.add(ask("good"))
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE jobs SET request = '{\"seed\": -1}' WHERE position = 1")
    db.close()
    assert [j.request.prompt for j in open_store(path).recover()] == ["good"]


def test_a_second_window_leaves_the_first_ones_jobs_alone(path: Path, open_store: Opener) -> None:
    first = open_store(path)
    job = first.add(ask("mine"))
    job.status = JobStatus.RUNNING
    first.update(job)
    second = open_store(path)
    assert second.recover() == []
    assert "already open" in second.notice
    second.add(ask("theirs"))
    assert [(j.request.prompt, j.status) for j in first.jobs()] == [("mine", "running")]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, open_store: Opener) -> None:
    (tmp_path / "file").write_text("")
    store = open_store(tmp_path / "file" / "queue.sqlite3")
    assert "cannot be kept" in store.notice
    assert store.add(ask("x")).request.prompt == "x"


def test_a_newer_versions_file_is_left_as_it_is(path: Path, open_store: Opener) -> None:
    open_store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    store = open_store(path)
    assert "newer version" in store.notice
    store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()


def test_damaged_pages_behind_a_good_beginning_are_set_aside_and_said(
    path: Path, open_store: Opener
) -> None:
    store = open_store(path)
    for number in range(200):
        store.add(PictureRequest(f"fox {number} " * 40, ""))
    store.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 12_288] = b"\xa5" * 12_288
    path.write_bytes(data)
    again = open_store(path)
    assert "damaged" in again.notice and again.jobs() == []
    (kept,) = [p for p in path.parent.iterdir() if "-damaged-" in p.name]
    assert kept.read_bytes()[middle:] == bytes(data)[middle:], "all that can be saved is there"
    again.add(PictureRequest("a boat", ""))
    assert [job.request.prompt for job in again.jobs()] == ["a boat"]
