"""One model out of an archive on the Hub: only its bytes are fetched, and they are what it is."""

from __future__ import annotations

import dataclasses
import io
import stat
import struct
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gui.coreml.control_networks import control_networks
from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import Downloads
from gui.hub.downloads.spans import Layout, open_parts
from gui.hub.types import DownloadState, DownloadStatus, ModelKind, Span, Variant
from gui.hub.variants.probe import HttpProbe
from gui.hub.variants.variants import find_variants
from gui.library.models.verify import verify
from tests.hub.trees import tree_of
from tests.support.hub_downloads import HASTY, contents, random_bytes
from tests.support.hub_repo import Repo
from tests.support.hub_repos import controlnets
from tests.support.hub_server import HubServer

Start = Callable[..., HubServer]
ARCHIVE = "CN/Canny.zip"
BIG = 3_000_000


def _net() -> dict[str, bytes]:
    """The files of one real (tiny) ControlNet."""
    start = "CN/original/512x512/Canny-5x5.mlmodelc/"
    found = {
        path.removeprefix(start): blob.read()
        for path, blob in controlnets().blobs.items()
        if path.startswith(start)
    }
    return {**found, "analytics/coremldata.bin": random_bytes(1_000_000, 4)}


def _files() -> dict[str, bytes]:
    """Two sizes of one ControlNet, with so much between and around them as real ones have."""
    net = _net()
    found = {"Canny/read me.txt": b"hello", "Canny/before.bin": random_bytes(BIG, 1)}
    found |= {f"Canny/Canny-5x5.mlmodelc/{path}": data for path, data in net.items()}
    found |= {"Canny/between.bin": random_bytes(BIG, 2)}
    found |= {f"Canny/Canny-5x7.mlmodelc/{path}": data for path, data in net.items()}
    found |= {"Canny/after.bin": random_bytes(BIG, 3)}
    return found


