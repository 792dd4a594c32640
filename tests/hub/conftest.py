"""The Hub's tests: a home of their own, and the loopback Hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub_downloads import HASTY, random_bytes, variant_of
from tests.support.hub_repo import Repo
from tests.support.hub_server import HubServer

# Read by huggingface_hub when it is first imported.
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: no models, no remembered results, no token, no proxy, no real Hub."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("SFUMATO_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(folder / "huggingface"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "huggingface" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "huggingface" / "token"))
    return folder


@pytest.fixture
def hub_server() -> Iterator[Callable[..., HubServer]]:
    """Start loopback Hubs: ``server = hub_server([Repo(...)], tree_page=10)``."""
    servers: list[HubServer] = []

    def start(*arguments: object, **options: object) -> HubServer:
        server = HubServer(*arguments, **options)  # type: ignore[arg-type]
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.close()


# One small model, and downloads of it


@pytest.fixture
def repo() -> Repo:
    from tests.hub.fog_downloads import SIZE, SMALL, WEIGHT

    return Repo("ada/fog", {SMALL: '{"a": 1}', WEIGHT: random_bytes(SIZE, 2)})


@pytest.fixture
def server(hub_server, repo: Repo) -> HubServer:
    return hub_server([repo], send_buffer=65536)


@pytest.fixture
def models(home: Path) -> Path:
    return home / "data" / "Models"


@pytest.fixture
def one(server: HubServer, models: Path):
    """Downloads from `server`; they keep every event in `.events`."""
    from gui.hub.downloads import Downloads
    from gui.hub.types import DownloadStatus

    events: list[DownloadStatus] = []
    with Downloads(endpoint=server.endpoint, backoff=HASTY, on_change=events.append) as found:
        found.events = events  # type: ignore[attr-defined]
        yield found


@pytest.fixture
def start(hub_server: Any) -> Iterator[Any]:
    """A server with these repositories, and downloads from it that tell `events`."""
    from gui.hub.downloads import Downloads
    from gui.hub.types import DownloadStatus

    made: list[Downloads] = []

    def begin(*repos: Repo) -> tuple[HubServer, Any, list[Any]]:
        server = hub_server(repos, send_buffer=65536)
        events: list[DownloadStatus] = []
        downloads = Downloads(endpoint=server.endpoint, backoff=HASTY, on_change=events.append)
        made.append(downloads)
        return server, downloads, events

    yield begin
    for one in made:
        one.close()


@pytest.fixture
def fog_installed(start: Any) -> tuple[HubServer, Any, Repo, Path]:
    """A server, downloads from it, a repository, and the model of it that is installed."""
    from tests.hub.shelf import fog, get_model

    repo = fog()
    server, downloads, _ = start(repo)
    folder = get_model(downloads, repo, variant_of(repo, "packages"))
    server.clear_log()
    return server, downloads, repo, folder
