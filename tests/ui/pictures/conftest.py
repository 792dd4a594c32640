"""The gallery on show in the real window, over seven pictures of three days."""

from __future__ import annotations

from pathlib import Path

import pytest

from gui import paths
from tests.ui.pictures.hands import write


@pytest.fixture
def files(home) -> list[Path]:
    """Seven pictures, newest first: three of today, three of yesterday, one of last month."""
    folder = paths.pictures_dir()
    days = (0, 0, 0, 1, 1, 1, 40)
    return [write(folder, number, ago) for number, ago in enumerate(days)]


@pytest.fixture
def desk(files, open_workspace):
    """The window is opened when the pictures are there."""
    return open_workspace()


@pytest.fixture
def gallery(files, workspace, qtbot):
    """The gallery, on show."""
    qtbot.waitUntil(lambda: workspace.studio.gallery.rowCount() == len(files))
    workspace.actions_.gallery.trigger()
    grid = workspace.gallery.grid
    qtbot.waitUntil(lambda: grid.hasFocus() and bool(grid.visible_rows()))
    rows = range(len(files))
    qtbot.waitUntil(lambda: all(workspace.studio.gallery.picture(row) for row in rows))
    return workspace.gallery
