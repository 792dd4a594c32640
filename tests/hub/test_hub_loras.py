"""LoRAs on the Hub: found, judged by their headers, installed where pictures find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gui.convert.checkpoint.lora.families import family_of_lora
from gui.coreml.model import Family
from gui.errors import SfumatoError
from gui.hub.catalog.catalog import Catalog, passes
from gui.hub.catalog.details import details
from gui.hub.downloads import Downloads
from gui.hub.installed import update_available
from gui.hub.types import DownloadState, Level, Machine, ModelKind, RepoDetails, SearchQuery
from gui.library import loras
from gui.library.addons import addons
from gui.library.lora_files.kinds import read_lora
from gui.library.models.verify import verify
from tests.support import hub_loras, hub_repos
from tests.support.hub_downloads import HASTY
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, HubServer

Start = Callable[..., HubServer]
M2 = Machine(system="Darwin", macos="15.2", chip="Apple M2", apple_silicon=True, cores=8,
             performance_cores=4, memory_bytes=16 * 2**30, free_disk_bytes=200 * 10**9)  # fmt: skip
LORAS = SearchQuery(kinds=(ModelKind.LORA,))


@pytest.fixture
def server(hub_server: Start) -> HubServer:
    return hub_server([*hub_loras.lora_repos(), hub_repos.starter(), hub_repos.controlnets()])


def _found(server: HubServer, query: SearchQuery) -> list[str]:
    return [m.id.partition("/")[2] for m in Catalog(server.endpoint).search(query).models]


def _details(server: HubServer, name: str, token: str | None = None) -> RepoDetails:
    return details(Catalog(server.endpoint, token), f"artist/{name}", M2)


def _get(server: HubServer, name: str) -> Path:
    found = _details(server, name)
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
        status = downloads.start(found.summary.id, found.revision, found.variants[0], about=found)
        status = downloads.wait(status.id, 60)
    assert status.state is DownloadState.DONE, status.error
    return Path(status.folder)


def test_they_are_found_where_they_are_asked_for(server: HubServer) -> None:
    found = _found(server, LORAS)
    assert found == ["pixel-fog", "papercut-sdxl", "old-pickle", "huge", "closed", "not-a-lora"]
    # Those for models of other makes only come when their name is asked for …
    assert _found(server, SearchQuery(text="flux", kinds=LORAS.kinds)) == ["flux-fog"]
    # … and without asking, there are models only.
    assert set(_found(server, SearchQuery())) == {"fog-starter", "ControlNet-Models-For-Core-ML"}


def test_the_listing_says_family_words_and_picture(server: HubServer) -> None:
    page = Catalog(server.endpoint).search(LORAS)
    by_name = {model.name: model for model in page.models}
    fog = by_name["pixel-fog"]
    assert (fog.kind, fog.family, fog.base_model) == (
        ModelKind.LORA, Family.SD1, hub_loras.SD1,
    )  # fmt: skip
    assert fog.triggers == ("pixel fog",)
    assert fog.picture_url.endswith("/images/fox.png")
    xl = SearchQuery(kinds=LORAS.kinds, families=(Family.SDXL,))
    assert [m.name for m in page.models if passes(xl, m, None)] == ["papercut-sdxl"]
    # What no card tells, its files may.
    assert passes(xl, by_name["not-a-lora"], None) is None


@pytest.mark.parametrize(("name", "kind"), [("pixel-fog", "sd1"), ("papercut-sdxl", "sdxl")])
def test_the_header_is_judged_as_the_file_is(server: HubServer, name: str, kind: str) -> None:
    server.clear_log()
    found = _details(server, name)
    (variant,) = found.variants
    naming = "kohya" if kind == "sd1" else "peft"
    file = read_lora(hub_loras.lora_file(kind, naming))
    assert found.probed and variant.recommended
    assert variant.family.value == kind
    assert family_of_lora(file) in variant.verdict.reasons[0]
    assert variant.made_of == "LoRA of rank 4"
    assert variant.verdict.level is Level.GOOD
    weights = sum(r.sent for r in server.log if r.file.endswith(".safetensors"))
    assert weights <= 128 << 10  # of the header; the rest stays where it is


@pytest.mark.parametrize(
    ("name", "level", "reason"),
    [
        (
            "flux-fog",
            Level.NO,
            "This is a LoRA for FLUX.1, and Sfumato has no models of that family.",
        ),
        (
            "huge",
            Level.FAIR,
            "5.00 GB is much for a LoRA: a model takes long to get it, and as much room.",
        ),
        (
            "not-a-lora",
            Level.NO,
            "“lora.safetensors” is not a LoRA; choose a “.safetensors” file made for use with a "
            "model.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(
    server: HubServer, name: str, level: Level, reason: str
) -> None:
    server.clear_log()
    (variant,) = _details(server, name).variants
    assert variant.verdict.level is level
    assert variant.verdict.reasons[0] == reason
    assert server.sent("artist/") < 1_000_000


def test_pickles_are_refused_with_the_reason(server: HubServer) -> None:
    found = _details(server, "old-pickle")
    assert found.variants == ()
    assert found.notes == (
        "This repository offers its LoRA only as pickle files, which can run programs when opened; "
        "look for one with .safetensors files.",
    )


def test_a_gated_one_is_judged_by_its_name_until_its_terms_are_accepted(server: HubServer) -> None:
    closed = _details(server, "closed")
    (variant,) = closed.variants
    assert closed.summary.gated and not closed.probed
    assert variant.family is Family.SD1 and variant.verdict.level is Level.GOOD
    assert any("accept" in note for note in closed.notes)
    assert _details(server, "closed", GOOD_TOKEN).probed


def test_one_is_installed_with_what_its_card_says(server: HubServer, home: Path) -> None:
    folder = _get(server, "pixel-fog")
    assert folder == home / "data" / "LoRAs" / "pixel-fog-v1"
    (known,) = loras.details()
    original = hub_loras.lora_file("sd1")
    assert Path(known.path).read_bytes() == original.read_bytes()
    assert (known.name, known.base, known.triggers, known.repo) == (
        "pixel-fog-v1", "SD 1", ("pixel fog",), "artist/pixel-fog",
    )  # fmt: skip
    with Image.open(known.cover) as cover:
        assert max(cover.size) == 512
    assert loras.find("pixel-fog-v1") == Path(known.path)
    assert verify(folder) == ()
    (entry,) = addons()
    assert (entry.kind, entry.folder, entry.repo) == (ModelKind.LORA, str(folder), known.repo)


def test_one_called_like_everybodys_has_its_repositorys_name(server: HubServer) -> None:
    _get(server, "papercut-sdxl")
    (known,) = loras.details()
    assert (known.name, known.base, known.cover) == ("papercut-sdxl", "SDXL", "")
    assert loras.find("papercut-sdxl").name == "pytorch_lora_weights.safetensors"


def test_a_newer_one_takes_its_place(server: HubServer) -> None:
    folder = _get(server, "pixel-fog")
    (model,) = addons()
    catalog = Catalog(server.endpoint)
    assert update_available(catalog, model) == ""
    repo = server.repos["artist/pixel-fog"]
    files = {path: blob.read() for path, blob in repo.blobs.items()}
    newer = repo.commit({**files, "pixel-fog-v1.safetensors": hub_loras.lora_file("sdxl")})
    assert update_available(catalog, model) == newer
    assert _get(server, "pixel-fog") == folder
    assert loras.details()[0].base == "SDXL"
    assert [one.revision for one in addons()] == [newer]


def test_what_a_person_put_there_is_never_overwritten(server: HubServer, home: Path) -> None:
    own = home / "data" / "LoRAs" / "pixel-fog-v1" / "pixel-fog-v1.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    folder = _get(server, "pixel-fog")
    assert folder != own.parent and own.read_bytes() == b"mine"


def test_covers_and_words_of_files_that_were_put_there(home: Path) -> None:
    """Sidecar pictures as web UIs write them, and one that the file holds itself."""
    import base64

    from tests.support.tiny_loras import save_lora

    folder = home / "data" / "LoRAs"
    folder.mkdir(parents=True)
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{stem}.lora_down.weight": ("F16", [4, 768]),
        f"{stem}.lora_up.weight": ("F16", [320, 4]),
    }
    (folder / "plain.safetensors").write_bytes(
        Repo("a/b", {"x": hub_loras.phantom(tensors)}).blobs["x"].read()
    )
    picture = hub_repos.starter().blobs
    png = next(blob.read() for path, blob in picture.items() if path.endswith(".png"))
    (folder / "plain.preview.png").write_bytes(png)
    metadata = {
        "modelspec.thumbnail": f"data:image/png;base64,{base64.b64encode(png).decode()}",
        "modelspec.trigger_phrase": "in ink",
    }
    save_lora("sdxl", folder / "own.safetensors", naming="kohya", alpha=4, metadata=metadata)
    own, plain = loras.details()
    assert Path(own.cover).read_bytes() == png and own.cover.endswith(".png")
    assert (own.base, own.triggers) == ("SDXL", ("in ink",))
    assert plain.cover == str(folder / "plain.preview.png")
    assert plain.base == "SD 1"  # by the width of the text that its layers attend to


@pytest.mark.parametrize(
    "thumbnail",
    ["data:image/png;base64,!!!", "http://elsewhere/x.png", "data:image/svg+xml;base64,AA"],
)
def test_thumbnails_that_are_none_are_left_out(home: Path, thumbnail: str) -> None:
    from tests.support.tiny_loras import save_lora

    folder = home / "data" / "LoRAs"
    folder.mkdir(parents=True)
    save_lora("sd1", folder / "a.safetensors", metadata={"modelspec.thumbnail": thumbnail})
    (known,) = loras.details()
    assert known.cover == ""


def test_a_repository_of_checkpoints_is_not_taken_for_loras(hub_server: Start) -> None:
    files = {"unet/diffusion_pytorch_model.safetensors": b"x", "v1-5.safetensors": b"y"}
    repo = Repo("someone/checkpoint", files, tags=("diffusers",))
    found = details(Catalog(hub_server([repo]).endpoint), repo.id, M2)
    assert found.variants == () and "PyTorch" in found.notes[0]


def test_nothing_is_installed_of_a_lora_that_cannot_be_had(server: HubServer, home: Path) -> None:
    found = _details(server, "closed")
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as downloads:
        status = downloads.start(found.summary.id, found.revision, found.variants[0])
        status = downloads.wait(status.id, 60)
    assert status.state is DownloadState.FAILED
    assert isinstance(status.error, SfumatoError) and "accept" in status.error.message
    assert loras.details() == ()
