"""What goes wrong on the way: the network, the Hub, the disk, hostile names."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.hub import session
from gui.hub.downloads import Backoff, Downloads, storage
from gui.hub.types import DownloadState, DownloadStatus, ModelSummary, RemoteFile, RepoDetails
from gui.request import ErrorKind, SfumatoError
from gui.state.models import installed_folders
from tests.support.hub_downloads import HASTY, contents, expected, random_bytes, variant_of
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, STRANGER_TOKEN, HubServer
from tests.support.proxy import Proxy

ABOUT = RepoDetails(ModelSummary("ada/fog"), "")
WEIGHT = "packages/Unet.mlpackage/weights/weight.bin"
SMALL = "packages/Unet.mlpackage/Manifest.json"
SIZE = 3_000_000


@pytest.fixture
def repo() -> Repo:
    return Repo("ada/fog", {SMALL: '{"a": 1}', WEIGHT: random_bytes(SIZE, 2)})


@pytest.fixture
def server(hub_server, repo: Repo) -> HubServer:
    return hub_server([repo], send_buffer=65536)


@pytest.fixture
def models(home: Path) -> Path:
    return home / "data" / "Models"


@pytest.fixture
def one(server: HubServer, models: Path):
    events: list[DownloadStatus] = []
    with Downloads(endpoint=server.endpoint, backoff=HASTY, on_change=events.append) as found:
        found.events = events  # type: ignore[attr-defined]
        yield found


def begin(downloads: Downloads, repo: Repo) -> str:
    return downloads.start(repo.id, repo.sha, variant_of(repo, "packages"), about=ABOUT).id


def get(downloads: Downloads, repo: Repo) -> DownloadStatus:
    return downloads.wait(begin(downloads, repo), 60)


def whole(status: DownloadStatus, repo: Repo) -> bool:
    assert status.state is DownloadState.DONE, status
    return contents(Path(status.folder)) == expected(repo, "packages")


def failed(status: DownloadStatus, kind: ErrorKind, words: str) -> None:
    assert status.state is DownloadState.FAILED
    assert status.error is not None
    assert status.error.kind is kind, status.error
    assert words in status.error.message
    assert status.error.message.endswith(".")


# The network


@pytest.mark.parametrize("silence", [{"delay": 2.0}, {"bytes_per_second": 1000}])
def test_a_server_that_falls_silent_is_given_up_and_asked_again(
    one, server, repo, monkeypatch, silence
):
    """Before its answer or in mid-file, it neither sends nor closes: no byte for too long."""
    monkeypatch.setattr(session, "READ_SECONDS", 0.3)
    server.fault(f"/cdn/*{WEIGHT}", times=2, **silence)
    started = time.monotonic()
    assert whole(get(one, repo), repo)
    assert time.monotonic() - started < 10
    assert server.count(f"/cdn/{repo.id}") > 1


def test_downloads_go_through_the_proxy(server, repo, models, monkeypatch):
    """Requests for a host that does not exist, the content network's too, arrive by the proxy."""
    from huggingface_hub.utils import close_session

    with Proxy({"hub.invalid:80": server.endpoint}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("https_proxy", proxy.address)
        close_session()
        try:
            with Downloads(endpoint="http://hub.invalid", backoff=HASTY) as downloads:
                assert whole(get(downloads, repo), repo)
            asked = {(method, host) for method, host, _ in proxy.log}
            assert asked == {("GET", "hub.invalid:80"), ("GET", server.cdn.split("//")[1])}
            proxy.log.clear()
            with Downloads(models / "other", endpoint="https://hub.invalid", backoff=HASTY) as d:
                failed(get(d, repo), ErrorKind.NETWORK, "connection")
            assert {(m, h) for m, h, _ in proxy.log} == {("CONNECT", "hub.invalid:443")}
            assert not any("authorization" in headers for _, _, headers in proxy.log)
        finally:
            close_session()


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_after": 700_000},
        {"hang_up": True},
        {"status": 500},
        {"status": 503, "retry_after": 0},
        {"status": 408},
        {"truncate_to": 900_000},
        {"html": True},
    ],
    ids=lambda f: "-".join(f),
)
def test_a_passing_trouble_is_got_over(one, server, repo, fault):
    server.fault("*/weight.bin", times=2, **fault)
    assert whole(get(one, repo), repo)


def test_what_arrived_before_a_drop_is_not_asked_for_again(one, server, repo):
    server.fault("/cdn/*", times=3, drop_after=600_000)
    status = get(one, repo)
    assert whole(status, repo)
    starts = [r.range for r in server.log if r.cdn]
    assert len(starts) == 4
    # A reset may cost what lies unread in the buffers, and never more.
    assert server.sent(f"ada/fog/{WEIGHT}") < SIZE + 3 * 300_000
    assert status.bytes_fetched == status.bytes_total


