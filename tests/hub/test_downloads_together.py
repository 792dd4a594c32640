"""Several threads, and several processes, at the same download."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub import installed as library
from gui.hub import leftovers
from gui.hub.downloads import Downloads, install
from gui.hub.downloads.plan import WorkFolder
from gui.hub.types import DownloadState
from tests.hub.fog_downloads import (
    SIZE,
    SMALL,
    WEIGHT,
    begin,
    failed,
    get,
    pause,
    until,
    whole,
)
from tests.support.hub_downloads import HASTY, archive_of, contents, random_bytes
from tests.support.hub_repo import Repo

PATIENCE = 30.0


@pytest.fixture
def two(server):
    """Another process's downloads, as far as the disk can tell."""
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as found:
        yield found


def half_fetched(downloads: Downloads, server, repo: Repo) -> str:
    """Begin a download and pause it with something on the disk."""
    slow = server.fault("/cdn/*", bytes_per_second=1e5)
    name = begin(downloads, repo)
    until(lambda: downloads.status(name).bytes_done > 50_000)
    pause(downloads, name)
    server.faults.remove(slow)
    return name


# Locks and records


def test_looking_whether_someone_works_there_keeps_nobody_from_it(tmp_path):
    work = WorkFolder(tmp_path, "x")
    work.path.mkdir(parents=True)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            work.is_locked()

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    try:
        for _ in range(500):
            lock = work.lock()
            assert lock is not None
            assert work.is_locked()
            assert work.lock() is None, "it is held"
            os.close(lock)
    finally:
        stop.set()
        for thread in lookers:
            thread.join()
    assert not work.is_locked()


def test_looking_at_a_download_leaves_its_journal_alone(one, two, server, repo, models):
    """Whoever writes it may be in the middle of an entry."""
    name = half_fetched(one, server, repo)
    journal = models / ".downloads" / name / "journal"
    with journal.open("ab") as file:
        file.write(b"half an entr")
    before = journal.read_bytes()
    (found,) = two.all()
    assert found.bytes_done == one.status(name).bytes_done > 0
    assert journal.read_bytes() == before
    one.resume(name)
    assert whole(one.wait(name, PATIENCE), repo)


# Who may do what


def test_what_another_process_works_on_is_told_and_left_to_it(one, two, server, repo, models):
    server.fault("/cdn/*", bytes_per_second=1e5)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 0)
    assert two.all() == ()
    (found,) = two.elsewhere()
    assert (found.id, found.repo, found.state) == (name, repo.id, DownloadState.FETCHING)
    assert 0 < found.bytes_done < found.bytes_total == SIZE + 8
    assert one.elsewhere() == ()
    for act in (two.cancel, two.resume, two.pause):
        with pytest.raises(SfumatoError) as caught:
            act(name)
        assert "Another Sfumato" in caught.value.message
    pause(one, name)
    server.faults.clear()
    one.resume(name)
    assert whole(one.wait(name, PATIENCE), repo)
    assert two.elsewhere() == two.all() == ()


def test_what_waits_its_turn_elsewhere_is_told_as_waiting(server, repo, two):
    other = server.add(Repo("ada/mist", {"packages/U.mlpackage/weight.bin": random_bytes(9000)}))
    server.fault("*", bytes_per_second=1000)
    with Downloads(endpoint=server.endpoint, backoff=HASTY, limit=1) as one:
        begin(one, repo)
        name = begin(one, other)
        states = {found.id: found.state for found in two.elsewhere()}
        assert states[name] is DownloadState.QUEUED


def test_what_failed_at_once_is_not_on_the_disk_and_can_be_tried_again(
    one, two, server, repo, models
):
    repo.gated = "manual"
    status = get(one, repo)
    failed(status, ErrorKind.ACCESS, "terms")
    assert list((models / ".downloads").iterdir()) == []
    assert two.all() == two.elsewhere() == leftovers.orphans(models) == ()
    assert one.all() == (status,)
    failed(one.wait(one.resume(status.id).id, PATIENCE), ErrorKind.ACCESS, "terms")
    repo.gated = False
    one.resume(status.id)
    assert whole(one.wait(status.id, PATIENCE), repo)


def test_what_failed_at_once_can_be_given_up(one, server, repo, models):
    repo.gated = "manual"
    name = get(one, repo).id
    assert one.cancel(name).state is DownloadState.CANCELLED
    assert one.all() == ()


