"""The real window with finished pictures on its canvas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gui import paths
from gui.library.pictures import save_picture
from gui.request import PictureRecord, PictureRequest

SIDE = 256


def write(number: int, side: int = SIDE) -> Path:
    """A finished picture of colours that are nowhere the same."""
    request = PictureRequest(f"picture {number}", "", seed=number, steps=4)
    record = PictureRecord(
        request, side, side, "Sfumato Starter", created=f"2026-05-0{number + 1}T12:00:00+00:00"
    )
    ramp = np.linspace(0, 255, side, dtype=np.uint8)
    pixels = np.stack(
        np.broadcast_arrays(ramp[None, :], ramp[:, None], np.uint8(60 * number)), axis=-1
    )
    where = PictureRequest("", "", output_dir=str(paths.pictures_dir()))
    return save_picture(np.ascontiguousarray(pixels), record, where)


@pytest.fixture
def files(home) -> list[Path]:
    return [write(0), write(1)]


@pytest.fixture
def desk(files, open_workspace):
    """The window is opened when the pictures are there."""
    return open_workspace()


@pytest.fixture
def look(workspace, files, qtbot) -> Callable[[int], None]:
    """Puts a picture on the canvas."""
    pictures = workspace.studio.pictures
    qtbot.waitUntil(
        lambda: pictures.rowCount() == len(files) and all(map(pictures.picture, range(len(files))))
    )

    def put(number: int) -> None:
        workspace.canvas.look_at(pictures.find(str(files[number])))
        qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(files[number]))

    return put
