"""The Hub's tests: a home of their own, and the loopback Hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
