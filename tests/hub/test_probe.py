"""Reading stretches of files on the Hub: exact, few, remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import RemoteFile
from gui.hub.variants import probe as probes
from gui.hub.variants.probe import MAX_READ, Budget, HttpProbe, ProbeLimit
from tests.hub.trees import tree_of
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, HubServer

LARGE = bytes(range(256)) * 40_000
SMALL = b'[{"name": "value"}]' * 20

Start = Callable[..., HubServer]


def _repo() -> Repo:
    return Repo("someone/model", {"weights/w.bin": LARGE, "a b/metadata é.json": SMALL})


def _files(repo: Repo) -> dict[str, RemoteFile]:
    return {f.path: f for f in tree_of(repo).files}


@pytest.mark.parametrize("options", [{}, {"gzip_text": True}, {"resolve_cache": True}])
def test_reads_exactly_the_bytes_asked_for(
    hub_server: Start, tmp_path: Path, options: dict
) -> None:
    repo = _repo()
    server = hub_server([repo], **options)
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    files = _files(repo)
    for path, data in (("weights/w.bin", LARGE), ("a b/metadata é.json", SMALL)):
        for start, length in (
            (0, 10),
            (7, 100),
            (len(data) - 5, 5),
            (len(data) - 5, 50),
            (0, 10**7),
        ):
            assert probe.read(files[path], start, length) == data[start : start + length]


def test_no_more_is_sent_than_wanted(hub_server: Start, tmp_path: Path) -> None:
    repo = _repo()
    server = hub_server([repo])
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    probe.read(_files(repo)["weights/w.bin"], 5_000_000, 1000)
    assert server.sent("someone/model/weights/w.bin") == 1000


def test_what_was_read_is_remembered_across_repositories(hub_server: Start, tmp_path: Path) -> None:
    one, other = _repo(), Repo("else/copy", {"w.bin": LARGE})
    server = hub_server([one, other])
    HttpProbe(one.id, one.sha, endpoint=server.endpoint, cache=tmp_path).read(
        _files(one)["weights/w.bin"], 100, 50
    )
    server.clear_log()
    again = HttpProbe(other.id, other.sha, endpoint=server.endpoint, cache=tmp_path)
    assert again.read(_files(other)["w.bin"], 100, 50) == LARGE[100:150]
    assert server.log == []
    assert again.requests == 0


def test_a_spoiled_memory_is_read_anew(hub_server: Start, tmp_path: Path) -> None:
    repo = _repo()
    server = hub_server([repo])
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    file = _files(repo)["weights/w.bin"]
    probe.read(file, 0, 100)
    for entry in tmp_path.iterdir():
        entry.write_bytes(b"rubbish")
    assert probe.read(file, 0, 100) == LARGE[:100]


def test_memory_is_bounded(
    hub_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo("someone/noise", {"n.bin": __import__("random").Random(1).randbytes(200_000)})
    server = hub_server([repo])
    monkeypatch.setattr(probes, "CACHE_BYTES", 50_000)
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    for start in range(0, 200_000, 10_000):
        probe.read(_files(repo)["n.bin"], start, 10_000)
    assert 30_000 < sum(f.stat().st_size for f in tmp_path.iterdir()) <= 50_000


def test_no_disk_to_remember_on_is_no_matter(hub_server: Start, tmp_path: Path) -> None:
    repo = _repo()
    server = hub_server([repo])
    (tmp_path / "taken").write_text("a file where the folder should be")
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path / "taken")
    assert probe.read(_files(repo)["weights/w.bin"], 0, 10) == LARGE[:10]


@pytest.mark.parametrize(
    ("effects", "kind"),
    [
        ({"status": 404}, ErrorKind.NOT_FOUND),
        ({"status": 503}, ErrorKind.NETWORK),
        ({"html": True}, ErrorKind.NETWORK),
        ({"drop_after": 10}, ErrorKind.NETWORK),
    ],
)
def test_failures_have_a_kind(
    hub_server: Start, tmp_path: Path, effects: dict, kind: ErrorKind
) -> None:
    repo = _repo()
    server = hub_server([repo])
    server.fault("*w.bin*", **effects)
    server.fault("*/cdn/*", **effects)
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    with pytest.raises(SfumatoError) as caught:
        probe.read(_files(repo)["weights/w.bin"], 0, 1000)
    assert caught.value.kind is kind
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("body", [b"<html>" * 1000, SMALL.swapcase()])
def test_other_contents_than_listed_are_not_believed(
    hub_server: Start, tmp_path: Path, body: bytes
) -> None:
    repo = _repo()
    server = hub_server([repo])
    fault = server.fault("*metadata*", body=body)
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    file = _files(repo)["a b/metadata é.json"]
    with pytest.raises(SfumatoError) as caught:
        probe.read(file, 0, file.size)
    assert caught.value.kind is ErrorKind.NETWORK
    server.faults.remove(fault)
    assert probe.read(file, 0, file.size) == SMALL


def test_a_hub_that_ignores_ranges(hub_server: Start, tmp_path: Path) -> None:
    """Near the start the rest is skipped; far behind it is given up, not downloaded."""
    repo = _repo()
    server = hub_server([repo])
    server.fault("*", ignore_range=True)
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    file = _files(repo)["weights/w.bin"]
    assert probe.read(file, 1000, 10) == LARGE[1000:1010]
    far = RemoteFile(file.path, 2 * MAX_READ, file.sha256)
    with pytest.raises(SfumatoError):
        probe.read(far, MAX_READ + 1, 10)


def test_the_token_goes_to_the_hub_alone(hub_server: Start, tmp_path: Path) -> None:
    """Large files come from another host after a redirect; it must not see the token."""
    repo = Repo("ada/gated", {"weights/w.bin": LARGE}, gated="auto", granted=("ada",))
    server = hub_server([repo])
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, token=GOOD_TOKEN, cache=tmp_path)
    assert probe.read(_files(repo)["weights/w.bin"], 5, 10) == LARGE[5:15]
    shown = {r.path.startswith("/cdn/"): r.authorization for r in server.log}
    assert shown == {False: f"Bearer {GOOD_TOKEN}", True: ""}


def test_what_comes_drop_by_drop_is_given_up(
    hub_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never silent for long enough to be taken for dead, and hours from its end."""
    monkeypatch.setattr(probes, "MAX_SECONDS", 0.5)
    repo = _repo()
    server = hub_server([repo])
    server.fault("*w.bin*", bytes_per_second=20_000)
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path)
    with pytest.raises(SfumatoError) as caught:
        probe.read(_files(repo)["weights/w.bin"], 0, len(LARGE))
    assert caught.value.kind is ErrorKind.NETWORK and "too slow" in caught.value.message
    assert server.sent("someone/model") < len(LARGE) / 2


def test_budget_ends_with_its_time() -> None:
    class Endless:
        def read(self, file: RemoteFile, start: int, length: int) -> bytes:
            return bytes(length)

    file = RemoteFile("a", 1000)
    assert Budget(Endless(), reads=3).read(file, 0, 10) == bytes(10)
    with pytest.raises(ProbeLimit):
        Budget(Endless(), reads=3, seconds=-1.0).read(file, 0, 10)


def test_budget_ends_reading() -> None:
    class Counting:
        reads = 0

        def read(self, file: RemoteFile, start: int, length: int) -> bytes:
            self.reads += 1
            return bytes(length)

    file = RemoteFile("a", 1000)
    counting = Counting()
    budget = Budget(counting, reads=3)
    for _ in range(3):
        budget.read(file, 0, 10)
    with pytest.raises(ProbeLimit):
        budget.read(file, 0, 10)
    assert counting.reads == 3
    with pytest.raises(ProbeLimit):
        Budget(counting, reads=3, size=100).read(file, 0, 101)
