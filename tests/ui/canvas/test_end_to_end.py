"""Mask and frame through the real window, queue, engine and starter model: what is not painted
anew comes back bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent

from gui.state.job_queue import JobQueue
from gui.ui.canvas.mask_tool import Mode
from tests.support.fake_hub import FakeHub
from tests.ui.canvas.conftest import write
from tests.ui.canvas.hands import drag

LARGE = 512
"""As large as the starter model's pictures are once they are enlarged."""


@pytest.fixture
def window(qapp, qtbot, home, monkeypatch):  # type: ignore[no-untyped-def]
    """The window with its own queue and engine, over one large picture."""
    from gui import app as application

    monkeypatch.setattr("gui.ui.main_window.QApplication.quit", lambda: None)
    picture = write(1, LARGE)
    made = application.MainWindow(application.Settings())
    made.show()
    queue = JobQueue()
    workspace = application.furnish(qapp, made, queue, FakeHub())
    workspace.studio.start()
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: workspace.studio.model.info is not None)
    qtbot.waitUntil(lambda: pictures.rowCount() == 1 and pictures.picture(0) is not None)
    found = pictures.find(str(picture))
    assert found is not None
    workspace.canvas.look_at(found)
    qtbot.waitUntil(lambda: workspace.canvas.view.path() == str(picture))
    draft = workspace.studio.draft
    draft.set("steps", 3)
    draft.set("prompt", "a red apple")
    yield workspace
    made.close()
    made.deleteLater()
    queue.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def generate(window, qtbot) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Makes the picture; the starting picture's pixels and those of the finished one."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        finished: list[str] = []
        failed: list[str] = []
        window.studio.picture_finished.connect(lambda picture: finished.append(picture.path))
        window.studio.error_raised.connect(lambda error: failed.append(error.message))
        window.studio.job_failed.connect(lambda error, _again: failed.append(error.message))
        start = window.canvas.view.path()
        window.generate()
        qtbot.waitUntil(lambda: bool(finished or failed))
        assert not failed
        with Image.open(start) as before, Image.open(finished[0]) as after:
            return np.array(before.convert("RGB")), np.array(after.convert("RGB"))

    return make


def test_what_is_painted_over_is_new_and_all_else_is_as_it_was(window, generate, qtbot) -> None:
    window.actions_.tools["mask"].trigger()
    tool, view = window.tools_desk.mask_tool, window.canvas.view
    window.studio.draft.set("start_image.mask_feather", 10)
    window.studio.draft.set("start_image.strength", 0.9)
    tool.set_mode(Mode.LASSO)
    drag(view, [(150, 200), (330, 200), (330, 360), (150, 360)])
    before, after = generate()
    assert after.shape == before.shape
    far = np.ones((LARGE, LARGE), bool)
    far[200 - 11 : 360 + 11, 150 - 11 : 330 + 11] = False
    assert (after[far] == before[far]).all(), "what is not painted anew is as it was, bit for bit"
    inner = (slice(220, 340), slice(170, 310))
    assert np.abs(after[inner].astype(int) - before[inner]).mean() > 3
    qtbot.waitUntil(lambda: window.canvas.view.path() != "" and bool(window.tools_desk.mask.before))
    assert tool.mask.image is not None, "the mask stays for another try"


def test_the_picture_lies_in_its_new_frame_as_it_was(window, generate) -> None:
    window.actions_.tools["frame"].trigger()
    view = window.canvas.view
    window.studio.draft.set("start_image.mask_feather", 8)
    drag(view, [(LARGE, 256), (LARGE + 128, 256)])
    before, after = generate()
    assert after.shape == (LARGE, LARGE + 128, 3)
    kept = slice(0, LARGE - 9)
    assert (after[:, kept] == before[:, kept]).all()
    assert after[:, LARGE:].std() > 0
