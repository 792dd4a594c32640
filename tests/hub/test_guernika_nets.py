"""Guernika's ControlNets and T2I-Adapters on the Hub: zips and folders whose files are all called
the same."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.coreml.control_networks import find_control_network
from gui.hub.catalog.catalog import Catalog
from gui.hub.catalog.details import details
from gui.hub.downloads import Downloads
from gui.hub.types import DownloadState, Level, Machine, ModelKind
from tests.support.built import built
from tests.support.guernika import guernika_adapter, guernika_controlnet, tiny_adapter
from tests.support.hub_downloads import HASTY
from tests.support.hub_repo import Content, Repo, files_below
from tests.support.hub_server import HubServer
from tests.support.tiny_networks import tiny_controlnet, tiny_pipeline

Start = Callable[..., HubServer]
M2 = Machine(system="Darwin", macos="15.2", chip="Apple M2", apple_silicon=True, cores=8,
             performance_cores=4, memory_bytes=16 * 2**30, free_disk_bytes=200 * 10**9)  # fmt: skip


def _net() -> Path:
    def build(path: Path) -> None:
        guernika_controlnet("sd1", tiny_controlnet("sd1", tiny_pipeline("sd1")), path)

    return built("ControlNet.mlpackage", build, __file__)


def _adapter() -> Path:
    return built(
        "T2IAdapter.mlpackage",
        lambda path: guernika_adapter("sd1", tiny_adapter(3), path),
        __file__,
    )


def _zipped(folder: Path, prefix: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files_below(folder, prefix).items():
            archive.write(str(content), path)
    return stream.getvalue()


@pytest.fixture
def repo() -> Repo:
    net, adapter = _net(), _adapter()
    files: dict[str, Content] = {
        "ControlNet/ControlNet_Canny.zip": _zipped(net, "ControlNet.mlpackage/"),
        "Depth/ControlNet.mlpackage.txt": "no model",
        **files_below(net, "Depth/ControlNet.mlpackage/"),
        **files_below(adapter, "Sketch/T2IAdapter.mlpackage/"),
    }  # fmt: skip
    return Repo("Guernika/CoreMLStableDiffusion", files, tags=("coreml",))


def test_each_has_the_name_that_tells(hub_server: Start, repo: Repo) -> None:
    server = hub_server([repo])
    found = details(Catalog(server.endpoint), repo.id, M2)
    assert {v.controlnets for v in found.variants} == {("Canny",), ("Depth",), ("Sketch",)}
    assert all(v.kind is ModelKind.CONTROLNET for v in found.variants)
    assert [v.verdict.level for v in found.variants] == [Level.GOOD] * 3, [
        v.verdict.reasons for v in found.variants
    ]
    for variant in found.variants:
        (name,) = variant.controlnets
        with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
            status = downloads.start(repo.id, found.revision, variant, about=found)
            status = downloads.wait(status.id, 60)
        assert status.state is DownloadState.DONE, status.error
        assert Path(status.folder).name == name
        network = find_control_network(name, ())
        assert Path(status.folder) in network.files[0].parents
