"""Installed models: updated, and cleaned up after."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub import installed as library
from gui.hub import leftovers
from gui.hub.catalog.catalog import Catalog
from gui.hub.downloads import Downloads, install
from gui.hub.types import DownloadState
from gui.library.models import folders
from gui.library.models.folders import model_folders
from gui.library.models.verify import verify
from tests.hub.fog_downloads import pause
from tests.hub.shelf import WEIGHT, get_model
from tests.support.hub_downloads import (
    HASTY,
    archive_of,
    contents,
    expected,
    random_bytes,
    variant_of,
)
from tests.support.hub_repo import Repo
from tests.support.hub_shelf import zipped

# Updates


def test_an_update_is_offered_only_when_the_variant_changed(fog_installed, models):
    server, _, repo, _ = fog_installed
    catalog = Catalog(server.endpoint)
    (model,) = folders.from_hub(models)
    assert library.update_available(catalog, model) == ""
    files = {path: blob.content for path, blob in repo.blobs.items()}
    repo.commit(files | {"README.md": "# New words", "packages/notes.txt": "hello"})
    assert library.update_available(catalog, model) == ""
    newer = repo.commit(files | {"packages/Unet.mlpackage/Data/more.bin": b"x"})
    assert library.update_available(catalog, model) == newer
    newer = repo.commit(files | {f"packages/{WEIGHT}": random_bytes(2_500_000, 7)})
    assert library.update_available(catalog, model) == newer
    catalog.close()


def test_a_variant_that_the_newest_version_lacks_has_no_update(fog_installed, models):
    """What is offered there in its place would be another model."""
    server, _, repo, _ = fog_installed
    catalog = Catalog(server.endpoint)
    (model,) = folders.from_hub(models)
    files = {path: blob.content for path, blob in repo.blobs.items()}
    repo.commit({"other/" + path: data for path, data in files.items()})
    with pytest.raises(SfumatoError) as caught:
        library.update_available(catalog, model)
    assert caught.value.kind is ErrorKind.NOT_FOUND
    assert "does not have this variant any more" in caught.value.message
    newer = repo.commit({**files, f"packages/{WEIGHT}": random_bytes(2_500_000, 7)})
    assert library.update_available(catalog, model) == newer
    catalog.close()


def test_an_archive_that_the_newest_version_lacks_has_no_update(start, models):
    repo = Repo("ada/zips", {"a/m.zip": zipped("updated", "top", "original")})
    server, downloads, _ = start(repo)
    get_model(downloads, repo, archive_of(repo, "a/m.zip"))
    catalog = Catalog(server.endpoint)
    (model,) = folders.from_hub(models)
    newer = repo.commit({"a/m.zip": zipped("updated-again", "top", "split_einsum")})
    assert library.update_available(catalog, model) == newer
    repo.commit({"a/n.zip": repo.blobs["a/m.zip"].content})
    with pytest.raises(SfumatoError) as caught:
        library.update_available(catalog, model)
    assert caught.value.kind is ErrorKind.NOT_FOUND
    catalog.close()


# Leftovers


def test_leftovers_are_listed_and_removed_and_models_are_not(fog_installed, models):
    server, downloads, _, folder = fog_installed
    server.fault("*", bytes_per_second=9e4)  # ten seconds each, so that none ends meanwhile
    repos = [
        server.add(Repo(f"ada/{mist}", {"m/U.mlpackage/weight.bin": random_bytes(900_000, seed)}))
        for seed, mist in enumerate(("mist", "haze", "dew", "rime"))
    ]
    name, *names = [downloads.start(r.id, r.sha, variant_of(r, "m")).id for r in repos]
    states = [downloads.status(one).state for one in names]
    assert states[1:] == [DownloadState.QUEUED, DownloadState.QUEUED]
    assert leftovers.orphans(models) == (), "downloads under way and queued ones are none"
    pause(downloads, name)
    for one in names:
        downloads.cancel(one)
        assert downloads.wait(one, 60).state is DownloadState.CANCELLED
    (models / ".downloads" / "old-123").mkdir()
    (models / ".downloads" / "old-123" / "weight.bin").write_bytes(bytes(10_000))
    (models / "ada--gone" / "packages").mkdir(parents=True)
    found = {Path(o.path).name: o for o in leftovers.orphans(models)}

    assert set(found) == {name, "old-123", "ada--gone"}
    assert (found[name].download, found[name].repo) == (name, "ada/mist")
    assert found["old-123"].bytes >= 10_000
    assert found["old-123"].download == ""
    for orphan in found.values():
        leftovers.remove_leftover(Path(orphan.path), models)
    assert leftovers.orphans(models) == ()
    assert list(model_folders(models)) == [folder]
    for path in (folder, models, Path("/etc")):
        with pytest.raises(SfumatoError):
            leftovers.remove_leftover(path, models)
    assert folder.is_dir()


def test_what_a_person_keeps_in_the_models_folder_is_no_leftover(fog_installed, models):
    """Models deeper than the library looks, single packages, a conversion under way."""
    weight = "Unet.mlpackage/Data/weights/weight.bin"
    for place in ("mine/sd/summer", ".", "ada--fog/old/kept", "ada--fog/new.partial"):
        (models / place / weight).parent.mkdir(parents=True)
        (models / place / weight).write_bytes(b"x")
    for file in ("checkpoints/sd15.safetensors", "notes/prompts.txt", "ada--fog/notes/a.txt"):
        (models / file).parent.mkdir(parents=True)
        (models / file).write_bytes(b"mine")
    assert leftovers.orphans(models) == ()


def test_what_is_left_of_a_model_whose_packages_were_deleted_is_a_leftover(fog_installed, models):
    folder = fog_installed[3]
    for package in folder.glob("*.mlpackage"):
        shutil.rmtree(package)
    (folder.parent / ".DS_Store").write_bytes(b"x")
    (found,) = leftovers.orphans(models)
    assert found.path == str(folder.parent)
    (folder.parent / "notes").mkdir()
    (folder.parent / "notes" / "a.txt").write_text("mine")
    assert leftovers.orphans(models) == ()


def test_what_a_deletion_left_half_way_is_a_leftover(fog_installed, models):
    for name in (".removed-1234abcd", "ada--fog/.removed-1234abcd", "ada--fog/.model.old-12ab"):
        (models / name / "Unet.mlpackage").mkdir(parents=True)
    found = {Path(o.path).relative_to(models).as_posix() for o in leftovers.orphans(models)}
    assert found == {
        ".removed-1234abcd", "ada--fog/.removed-1234abcd", "ada--fog/.model.old-12ab"
    }  # fmt: skip


@pytest.fixture
def newer(fog_installed) -> Repo:
    """The installed model has an update."""
    repo = fog_installed[2]
    files = {path: blob.content for path, blob in repo.blobs.items()}
    repo.commit(files | {f"packages/{WEIGHT}": random_bytes(2_500_000, 7)})
    return repo


def test_an_update_that_cannot_be_moved_leaves_the_old_model(
    fog_installed, newer, models, monkeypatch
):
    """On a disk where folders cannot change places in one step."""
    _, downloads, _, folder = fog_installed
    real = Path.rename
    calls: list[Path] = []

    def rename(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            assert list(model_folders(models)) == [], "what was set aside is not offered"
            raise OSError(5, "pulled out")
        return real(self, target)

    monkeypatch.setattr(install, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", rename)
    name = downloads.start(newer.id, newer.sha, variant_of(newer, "packages")).id
    assert downloads.wait(name, 30).state is DownloadState.FAILED
    assert verify(folder) == (), "the old one is back in its place"
    monkeypatch.setattr(Path, "rename", real)
    downloads.resume(name)
    assert downloads.wait(name, 30).state is DownloadState.DONE
    assert contents(folder) == expected(newer, "packages")
    assert leftovers.orphans(models) == ()


class Killed(SystemExit):
    """Ends a thread on the spot, as a kill would, with nothing tidied up."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_while_the_update_takes_its_place(fog_installed, newer, models, monkeypatch, after):
    server, downloads, _, folder = fog_installed
    real = install.exchange

    def exchange(one: Path, other: Path) -> bool:
        if after:
            assert real(one, other), "this disk should be able to"
        raise Killed

    monkeypatch.setattr(install, "exchange", exchange)
    name = downloads.start(newer.id, newer.sha, variant_of(newer, "packages")).id
    downloads._jobs[name].join(30)
    monkeypatch.setattr(install, "exchange", real)
    assert verify(folder) == (), "the old one or the new one, whole"
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as second:
        if after:
            assert second.all() == ()
        else:
            (status,) = second.all()
            assert status.interrupted
            server.clear_log()
            second.resume(name)
            assert second.wait(name, 30).state is DownloadState.DONE
            assert server.sent() == 0
    assert contents(folder) == expected(newer, "packages")
    assert leftovers.orphans(models) == ()


def test_models_in_the_library_survive_everything_a_download_leaves(fog_installed, models):
    folder = fog_installed[3]
    shutil.rmtree(models / ".downloads")
    assert list(model_folders(models)) == [folder]
    assert os.listdir(models) == ["ada--fog"]  # noqa: PTH208
