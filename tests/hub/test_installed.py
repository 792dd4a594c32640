"""Models on disk: installed from zips and packages, verified, repaired, updated, cleaned up."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gui.coreml import sidecar as sidecars
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import Family
from gui.hub import installed as library
from gui.hub import kept
from gui.hub.catalog import Catalog
from gui.hub.downloads import Downloads, install, job
from gui.hub.types import DownloadState, DownloadStatus, FileProblem
from gui.request import ErrorKind, SfumatoError
from gui.state.models import installed_folders
from tests.pipeline.test_real_packages import expected as diffusers_picture
from tests.pipeline.test_real_packages import generate
from tests.support.hub_downloads import (
    HASTY,
    archive_of,
    contents,
    expected,
    random_bytes,
    tree_of,
    variant_of,
)
from tests.support.hub_repo import Repo
from tests.support.hub_server import HubServer
from tests.support.hub_shelf import compiled_folder, packages, zipped

WEIGHT = "Unet.mlpackage/Data/weights/weight.bin"


@pytest.fixture
def models(home: Path) -> Path:
    return home / "data" / "Models"


@pytest.fixture
def start(hub_server: Any) -> Iterator[Any]:
    """A server with these repositories, and downloads from it that tell `events`."""
    made: list[Downloads] = []

    def begin(*repos: Repo) -> tuple[HubServer, Downloads, list[DownloadStatus]]:
        server = hub_server(repos, send_buffer=65536)
        events: list[DownloadStatus] = []
        downloads = Downloads(endpoint=server.endpoint, backoff=HASTY, on_change=events.append)
        made.append(downloads)
        return server, downloads, events

    yield begin
    for one in made:
        one.close()


def get(downloads: Downloads, repo: Repo, variant: Any) -> Path:
    status = downloads.wait(downloads.start(repo.id, repo.sha, variant).id, 60)
    assert status.state is DownloadState.DONE, status
    return Path(status.folder)


def fog() -> Repo:
    return Repo(
        "ada/fog",
        {
            "README.md": "---\nlicense: mit\n---\n# Fog\n",
            "packages/Unet.mlpackage/Manifest.json": '{"v": 1}',
            f"packages/{WEIGHT}": random_bytes(2_500_000),
            "packages/VAE.mlpackage/Data/weights/weight.bin": random_bytes(300_000, 1),
        },
    )


# Installing


def test_packages_are_all_it_takes_to_make_pictures(start, models, tiny_sd1, monkeypatch):
    """Download, then pull the cable: the picture is the one diffusers makes of these weights."""
    repo = Repo("ada/tiny", packages("original", "original/packages/"))
    _, downloads, _ = start(repo)
    folder = get(downloads, repo, variant_of(repo, "original/packages"))
    downloads.close()

    def no_network(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    picture = generate(folder)
    reference = diffusers_picture(tiny_sd1)
    assert np.abs(picture.pixels.astype(int) - reference).max() <= 1
    assert installed_folders(models) == [folder]


@pytest.mark.parametrize("top", ["", "fog_compiled"])
def test_a_zip_becomes_a_model(start, models, top):
    repo = Repo("ada/zips", {"a b/Ünï.zip": zipped(f"installed-{top}", top, "original")})
    server, downloads, events = start(repo)
    folder = get(downloads, repo, archive_of(repo, "a b/Ünï.zip"))

    assert folder == models / "ada--zips" / "a b--Ünï"
    assert contents(folder) == contents(compiled_folder("original"))
    info = inspect_model(folder)
    assert info.problems == ()
    assert load_sidecar(info).source_repo == "ada/zips"
    assert library.verify(folder) == ()
    states = [event.state for event in events]
    assert DownloadState.UNPACKING in states
    assert not list((models / ".downloads").iterdir())
    del server


def test_unpacking_tells_how_far_it_is_and_can_be_stopped(start, models, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "TICK_SECONDS", 0.005)
    data = random_bytes(1 << 20)
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as file:
        for k in range(60):
            file.writestr(f"Unet.mlmodelc/{k}.bin", data)
    repo = Repo("ada/big", {"big.zip": tmp_path / "big.zip"})
    server, downloads, events = start(repo)
    variant = archive_of(repo, "big.zip")
    name = downloads.start(repo.id, repo.sha, variant).id
    while not any(e.state is DownloadState.UNPACKING and e.bytes_done for e in events):
        assert downloads.status(name).state.live
    assert downloads.pause(name).state is DownloadState.PAUSED
    assert installed_folders(models) == []
    server.clear_log()
    downloads.resume(name)
    status = downloads.wait(name, 60)
    assert status.state is DownloadState.DONE
    assert server.sent() == 0, "the archive was there"
    told = [e.bytes_done for e in events if e.state is DownloadState.UNPACKING]
    assert max(told) > 20 << 20
    assert len(list(Path(status.folder).rglob("*.bin"))) == 60


def test_what_a_kill_left_of_unpacking_is_done_over(start, models):
    repo = Repo("ada/zips", {"m.zip": zipped("installed-again", "top", "original")})
    server, downloads, _ = start(repo)
    server.fault("*", bytes_per_second=5e5)
    name = downloads.start(repo.id, repo.sha, archive_of(repo, "m.zip")).id
    downloads.pause(name)
    half = models / ".downloads" / name / "unpacked" / "Unet.mlmodelc"
    half.mkdir(parents=True)
    (half / "stale.bin").write_bytes(b"half")
    server.faults.clear()
    downloads.resume(name)
    status = downloads.wait(name, 60)
    assert contents(Path(status.folder)) == contents(compiled_folder("original"))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"../evil": b"x"}, "points outside"),
        ({"notes.txt": b"x"}, "does not hold one Core ML model"),
        ({"a/U.mlmodelc/x": b"x", "b/U.mlmodelc/x": b"y"}, "does not hold one Core ML model"),
    ],
)
def test_a_zip_that_is_no_model_is_refused(start, models, tmp_path, files, words):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    repo = Repo("ada/zips", {"m.zip": tmp_path / "m.zip"})
    _, downloads, _ = start(repo)
    status = downloads.start(repo.id, repo.sha, archive_of(repo, "m.zip"))
    status = downloads.wait(status.id, 30)
    assert status.state is DownloadState.FAILED
    assert status.error is not None
    assert words in status.error.message
    assert installed_folders(models) == []
    downloads.cancel(status.id)
    assert library.folder_bytes(models / ".downloads") < 10_000


def test_the_source_model_gives_scheduler_and_prediction_type(start):
    scheduler = {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": "0.8.0",
        "prediction_type": "v_prediction",
        "beta_start": 0.00085,
        "trained_betas": None,
        "weird": {"nested": 1},
    }
    base = Repo(
        "ada/base",
        {
            "scheduler/scheduler_config.json": json.dumps(scheduler),
            "vae/config.json": '{"scaling_factor": 0.18215}',
        },
    )
    card = "---\nlicense: openrail++\nbase_model: ada/base\n---\n# Fog\n\nA model of mist.\n"
    repo = Repo("ada/fog", {"README.md": card, **packages("original", "packages/")})
    _, downloads, _ = start(base, repo)
    folder = get(downloads, repo, variant_of(repo, "packages"))

    stated = sidecars.read_stated(folder)
    assert stated is not None
    sidecar, fields = stated
    assert sidecar.prediction_type == "v_prediction"
    assert sidecar.scheduler_config == {
        "_class_name": "DDIMScheduler",
        "prediction_type": "v_prediction",
        "beta_start": 0.00085,
        "trained_betas": None,
    }
    assert sidecar.card.licence == "openrail++"
    assert sidecar.card.description == "A model of mist."
    assert "pad_token_ids" not in fields
    assert load_sidecar(inspect_model(folder)).inferred == (
        "pad_token_ids",
        "force_zeros_for_empty_prompt",
    )


def test_a_sidecar_that_comes_with_the_model_keeps_what_it_states(start):
    repo = Repo(
        "ada/fog",
        {
            "packages/Unet.mlpackage/x.bin": random_bytes(100),
            "packages/sfumato.json": json.dumps(
                {"family": "sd2", "prediction_type": "v_prediction", "name": "Fog"}
            ),
        },
    )
    _, downloads, _ = start(repo)
    sidecar = sidecars.read(get(downloads, repo, variant_of(repo, "packages")))
    assert sidecar is not None
    assert (sidecar.family, sidecar.prediction_type) == (Family.SD2, "v_prediction")
    assert (sidecar.name, sidecar.source_repo) == ("Fog", "ada/fog")


def test_variants_whose_names_fold_to_one_get_folders_of_their_own(start, models):
    repo = Repo("ada/fog", {"a/b/U.mlpackage/x": b"1", "a--b/U.mlpackage/x": b"2"})
    _, downloads, _ = start(repo)
    first = get(downloads, repo, variant_of(repo, "a/b"))
    second = get(downloads, repo, variant_of(repo, "a--b"))
    assert first != second
    assert sorted(installed_folders(models)) == sorted([first, second])
    assert contents(first) == expected(repo, "a/b")
    assert contents(second) == expected(repo, "a--b")


def test_two_variants_under_way_at_once_never_take_the_same_folder(start, models):
    repo = Repo("ada/fog", {"a/b/U.mlpackage/x": b"1" * 9000, "a--b/U.mlpackage/x": b"2" * 9000})
    server, downloads, _ = start(repo)
    server.fault("*", delay=0.3)
    names = [
        downloads.start(repo.id, repo.sha, variant_of(repo, variant)).id
        for variant in ("a/b", "a--b")
    ]
    first, second = (Path(downloads.wait(name, 30).folder) for name in names)
    assert contents(first) == expected(repo, "a/b")
    assert contents(second) == expected(repo, "a--b")
    assert sorted(installed_folders(models)) == sorted([first, second])


# Verifying and repairing


@pytest.fixture
def fog_installed(start) -> tuple[HubServer, Downloads, Repo, Path]:
    repo = fog()
    server, downloads, _ = start(repo)
    folder = get(downloads, repo, variant_of(repo, "packages"))
    server.clear_log()
    return server, downloads, repo, folder


def test_installed_says_what_there_is(fog_installed, models):
    _, _, repo, folder = fog_installed
    (found,) = library.installed(models)
    assert (found.folder, found.repo, found.revision) == (str(folder), repo.id, repo.sha)
    assert found.variant == "packages"
    assert found.installed.startswith("20")
    assert 2_800_000 < found.bytes <= library.disk_use(models)


def test_a_sound_model_verifies_with_progress(fog_installed):
    told: list[float] = []
    assert library.verify(fog_installed[3], told.append) == ()
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) >= 3


def damage(folder: Path) -> tuple[FileProblem, ...]:
    data = bytearray((folder / WEIGHT).read_bytes())
    data[1_000_000] ^= 1
    (folder / WEIGHT).write_bytes(data)
    (folder / "Unet.mlpackage/Manifest.json").unlink()
    with (folder / "VAE.mlpackage/Data/weights/weight.bin").open("ab") as file:
        file.write(b"more")
    return (
        FileProblem(WEIGHT, "hash"),
        FileProblem("Unet.mlpackage/Manifest.json", "missing"),
        FileProblem("VAE.mlpackage/Data/weights/weight.bin", "size"),
    )


def test_every_kind_of_damage_is_found(fog_installed):
    folder = fog_installed[3]
    damages = damage(folder)
    assert set(library.verify(folder)) == set(damages)


def test_verifying_can_be_given_up(fog_installed):
    folder = fog_installed[3]
    damage(folder)
    told: list[float] = []
    library.verify(folder, told.append, lambda: bool(told))
    assert told[-1] < 1.0


def test_repair_fetches_the_bad_files_and_no_others(fog_installed):
    server, downloads, repo, folder = fog_installed
    data = bytearray((folder / WEIGHT).read_bytes())
    data[5] ^= 1
    (folder / WEIGHT).write_bytes(data)
    (folder / "Unet.mlpackage/Manifest.json").unlink()
    repo.commit({"README.md": "# something else now"})
    status = library.repair(downloads, None, folder)
    assert status is not None
    status = downloads.wait(status.id, 30)

    assert status.state is DownloadState.DONE, status
    assert status.folder == str(folder)
    assert library.verify(folder) == ()
    assert server.sent() == 2_500_000 + 8
    assert library.repair(downloads, None, folder) is None


def test_a_repair_that_fails_leaves_the_model_as_it_was(fog_installed):
    server, downloads, _, folder = fog_installed
    damage(folder)
    before = contents(folder)
    server.fault("/cdn/*", corrupt_at=0)
    status = library.repair(downloads, None, folder)
    assert status is not None
    assert downloads.wait(status.id, 30).state is DownloadState.FAILED
    assert contents(folder) == before


@pytest.mark.parametrize("fate", ["deleted", "updated"])
def test_a_repair_puts_nothing_where_its_model_is_not_any_more(fog_installed, models, fate):
    """While the files were fetched, the model was deleted, or another version took its place."""
    server, downloads, _, folder = fog_installed
    damage(folder)
    server.fault("/cdn/*", bytes_per_second=2e6)
    status = library.repair(downloads, None, folder)
    assert status is not None
    if fate == "deleted":
        shutil.rmtree(folder.parent)
    else:
        sidecar = sidecars.read(folder)
        assert sidecar is not None
        sidecars.write(folder, dataclasses.replace(sidecar, source_revision="f" * 40))
    before = contents(models / "ada--fog") if fate == "updated" else {}
    status = downloads.wait(status.id, 30)
    assert status.state is DownloadState.FAILED
    assert status.error is not None and status.error.kind is ErrorKind.NOT_FOUND
    assert contents(models / "ada--fog") == before
    assert installed_folders(models) == ([folder] if before else [])


def test_a_model_from_a_zip_is_repaired_from_the_zip(start):
    repo = Repo("ada/zips", {"m.zip": zipped("repaired", "top", "original")})
    _, downloads, _ = start(repo)
    folder = get(downloads, repo, archive_of(repo, "m.zip"))
    moved = folder.with_name("elsewhere")
    folder.rename(moved)
    (moved / "vocab.json").write_text("{}")
    status = library.repair(downloads, None, moved)
    assert status is not None
    status = downloads.wait(status.id, 60)
    assert status.folder == str(moved)
    assert contents(moved) == contents(compiled_folder("original"))


def test_a_folder_added_by_hand_cannot_be_verified_and_says_so(tmp_path):
    (tmp_path / "mine" / "U.mlpackage").mkdir(parents=True)
    for act in (library.verify, lambda folder: library.repair(None, None, folder)):  # type: ignore[arg-type]
        with pytest.raises(SfumatoError) as caught:
            act(tmp_path / "mine")
        assert caught.value.kind is ErrorKind.NOT_FOUND
        assert "“mine”" in caught.value.message


def test_a_sidecar_cannot_point_verification_outside(fog_installed, tmp_path):
    folder = fog_installed[3]
    data = json.loads((folder / "sfumato.json").read_text())
    data["hashes"] = {"../../../../secret": "0" * 64, "/etc/passwd": "0" * 64}
    (folder / "sfumato.json").write_text(json.dumps(data))
    assert library.verify(folder) == ()


# Updates


def test_an_update_is_offered_only_when_the_variant_changed(fog_installed, models):
    server, _, repo, _ = fog_installed
    catalog = Catalog(server.endpoint)
    (model,) = library.installed(models)
    assert library.update_available(catalog, model) == ""
    files = {path: blob.content for path, blob in repo.blobs.items()}
    repo.commit(files | {"README.md": "# New words", "packages/notes.txt": "hello"})
    assert library.update_available(catalog, model) == ""
    newer = repo.commit(files | {"packages/Unet.mlpackage/Data/more.bin": b"x"})
    assert library.update_available(catalog, model) == newer
    newer = repo.commit(files | {f"packages/{WEIGHT}": random_bytes(2_500_000, 7)})
    assert library.update_available(catalog, model) == newer
    catalog.close()


# Leftovers


def test_leftovers_are_listed_and_removed_and_models_are_not(fog_installed, models):
    server, downloads, _, folder = fog_installed
    server.fault("*", bytes_per_second=3e5)
    other = Repo("ada/mist", {"m/U.mlpackage/weight.bin": random_bytes(900_000)})
    server.add(other)
    name = downloads.start(other.id, other.sha, variant_of(other, "m")).id
    queued = [Repo(f"ada/q{k}", {"m/U.mlpackage/x": random_bytes(9000, k)}) for k in range(3)]
    names = [downloads.start(q.id, q.sha, variant_of(q, "m")).id for q in queued]
    assert library.orphans(models) == (), "downloads under way and queued ones are none"
    downloads.pause(name)
    for one in names:
        downloads.cancel(one)
    (models / ".downloads" / "old-123").mkdir()
    (models / ".downloads" / "old-123" / "weight.bin").write_bytes(bytes(10_000))
    (models / "ada--gone" / "packages").mkdir(parents=True)
    found = {Path(o.path).name: o for o in library.orphans(models)}

    assert set(found) == {name, "old-123", "ada--gone"}
    assert (found[name].download, found[name].repo) == (name, "ada/mist")
    assert found["old-123"].bytes >= 10_000
    assert found["old-123"].download == ""
    for orphan in found.values():
        kept.remove_leftover(Path(orphan.path), models)
    assert library.orphans(models) == ()
    assert installed_folders(models) == [folder]
    for path in (folder, models, Path("/etc")):
        with pytest.raises(SfumatoError):
            kept.remove_leftover(path, models)
    assert folder.is_dir()


def test_checkpoints_kept_for_conversion_are_listed_and_removed(start, models, home):
    repo = Repo(
        "ada/source",
        {"model_index.json": "{}", "unet/model.safetensors": random_bytes(400_000)},
    )
    _, downloads, _ = start(repo)
    status = downloads.wait(downloads.start_source(repo.id, repo.sha, tree_of(repo)).id, 30)
    folder = Path(status.folder)
    fresh, stale = folder.with_name(".ada--mist.1a2b3c4d"), folder.with_name(".ada--dew.1a2b3c4d")
    for place in (fresh, stale):  # one is being copied from another disk, one was given up
        place.mkdir()
    os.utime(stale, (0, 0))
    one, other = kept.leftovers(models)
    assert (one.path, one.checkpoint) == (str(stale), False)
    assert (other.path, other.repo, other.checkpoint) == (str(folder), "ada/source", True)
    assert other.bytes >= 400_000
    with pytest.raises(SfumatoError):
        kept.remove_leftover(home / "cache", models)
    for path in (stale, folder):
        kept.remove_leftover(path, models)
    assert kept.leftovers(models) == ()
    assert sorted(folder.parent.iterdir()) == [fresh]
    again = downloads.wait(downloads.start_source(repo.id, repo.sha, tree_of(repo)).id, 30)
    assert again.bytes_fetched == 400_002, "what was deleted is not taken to be there"


def test_what_a_person_keeps_in_the_models_folder_is_no_leftover(fog_installed, models):
    """Models deeper than the library looks, single packages, a conversion under way."""
    weight = "Unet.mlpackage/Data/weights/weight.bin"
    for place in ("mine/sd/summer", ".", "ada--fog/old/kept", "ada--fog/new.partial"):
        (models / place / weight).parent.mkdir(parents=True)
        (models / place / weight).write_bytes(b"x")
    assert library.orphans(models) == ()


def test_what_a_deletion_left_half_way_is_a_leftover(fog_installed, models):
    for name in (".removed-1234abcd", "ada--fog/.removed-1234abcd", "ada--fog/.model.old-12ab"):
        (models / name / "Unet.mlpackage").mkdir(parents=True)
    found = {Path(o.path).relative_to(models).as_posix() for o in library.orphans(models)}
    assert found == {
        ".removed-1234abcd", "ada--fog/.removed-1234abcd", "ada--fog/.model.old-12ab"
    }  # fmt: skip


def test_a_file_that_cannot_be_read_is_bad_and_the_rest_is_still_checked(
    fog_installed, monkeypatch
):
    """A worn-out disk: reading one file fails."""
    folder = fog_installed[3]
    (folder / "Unet.mlpackage/Manifest.json").unlink()
    true = Path.open

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == folder / WEIGHT:
            raise OSError(errno.EIO, "Input/output error")
        return true(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    assert library.verify(folder) == (
        FileProblem(WEIGHT, "hash"),
        FileProblem("Unet.mlpackage/Manifest.json", "missing"),
    )


def test_what_cannot_be_read_or_deleted_says_so(fog_installed, models, monkeypatch):
    folder = fog_installed[3]

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "denied")

    (models / "ada--gone").mkdir()
    monkeypatch.setattr(shutil, "rmtree", denied)
    with pytest.raises(SfumatoError) as caught:
        kept.remove_leftover(models / "ada--gone", models)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "deleted" in caught.value.message and "download" not in caught.value.message
    true = Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, *a, **k: denied() if p.suffix == ".bin" else true(p, *a, **k)
    )
    with pytest.raises(SfumatoError) as caught:
        library.verify(folder)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "read" in caught.value.message and "download" not in caught.value.message


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
            assert installed_folders(models) == [], "what was set aside is not offered"
            raise OSError(5, "pulled out")
        return real(self, target)

    monkeypatch.setattr(install, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", rename)
    name = downloads.start(newer.id, newer.sha, variant_of(newer, "packages")).id
    assert downloads.wait(name, 30).state is DownloadState.FAILED
    assert library.verify(folder) == (), "the old one is back in its place"
    monkeypatch.setattr(Path, "rename", real)
    downloads.resume(name)
    assert downloads.wait(name, 30).state is DownloadState.DONE
    assert contents(folder) == expected(newer, "packages")
    assert library.orphans(models) == ()


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
    assert library.verify(folder) == (), "the old one or the new one, whole"
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
    assert library.orphans(models) == ()


def test_models_in_the_library_survive_everything_a_download_leaves(fog_installed, models):
    folder = fog_installed[3]
    shutil.rmtree(models / ".downloads")
    assert installed_folders(models) == [folder]
    assert os.listdir(models) == ["ada--fog"]  # noqa: PTH208
