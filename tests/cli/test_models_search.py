"""How `sfumato models search` goes about filters that only a model's files can answer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from gui.cli import models_hub as cli_models_hub
from gui.hub.catalog.catalog import Catalog
from gui.hub.types import SearchQuery
from tests.support import hub_repos
from tests.support.hub_server import HubServer


def test_with_enough_results_nothing_more_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be thirty to a page, each of which takes a second."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    go_on = threading.Event()
    read: list[str] = []
    real = cli_models_hub.details

    def details(catalog: Catalog, repo: str, *more: Any) -> Any:
        read.append(repo)
        if repo != first.id:
            go_on.wait(5)
        return real(catalog, repo, *more)

    monkeypatch.setattr(cli_models_hub, "details", details)
    first = hub_repos.starter()
    first.likes = 10**9
    with HubServer([first, *hub_repos.crowd(30)]) as server:
        query = SearchQuery(max_bytes=10**12)
        catalog = Catalog(server.endpoint)
        (found,) = cli_models_hub.results(catalog, query, 1, lambda _: None)
        assert found.id == first.id
        assert len(read) <= 1 + cli_models_hub._READERS
        go_on.set()
