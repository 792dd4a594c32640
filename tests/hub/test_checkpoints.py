"""Checkpoints fetched to be converted: kept, used again, cleared away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gui.convert.journal import reading
from gui.errors import SfumatoError
from gui.hub import leftovers
from gui.hub.types import DownloadState
from tests.support.hub_downloads import (
    contents,
    expected,
    random_bytes,
    tree_of,
)
from tests.support.hub_repo import Repo


def test_a_checkpoint_for_conversion_lands_in_the_caches(start, home):
    repo = Repo(
        "ada/source",
        {
            "model_index.json": "{}",
            "unet/config.json": "{}",
            "unet/diffusion_pytorch_model.safetensors": random_bytes(50_000),
            "unet/diffusion_pytorch_model.bin": b"pickle",
            "scheduler/scheduler_config.json": "{}",
        },
    )
    _, one, _ = start(repo)
    status = one.wait(one.start_source(repo.id, repo.sha, tree_of(repo)).id, 30)

    folder = Path(status.folder)
    assert folder == home / "cache" / "Sources" / "ada--source"
    found = contents(folder)
    found.pop(".sfumato-source.json")
    want = expected(repo)
    del want["unet/diffusion_pytorch_model.bin"]
    assert found == want


def checkpoint(*more: bytes) -> Repo:
    files = {f"vae/{k}.txt": data for k, data in enumerate(more)}
    return Repo(
        "ada/source",
        {
            "model_index.json": "{}",
            "unet/diffusion_pytorch_model.safetensors": random_bytes(50_000),
            **files,
        },
    )


def test_a_checkpoint_that_is_kept_is_not_fetched_again(start):
    """Nor what is the same in a newer version of it; and what is damaged is."""
    repo = checkpoint()
    server, one, _ = start(repo)
    folder = Path(one.wait(one.start_source(repo.id, repo.sha, tree_of(repo)).id, 30).folder)
    server.clear_log()
    again = one.start_source(repo.id, repo.sha, tree_of(repo))
    assert (again.state, again.folder) == (DownloadState.DONE, str(folder))
    assert (again.bytes_done, again.files_done) == (again.bytes_total, 2)
    assert one.wait(again.id, 5) == one.all()[0] == again
    assert server.log == []

    newer = checkpoint(b"new")
    server.add(newer)
    status = one.wait(one.start_source(newer.id, newer.sha, tree_of(newer)).id, 30)
    assert contents(folder).keys() >= expected(newer).keys()
    assert (status.state, server.sent()) == (DownloadState.DONE, 3)

    (folder / "vae/0.txt").unlink()
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(bytes(50_000))
    one.wait(one.start_source(newer.id, newer.sha, tree_of(newer)).id, 30)
    found = contents(folder)
    assert {name: found[name] for name in expected(newer)} == expected(newer)


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
    one, other = leftovers.leftovers(models)
    assert (one.path, one.checkpoint) == (str(stale), False)
    assert (other.path, other.repo, other.checkpoint) == (str(folder), "ada/source", True)
    assert other.bytes >= 400_000
    with reading([folder]):  # as a conversion does
        assert [each.path for each in leftovers.leftovers(models)] == [str(stale)]
        assert [each.path for each in leftovers.kept_sources()] == [str(stale), str(folder)]
        with pytest.raises(SfumatoError, match="is being converted"):
            leftovers.remove_leftover(folder, models)
        assert (folder / "model_index.json").exists()
    with pytest.raises(SfumatoError):
        leftovers.remove_leftover(home / "cache", models)
    for path in (stale, folder):
        leftovers.remove_leftover(path, models)
    assert leftovers.leftovers(models) == ()
    assert sorted(folder.parent.iterdir()) == [fresh]
    again = downloads.wait(downloads.start_source(repo.id, repo.sha, tree_of(repo)).id, 30)
    assert again.bytes_fetched == 400_002, "what was deleted is not taken to be there"