def test_going_on_while_it_is_being_given_up_waits_for_that(one, server, repo, models, monkeypatch):
    """Another thread deletes its files just then."""
    name = half_fetched(one, server, repo)
    server.clear_log()
    deleting, go_on = threading.Event(), threading.Event()
    real = WorkFolder.remove

    def remove(self: WorkFolder) -> None:
        deleting.set()
        assert go_on.wait(PATIENCE)
        real(self)

    monkeypatch.setattr(WorkFolder, "remove", remove)
    cancelling = threading.Thread(target=one.cancel, args=(name,))
    cancelling.start()
    assert deleting.wait(PATIENCE)
    with pytest.raises(SfumatoError):
        one.resume(name)
    assert one.cancel(name).state is not DownloadState.DONE  # again: harmless
    go_on.set()
    cancelling.join(PATIENCE)
    assert one.all() == ()
    assert server.log == []
    assert list((models / ".downloads").iterdir()) == []


def test_another_process_went_on_with_it_at_a_newer_revision(one, two, server, repo):
    name = half_fetched(one, server, repo)
    repo.commit({SMALL: '{"a": 2}', WEIGHT: repo.blobs[WEIGHT].content})
    slow = server.fault("/cdn/*", bytes_per_second=1e5)
    assert begin(two, repo) == name
    before = two.status(name).bytes_done
    until(lambda: two.status(name).bytes_done > before + 50_000)
    pause(two, name)
    server.faults.remove(slow)
    one.resume(name)
    status = one.wait(name, PATIENCE)
    assert whole(status, repo)
    assert status.revision == repo.sha


def test_what_another_process_left_of_an_update_is_found(one, two, server, repo):
    """It has the name of a download that this process finished."""
    first = get(one, repo)
    repo.commit({SMALL: '{"a": 2}', WEIGHT: random_bytes(SIZE, 9)})
    assert half_fetched(two, server, repo) == first.id
    (found,) = one.all()
    assert (found.state, found.revision) == (DownloadState.PAUSED, repo.sha)
    one.resume(first.id)
    assert whole(one.wait(first.id, PATIENCE), repo)


def test_a_leftover_that_another_process_goes_on_with_is_not_deleted(
    one, two, server, repo, models, monkeypatch
):
    name = half_fetched(one, server, repo)
    folder = models / ".downloads" / name
    listed = leftovers.orphans(models)
    assert [orphan.path for orphan in listed] == [str(folder)]
    monkeypatch.setattr(leftovers, "orphans", lambda _root: listed)
    held = server.fault("/cdn/*", delay=PATIENCE)
    two.resume(name)  # since this process looked
    with pytest.raises(SfumatoError) as caught:
        leftovers.remove_leftover(folder, models)
    assert "Another Sfumato" in caught.value.message
    pause(two, name)
    server.faults.remove(held)
    two.resume(name)
    assert whole(two.wait(name, PATIENCE), repo)


def test_the_persons_pause_outlives_the_end_of_the_program(server, repo, models, monkeypatch):
    """Paused while the files are being put on the disk, which cannot be interrupted; then quit."""
    flushing, go_on = threading.Event(), threading.Event()
    real = install.flush

    def flush(folder: Path) -> None:
        flushing.set()
        assert go_on.wait(PATIENCE)
        real(folder)

    monkeypatch.setattr(install, "flush", flush)
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as one:
        name = begin(one, repo)
        assert flushing.wait(PATIENCE)
        assert one.pause(name).state.live
        closing = threading.Thread(target=one.close)
        closing.start()
        closing.join(PATIENCE)
        go_on.set()
        assert one.wait(name, PATIENCE).state is DownloadState.PAUSED
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as two:
        (found,) = two.all()
    assert (found.state, found.interrupted) == (DownloadState.PAUSED, False)


# Ended in the middle