def test_a_trouble_that_lasts_says_so_and_keeps_what_is_there(one, server, repo, models):
    fault = server.fault("/cdn/*", drop_after=400_000, times=1)
    again = server.fault("*/weight.bin", skip=2, hang_up=True)
    status = get(one, repo)
    failed(status, ErrorKind.NETWORK, "connection to the Hub broke off")
    kept = status.bytes_done
    assert kept > 0
    assert installed_folders(models) == []
    states = [e.state for e in one.events]
    assert DownloadState.WAITING in states
    waiting = next(e for e in one.events if e.state is DownloadState.WAITING)
    assert waiting.retry_in > 0
    server.faults.remove(fault)
    server.faults.remove(again)
    one.resume(status.id)
    status = one.wait(status.id, 30)
    assert whole(status, repo)
    assert status.bytes_fetched == status.bytes_total


def test_the_server_being_gone_is_said_and_got_over(hub_server, one, server, repo):
    server.close()
    failed(get(one, repo), ErrorKind.NETWORK, "check the network")


def test_retry_after_is_obeyed(one, server, repo):
    server.fault("*/weight.bin", times=1, status=429, retry_after=1)
    started = time.monotonic()
    assert whole(get(one, repo), repo)
    assert time.monotonic() - started >= 1.0
    waiting = [e for e in one.events if e.state is DownloadState.WAITING]
    assert waiting
    assert 0.5 < waiting[0].retry_in <= 1.0


def test_one_pause_asked_of_many_connections_counts_once(hub_server):
    """Eight connections are turned away at the same moment: that is one failure, not eight."""
    files = {f"packages/U.mlpackage/{k}.bin": random_bytes(1000, k) for k in range(16)}
    repo = Repo("ada/fog", files)
    server = hub_server([repo])
    server.fault("*/resolve/*", times=8, status=429, retry_after=1, delay=0.05)
    with Downloads(endpoint=server.endpoint, backoff=HASTY, connections=8) as one:
        assert whole(get(one, repo), repo)


def test_compression_that_was_not_asked_for_is_undone(hub_server, monkeypatch):
    """A proxy that compresses text whatever the client says."""
    from gui.hub.downloads import transport

    real = transport.session.headers_for

    def headers_for(*arguments: object) -> dict[str, str]:
        class Deaf(dict[str, str]):
            def __setitem__(self, name: str, value: str) -> None:
                super().__setitem__(name, "gzip" if name == "Accept-Encoding" else value)

        return Deaf(real(*arguments))  # type: ignore[arg-type]

    monkeypatch.setattr(transport.session, "headers_for", headers_for)
    repo = Repo("ada/fog", {SMALL: '{"a": 1}' * 500, WEIGHT: random_bytes(1000)})
    server = hub_server([repo], gzip_text=True)
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as one:
        assert whole(get(one, repo), repo)
    assert server.sent(f"ada/fog/{SMALL}") < 4000, "it was not compressed"


def test_a_damaged_copy_on_this_machine_does_not_count_as_damage_on_the_way(
    one, server, repo, home
):
    blobs = home / "huggingface" / "hub" / "models--ada--fog" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / repo.blobs[WEIGHT].sha256).write_bytes(bytes(SIZE))
    server.fault("/cdn/*", times=1, corrupt_at=10)
    assert whole(get(one, repo), repo)


def test_too_many_requests_for_good_is_worded(one, server, repo):
    server.fault("*/weight.bin", status=429)
    failed(get(one, repo), ErrorKind.NETWORK, "asks for a pause")


def test_waiting_can_be_paused_at_once(one, server, repo):
    server.fault("*/weight.bin", status=429, retry_after=30)
    name = begin(one, repo)
    deadline = time.monotonic() + 10
    while one.status(name).state is not DownloadState.WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    assert one.pause(name).state is DownloadState.PAUSED
    assert time.monotonic() - started < 0.5


def test_a_server_without_ranges_is_read_from_the_front(one, server, repo):
    server.fault("/cdn/*", times=1, drop_after=1_000_000)
    server.fault("/cdn/*", ignore_range=True)
    assert whole(get(one, repo), repo)


def test_a_large_file_from_a_server_without_ranges(one, server, repo, monkeypatch):
    from gui.hub.downloads import fetch

    monkeypatch.setattr(fetch, "LARGE", 1 << 19)
    monkeypatch.setattr(fetch, "PIECE", 1 << 19)
    server.fault("/cdn/*", ignore_range=True)
    assert whole(get(one, repo), repo)


def test_wrong_bytes_once_are_fetched_again(one, server, repo):
    server.fault("/cdn/*", times=1, corrupt_at=1_234_567)
    status = get(one, repo)
    assert whole(status, repo)
    assert server.sent(f"ada/fog/{WEIGHT}") == 2 * SIZE


