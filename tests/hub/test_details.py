"""Everything about one repository, through the real client and the loopback Hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.coreml.model import Attention
from gui.errors import ErrorKind, SfumatoError
from gui.hub.catalog.catalog import Catalog
from gui.hub.catalog.details import details
from gui.hub.types import Level, Machine, ModelKind, RepoDetails
from tests.support import hub_repos
from tests.support.hub_server import HubServer

Start = Callable[..., HubServer]
M2 = Machine("Darwin", "14.5", "Apple M2", True, 8, 4, 16 * 2**30, 200 * 10**9)
ULTRA = Machine("Darwin", "15.2", "Apple M2 Ultra", True, 24, 16, 128 * 2**30, 10**12)


def test_a_repository_as_apple_lays_it_out(hub_server: Start) -> None:
    repo = hub_repos.apple_v1_5(real=True)
    catalog = Catalog(hub_server([repo]).endpoint)
    found = details(catalog, repo.id, M2)
    assert found.revision == repo.sha
    assert found.summary.id == repo.id
    assert found.base_model == "runwayml/stable-diffusion-v1-5"
    assert "latent text-to-image" in found.description
    assert found.probed
    assert found.recommended is not None
    assert found.recommended.id == "split_einsum/compiled#unet"
    assert found.recommended.verdict.level is Level.GOOD
    assert 2e9 < found.recommended.download_bytes < 2.3e9  # whole UNet, no chunks
    best = details(catalog, repo.id, ULTRA).recommended
    assert best is not None
    assert best.id == "original/compiled#unet"
    assert RepoDetails.from_json(found.to_json()) == found


def test_without_looking_into_files(hub_server: Start) -> None:
    repo = hub_repos.apple_v1_5(real=True)
    server = hub_server([repo])
    found = details(Catalog(server.endpoint), repo.id, M2, probe=False)
    assert not found.probed
    assert server.count(".mlmodelc") == server.count(".mlpackage") == 0
    assert found.recommended is not None
    assert found.recommended.attention is Attention.SPLIT_EINSUM


def test_ten_thousand_files(hub_server: Start) -> None:
    repo = hub_repos.many_files()
    catalog = Catalog(hub_server([repo]).endpoint)
    details(catalog, repo.id, M2)
    started = time.process_time()
    found = details(catalog, repo.id, M2)  # the tree is remembered by commit
    assert time.process_time() - started < 15
    assert [v.id for v in found.variants] == ["split_einsum/packages"]


def test_a_token_opens_a_gated_repository(hub_server: Start) -> None:
    from tests.support.hub_server import GOOD_TOKEN

    repo = hub_repos.gated()
    endpoint = hub_server([repo]).endpoint
    closed = details(Catalog(endpoint), repo.id, M2)
    assert not closed.probed
    assert any("accept" in n for n in closed.notes)
    opened = details(Catalog(endpoint, GOOD_TOKEN), repo.id, M2)
    assert opened.probed
    assert opened.notes == ()


def test_an_expired_token_stops_no_look_into_files(hub_server: Start) -> None:
    server = hub_server([hub_repos.starter()])
    found = details(Catalog(server.endpoint, "hf_expired"), "sfumato/fog-starter", M2)
    assert found.probed and found.notes == ()
    assert [r for r in server.log if r.status == 401]


def test_a_card_that_fails_is_done_without(hub_server: Start) -> None:
    repo = hub_repos.apple_xl()
    server = hub_server([repo])
    server.fault("*README.md", status=500)
    found = details(Catalog(server.endpoint), repo.id, M2)
    assert found.description == ""
    assert found.recommended is not None


def test_a_repository_that_is_not_there(hub_server: Start) -> None:
    with pytest.raises(SfumatoError) as caught:
        details(Catalog(hub_server([]).endpoint), "nobody/nothing", M2)
    assert caught.value.kind in (ErrorKind.NOT_FOUND, ErrorKind.ACCESS)


def test_every_kind_of_repository_has_an_answer(hub_server: Start) -> None:
    """Variants or a sentence on why there are none; at most one is recommended, the first."""
    repos = hub_repos.standard_repos()
    catalog = Catalog(hub_server(repos).endpoint)
    for repo in repos:
        found = details(catalog, repo.id, M2)
        assert found.variants or found.notes, repo.id
        for n, variant in enumerate(found.variants):
            assert variant.verdict.reasons
            assert variant.title
            assert variant.files
            one_of_many = variant.kind is not ModelKind.TEXT_TO_IMAGE and len(found.variants) > 1
            usable = variant.verdict.level is not Level.NO
            assert variant.recommended == (n == 0 and usable and not one_of_many)


def test_a_controlnet_is_installed_where_pictures_find_it(hub_server: Start, home: Path) -> None:
    from gui.coreml.control_networks import find_control_network
    from gui.hub.downloads import Downloads
    from gui.library.addons import addons
    from gui.library.models.folders import installed

    repo = hub_repos.controlnets()
    server = hub_server([repo])
    found = details(Catalog(server.endpoint), repo.id, M2)
    (chosen, *_) = found.variants
    assert chosen.id.endswith(".mlmodelc")
    with Downloads(endpoint=server.endpoint) as downloads:
        status = downloads.start(repo.id, found.revision, chosen, about=found)
        folder = Path(downloads.wait(status.id, 200).folder)
    assert folder == home / "data" / "ControlNets" / "Canny-5x5"
    assert find_control_network("canny-5X5", ()).files == (folder / "Canny-5x5.mlmodelc",)
    assert [(m.kind, m.repo, m.variant) for m in addons()] == [
        (ModelKind.CONTROLNET, repo.id, chosen.id)
    ]
    assert not installed()
