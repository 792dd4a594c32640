"""Which folders are models, what they weigh, and how one goes: one answer for every part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gui import paths
from gui.cli import doctor
from gui.errors import ErrorKind, SfumatoError
from gui.library.models.folders import installed, model_folders, models_in
from gui.library.models.leftovers import strays
from gui.library.models.removal import delete_model, what_goes
from gui.state.models import ModelLibrary


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    paths.models_dir().mkdir(parents=True)
    return paths.models_dir()


def model(folder: Path, suffix: str = ".mlpackage") -> Path:
    (folder / f"Unet{suffix}").mkdir(parents=True)
    (folder / f"Unet{suffix}" / "weights.bin").write_bytes(b"x" * 10_000)
    return folder


def test_what_is_an_installed_model(root: Path, tmp_path: Path) -> None:
    wanted = [
        model(root / "ada--fog" / "original"),
        model(root / "ada--fog" / "split.v2", ".mlmodelc"),
        model(root / "mine", ".MLPACKAGE"),
    ]
    for other in (
        root / ".downloads" / "half" / "model",
        root / "ada--fog" / ".old",
        root / "ada--fog" / "new.partial",
        root / "new.partial",
        root / "__MACOSX" / "mine",
        root / "mine" / "controlnet",
        root / "a" / "b" / "too-deep",
        root / "lone.mlpackage",
    ):
        model(other)
    (root / "pointer").mkdir()
    (root / "pointer" / "unet.mlpackage").write_text("version https://git-lfs…")
    (root / "notes.txt").write_text("x")
    (root / "linked").symlink_to(model(tmp_path / "elsewhere"))
    (root / "gone").symlink_to("nowhere")
    wanted.append(root / "linked")
    assert sorted(model_folders(root)) == sorted(wanted)


def test_window_command_line_and_doctor_agree(root: Path, tmp_path: Path) -> None:
    for name in ("ada--fog/original", "ada--fog/split", "mine"):
        model(root / name)
    (root / "linked").symlink_to(model(tmp_path / "elsewhere"))
    folders = {str(folder) for folder in model_folders(root)}
    assert {one.folder for one in installed()} == folders
    said = [finding.text for finding in doctor._models()[1:]]
    assert len(said) == len(folders)
    out = subprocess.run(
        [sys.executable, "-m", "gui", "models", "list"], capture_output=True, text=True, check=True
    ).stdout
    assert sorted(line.split("  ")[0] for line in out.splitlines()) == [
        "ada--fog/original", "ada--fog/split", "linked", "mine",
    ]  # fmt: skip
    assert ModelLibrary.__module__ == "gui.state.models"


def test_a_linked_model_weighs_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    elsewhere = model(tmp_path / "elsewhere")
    (elsewhere / "Unet.mlpackage" / "weights.bin").rename(tmp_path / "blob")
    (elsewhere / "Unet.mlpackage" / "weights.bin").symlink_to(tmp_path / "blob")
    (root / "linked").symlink_to(elsewhere)
    (one,) = installed()
    assert one.bytes >= 10_000


def test_deleting_a_linked_model_leaves_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    elsewhere = model(tmp_path / "elsewhere")
    (root / "linked").symlink_to(elsewhere)
    delete_model(root / "linked")
    assert not (root / "linked").is_symlink()
    assert (elsewhere / "Unet.mlpackage" / "weights.bin").is_file()


def test_links_inside_a_model_go_and_their_targets_stay(root: Path, tmp_path: Path) -> None:
    folder = model(root / "ada--fog" / "original")
    moved = tmp_path / "weights"
    moved.mkdir()
    (moved / "weight.bin").write_bytes(b"x")
    (folder / "Unet.mlpackage" / "weights").symlink_to(moved)
    (folder / "Unet.mlpackage" / "one.bin").symlink_to(moved / "weight.bin")
    delete_model(folder)
    assert not (root / "ada--fog").exists()
    assert (moved / "weight.bin").is_file()


def test_a_model_behind_a_linked_folder(root: Path, tmp_path: Path) -> None:
    owner = tmp_path / "ada--fog"
    model(owner / "original")
    (root / "ada--fog").symlink_to(owner)
    assert what_goes(root / "ada--fog" / "original") == root / "ada--fog"
    model(owner / "split")
    with pytest.raises(SfumatoError, match="is a link to a folder elsewhere") as caught:
        delete_model(root / "ada--fog" / "original")
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert (owner / "original" / "Unet.mlpackage").is_dir()


def test_the_last_variant_takes_its_repositorys_folder_along(root: Path) -> None:
    first, second = (model(root / "ada--fog" / name) for name in ("original", "split"))
    (root / "ada--fog" / ".DS_Store").write_bytes(b"x")
    assert what_goes(first) == first
    delete_model(first)
    assert second.is_dir() and what_goes(second) == root / "ada--fog"
    (root / "ada--fog" / "my notes.txt").write_text("x")
    assert what_goes(second) == second
    (root / "ada--fog" / "my notes.txt").unlink()
    delete_model(second)
    assert list(root.iterdir()) == []


def test_nobodys_link_and_nobodys_repository_is_a_leftover(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (root / "link").symlink_to(tmp_path / "empty")
    (root / "gone").symlink_to("nowhere")
    (root / "clone" / ".git").mkdir(parents=True)
    (root / "clone" / ".git" / "HEAD").write_text("x")
    (root / "left").mkdir()
    (root / "left" / ".DS_Store").write_bytes(b"x")
    assert [Path(one.path) for one in strays(root)] == [root / "left"]


def test_what_a_chosen_path_means(tmp_path: Path) -> None:
    one = model(tmp_path / "one")
    assert models_in(one) == [one]
    assert models_in(one / "Unet.mlpackage") == [one]
    nested = tmp_path / "nested"
    model(nested / "original" / "packages")
    assert models_in(nested) == [nested], "the name that the person knows"
    other = model(nested / "split_einsum" / "packages")
    assert models_in(nested) == [nested / "original" / "packages", other]
