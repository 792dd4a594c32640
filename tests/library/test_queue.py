"""The queue on disk survives the end of its process, and damage."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.library.job import JobStatus
from gui.library.queue import KEPT_FINISHED, JobStore
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


def test_of_what_is_over_the_newest_stay_listed_and_all_that_failed(
    path: Path, open_store: Opener
) -> None:
    store = open_store(path)
    jobs = store.add_all(ask(f"{n}") for n in range(KEPT_FINISHED + 3))
    for job in jobs:  # the last in the list was done first
        number = int(job.request.prompt)
        job.status = JobStatus.CANCELLED if number % 2 else JobStatus.DONE
        job.ended = 1000.0 - number
        store.update(job)
    failed = store.add(ask("failed"))
    failed.status, failed.ended = JobStatus.FAILED, 1.0
    store.update(failed)
    store.add(ask("queued"))
    store.close()
    kept = [str(n) for n in range(KEPT_FINISHED)]
    assert [j.request.prompt for j in open_store(path).recover()] == [*kept, "failed", "queued"]


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
from gui.library.queue import JobStore
from gui.library.job import JobStatus
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


def test_two_windows_have_one_queue_and_one_of_them_runs_it(path: Path, open_store: Opener) -> None:
    first = open_store(path)
    job = first.add(ask("mine"))
    assert first.claim(job.id) == replace(job, status=JobStatus.RUNNING, begun=True)
    second = open_store(path)
    assert first.is_owner and not second.is_owner and not second.take()
    assert "another window" in second.notice
    assert [j.status for j in second.recover()] == ["running"], "it is being made"
    assert not first.changed_elsewhere()
    theirs = second.add(ask("theirs"))
    assert first.changed_elsewhere() and not first.changed_elsewhere()
    assert [j.request.prompt for j in first.jobs()] == ["mine", "theirs"]
    # What one of them took off, or changed, the other does not run as it was.
    assert second.edit(theirs.id, ask("changed"))
    assert not second.remove(job.id) and not second.edit(job.id, ask("too late"))
    claimed = first.claim(theirs.id)
    assert claimed is not None and claimed.request == ask("changed")
    assert first.claim(theirs.id) is None
    first.close()
    assert second.take()
    assert [(j.request.prompt, j.status) for j in second.recover()] == [
        ("mine", "queued"), ("changed", "queued"),
    ]  # fmt: skip
    assert second.remove(job.id, "no such job") == {job.id, "no such job"}


def test_who_only_looks_does_not_keep_others_from_running(path: Path, open_store: Opener) -> None:
    looking = JobStore(path, own=False)
    assert not looking.is_owner and looking.notice == ""
    assert open_store(path).is_owner
    looking.close()


def test_an_order_is_kept_within_the_places_of_what_was_ordered(
    path: Path, open_store: Opener
) -> None:
    store = open_store(path)
    a, b, c, d, e = store.add_all(ask(letter) for letter in "abcde")
    assert store.reorder([d.id, "gone", b.id, a.id]) == {d.id: 1, b.id: 2, a.id: 4}
    assert store.remove(b.id) == {b.id}
    store.put_back(replace(b, position=2))
    store.close()
    again = open_store(path)
    assert [j.request.prompt for j in again.recover()] == ["d", "b", "c", "a", "e"]
    assert again.add(ask("f")).position == 6
    assert {c.position, e.position} == {3, 5}


def test_switches_are_kept(path: Path, open_store: Opener) -> None:
    store = open_store(path)
    assert not store.option("paused")
    store.set_option("paused", True)
    store.close()
    again = open_store(path)
    assert again.option("paused") and not again.option("other")
    again.set_option("paused", False)
    assert not again.option("paused")


KILLED_AT_RANDOM = """
import sys
from pathlib import Path
from gui.library.queue import JobStore
store = JobStore(Path(sys.argv[1]))
print("ready", flush=True)
ids = [job.id for job in store.recover()]
on = store.option("paused")
while True:  # one step to the left, round and round, and a switch that tells which
    on = not on
    ids = [*ids[1:], ids[0]]
    store.reorder(ids)
    store.set_option("paused", on)
"""


def test_a_kill_while_the_order_is_changed_loses_no_job_and_no_place(
    path: Path, open_store: Opener
) -> None:
    store = open_store(path)
    count = 40
    store.add_all(ask(f"{n}") for n in range(count))
    store.close()
    random = Random(5)
    for _ in range(4):
        arguments = [sys.executable, "-c", KILLED_AT_RANDOM, str(path)]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.0, 0.15))
        process.kill()
        process.wait()
        process.stdout.close()
        store = open_store(path)
        assert store.notice == ""
        order = [int(job.request.prompt) for job in store.recover()]
        turned = order.index(0)
        assert [*order[turned:], *order[:turned]] == list(range(count)), "whole turns only"
        assert sorted(job.position for job in store.jobs()) == list(range(1, count + 1))
        store.close()


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
