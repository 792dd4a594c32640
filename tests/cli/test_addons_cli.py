"""ControlNets and LoRAs from the Hub on the command line: found, got, listed, checked, removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import hub_loras, hub_repos
from tests.support.hub_server import HubServer
from tests.support.models_cli import Cli


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer([*hub_loras.lora_repos(), hub_repos.controlnets()]) as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path, server: HubServer) -> Iterator[Cli]:
    made = Cli(tmp_path, server.endpoint)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def test_a_lora_from_the_search_to_the_trash(cli: Cli) -> None:
    found = cli.good("search", "--kind", "lora", "--family", "sd1", "--limit", "2").splitlines()
    assert [line.split()[0] for line in found] == ["artist/pixel-fog", "artist/old-pickle"]
    told = cli.good("show", "artist/pixel-fog")
    assert "words it was taught: pixel fog" in told and "LoRA of rank 4" in told
    assert "For Stable Diffusion 1 models." in told
    folder = Path(cli.good("get", "artist/pixel-fog", "--quiet").strip())
    assert folder == cli.home / "data" / "LoRAs" / "pixel-fog-v1"
    (line,) = cli.good("list").splitlines()
    assert line.startswith("LoRA  artist/pixel-fog  pixel-fog-v1.safetensors")
    assert cli.good("verify").split() == ["whole", str(folder)]
    assert cli.good("remove", "artist/pixel-fog", "--yes").strip() == str(folder)
    assert not folder.exists() and cli("list").stdout == ""


def test_one_of_several_has_to_be_named(cli: Cli) -> None:
    repo = hub_repos.controlnets().id
    done = cli("get", repo)
    assert done.returncode != 0
    known = [f"CN/original/512x512#{name}-5x5.mlmodelc" for name in ("Canny", "Depth")]
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith(f"“{repo}” offers several; choose with --variant: {', '.join(known)}.")
    )
    folder = Path(cli.good("get", repo, "--variant", known[1], "--quiet").strip())
    assert folder == cli.home / "data" / "ControlNets" / "Depth-5x5"
    assert cli.data("list")["models"][0]["kind"] == "controlnet"


def test_a_pickle_is_refused(cli: Cli) -> None:
    done = cli("get", "artist/old-pickle")
    assert done.returncode != 0 and "only as pickle files" in done.stderr
