"""The rule about links in models, seen through every reader and both runtimes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gui import files, paths
from gui.coreml import proto
from gui.coreml.inspect import inspect_component, inspect_model, model_hash
from gui.coreml.portable.runtime import PortableRuntime
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit
from tests.coreml.editing import copy_of, package, spec_file, weights_file
from tests.support.tiny_models import TinyModel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    paths.models_dir().mkdir(parents=True)
    return tmp_path / "home"


def into_cache(folder: Path, cache: Path) -> Path:
    """The model as Hugging Face's cache keeps it: every file of a snapshot is a link."""
    snapshot = cache / "models--ada--fog" / "snapshots" / ("0" * 40)
    blobs = cache / "models--ada--fog" / "blobs"
    blobs.mkdir(parents=True)
    for number, file in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        place = snapshot / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        (blobs / f"{number:040x}").write_bytes(file.read_bytes())
        place.symlink_to(os.path.relpath(blobs / f"{number:040x}", place.parent))
    return snapshot


def runs(folder: Path) -> None:
    info = inspect_model(folder)
    assert info.problems == () and info.usable
    for component in info.components.values():
        PortableRuntime().load(component, ComputeUnit.CPU_ONLY).close()


def test_a_model_in_hugging_faces_cache(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    snapshot = into_cache(tiny_sd1.folder, tmp_path / "hub")
    runs(snapshot)
    plain, linked = inspect_model(tiny_sd1.folder), inspect_model(snapshot)
    assert linked.size_bytes == plain.size_bytes
    assert model_hash(linked) == model_hash(plain)


def test_a_model_linked_into_the_models_folder(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    elsewhere = into_cache(tiny_sd1.folder, tmp_path / "hub")
    link = paths.models_dir() / "fog"
    link.symlink_to(elsewhere)
    runs(link)


def test_weights_that_moved_to_another_disk(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "model")
    for at in folder.glob("*.mlpackage"):
        weights = weights_file(at).parent
        moved = tmp_path / "disk" / at.name
        moved.parent.mkdir(exist_ok=True)
        weights.rename(moved)
        weights.symlink_to(moved)
    runs(folder)
    assert model_hash(inspect_model(folder)) == model_hash(inspect_model(tiny_sd1.folder))


def link_weights(path: Path, outside: Path) -> None:
    weights_file(path).rename(outside)
    weights_file(path).symlink_to(outside)


def link_specification(path: Path, outside: Path) -> None:
    spec_file(path).rename(outside)
    spec_file(path).symlink_to(outside)


def link_folder(path: Path, outside: Path) -> None:
    weights_file(path).parent.rename(outside)
    weights_file(path).parent.symlink_to(outside)


@pytest.mark.parametrize("damage", [link_weights, link_specification, link_folder])
def test_what_was_downloaded_has_no_links_out_of_itself(
    tiny_sd1: TinyModel, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    """The same folder is sound where a person keeps it, and refused where we put it."""
    theirs = copy_of(tiny_sd1.folder, tmp_path / "theirs")
    damage(package(theirs, "unet"), tmp_path / "outside")
    runs(theirs)
    ours = copy_of(tiny_sd1.folder, paths.models_dir() / "ada--fog" / "original")
    damage(package(ours, "unet"), tmp_path / "outside 2")
    refused_everywhere(package(ours, "unet"), "leads outside itself")


def refused_everywhere(path: Path, says: str) -> None:
    component = inspect_component(path.with_name(path.name.replace("unet", "vae_decoder")))
    for read in (
        lambda: inspect_component(path),
        lambda: proto.read_package_spec(path),
        lambda: PortableRuntime().load(
            type(component)(**{**vars(component), "files": (path,)}), ComputeUnit.CPU_ONLY
        ),
    ):
        with pytest.raises(SfumatoError, match=says) as caught:
            read()
        assert caught.value.kind is ErrorKind.BAD_MODEL and path.name in caught.value.message
    assert any(says in problem for problem in inspect_model(path.parent).problems)


@pytest.mark.parametrize("target", ["weight.bin", "gone.bin", "pipe", "/dev/zero"])
def test_links_to_what_is_no_file(tiny_sd1: TinyModel, tmp_path: Path, target: str) -> None:
    path = package(copy_of(tiny_sd1.folder, tmp_path / "model"), "unet")
    weights = weights_file(path)
    if target == "pipe":
        os.mkfifo(tmp_path / "pipe")
        target = str(tmp_path / "pipe")
    weights.unlink()
    weights.symlink_to(target)
    says = "neither a file nor a folder" if target.startswith("/") else "leads nowhere"
    refused_everywhere(path, says)


def test_a_copy_without_links_holds_the_same(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    snapshot = into_cache(tiny_sd1.folder, tmp_path / "hub")
    path = package(snapshot, "unet")
    assert files.has_links(path)
    files.copy_without_links(path, tmp_path / "copy" / path.name)
    copy = tmp_path / "copy" / path.name
    assert not files.has_links(copy)
    whole = {p.relative_to(path): p.read_bytes() for p in files.everything(path) if p.is_file()}
    assert whole == {
        p.relative_to(copy): p.read_bytes() for p in files.everything(copy) if p.is_file()
    }


def test_variants_behind_links_are_found_once(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    folder = tmp_path / "fog"
    elsewhere = copy_of(tiny_sd1.folder, tmp_path / "disk" / "packages")
    folder.mkdir()
    (folder / "original").symlink_to(elsewhere)
    assert inspect_model(folder).usable
    (folder / "current").symlink_to("original")
    (folder / "loop").symlink_to(".")
    info = inspect_model(folder)
    assert info.usable and info.folder == folder / "current"
    (folder / "other").mkdir()
    copy_of(tiny_sd1.folder, folder / "other" / "packages")
    (problem,) = inspect_model(folder).problems
    assert "several variants" in problem


@pytest.mark.parametrize("debris", ["__MACOSX", ".cache", ".git", "__MACOSX/deeper"])
def test_debris_is_no_variant(tiny_sd1: TinyModel, tmp_path: Path, debris: str) -> None:
    folder = tmp_path / "fog"
    copy_of(tiny_sd1.folder, folder / "packages")
    copy_of(tiny_sd1.folder, folder / debris)
    info = inspect_model(folder)
    assert info.usable and info.folder == folder / "packages"
    (folder / "packages" / "._Unet.mlpackage").mkdir()
    assert inspect_model(folder).usable