class _Stream(io.RawIOBase):
    """Cannot seek: zipfile then writes sums and sizes behind each file."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def _zip(
    files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return stream.getvalue()


def _streamed(files: Mapping[str, bytes], method: int) -> bytes:
    stream = _Stream()
    with zipfile.ZipFile(stream, "w", method) as archive:  # type: ignore[arg-type]
        for name, data in files.items():
            archive.writestr(name, data)
    return bytes(stream.data)


def _repo(data: bytes) -> Repo:
    return Repo("someone/ControlNet-Models-For-Core-ML", {ARCHIVE: data})


def _offered(server: HubServer, repo: Repo, tmp_path: Path) -> dict[str, Variant]:
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path / "probes")
    return {v.controlnets[0]: v for v in find_variants(tree_of(repo), probe)[0] if v.controlnets}


def _get(server: HubServer, repo: Repo, variant: Variant) -> DownloadStatus:
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
        status = downloads.start(repo.id, repo.sha, variant)
        return downloads.wait(status.id, 60)


def _expected(folder: Path) -> None:
    """The folder holds the ControlNet and nothing else, byte for byte."""
    net = {f"Canny-5x5.mlmodelc/{path}": data for path, data in _net().items()}
    assert set(contents(folder)) == set(net)
    for path, data in net.items():
        assert (folder / path).read_bytes() == data


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("form", ["plain", "zip64", "streamed", "comment"])
def test_one_of_several_is_fetched_alone(
    hub_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int, form: str
) -> None:
    with monkeypatch.context() as patch:
        if form == "zip64":  # zipfile writes 64-bit records for what is above its limits
            patch.setattr(zipfile, "ZIP64_LIMIT", 100)
            patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
        data = (
            _streamed(_files(), method)
            if form == "streamed"
            else _zip(_files(), method, b"made by a tool" * 400 if form == "comment" else b"")
        )
    repo = _repo(data)
    server = hub_server([repo])
    variant = _offered(server, repo, tmp_path)["Canny-5x5"]
    server.clear_log()
    status = _get(server, repo, variant)
    assert status.state is DownloadState.DONE, status.error and status.error.detail
    _expected(Path(status.folder))
    assert Path(status.folder) == tmp_path / "home" / "data" / "ControlNets" / "Canny-5x5"
    assert [network.name for network in control_networks()] == ["Canny-5x5"]
    assert verify(Path(status.folder)) == ()
    sent = server.sent(repo.id)
    assert sent == status.bytes_total == variant.download_bytes
    packed = sum(
        i.compress_size for i in zipfile.ZipFile(io.BytesIO(data)).infolist() if "5x5" in i.filename
    )
    # Headers, the directory, and at most what lies near the entries.
    assert sent < packed + 1_000_000 < len(data) / 2


def test_it_goes_on_in_the_middle(hub_server: Start, tmp_path: Path) -> None:
    """What was fetched of a part before the program ended is not fetched again."""
    repo = _repo(_zip(_files(), zipfile.ZIP_DEFLATED))
    server = hub_server([repo], send_buffer=65536)
    variant = _offered(server, repo, tmp_path)["Canny-5x5"]
    server.clear_log()
    slow = server.fault("/cdn/*Canny.zip", bytes_per_second=500_000)
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
        status = downloads.start(repo.id, repo.sha, variant)
        while (status := downloads.wait(status.id, 0.05)).bytes_done < 100_000:
            assert status.state is not DownloadState.DONE
    server.faults.remove(slow)
    server.clear_log()
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
        (left,) = downloads.all()
        before = left.bytes_done
        assert 100_000 <= before < left.bytes_total == variant.download_bytes
        status = downloads.wait(downloads.resume(left.id).id, 60)
    assert status.state is DownloadState.DONE, status.error and status.error.detail
    _expected(Path(status.folder))
    assert server.sent(repo.id) <= variant.download_bytes - before


def test_cancelling_leaves_nothing(hub_server: Start, tmp_path: Path, home: Path) -> None:
    repo = _repo(_zip(_files()))
    server = hub_server([repo], send_buffer=65536)
    variant = _offered(server, repo, tmp_path)["Canny-5x5"]
    server.fault("/cdn/*Canny.zip", bytes_per_second=500_000)
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
        status = downloads.start(repo.id, repo.sha, variant)
        while not downloads.status(status.id).bytes_done:
            time.sleep(0.01)
        assert downloads.cancel(status.id).state is DownloadState.CANCELLED
    assert not list((home / "data" / "Models" / ".downloads").iterdir())
    assert not (home / "data" / "ControlNets").exists()


def test_an_entry_with_a_false_sum_is_refused(
    hub_server: Start, tmp_path: Path, home: Path
) -> None:
    data = bytearray(_zip(_files()))
    info = zipfile.ZipFile(io.BytesIO(bytes(data))).getinfo(
        "Canny/Canny-5x5.mlmodelc/weights/weight.bin"
    )
    data[info.header_offset + 200] ^= 0xFF  # of its contents
    repo = _repo(bytes(data))
    server = hub_server([repo])
    offered = _offered(server, repo, tmp_path)
    status = _get(server, repo, offered["Canny-5x5"])
    assert status.state is DownloadState.FAILED
    assert status.error is not None and status.error.kind is ErrorKind.BAD_MODEL
    assert status.error.message == (
        "The archive “Canny.zip” is damaged and cannot be unpacked; tell its author, or choose "
        "another variant."
    )
    assert not list((home / "data" / "Models" / ".downloads").iterdir())
    assert not (home / "data" / "ControlNets").exists()
    # The other one in the same archive is whole.
    assert _get(server, repo, offered["Canny-5x7"]).state is DownloadState.DONE


def _refusals() -> dict[str, bytes]:
    """Archives that mean no good, made of one that does."""
    files = _files()
    plain = _zip(files)
    net = next(name for name in files if name.startswith("Canny/Canny-5x5.mlmodelc/"))
    encrypted = bytearray(plain)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = encrypted.index(mark, encrypted.index(net.encode()) - 64 if mark[2] == 3 else 0)
        while not encrypted[at:].startswith(mark):
            at += 1
        encrypted[at + flags] |= 1
    overlap = bytearray(plain)
    at = overlap.rindex(b"PK\x01\x02")
    struct.pack_into("<L", overlap, at + 42, 0)  # the last entry's bytes are the first one's
    bomb = _zip({**files, "Canny/zeros.bin": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)
    link = io.BytesIO(plain)
    with zipfile.ZipFile(link, "a") as archive:
        info = zipfile.ZipInfo("Canny/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc")
    return {
        "is protected by a password": bytes(encrypted),
        "holds files that share their bytes": bytes(overlap),
        "would unpack to an absurd size": bomb,
        "holds a link or a device": link.getvalue(),
    }


@pytest.mark.parametrize("why", list(_refusals()))
def test_hostile_archives_offer_nothing(hub_server: Start, tmp_path: Path, why: str) -> None:
    repo = _repo(_refusals()[why])
    server = hub_server([repo])
    probe = HttpProbe(repo.id, repo.sha, endpoint=server.endpoint, cache=tmp_path / "probes")
    (variant,), _ = find_variants(tree_of(repo), probe)
    assert variant.problems == (
        f"The archive Canny.zip {why}, so it cannot be used; choose another variant.",
    )
    assert not variant.spans


def test_what_turned_hostile_since_is_refused_too(
    hub_server: Start, tmp_path: Path, home: Path
) -> None:
    """The plan was made from one archive, and another comes: its directory is judged anew."""
    files = _files()
    good = _repo(_zip(files))
    server = hub_server([good])
    variant = _offered(server, good, tmp_path)["Canny-5x5"]
    evil = {name.replace("model.mil", "../../x.mil", 1): data for name, data in files.items()}
    data = _zip(evil)
    bad = _repo(data)
    server.repos[bad.id] = bad
    file = dataclasses.replace(variant.files[0], size=len(data), sha256=bad.blobs[ARCHIVE].sha256)
    shift = len(data) - variant.files[0].size
    spans = tuple(Span(s.start, min(len(data), s.end + max(0, shift))) for s in variant.spans)
    status = _get(server, bad, dataclasses.replace(variant, files=(file,), spans=spans))
    assert status.state is DownloadState.FAILED
    assert status.error is not None and status.error.kind is ErrorKind.BAD_MODEL
    assert not (home / "data" / "ControlNets").exists()
    assert not (home / "x.mil").exists()


def test_a_server_without_ranges_says_what_to_do(hub_server: Start, tmp_path: Path) -> None:
    repo = _repo(_zip(_files()))
    server = hub_server([repo])
    variant = _offered(server, repo, tmp_path)["Canny-5x5"]
    server.fault("/cdn/*Canny.zip", ignore_range=True)
    status = _get(server, repo, variant)
    assert status.error is not None and status.error.kind is ErrorKind.UNSUPPORTED
    assert "download it in a browser" in status.error.message


def test_parts_are_read_where_they_belong(tmp_path: Path) -> None:
    whole = random_bytes(1000)
    spans = (Span(10, 30), Span(500, 700), Span(990, 1000))
    path = tmp_path / "parts"
    path.write_bytes(b"".join(whole[s.start : s.end] for s in spans))
    layout = Layout(1000, spans)
    assert layout.bytes == 230
    with open_parts(path, layout) as file:
        assert file.seek(0, 2) == 1000
        for start, end in ((10, 30), (12, 13), (500, 700), (650, 655), (995, 1000)):
            file.seek(start)
            assert file.read(end - start) == whole[start:end]
        file.seek(40)
        with pytest.raises(OSError, match="not fetched"):
            file.read(1)
    for wrong in ((Span(30, 10),), (Span(0, 1001),), (Span(0, 20), Span(10, 30))):
        with pytest.raises(ValueError, match="of 1000 bytes"):
            Layout(1000, wrong)


def test_a_plan_with_parts_that_make_no_sense_is_refused(hub_server: Start, tmp_path: Path) -> None:
    repo = _repo(_zip(_files()))
    server = hub_server([repo])
    variant = dataclasses.replace(
        _offered(server, repo, tmp_path)["Canny-5x5"], spans=(Span(0, 10**12),)
    )
    assert variant.kind is ModelKind.CONTROLNET
    with pytest.raises(SfumatoError) as caught:
        _get(server, repo, variant)
    assert caught.value.kind is ErrorKind.BAD_MODEL
