"""The window over a Hub that the test scripts."""

from __future__ import annotations

import pytest

from tests.support.fake_hub import FakeHub
from tests.support.hub_window import click, reading_from_the_hub, some_models
from tests.ui.conftest import read_by_name


@pytest.fixture
def hub():
    return FakeHub(some_models())


@pytest.fixture
def workspace(open_workspace, hub, monkeypatch):
    from gui.state import models

    monkeypatch.setattr(models, "read_entry", reading_from_the_hub(read_by_name))
    return open_workspace(hub)[0]


@pytest.fixture
def panel(workspace, qtbot):
    """The Hub's side, its first results there."""
    click(workspace.models_panel.segments.buttons[1])
    found = workspace.models_panel.hub
    qtbot.waitUntil(lambda: found.catalogue.rowCount() == 30)
    return found