class Killed(SystemExit):
    """Ends a thread on the spot, as a kill would, with nothing tidied up."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_killed_before_the_mended_archive_took_its_place(start, models, tmp_path, monkeypatch):
    """The damaged model it is to replace is the same version of the same model."""
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr("Unet.mlmodelc/weight.bin", random_bytes(50_000))
    server, downloads, _ = start(repo := Repo("ada/zips", {"m.zip": tmp_path / "m.zip"}))
    name = downloads.start(repo.id, repo.sha, archive_of(repo, "m.zip")).id
    folder = Path(downloads.wait(name, PATIENCE).folder)
    good = contents(folder)
    (folder / "Unet.mlmodelc/weight.bin").write_bytes(b"damaged")

    def exchange(_one: Path, _other: Path) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(install, "exchange", exchange)
        assert library.repair(downloads, None, folder) is not None
        downloads._jobs[name].join(PATIENCE)
    server.clear_log()
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as second:
        (status,) = second.all()
        assert status.interrupted
        second.resume(name)
        assert second.wait(name, PATIENCE).state is DownloadState.DONE
    assert contents(folder) == good
    assert server.sent() == 0


def test_mended_files_are_on_the_disk_before_they_take_their_places(fog_installed, monkeypatch):
    """And get there where the model lies on another disk, behind a link."""
    _, downloads, _, folder = fog_installed
    good = contents(folder)
    weight = folder / "Unet.mlpackage/Data/weights/weight.bin"
    weight.write_bytes(b"damaged")
    told: list[str] = []
    real, replace = install.flush, Path.replace

    def flush(place: Path) -> None:
        told.append("flushed")
        real(place)

    def another_disk(self: Path, target: Path) -> Path:
        if target == weight and self.parent != target.parent:
            told.append("moved")
            raise OSError(18, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(install, "flush", flush)
    monkeypatch.setattr(Path, "replace", another_disk)
    status = library.repair(downloads, None, folder)
    assert status is not None
    status = downloads.wait(status.id, PATIENCE)
    assert status.state is DownloadState.DONE, status
    assert told == ["flushed", "moved"]
    assert contents(folder) == good


def test_on_a_mac_every_file_is_synced_and_then_the_drive(tmp_path, monkeypatch):
    for name in ("a/weight.bin", "a/Manifest.json", "model.mil"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    told: list[str] = []
    inodes = {p.stat().st_ino: p.name for p in tmp_path.rglob("*")}
    monkeypatch.setattr(install.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(os, "fsync", lambda fd: told.append(inodes[os.fstat(fd).st_ino]))
    monkeypatch.setattr(install.fcntl, "fcntl", lambda fd, what: told.append(f"drive {what}"))
    monkeypatch.setattr(os, "sync", lambda: told.append("sync"))
    install.flush(tmp_path)
    assert sorted(told[:-1]) == ["Manifest.json", "model.mil", "weight.bin"]
    assert told[-1] == "drive 51"


def test_a_disk_that_fills_while_a_checkpoint_is_copied_to_it_is_named(tmp_path, monkeypatch):
    """shutil makes one error of all, without a number."""
    (tmp_path / "one").mkdir()
    for k in range(3):
        (tmp_path / "one" / f"{k}.bin").write_bytes(b"x")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def another_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(shutil, "copy2", full)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", another_disk)
        with pytest.raises(OSError) as caught:
            install.move_into_place(tmp_path / "one", tmp_path / "other", tmp_path)
    assert caught.value.errno == 28
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


# What is in the way


def test_a_folder_that_a_person_put_there_is_not_replaced(one, server, repo, models):
    mine = models / "ada--fog" / "packages" / "Unet.mlpackage"
    mine.mkdir(parents=True)
    (mine / "weight.bin").write_bytes(b"mine")
    status = get(one, repo)
    assert whole(status, repo)
    assert (mine / "weight.bin").read_bytes() == b"mine"
    assert Path(status.folder) != mine.parent
    assert one.wait(begin(one, repo), PATIENCE).folder == status.folder


def test_an_empty_folder_is_no_hindrance(one, server, repo, models):
    (models / "ada--fog" / "packages").mkdir(parents=True)
    (models / "ada--fog" / "packages" / ".DS_Store").write_bytes(b"x")
    status = get(one, repo)
    assert Path(status.folder) == models / "ada--fog" / "packages"
    assert whole(status, repo)


def test_a_clone_of_a_file_that_is_protected_can_be_written(tmp_path, monkeypatch):
    """A Mac's clone has the permissions of the original."""
    from gui.hub.downloads import reuse

    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x")
    source.chmod(0o444)

    class System:
        @staticmethod
        def clonefile(one: bytes, other: bytes, _flags: int) -> int:
            shutil.copy2(os.fsdecode(one), os.fsdecode(other))
            return 0

    monkeypatch.setattr(reuse.ctypes, "CDLL", lambda *_a, **_k: System)
    monkeypatch.setattr(reuse.sys, "platform", "darwin")
    assert reuse.clone_or_copy(source, target, lambda: False)
    assert target.stat().st_mode & 0o777 == 0o644
