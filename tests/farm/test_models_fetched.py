"""A model that a member gets from the Hub, as a person has said: from the loopback Hub."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui.coreml.inspect import inspect_model, model_hash
from gui.errors import ErrorKind, SfumatoError
from gui.farm.models_fetched import fetch_model
from gui.farm.wire import FetchModel
from tests.support.hub_models import PREFIX, contents, long_model, offered
from tests.support.hub_repo import Repo
from tests.support.hub_server import HubServer

VARIANT = PREFIX.rstrip("/")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HubServer, Repo]]:
    """The Hub with a model, for an empty home."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name)
    repo = long_model(megabytes=1)
    with HubServer([repo]) as server:
        monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server, repo


@pytest.fixture
def hash_of(tmp_path: Path) -> Callable[[Repo], str]:
    """A model's hash, of files as another Mac has them."""

    def hashed(repo: Repo) -> str:
        folder = tmp_path / "theirs"
        for path, data in offered(repo).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return model_hash(inspect_model(folder))

    return hashed


def fetch(repo: Repo, model: str, variant: str = VARIANT) -> tuple[Path, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    event = FetchModel(model, "Slow model", "", repo.id, "", variant)
    return asyncio.run(fetch_model(event, lambda *done: told.append(done))), told


def test_the_model_that_was_meant_is_installed(
    hub: tuple[HubServer, Repo], hash_of: Callable[[Repo], str], tmp_path: Path
) -> None:
    _, repo = hub
    folder, told = fetch(repo, hash_of(repo))
    assert folder.is_relative_to(tmp_path / "home/data/Models")
    assert contents(folder) == offered(repo)
    size = sum(map(len, offered(repo).values()))
    assert all(0 <= done <= total <= 1.01 * size for done, total in told)


def test_another_version_on_the_hub_is_told_and_lies_beside(
    hub: tuple[HubServer, Repo], tmp_path: Path
) -> None:
    with pytest.raises(SfumatoError, match="has another version of “Slow model” by now") as told:
        fetch(hub[1], "0" * 64)
    assert told.value.kind is ErrorKind.BAD_MODEL
    assert "copy the model from the Mac that has it" in told.value.message
    assert list((tmp_path / "home/data/Models").iterdir())


def test_what_the_hub_has_no_more_or_cannot_give_installs_nothing(
    hub: tuple[HubServer, Repo], tmp_path: Path
) -> None:
    server, repo = hub
    with pytest.raises(SfumatoError, match="does not offer that model any more") as told:
        fetch(repo, "0" * 64, "split_einsum")
    assert told.value.kind is ErrorKind.NOT_FOUND
    server.delete(repo.id)
    with pytest.raises(SfumatoError) as gone:
        fetch(repo, "0" * 64)
    assert gone.value.kind is ErrorKind.NOT_FOUND
    server.close()
    with pytest.raises(SfumatoError) as away:
        fetch(Repo("nobody/model", {}), "0" * 64)
    assert away.value.kind is ErrorKind.NETWORK
    models = tmp_path / "home/data/Models"
    assert not models.exists() or not [p for p in models.iterdir() if not p.name.startswith(".")]