def test_wrong_bytes_in_a_small_file_are_noticed_too(one, server, repo):
    server.fault(f"*{SMALL}", times=1, corrupt_at=3)
    assert whole(get(one, repo), repo)


def test_wrong_bytes_twice_are_an_error_and_no_model(one, server, repo, models):
    fault = server.fault("/cdn/*", corrupt_at=-1)
    status = get(one, repo)
    failed(status, ErrorKind.NETWORK, "damaged twice")
    assert status.error is not None
    assert "weight.bin" in status.error.message
    assert installed_folders(models) == []
    server.faults.remove(fault)
    one.resume(status.id)
    assert whole(one.wait(status.id, 30), repo)


def test_bytes_spoilt_on_the_disk_while_paused_are_noticed(one, server, repo, models):
    fault = server.fault("/cdn/*", bytes_per_second=2e6)
    name = begin(one, repo)
    deadline = time.monotonic() + 10
    while one.status(name).bytes_done < 1_000_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    one.pause(name)
    (partial,) = models.glob(".downloads/*/model/**/weight.bin")
    with partial.open("r+b") as file:
        file.seek(500_000)
        file.write(b"a power failure")
    server.faults.remove(fault)
    one.resume(name)
    assert whole(one.wait(name, 30), repo)


def test_a_sign_in_page_instead_of_the_file_is_worded(one, server, repo):
    server.fault("*", html=True)
    failed(get(one, repo), ErrorKind.NETWORK, "sign in")


# The Hub


@pytest.mark.parametrize("token", [None, GOOD_TOKEN], ids=["anonymous", "signed-in"])
def test_a_model_deleted_while_downloading(server, repo, models, token):
    server.fault("/cdn/*", times=1, drop_after=1_500_000)
    server.fault("*/weight.bin", skip=2, times=1, action=lambda: server.delete("ada/fog"))
    with Downloads(
        endpoint=server.endpoint, backoff=HASTY, connections=1, token=lambda: token
    ) as one:
        failed(get(one, repo), ErrorKind.NOT_FOUND, "taken off the Hub")
    assert installed_folders(models) == []


def test_a_file_deleted_while_downloading(one, server, repo):
    server.fault("*/weight.bin", status=404, error_code="EntryNotFound")
    failed(get(one, repo), ErrorKind.NOT_FOUND, "no longer on the Hub")


def test_a_gated_model_says_what_to_do(one, server, repo):
    repo.gated = "manual"
    failed(get(one, repo), ErrorKind.ACCESS, "terms")


def test_a_token_without_access(hub_server, repo):
    repo.gated = "manual"
    server = hub_server([repo])
    with Downloads(endpoint=server.endpoint, backoff=HASTY, token=lambda: STRANGER_TOKEN) as one:
        failed(get(one, repo), ErrorKind.ACCESS, "terms")


def test_a_file_that_is_another_one_now(one, server, repo):
    stale = tuple(
        dataclasses.replace(file, sha256="0" * 64) if file.sha256 else file
        for file in variant_of(repo, "packages").files
    )
    variant = dataclasses.replace(variant_of(repo, "packages"), files=stale)
    name = one.start(repo.id, repo.sha, variant, about=ABOUT).id
    failed(one.wait(name, 30), ErrorKind.NETWORK, "changed on the Hub")


# The disk


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    one, server, repo, models, monkeypatch
):
    small = shutil.disk_usage("/")._replace(free=storage.SPARE_BYTES + SIZE - 1)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: small)
    with pytest.raises(SfumatoError) as caught:
        begin(one, repo)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "3 MB" in caught.value.message
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
        (errno.EIO, "cannot be reached any more"),
    ],
)
def test_the_disk_fails_in_mid_file(one, server, repo, models, monkeypatch, number, words):
    mend = fail_writes(monkeypatch, 1_500_000, number)
    status = get(one, repo)
    failed(status, ErrorKind.STORAGE, words)
    assert installed_folders(models) == []
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
    server.fault("*/weight.bin", status=404, error_code="EntryNotFound")
    first = get(one, repo)
    with Downloads(endpoint=server.endpoint) as two:
        (found,) = two.all()
    assert found.state is DownloadState.FAILED
    assert found.error is not None and first.error is not None
    assert found.error.message == first.error.message
    assert not found.interrupted


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
    server.fault("*/weight.bin", status=404, error_code="EntryNotFound")
    status = get(one, repo)
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


def test_patience_grows_and_is_bounded():
    patience = Backoff(first=1, longest=60, attempts=8)
    delays = [patience.delay(k, 0) for k in range(1, 12)]
    assert all(0.5 * min(60, 2**k) <= d <= min(60, 2**k) for k, d in enumerate(delays))
    assert patience.delay(1, 90) == 90
