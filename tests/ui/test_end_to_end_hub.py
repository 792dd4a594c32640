"""The newcomer's whole way in the real window, with nothing in it faked but the network's other
end: search, card, verdict, download with progress, and a picture made with what was downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import app as application
from gui import paths
from gui.hub.types import Level
from gui.ui.workspace import Workspace
from tests.support.hub_repos import STARTER_REPO, crowd, starter
from tests.support.hub_server import HubServer

PATIENCE = 120_000
PROMPT = "a red apple on a blue background"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name)
    for name in ("HOME", "SFUMATO_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.support.file_keyring.FileKeyring")
    with HubServer([starter(), *crowd(40)]) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def workspace(
    server: HubServer, qapp: QApplication, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setattr("gui.ui.main_window.QApplication.quit", lambda: None)
    window = application.MainWindow(application.Settings())
    window.show()
    workspace = application.furnish(qapp, window)  # type: ignore[arg-type]
    workspace.studio.start()
    yield workspace
    window.close()
    window.deleteLater()
    # Now, not when the application is torn down and the text fields' cursors can no longer blink.
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def make_picture(workspace: Workspace, qtbot: QtBot) -> Path:
    """Type, press, wait."""
    panel, studio = workspace.prompt_panel, workspace.studio
    panel.prompt.edit.setPlainText(PROMPT)
    studio.draft.set("seed", 7)
    made: list[str] = []
    studio.picture_finished.connect(lambda picture: made.append(picture.path))
    QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(made) and not studio.activity.busy, timeout=PATIENCE)
    return Path(made[0])


def test_from_the_search_to_a_picture(
    workspace: Workspace, qtbot: QtBot, server: HubServer
) -> None:
    server.fault("/cdn/*", bytes_per_second=4e6)  # long enough to see it move
    studio = workspace.studio
    shipped = make_picture(workspace, qtbot)  # with the model that ships with the app
    panel = workspace.models_panel.show_hub()
    QTest.keyClicks(panel.search, "fog")
    catalogue = studio.hub.catalogue
    qtbot.waitUntil(lambda: catalogue.row_of(STARTER_REPO) >= 0, timeout=PATIENCE)
    qtbot.waitUntil(lambda: studio.hub.details(STARTER_REPO) is not None, timeout=PATIENCE)
    card = panel.list.visualRect(panel.list.model().index(catalogue.row_of(STARTER_REPO), 0))
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=card.center())
    qtbot.waitUntil(lambda: workspace.models_desk.sheet is not None, timeout=PATIENCE)
    sheet = workspace.models_desk.sheet
    assert sheet is not None
    qtbot.waitUntil(lambda: sheet.chosen is not None and bool(sheet.chosen.image_width))
    chosen = sheet.chosen
    assert chosen is not None and chosen.recommended
    assert chosen.verdict.level is not Level.NO and chosen.verdict.reasons
    shares: list[float | None] = []
    studio.hub.downloads.progress_changed.connect(shares.append)
    QTest.mouseClick(sheet.bar.main, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not studio.model.starter, timeout=PATIENCE)
    moving = [share for share in shares if share is not None]
    assert len(set(moving)) >= 3 and moving == sorted(moving) and shares[-1] is None
    assert studio.model.repo == STARTER_REPO and studio.model.usable
    assert studio.model.folder.is_relative_to(paths.models_dir())
    sheet.close()
    fetched = make_picture(workspace, qtbot)
    assert str(fetched.read_bytes()).count(studio.model.name) >= 1  # it is said in the picture
    # The very same networks, come by another way: the very same picture.
    with Image.open(shipped) as one, Image.open(fetched) as other:
        assert one.tobytes() == other.tobytes() and one.size == other.size
        assert len(one.convert("RGB").getcolors(1 << 20) or []) > 50
