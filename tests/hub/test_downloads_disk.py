"""What goes wrong on the disk, and hostile names."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import Downloads, storage
from gui.hub.types import DownloadState, RemoteFile
from gui.library.models.folders import model_folders
from tests.hub.fog_downloads import ABOUT, SIZE, begin, failed, get, whole
from tests.support.hub_downloads import HASTY, contents, expected, random_bytes, variant_of
from tests.support.hub_repo import Repo

# The disk


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    one, server, repo, models, monkeypatch
):
    small = shutil.disk_usage("/")._replace(free=storage.SPARE_BYTES + SIZE - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: small)
    with pytest.raises(SfumatoError) as caught:
        begin(one, repo)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "3.0 MB" in caught.value.message
    assert not server.log
    assert one.all() == ()


def fail_writes(monkeypatch: pytest.MonkeyPatch, after: int, number: int) -> Callable[[], None]:
    """Let writes to the weights fail once so many bytes were written."""
    real = os.pwrite
    room = [after]

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if len(data) > 1000:
            room[0] -= len(data)
            if room[0] < 0:
                raise OSError(number, os.strerror(number))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    return lambda: monkeypatch.setattr(os, "pwrite", real)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EIO, "cannot be reached"),
    ],
)
def test_the_disk_fails_in_mid_file(one, server, repo, models, monkeypatch, number, words):
    mend = fail_writes(monkeypatch, 1_500_000, number)
    status = get(one, repo)
    failed(status, ErrorKind.STORAGE, words)
    assert list(model_folders(models)) == []
    kept = status.bytes_done
    assert kept >= 1 << 20
    mend()
    server.clear_log()
    one.resume(status.id)
    assert whole(one.wait(status.id, 30), repo)
    assert server.sent() <= SIZE + 8 - kept


def test_room_that_other_downloads_still_need_is_not_given_away(
    one, server, repo, models, monkeypatch
):
    other = Repo("ada/mist", {"packages/U.mlpackage/weight.bin": random_bytes(SIZE, 5)})
    server.add(other)
    server.fault("/cdn/*", bytes_per_second=3e5)
    free = storage.SPARE_BYTES + SIZE * 3 // 2
    monkeypatch.setattr(storage, "free_bytes", lambda _: free)
    name = begin(one, repo)
    with pytest.raises(SfumatoError) as caught:
        begin(one, other)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "other downloads" in caught.value.message
    assert [status.id for status in one.all()] == [name]
    one.cancel(name)
    server.faults.clear()
    assert get(one, other).state is DownloadState.DONE


def test_a_write_cut_short_by_the_disk_is_completed(one, server, repo, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, offset: real(fd, bytes(data[:100_000]), offset)
    )
    assert whole(get(one, repo), repo)


def test_a_folder_that_cannot_be_made(server, repo, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with Downloads(tmp_path / "file" / "Models", endpoint=server.endpoint) as one:
        with pytest.raises(SfumatoError) as caught:
            begin(one, repo)
        assert caught.value.kind is ErrorKind.STORAGE


def test_a_folder_without_permission(server, repo, tmp_path, monkeypatch):
    """Root may write anywhere, so the refusal is the file system's here, not the mode's."""
    real = Path.mkdir

    def mkdir(self: Path, *arguments: object, **options: object) -> None:
        if tmp_path / "Models" in (self, *self.parents):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        real(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with Downloads(tmp_path / "Models", endpoint=server.endpoint) as one:
        with pytest.raises(SfumatoError) as caught:
            begin(one, repo)
        assert "cannot be written" in caught.value.message


def test_the_disk_pulled_out_while_downloading(one, server, repo, models):
    server.fault("/cdn/*", times=1, drop_after=500_000, action=lambda: shutil.rmtree(models))
    status = get(one, repo)
    assert status.state is DownloadState.FAILED
    assert status.error is not None
    assert status.error.kind is ErrorKind.STORAGE
    assert "cannot be reached" in status.error.message


def test_a_failed_download_says_why_in_the_next_process(one, server, repo):
    server.fault("/cdn/*", times=1, drop_after=1_500_000)
    server.fault("*/weight.bin", skip=2, status=404, error_code="EntryNotFound")
    first = get(one, repo)
    assert first.bytes_done
    with Downloads(endpoint=server.endpoint) as two:
        (found,) = two.all()
    assert found.state is DownloadState.FAILED
    assert found.error is not None and first.error is not None
    assert found.error.message == first.error.message
    assert not found.interrupted


def test_what_failed_before_its_first_byte_is_not_offered_again(one, server, repo, models):
    repo.gated = "manual"
    failed(get(one, repo), ErrorKind.ACCESS, "terms")
    assert len(one.all()) == 1  # this process can still say why, and try again
    with Downloads(endpoint=server.endpoint) as two:
        assert two.all() == ()
    assert list((models / ".downloads").iterdir()) == []


def test_an_unreadable_plan_is_passed_over(one, models):
    folder = models / ".downloads" / "junk"
    folder.mkdir(parents=True)
    for text in ("", "[]", '{"id": "junk"}', "\0" * 100):
        (folder / "plan.json").write_text(text)
        assert one.all() == ()


def test_a_torn_journal_costs_at_most_its_tail(one, server, repo, models):
    server.fault("/cdn/*", times=1, drop_after=2_500_000)
    server.fault("/cdn/*", skip=1, times=20, hang_up=True)
    status = get(one, repo)
    assert status.state is DownloadState.FAILED
    (journal,) = models.glob(".downloads/*/journal")
    data = journal.read_bytes()
    journal.write_bytes(data + os.urandom(11))
    server.faults.clear()
    one.resume(status.id)
    assert whole(one.wait(status.id, 30), repo)


def test_a_lock_of_another_process_is_respected(one, server, repo, models):
    server.fault("/cdn/*", times=1, drop_after=1_500_000)
    server.fault("*/weight.bin", skip=2, status=404, error_code="EntryNotFound")
    status = get(one, repo)
    assert status.bytes_done
    (lock,) = models.glob(".downloads/*/lock")
    fd = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        for act in (one.resume, one.cancel):
            with pytest.raises(SfumatoError) as caught:
                act(status.id)
            assert "Another Sfumato" in caught.value.message
    finally:
        os.close(fd)
    assert lock.exists()


# Names


@pytest.mark.parametrize(
    "path",
    [
        "packages/../../../evil",
        "/etc/evil",
        "packages//x",
        "packages/./x",
        "packages/a\\b",
        "packages/a\0b",
        "C:/evil",
        "packages/" + "x" * 300,
        "packages/" + "x/" * 600 + "y",
        "packages/\ud800",
        "",
    ],
)
def test_hostile_names_are_refused_before_anything_is_written(one, server, repo, models, path):
    variant = variant_of(repo, "packages")
    files = (*variant.files, RemoteFile(path, 1, "0" * 64))
    with pytest.raises(SfumatoError) as caught:
        one.start(repo.id, repo.sha, dataclasses.replace(variant, files=files, folder=""))
    assert caught.value.kind is ErrorKind.BAD_MODEL
    assert not server.log
    assert not models.exists()


@pytest.mark.parametrize(
    "pair",
    [
        ("Unet.mlpackage/x", "unet.mlpackage/x"),
        ("a/Straße", "a/STRASSE"),
        ("a/caf\u00e9", "a/cafe\u0301"),
        ("a/b", "a/b/c"),
        ("a/b", "a/b"),
    ],
)
def test_names_that_a_mac_would_take_for_one_are_refused(one, server, repo, models, pair):
    variant = variant_of(repo, "packages")
    files = tuple(RemoteFile(path, 1, "0" * 64) for path in pair)
    with pytest.raises(SfumatoError) as caught:
        one.start(repo.id, repo.sha, dataclasses.replace(variant, files=files, folder=""))
    assert "the same file" in caught.value.message
    assert not models.exists()


def test_spaces_unicode_and_signs_in_names_arrive_as_they_are(hub_server, models):
    names = ["à la carte.bin", "日本 #1?.json", "100%.json", "a+b&c=d.json", "emoji 🌫️.bin"]
    repo = Repo("ada/fog", {f"mein Ordner/U.mlpackage/{n}": random_bytes(50) for n in names})
    server = hub_server([repo])
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as one:
        variant = variant_of(repo, "mein Ordner")
        status = one.wait(one.start(repo.id, repo.sha, variant, about=ABOUT).id, 30)
        assert contents(Path(status.folder)) == expected(repo, "mein Ordner")
