"""Downloads against the loopback Hub with the real client: what arrives, and what is asked."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import Downloads, fetch
from gui.hub.types import DownloadState, DownloadStatus, ModelSummary, RepoDetails
from gui.library.models.folders import model_folders
from tests.hub.fog_downloads import pause, until
from tests.support.hub_downloads import (
    HASTY,
    contents,
    expected,
    random_bytes,
    variant_of,
)
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, HubServer

ABOUT = RepoDetails(ModelSummary("ada/fog", licence="openrail"), "", description="Mist.")
WEIGHT = "packages/Unet.mlpackage/Data/weights/weight.bin"


def fog(size: int = 3_000_000, **more: bytes | str) -> Repo:
    files: dict[str, bytes | str] = {
        "README.md": "# Fog",
        "packages/Unet.mlpackage/Manifest.json": '{"fileFormatVersion": "1.0.0"}',
        "packages/Unet.mlpackage/Data/model.mlmodel": random_bytes(70_000, 1),
        WEIGHT: random_bytes(size, 2),
        "packages/VAE décodeur.mlpackage/Manifest.json": "{}",
        "packages/VAE décodeur.mlpackage/leer.bin": b"",
    }
    return Repo("ada/fog", files | more)


@pytest.fixture
def downloads(home: Path) -> Iterator[Callable[..., Downloads]]:
    """Make `Downloads` that are closed at the end; they keep every event in `.events`."""
    made: list[Downloads] = []

    def make(server: HubServer, **options: object) -> Downloads:
        events: list[DownloadStatus] = []
        options = {"backoff": HASTY, "on_change": events.append} | options
        found = Downloads(endpoint=server.endpoint, **options)  # type: ignore[arg-type]
        found.events = events  # type: ignore[attr-defined]
        made.append(found)
        return found

    yield make
    for one in made:
        one.close()


def get(downloads: Downloads, repo: Repo, folder: str = "packages") -> DownloadStatus:
    variant = variant_of(repo, folder)
    status = downloads.start(repo.id, repo.sha, variant, about=ABOUT)
    return downloads.wait(status.id, 60)


# What arrives


def test_a_model_arrives_whole_and_is_described(hub_server, downloads, home):
    repo = fog()
    server = hub_server([repo])
    status = get(downloads(server), repo)

    assert status.state is DownloadState.DONE, status
    folder = Path(status.folder)
    assert folder == home / "data" / "Models" / "ada--fog" / "packages"
    assert contents(folder) == expected(repo, "packages")
    sidecar = json.loads((folder / "sfumato.json").read_text("utf-8"))
    assert sidecar["source_repo"] == "ada/fog"
    assert sidecar["source_revision"] == repo.sha
    assert sidecar["card"]["licence"] == "openrail"
    assert sidecar["hashes"] == expected(repo, "packages")
    assert "prediction_type" not in sidecar, "left for inference"
    assert list(model_folders(home / "data" / "Models")) == [folder]
    assert not list((home / "data" / "Models" / ".downloads").iterdir())
    assert status.bytes_done == status.bytes_total == status.bytes_fetched
    assert status.files_done == status.files_total == 5


def test_every_byte_is_asked_for_once_and_pinned_to_the_commit(hub_server, downloads):
    repo = fog()
    server = hub_server([repo])
    get(downloads(server), repo)

    assert server.sent() == sum(b.size for p, b in repo.blobs.items() if p.startswith("packages/"))
    assert all(f"/{repo.sha}/" in request.path for request in server.log)


def test_a_large_file_comes_over_several_connections(hub_server, downloads, monkeypatch):
    monkeypatch.setattr(fetch, "LARGE", 1 << 20)
    monkeypatch.setattr(fetch, "PIECE", 1 << 20)
    repo = fog(8_000_001)
    server = hub_server([repo])
    server.fault("/cdn/*", delay=0.1)
    status = get(downloads(server), repo)

    assert contents(Path(status.folder)) == expected(repo, "packages")
    asked = [r.range for r in server.log if r.cdn and r.path.endswith("weight.bin")]
    assert len(set(asked)) == 8
    assert server.sent(f"ada/fog/{WEIGHT}") == 8_000_001


def test_the_token_goes_to_the_hub_and_never_to_the_content_network(hub_server, downloads):
    repo = fog()
    repo.gated, repo.granted = "auto", ("ada",)
    server = hub_server([repo])
    status = get(downloads(server, token=lambda: GOOD_TOKEN), repo)

    assert status.state is DownloadState.DONE
    assert {r.authorization for r in server.log if not r.cdn} == {f"Bearer {GOOD_TOKEN}"}
    assert {r.authorization for r in server.log if r.cdn} == {""}


def test_a_newer_revision_replaces_the_model_and_fetches_only_what_changed(
    hub_server, downloads, home
):
    repo = fog()
    server = hub_server([repo])
    one = downloads(server)
    first = get(one, repo)
    files = {path: blob.content for path, blob in repo.blobs.items()}
    del files["packages/VAE décodeur.mlpackage/leer.bin"]
    files["packages/Unet.mlpackage/Data/model.mlmodel"] = random_bytes(80_000, 9)
    repo.commit(files)
    server.clear_log()
    second = get(one, repo)

    assert second.folder == first.folder
    assert contents(Path(second.folder)) == expected(repo, "packages")
    assert server.sent() == 80_000
    assert not list((home / "data" / "Models" / ".downloads").iterdir())


def test_an_unfinished_download_goes_on_at_a_newer_revision(hub_server, downloads):
    """Files that did not change in between are kept."""
    repo = fog()
    server = hub_server([repo])
    fault = server.fault("*Manifest.json", status=404, error_code="EntryNotFound")
    one = downloads(server, connections=1)
    assert get(one, repo).state is DownloadState.FAILED
    server.faults.remove(fault)
    assert one.all()[0].bytes_done >= 3_000_000
    files = {path: blob.content for path, blob in repo.blobs.items()}
    repo.commit(files | {"packages/Unet.mlpackage/Data/model.mlmodel": random_bytes(90_000, 9)})
    server.clear_log()
    status = get(one, repo)
    assert contents(Path(status.folder)) == expected(repo, "packages")
    assert server.sent(f"ada/fog/{WEIGHT}") == 0


def test_files_in_the_hugging_face_cache_are_not_fetched(hub_server, downloads, home):
    from huggingface_hub import hf_hub_download

    repo = fog()
    server = hub_server([repo])
    kept = hf_hub_download(
        repo.id, WEIGHT, revision=repo.sha, endpoint=server.endpoint,
        cache_dir=home / "huggingface" / "hub",
    )  # fmt: skip
    server.clear_log()
    status = get(downloads(server), repo)

    assert server.sent(f"ada/fog/{WEIGHT}") == 0
    assert contents(Path(status.folder)) == expected(repo, "packages")
    Path(status.folder, WEIGHT.removeprefix("packages/")).write_bytes(b"changed")
    assert hashlib.sha256(Path(kept).read_bytes()).hexdigest() == repo.blobs[WEIGHT].sha256


def test_a_damaged_file_in_the_cache_is_fetched_after_all(hub_server, downloads, home):
    repo = fog()
    server = hub_server([repo])
    blobs = home / "huggingface" / "hub" / "models--ada--fog" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / repo.blobs[WEIGHT].sha256).write_bytes(bytes(3_000_000))
    status = get(downloads(server), repo)

    assert contents(Path(status.folder)) == expected(repo, "packages")
    assert server.sent(f"ada/fog/{WEIGHT}") == 3_000_000


def test_a_file_shared_with_an_installed_variant_is_not_fetched(hub_server, downloads):
    shared = random_bytes(400_000, 5)
    repo = Repo(
        "ada/fog",
        {
            "a/Text.mlpackage/weights/weight.bin": shared,
            "b/Text.mlpackage/weights/weight.bin": shared,
            "b/Unet.mlpackage/weights/weight.bin": random_bytes(300_000, 6),
        },
    )
    server = hub_server([repo])
    one = downloads(server)
    get(one, repo, "a")
    server.clear_log()
    status = get(one, repo, "b")

    assert contents(Path(status.folder)) == expected(repo, "b")
    assert server.sent() == 300_000


def test_ten_thousand_small_files(hub_server, downloads):
    files = {f"packages/U.mlpackage/{k % 100:02}/{k:05}.json": f"[{k}]" for k in range(10_000)}
    repo = Repo("ada/many", files)
    server = hub_server([repo])
    status = get(downloads(server), repo)

    assert status.state is DownloadState.DONE, status
    assert contents(Path(status.folder)) == expected(repo, "packages")
    assert server.count("resolve") == 10_000


# Pausing, resuming, cancelling, queueing


def slow(server: HubServer, speed: float = 2e5) -> None:
    """So slow that nothing ends by itself while a test looks at it; of each connection."""
    server.fault("*", bytes_per_second=speed)


def begin(downloads: Downloads, repo: Repo) -> str:
    return downloads.start(repo.id, repo.sha, variant_of(repo, "packages"), about=ABOUT).id


def test_resuming_goes_on_where_pausing_stopped(hub_server, downloads, home):
    repo = fog(4_000_000)
    server = hub_server([repo], send_buffer=65536)
    slow(server)
    one = downloads(server)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 300_000)
    status = pause(one, name)
    assert not status.interrupted
    assert 300_000 < status.bytes_done < 4_000_000
    assert list(model_folders(home / "data" / "Models")) == []
    server.faults.clear()
    server.clear_log()
    one.resume(name)
    status = one.wait(name, 30)

    assert contents(Path(status.folder)) == expected(repo, "packages")
    again = [r.range for r in server.log if r.path.endswith("weight.bin") and r.cdn]
    assert len(again) == 1
    assert again[0].startswith("bytes=") and not again[0].startswith("bytes=0-")
    assert status.bytes_fetched == status.bytes_total, "nothing came twice"


def test_pausing_does_not_wait_for_a_server_that_does_not_answer(hub_server, downloads):
    repo = fog()
    server = hub_server([repo])
    fault = server.fault("*", delay=300.0)
    one = downloads(server)
    name = begin(one, repo)
    until(lambda: server.count("resolve") > 0)
    pause(one, name)
    server.faults.remove(fault)
    one.resume(name)  # while the old connections still hang
    assert contents(Path(one.wait(name, 60).folder)) == expected(repo, "packages")


def test_a_download_is_given_up_and_taken_up_many_times(hub_server, downloads, monkeypatch):
    """Large-file pieces, pauses at odd moments: still every byte once."""
    monkeypatch.setattr(fetch, "LARGE", 1 << 19)
    monkeypatch.setattr(fetch, "PIECE", 1 << 19)
    repo = fog(6_000_000)
    server = hub_server([repo], send_buffer=65536)
    slow(server)
    one = downloads(server)
    name = begin(one, repo)
    for k in range(12):
        time.sleep(0.01 + 0.013 * k)
        pause(one, name)
        one.resume(name)
    pause(one, name)
    server.faults.clear()
    one.resume(name)
    status = one.wait(name, 60)
    assert contents(Path(status.folder)) == expected(repo, "packages")
    assert status.bytes_fetched == status.bytes_total


def test_a_paused_download_says_so_in_the_next_process(hub_server, downloads):
    repo = fog()
    server = hub_server([repo])
    slow(server)
    one = downloads(server)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 100_000)
    pause(one, name)
    (found,) = downloads(server).all()

    assert (found.id, found.state, found.interrupted) == (name, DownloadState.PAUSED, False)
    assert found.bytes_done == one.status(name).bytes_done > 0


def test_quitting_pauses_and_the_next_start_offers_to_go_on(hub_server, downloads):
    repo = fog()
    server = hub_server([repo])
    slow(server)
    one = downloads(server)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 100_000)
    one.close()
    one.wait(name, 60)
    server.faults.clear()
    two = downloads(server)
    (found,) = two.all()

    assert (found.state, found.interrupted) == (DownloadState.PAUSED, True)
    two.resume(name)
    assert contents(Path(two.wait(name, 30).folder)) == expected(repo, "packages")


def test_cancelling_removes_the_partial_files(hub_server, downloads, home):
    repo = fog()
    server = hub_server([repo])
    slow(server)
    one = downloads(server)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 100_000)
    one.cancel(name)
    assert one.wait(name, 60).state is DownloadState.CANCELLED
    assert not list((home / "data" / "Models" / ".downloads").iterdir())
    assert one.all() == ()
    with pytest.raises(SfumatoError) as caught:
        downloads(server).resume(name)
    assert caught.value.kind is ErrorKind.NOT_FOUND


@pytest.mark.parametrize("state", [DownloadState.FAILED, DownloadState.PAUSED])
def test_cancelling_what_is_just_coming_to_rest_removes_it_too(hub_server, home, state):
    """Its thread has not ended yet."""
    server = hub_server([repo := fog()], send_buffer=65536)
    server.fault("/cdn/*", bytes_per_second=2e5)
    if state is DownloadState.FAILED:
        server.fault("/cdn/*", status=404, skip=1)
    told: list[DownloadState] = []

    def listen(status: DownloadStatus) -> None:
        told.append(status.state)
        if status.state is state and DownloadState.CANCELLED not in told:
            downloads.cancel(status.id)

    with Downloads(endpoint=server.endpoint, backoff=HASTY, on_change=listen) as downloads:
        name = begin(downloads, repo)
        if state is DownloadState.PAUSED:
            downloads.pause(name)
        downloads.wait(name, 30)
        assert told[-1] is DownloadState.CANCELLED, told
        assert downloads.all() == ()
    assert list((home / "data" / "Models" / ".downloads").iterdir()) == []


def test_downloads_beyond_the_limit_wait_their_turn(hub_server, downloads):
    repos = [Repo(f"ada/fog{k}", {WEIGHT: random_bytes(400_000, k)}) for k in range(3)]
    server = hub_server(repos)
    one = downloads(server, limit=2)
    go_on = threading.Event()
    server.fault("*", action=lambda: go_on.wait(60))
    names = [begin(one, repo) for repo in repos]
    assert one.status(names[2]).state is DownloadState.QUEUED
    go_on.set()
    for name, repo in zip(names, repos, strict=True):
        assert contents(Path(one.wait(name, 30).folder)) == expected(repo, "packages")
    running: set[str] = set()
    for event in one.events:  # type: ignore[attr-defined]
        moves = event.state.live and event.state is not DownloadState.QUEUED
        running = running | {event.id} if moves else running - {event.id}
        assert len(running) <= 2


def test_a_queued_download_can_be_paused_and_cancelled(hub_server, downloads):
    repos = [Repo(f"ada/fog{k}", {WEIGHT: random_bytes(300_000, k)}) for k in range(3)]
    server = hub_server(repos)
    slow(server, 1e4)
    one = downloads(server, limit=1)
    first, second, third = (begin(one, repo) for repo in repos)
    assert one.pause(second).state is DownloadState.PAUSED
    assert one.cancel(third).state is DownloadState.CANCELLED
    pause(one, first)
    server.faults.clear()
    one.resume(first)
    assert one.wait(first, 60).state is DownloadState.DONE
    assert one.status(second).state is DownloadState.PAUSED
    assert server.count("fog1") == server.count("fog2") == 0


def test_starting_what_is_already_there_goes_on_with_it(hub_server, downloads):
    repo = fog()
    server = hub_server([repo])
    slow(server)
    one = downloads(server)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 100_000)
    assert begin(one, repo) == name, "still running"
    pause(one, name)
    server.faults.clear()
    assert begin(one, repo) == name
    assert one.wait(name, 30).state is DownloadState.DONE
    assert one.status(name).bytes_fetched == one.status(name).bytes_total


def test_two_processes_never_work_on_the_same_download(hub_server, downloads):
    repo = fog()
    server = hub_server([repo])
    slow(server)
    one, two = downloads(server), downloads(server)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 0)
    with pytest.raises(SfumatoError) as caught:
        begin(two, repo)
    assert "Another Sfumato" in caught.value.message


def test_a_listener_that_fails_does_not_stop_the_download(hub_server, downloads, caplog):
    def fail(_: DownloadStatus) -> None:
        raise ValueError("a defect in the window")

    repo = fog()
    status = get(downloads(hub_server([repo]), on_change=fail), repo)
    assert status.state is DownloadState.DONE
    assert "a defect in the window" in caplog.text


def test_a_listener_may_ask_and_steer(hub_server, downloads):
    """Calls from inside `on_change`, while another thread starts downloads."""
    repos = [Repo(f"ada/fog{k}", {WEIGHT: random_bytes(200_000, k)}) for k in range(6)]
    server = hub_server(repos)
    paused: list[str] = []

    def act(status: DownloadStatus) -> None:
        one.all()
        if status.repo == "ada/fog3" and status.state is DownloadState.FETCHING and not paused:
            paused.append(status.id)
            one.pause(status.id)

    one = downloads(server, on_change=act)
    names = [begin(one, repo) for repo in repos]
    states = [one.wait(name, 30).state for name in names]
    assert states.count(DownloadState.DONE) == 5
    assert states[3] is DownloadState.PAUSED


def test_progress_is_told_in_order_and_at_most_ten_times_a_second(hub_server, downloads):
    repo = fog(2_000_000)
    server = hub_server([repo], send_buffer=65536)
    slow(server, 4e5)
    times: list[float] = []
    seen: list[DownloadStatus] = []
    inside = threading.Lock()

    def note(status: DownloadStatus) -> None:
        assert inside.acquire(blocking=False), "one at a time"
        times.append(time.monotonic())
        seen.append(status)
        inside.release()

    one = downloads(server, on_change=note)
    started = time.monotonic()
    get(one, repo)
    seconds = time.monotonic() - started
    moving = [s for s in seen if s.state is DownloadState.FETCHING]

    assert len(moving) <= 10 * seconds + 2
    assert len(moving) >= 4, "five seconds at the least"
    assert [s.bytes_done for s in seen] == sorted(s.bytes_done for s in seen)
    late = moving[-1]
    # It cannot come faster than it is sent, and over the whole time it came at some speed.
    assert 0.3 * 2e6 / seconds < late.bytes_per_second < 1.5e6
    assert late.seconds_left > 0
