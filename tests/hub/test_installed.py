"""Models on disk: installed from zips and packages, verified, repaired, updated, cleaned up."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import socket
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gui.coreml import sidecar as sidecars
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.files import disk_bytes
from gui.hub import installed as library
from gui.hub import leftovers
from gui.hub.downloads import install, job
from gui.hub.types import DownloadState, FileProblem, ModelSummary, RepoDetails
from gui.library.models import folders
from gui.library.models.folders import model_folders
from gui.library.models.verify import verify
from tests.hub.fog_downloads import pause, until
from tests.hub.shelf import WEIGHT, get_model
from tests.pipeline.test_real_packages import expected as diffusers_picture
from tests.pipeline.test_real_packages import generate
from tests.support.hub_downloads import (
    archive_of,
    contents,
    expected,
    random_bytes,
    variant_of,
)
from tests.support.hub_repo import Repo
from tests.support.hub_shelf import compiled_folder, packages, zipped

# Installing


def test_packages_are_all_it_takes_to_make_pictures(start, models, tiny_sd1, monkeypatch):
    """Download, then pull the cable: the picture is the one diffusers makes of these weights."""
    repo = Repo("ada/tiny", packages("original", "original/packages/"))
    _, downloads, _ = start(repo)
    folder = get_model(downloads, repo, variant_of(repo, "original/packages"))
    downloads.close()

    def no_network(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    picture = generate(folder)
    reference = diffusers_picture(tiny_sd1)
    assert np.abs(picture.pixels.astype(int) - reference).max() <= 1
    assert list(model_folders(models)) == [folder]


@pytest.mark.parametrize("top", ["", "fog_compiled"])
def test_a_zip_becomes_a_model(start, models, top):
    repo = Repo("ada/zips", {"a b/Ünï.zip": zipped(f"installed-{top}", top, "original")})
    server, downloads, events = start(repo)
    folder = get_model(downloads, repo, archive_of(repo, "a b/Ünï.zip"))

    assert folder == models / "ada--zips" / "a b--Ünï"
    assert contents(folder) == contents(compiled_folder("original"))
    info = inspect_model(folder)
    assert info.problems == ()
    assert load_sidecar(info).source_repo == "ada/zips"
    assert verify(folder) == ()
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
    unpack = install.unpack

    def half(plan: Any, work: Any, on_bytes: Any, stopped: Callable[[], bool]) -> Any:
        """Goes no further than half-way before it is stopped."""

        def told(done: int) -> None:
            on_bytes(done)
            if done > 30 << 20:
                until(stopped)

        return unpack(plan, work, told, stopped)

    with monkeypatch.context() as patch:
        patch.setattr(install, "unpack", half)
        name = downloads.start(repo.id, repo.sha, archive_of(repo, "big.zip")).id
        until(lambda: any(e.state is DownloadState.UNPACKING and e.bytes_done for e in events))
        pause(downloads, name)
    assert list(model_folders(models)) == []
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
    pause(downloads, name)
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
    assert list(model_folders(models)) == []
    downloads.cancel(status.id)
    assert disk_bytes(models / ".downloads") < 10_000


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
    folder = get_model(downloads, repo, variant_of(repo, "packages"))

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
    sidecar = sidecars.read(get_model(downloads, repo, variant_of(repo, "packages")))
    assert sidecar is not None
    assert (sidecar.family, sidecar.prediction_type) == (Family.SD2, "v_prediction")
    assert (sidecar.name, sidecar.source_repo) == ("Fog", "ada/fog")


def test_strange_words_and_numbers_of_strangers_do_not_stop_it(start):
    """JSON may say halves of a character, which no file can hold, and numbers that are none."""
    settings = '{"_class_name": "\\ud800", "beta_start": NaN, "beta_end": 0.1, "x": [-Infinity]}'
    repo = Repo("ada/fog", {"packages/Unet.mlpackage/x": b"1"})
    base = Repo("ada/base", {"scheduler/scheduler_config.json": settings})
    _, downloads, _ = start(repo, base)
    about = RepoDetails(
        ModelSummary(repo.id, licence="\ud800"), "", description="\ud800Fog", base_model=base.id
    )
    variant = variant_of(repo, "packages")
    status = downloads.start(repo.id, repo.sha, variant, title="Fog \udfff", about=about)
    status = downloads.wait(status.id, 30)
    assert status.state is DownloadState.DONE, status
    sidecar = sidecars.read(Path(status.folder))
    assert sidecar is not None
    assert sidecar.card.description == "?Fog"
    assert sidecar.scheduler_config == {"_class_name": "\ufffd", "beta_end": 0.1}


def test_variants_whose_names_fold_to_one_get_folders_of_their_own(start, models):
    repo = Repo("ada/fog", {"a/b/U.mlpackage/x": b"1", "a--b/U.mlpackage/x": b"2"})
    _, downloads, _ = start(repo)
    first = get_model(downloads, repo, variant_of(repo, "a/b"))
    second = get_model(downloads, repo, variant_of(repo, "a--b"))
    assert first != second
    assert sorted(model_folders(models)) == sorted([first, second])
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
    assert sorted(model_folders(models)) == sorted([first, second])


# Verifying and repairing


def test_installed_says_what_there_is(fog_installed, models):
    _, _, repo, folder = fog_installed
    (found,) = folders.from_hub(models)
    assert (found.folder, found.repo, found.revision) == (str(folder), repo.id, repo.sha)
    assert found.variant == "packages"
    assert found.installed.startswith("20")
    assert 2_800_000 < found.bytes <= disk_bytes(models, follow=False)


def test_a_sound_model_verifies_with_progress(fog_installed):
    told: list[float] = []
    assert verify(fog_installed[3], told.append) == ()
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
    assert set(verify(folder)) == set(damages)


def test_verifying_can_be_given_up(fog_installed):
    folder = fog_installed[3]
    damage(folder)
    told: list[float] = []
    verify(folder, told.append, lambda: bool(told))
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
    assert verify(folder) == ()
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
    go_on = threading.Event()
    server.fault("/cdn/*", action=lambda: go_on.wait(60))
    status = library.repair(downloads, None, folder)
    assert status is not None
    if fate == "deleted":
        shutil.rmtree(folder.parent)
    else:
        sidecar = sidecars.read(folder)
        assert sidecar is not None
        sidecars.write(folder, dataclasses.replace(sidecar, source_revision="f" * 40))
    before = contents(models / "ada--fog") if fate == "updated" else {}
    go_on.set()
    status = downloads.wait(status.id, 30)
    assert status.state is DownloadState.FAILED
    assert status.error is not None and status.error.kind is ErrorKind.NOT_FOUND
    assert contents(models / "ada--fog") == before
    assert list(model_folders(models)) == ([folder] if before else [])


def test_a_model_from_a_zip_is_repaired_from_the_zip(start):
    repo = Repo("ada/zips", {"m.zip": zipped("repaired", "top", "original")})
    _, downloads, _ = start(repo)
    folder = get_model(downloads, repo, archive_of(repo, "m.zip"))
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
    assert verify(folder) == ()


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
    assert verify(folder) == (
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
        leftovers.remove_leftover(models / "ada--gone", models)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "deleted" in caught.value.message and "download" not in caught.value.message
    true = Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, *a, **k: denied() if p.suffix == ".bin" else true(p, *a, **k)
    )
    with pytest.raises(SfumatoError) as caught:
        verify(folder)
    assert caught.value.kind is ErrorKind.STORAGE
    assert "read" in caught.value.message and "download" not in caught.value.message
