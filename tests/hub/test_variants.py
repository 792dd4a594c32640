"""What is said of a repository before the download must be what inspection says after it.

The loopback Hub serves repositories laid out like real ones; every variant that is offered is then
put on disk as a download would, and `gui.coreml.inspect` judges it anew.
"""

from __future__ import annotations

import dataclasses
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gui.coreml.inspect import inspect_model
from gui.coreml.model import Attention, ComponentKind, Family, FileFormat, ModelInfo
from gui.hub.types import ModelKind, RepoTree, Variant
from gui.hub.variants import assembly, zip_directory
from gui.hub.variants.probe import HttpProbe
from gui.hub.variants.variants import MAX_DIRECTORY_READS, MAX_FILE_READS, find_variants
from tests.hub.trees import tree_of
from tests.support import hub_repos
from tests.support.hub_repo import Content, Repo
from tests.support.hub_server import HubServer
from tests.support.hub_shelf import compiled, package_folder, packages


def _community() -> Repo:
    return dataclasses.replace(hub_repos.community(), id="coreml-community/coreml-reve-paisible-v2")


def _alone(name: str, form: str) -> Repo:
    files = packages(name, "x/y z/") if form == "packages" else compiled(name, "x/y z/")
    return Repo(f"someone/{name}-{form}", files)


LAYOUTS = {
    "apple": hub_repos.apple_v1_5,
    "palettized": hub_repos.apple_v1_5_palettized,
    "xl": hub_repos.apple_xl,
    "mixed-bits": hub_repos.apple_mixed_bits,
    "zips": lambda: hub_repos.pcuenq_zips()[0],
    "untagged-zip": lambda: hub_repos.pcuenq_zips()[1],
    "community": _community,
    "starter": hub_repos.starter,
    "hostile": hub_repos.hostile,
    **{
        f"{kind}-{form}": lambda kind=kind, form=form: _alone(kind, form)
        for kind in ("original", "split_einsum", "split_einsum_v2", "xl", "control", "chunks")
        for form in ("packages", "compiled")
    },
}


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def _probe(hub: HubServer, repo: Repo, tmp_path: Path) -> HttpProbe:
    return HttpProbe(repo.id, repo.sha, endpoint=hub.endpoint, cache=tmp_path / "probes")


def _install(repo: Repo, variant: Variant, folder: Path) -> Path:
    """Put a variant's files where a download would; a zip's single top folder is no part of it."""
    for file in variant.files:
        blob = repo.blobs[file.path]
        relative = (
            file.path.removeprefix(variant.folder).lstrip("/") if variant.folder else file.path
        )
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(blob.content, Path):
            shutil.copyfile(blob.content, target)
        else:
            target.write_bytes(blob.read())
        if variant.archive:
            with zipfile.ZipFile(target) as archive:
                archive.extractall(folder)
            target.unlink()
            shutil.rmtree(folder / "__MACOSX", ignore_errors=True)
    return folder


def _facts_on_disk(info: ModelInfo) -> dict[str, object]:
    return {
        "components": {k.value for k in info.components},
        "controlnets": {c.name for c in info.controlnets},
        "family": info.family,
        "attention": info.attention,
        "compression": info.compression,
        "size": (info.image_width, info.image_height),
        "macos": info.minimum_macos,
        "encoder": info.has_image_to_image,
        "chunked": any(len(c.files) > 1 for c in info.components.values()),
        "format": {c.format for c in info.components.values()},
        "usable": info.usable,
    }


