"""The loopback Hub is only worth something if the real client library believes it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download

from tests.support.hub_repo import Phantom, Repo
from tests.support.hub_server import GOOD_TOKEN, HubServer

Start = Callable[..., HubServer]
DATA = bytes(range(256)) * 400


@pytest.fixture
def server(hub_server: Start, tmp_path: Path) -> HubServer:
    file = tmp_path / "big.bin"
    file.write_bytes(DATA)
    files = {"README.md": "# é\n", "a b/ü.json": "{}", "w/x.bin": DATA, "w/y.bin": file}
    return hub_server([Repo("a/b", files, tags=("coreml",)), Repo("a/c")])


def test_a_snapshot_is_byte_for_byte_the_repository(server: HubServer, tmp_path: Path) -> None:
    folder = Path(
        snapshot_download(
            "a/b", endpoint=server.endpoint, local_dir=tmp_path / "local", token=GOOD_TOKEN
        )
    )
    for path, blob in server.repos["a/b"].blobs.items():
        assert (folder / path).read_bytes() == blob.read()
    assert server.sent("a/b/w/") == 2 * len(DATA)
    assert not [r for r in server.log if r.cdn and r.authorization]


def test_metadata_hashes_and_commits(server: HubServer) -> None:
    repo = server.repos["a/b"]
    for path, blob in repo.blobs.items():
        url = hf_hub_url("a/b", path, endpoint=server.endpoint)
        metadata = get_hf_file_metadata(url, token=False)
        assert metadata.commit_hash == repo.sha
        assert metadata.size == blob.size
        assert metadata.etag == (blob.sha256 if blob.lfs else blob.oid)
    # git's own name for these four bytes: printf '# é\n' | git hash-object --stdin
    assert repo.blobs["README.md"].oid == "c8d159ca9b44a604b9106452865b4ea8316fa5bd"


def test_listing_in_pages(hub_server: Start) -> None:
    server = hub_server([Repo(f"a/{n}", tags=("coreml",), likes=n) for n in range(25)])
    api = HfApi(endpoint=server.endpoint, token=False)
    likes = [m.likes for m in api.list_models(filter="coreml", sort="likes", expand=["likes"])]
    assert likes == list(range(24, -1, -1))
    assert [m.id for m in api.list_models(author="a", search="/24")] == ["a/24"]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, DATA[:10]),
        ("bytes=100-", 206, DATA[100:]),
        ("bytes=-7", 206, DATA[-7:]),
        (f"bytes=5-{10 * len(DATA)}", 206, DATA[5:]),
        (f"bytes={len(DATA)}-", 416, b""),
        ("lines=1-2", 200, DATA),
    ],
)
@pytest.mark.parametrize("file", ["w/x.bin", "w/y.bin"])
def test_ranges(server: HubServer, file: str, asked: str, status: int, part: bytes) -> None:
    url = hf_hub_url("a/b", file, endpoint=server.endpoint)
    answer = httpx2.get(url, headers={"Range": asked}, follow_redirects=True)
    assert (answer.status_code, answer.content) == (status, part)
    if status == 206:
        start = len(DATA) - 7 if len(part) == 7 else int(asked[6:].split("-")[0])
        stop = start + len(part) - 1
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop}/{len(DATA)}"


@pytest.mark.parametrize("file", ["w/x.bin", "w/y.bin"])
def test_faults_of_bodies(server: HubServer, file: str) -> None:
    def get(**options: str) -> httpx2.Response:
        return httpx2.get(hf_hub_url("a/b", file, endpoint=server.endpoint),
                          follow_redirects=True, headers=options)  # fmt: skip

    server.fault("/cdn/*", corrupt_at=-1, times=1)
    assert get().content == DATA[:-1] + bytes([DATA[-1] ^ 0xFF])
    server.fault("/cdn/*", truncate_to=1000, times=1)
    assert get().content == DATA[:1000]
    server.fault("/cdn/*", ignore_range=True, times=1)
    assert get(Range="bytes=5-").content == DATA
    server.fault("/cdn/*", drop_after=1000, times=1)
    with pytest.raises(httpx2.HTTPError):
        get()
    assert get().content == DATA


def test_phantoms_cost_nothing(hub_server: Start) -> None:
    server = hub_server([Repo("a/b", {"w.bin": Phantom(7_000_000_000)})])
    url = hf_hub_url("a/b", "w.bin", endpoint=server.endpoint)
    assert get_hf_file_metadata(url, token=False).size == 7_000_000_000
    answer = httpx2.get(url, headers={"Range": "bytes=6999999990-"}, follow_redirects=True)
    assert answer.content == bytes(10)


def test_the_port_of_a_hub_that_is_gone_is_nobodys(hub_server: Start) -> None:
    """Else another test's Hub could answer in its place."""
    server = hub_server([Repo("a/b", {"w.txt": "x"})])
    assert httpx2.get(f"{server.endpoint}/api/models").status_code == 200
    server.close()
    port = int(server.endpoint.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.endpoint)