def _facts_before(variant: Variant) -> dict[str, object]:
    return {
        "components": set(variant.components) - {ComponentKind.CONTROLNET.value},
        "controlnets": set(variant.controlnets),
        "family": variant.family,
        "attention": variant.attention,
        "compression": variant.compression,
        "size": (variant.image_width, variant.image_height),
        "macos": variant.minimum_macos,
        "encoder": variant.has_encoder,
        "chunked": variant.chunked,
        "format": {variant.format},
        "usable": not variant.missing and not variant.problems,
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_probe_says_what_inspection_says_later(
    layout: str, hub: HubServer, tmp_path: Path
) -> None:
    repo = hub.add(LAYOUTS[layout]())
    variants, _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert variants
    assert len({v.id for v in variants}) == len({v.title for v in variants}) == len(variants)
    for n, variant in enumerate(variants):
        assert variant.attention_known, variant.id
        folder = _install(repo, variant, tmp_path / str(n))
        info = inspect_model(folder)
        assert _facts_before(variant) == _facts_on_disk(info), (variant.id, info.problems)
        assert variant.download_bytes == sum(f.size for f in variant.files)
        models = [p for p in folder.rglob("*") if p.is_file() and p.name != ".DS_Store"]
        assert variant.disk_bytes == sum(p.stat().st_size for p in models)


def test_whole_and_chunked_unet_are_two_downloads(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add(hub_repos.apple_v1_5())
    variants, _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    ids = {v.id for v in variants}
    assert ids == {
        "original/packages", "original/compiled#unet", "original/compiled#chunks",
        "split_einsum/packages", "split_einsum/compiled#unet", "split_einsum/compiled#chunks",
    }  # fmt: skip
    for variant in variants:
        names = {f.path.rpartition("/compiled/")[2].partition("/")[0] for f in variant.files}
        assert ("Unet.mlmodelc" in names) == variant.id.endswith("#unet")
        assert ({"UnetChunk1.mlmodelc", "UnetChunk2.mlmodelc"} <= names) == variant.chunked
        if variant.format is FileFormat.COMPILED:
            assert {"vocab.json", "merges.txt"} <= names  # Swift's tokenizer comes along
        assert not any(f.path.endswith((".md", ".png", ".gitattributes")) for f in variant.files)


def test_what_an_archive_holds_in_vain_is_not_fetched(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apple's hold the UNet a second time, in chunks, for phones."""
    monkeypatch.setattr(assembly, "MENTIONED_BYTES", 1000)
    monkeypatch.setattr(zip_directory, "_NEAR", 0)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, content in compiled("split_einsum", "top/", chunks=True).items():
            archive.write(str(content), path)
    repo = hub.add(Repo("someone/both", {"m_compiled.zip": stream.getvalue()}))
    (variant,), _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    wanted = {p for p in compiled("split_einsum", "top/", chunks=True) if "UnetChunk" not in p}
    sizes = {i.filename: i.file_size for i in zipfile.ZipFile(stream).infolist()}
    assert variant.disk_bytes == sum(sizes[path] for path in wanted)
    assert not variant.chunked
    assert variant.download_bytes < len(stream.getvalue()) - 1000
    (note,) = variant.notes
    assert note.startswith("The archive holds more: ")


def test_controlnets_alone_are_offered_one_by_one(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add(hub_repos.controlnets())
    variants, _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert [v.controlnets for v in variants] == [("Canny-5x5",), ("Depth-5x5",)]
    for variant in variants:
        assert variant.kind is ModelKind.CONTROLNET
        assert variant.attention_known
        assert (variant.image_width, variant.image_height) == (64, 64)
        assert not variant.problems
        assert all(f.path.startswith(f"CN/original/512x512/{variant.controlnets[0]}.mlmodelc/")
                   for f in variant.files)  # fmt: skip


def test_what_was_not_looked_into_is_said(hub: HubServer, tmp_path: Path) -> None:
    """A few files whose names say nothing are read, and it is no secret that there are more."""
    files: dict[str, Content] = {}
    for n in range(10):
        for path, blob in hub_repos.controlnets().blobs.items():
            if "Canny" in path and path.endswith(("model.mil", "metadata.json")):
                other = blob.read() + b" " * n  # else one reading would do for all
                files[path.replace("CN/", f"{n}/")] = other
            elif "Canny" in path:
                files[path.replace("CN/", f"{n}/")] = blob.read()
    repo = hub.add(Repo("someone/bits-and-pieces", files))
    variants, notes = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert len(variants) == 6 and all(v.kind is ModelKind.CONTROLNET for v in variants)
    assert notes == ("4 Core ML files whose names say nothing were not looked into.",)


def test_each_controlnet_of_a_zip_can_be_had_alone(hub: HubServer, tmp_path: Path) -> None:
    """As the community ships them: one ControlNet at several sizes in each archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, blob in hub_repos.controlnets().blobs.items():
            archive.writestr(path.replace("Canny-5x5", "Canny-6x4"), blob.read())
    repo = hub.add(Repo("someone/nets", {"CN/Canny.zip": stream.getvalue()}))
    variants, _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert [v.controlnets for v in variants] == [("Canny-6x4",), ("Depth-5x5",)]
    inside = "CN/original/512x512/Canny-6x4.mlmodelc"
    assert variants[0].id == f"CN/Canny.zip#{inside}"
    assert variants[0].inside == (inside,)
    assert all(v.kind is ModelKind.CONTROLNET and not v.problems for v in variants)


def test_a_sidecar_in_the_repository_is_believed_and_fetched(
    hub: HubServer, tmp_path: Path
) -> None:
    """A model that Sfumato converted: its own file tells the family that no width tells."""
    files = packages("original", "m/")
    source = package_folder("original") / "sfumato.json"
    repo = hub.add(Repo("someone/converted", {**files, "m/sfumato.json": source.read_bytes()}))
    (variant,), _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert variant.family is Family.SD1
    assert "m/sfumato.json" in {f.path for f in variant.files}
    bad = hub.add(Repo("someone/spoiled", {**files, "m/sfumato.json": b'{"family": "sd9"}'}))
    (variant,), _ = find_variants(tree_of(bad), _probe(hub, bad, tmp_path))
    folder = _install(bad, variant, tmp_path / "spoiled")
    assert variant.problems == inspect_model(folder).problems


def test_names_must_do_without_a_probe() -> None:
    repo = hub_repos.apple_v1_5_palettized(real=True)
    variants, _ = find_variants(tree_of(repo))
    by_id = {v.id: v for v in variants}
    assert len(by_id) == 6
    assert not any(v.attention_known for v in variants)
    packages = by_id["split_einsum_v2/packages"]
    assert packages.attention is Attention.SPLIT_EINSUM_V2
    assert packages.compression == "6-bit palette"  # 0.75 bytes per weight
    assert packages.family == "sd1"
    archive = by_id["coreml-stable-diffusion-v1-5-palettized_original_compiled.zip"]
    assert (archive.archive, archive.format, archive.attention, archive.components) == (
        True, FileFormat.COMPILED, Attention.ORIGINAL, (),
    )  # fmt: skip
    assert archive.download_bytes == 1_290_000_000


def test_few_reads_and_none_the_second_time(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add(hub_repos.apple_v1_5_palettized())
    hub.clear_log()
    first, _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    asked = [r for r in hub.log if r.method == "GET" and "/resolve/" in r.path]
    assert len(asked) <= MAX_FILE_READS + MAX_DIRECTORY_READS
    assert not any("weight.bin" in r.path for r in hub.log)
    fetched = hub.sent()
    assert fetched < 0.1 * sum(v.download_bytes for v in first)
    hub.clear_log()
    again, _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert again == first
    assert hub.log == []


def test_a_gated_repository_is_judged_by_names(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add(hub_repos.gated())
    variants, notes = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    (variant,) = variants
    assert variant.attention is Attention.SPLIT_EINSUM
    assert not variant.attention_known
    assert any("accept" in note for note in notes)


def test_ten_thousand_files_in_a_moment() -> None:
    import time

    tree = tree_of(hub_repos.many_files())
    assert len(tree.files) > 10_000
    started = time.process_time()
    variants, _ = find_variants(tree)
    assert time.process_time() - started < 10
    assert [v.id for v in variants] == ["split_einsum/packages"]


def test_a_damaged_zip_is_listed_with_what_is_wrong(hub: HubServer, tmp_path: Path) -> None:
    whole = (hub_repos.pcuenq_zips()[1].blobs["coreml-dreamlike-2_packages.zip"]).read()
    repo = hub.add(Repo("someone/short", {"a_split_einsum_compiled.zip": whole[:-5000]}))
    (variant,), _ = find_variants(tree_of(repo), _probe(hub, repo, tmp_path))
    assert variant.archive
    assert "cut short" in variant.problems[0]


def test_an_unreachable_hub_leaves_names(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add(hub_repos.apple_xl())
    probe = HttpProbe(repo.id, repo.sha, endpoint="http://127.0.0.1:9", cache=tmp_path)
    variants, notes = find_variants(tree_of(repo), probe)
    assert {v.id for v in variants} >= {"packages", "compiled"}
    assert any("names and sizes" in note for note in notes)


def test_repositories_of_other_things_say_so() -> None:
    def notes(*names: str, id: str = "a/b") -> tuple[tuple[Variant, ...], tuple[str, ...]]:
        return find_variants(
            RepoTree(id, "0" * 40, tree_of(Repo(id, dict.fromkeys(names, "x"))).files)
        )

    assert notes("README.md") == ((), ("This repository holds no Core ML model.",))
    assert "PyTorch" in notes("unet/diffusion_pytorch_model.safetensors")[1][0]
    assert "older kind" in notes("yolo.mlmodel")[1][0]
    assert "none that Sfumato knows" in notes("llama.mlpackage/Manifest.json")[1][0]
    assert any(".7z" in n for n in notes("model_compiled.7z")[1])
    variants, _ = notes("RealESRGAN.mlmodel", id="enlarge/coreml-RealESRGAN-x4")
    assert variants[0].kind is ModelKind.UPSCALER
    assert "older kind" in variants[0].problems[0]
