"""The whole way through the window's state, with the real Hub process, real client and a loopback
Hub: search, judge, download, use; and what happens when the process is killed or the app is quit in
the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import paths
from gui.errors import ErrorKind
from gui.hub.types import DownloadState, Level, ModelKind, SearchQuery
from gui.state.settings import Settings
from gui.state.studio import Studio
from tests.support.fake_queue import FakeQueue
from tests.support.hub_models import contents, long_model, offered
from tests.support.hub_repos import STARTER_REPO, controlnets, crowd, starter
from tests.support.hub_server import HubServer

PATIENCE = 60_000


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer([starter(), long_model(), controlnets(), *crowd(40)]) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: HubServer) -> Path:
    server.faults.clear()
    server.clear_log()
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.support.file_keyring.FileKeyring")
    return tmp_path


@pytest.fixture
def open_studio(qapp: QApplication, qtbot: QtBot) -> Iterator[Callable[[], Studio]]:
    opened: list[Studio] = []

    def open_() -> Studio:
        studio = Studio(Settings(), FakeQueue())
        opened.append(studio)
        with qtbot.waitSignal(studio.models.refreshed, timeout=PATIENCE):
            studio.start()
        return studio

    yield open_
    for studio in opened:
        studio.close()


def begin(studio: Studio, qtbot: QtBot, repo: str) -> str:
    """Press Get on the recommended variant; the download's id."""
    studio.hub.want_details(repo)
    qtbot.waitUntil(lambda: studio.hub.details(repo) is not None, timeout=PATIENCE)
    best = studio.hub.details(repo).recommended  # type: ignore[union-attr]
    assert best is not None and best.verdict.level is not Level.NO
    studio.hub.downloads.start(repo, best.id)
    qtbot.waitUntil(lambda: studio.hub.downloads.of(repo) is not None, timeout=PATIENCE)
    return studio.hub.downloads.of(repo).id  # type: ignore[union-attr]


def fetched(studio: Studio, download: str) -> int:
    status = studio.hub.downloads.status(download)
    return status.bytes_done if status else 0


def test_from_the_search_to_the_model_in_use(open_studio, qtbot: QtBot) -> None:
    studio = open_studio()
    catalogue = studio.hub.catalogue
    catalogue.set_query(SearchQuery(text="fog"))
    qtbot.waitUntil(lambda: catalogue.state.phase == "ready", timeout=PATIENCE)
    assert catalogue.row_of(STARTER_REPO) >= 0
    catalogue.want([STARTER_REPO])
    qtbot.waitUntil(lambda: catalogue.row(STARTER_REPO).details is not None, timeout=PATIENCE)
    qtbot.waitUntil(lambda: Path(catalogue.row(STARTER_REPO).picture).is_file(), timeout=PATIENCE)
    assert studio.model.starter
    begin(studio, qtbot, STARTER_REPO)
    qtbot.waitUntil(lambda: not studio.model.starter, timeout=PATIENCE)
    entry = studio.model
    assert (entry.repo, entry.usable, entry.problem) == (STARTER_REPO, True, "")
    assert entry.folder.is_relative_to(paths.models_dir())
    assert catalogue.row(STARTER_REPO).installed
    studio.hub.verify(str(entry.folder))
    with qtbot.waitSignal(studio.hub.verified, timeout=PATIENCE) as verified:
        pass
    assert verified.args == [str(entry.folder), ()]


def test_a_controlnet_is_got_updated_and_removed_with_undo(
    open_studio,
    qtbot: QtBot,
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    studio = open_studio()
    catalogue, repo = studio.hub.catalogue, controlnets().id
    catalogue.set_query(SearchQuery(kinds=(ModelKind.CONTROLNET,)))
    qtbot.waitUntil(lambda: catalogue.row_of(repo) >= 0, timeout=PATIENCE)
    studio.hub.want_details(repo)
    qtbot.waitUntil(lambda: studio.hub.details(repo) is not None, timeout=PATIENCE)
    canny = studio.hub.details(repo).variants[0]  # type: ignore[union-attr]
    assert canny.verdict.reasons[0].startswith("Guides ") and canny.verdict.level is Level.GOOD
    studio.hub.downloads.start(repo, canny.id)
    folder = str(paths.controlnets_dir() / "Canny-5x5")
    qtbot.waitUntil(lambda: studio.hub.installed_folder(repo, canny.id) == folder, timeout=PATIENCE)
    assert catalogue.row(repo).installed
    assert studio.models.installed_count == 0
    # A newer revision of its repository takes its place.
    old = server.repos[repo]
    files = {path: blob.read() for path, blob in old.blobs.items()}
    changed = next(path for path in files if "Canny" in path and path.endswith("coremldata.bin"))
    newer = old.commit({**files, changed: files[changed] + b"\0"})
    with qtbot.waitSignal(studio.hub.updates_changed, timeout=PATIENCE):
        studio.hub.look_for_updates()
    assert studio.hub.update_of(folder) == newer
    studio.hub.update(folder)
    qtbot.waitUntil(
        lambda: any(one.revision == newer for one in studio.addons.entries), timeout=PATIENCE
    )
    assert studio.hub.update_of(folder) == ""
    # Out, and back.
    (entry,) = studio.addons.entries
    before = contents(Path(folder))
    studio.addons.trash(entry)
    qtbot.waitUntil(lambda: not studio.addons.entries, timeout=PATIENCE)
    assert not Path(folder).exists() and not catalogue.row(repo).installed
    studio.undo.undo()
    qtbot.waitUntil(lambda: bool(studio.addons.entries), timeout=PATIENCE)
    assert contents(Path(folder)) == before
    studio.undo.redo()
    qtbot.waitUntil(lambda: not studio.addons.entries, timeout=PATIENCE)
    old.commit(files)


def test_a_killed_hub_process_loses_no_download(
    open_studio, qtbot: QtBot, server: HubServer
) -> None:
    throttle = server.fault("/cdn/slow/model/*", bytes_per_second=3e6)
    studio = open_studio()
    download = begin(studio, qtbot, "slow/model")
    qtbot.waitUntil(lambda: fetched(studio, download) > 2**20, timeout=PATIENCE)
    errors: list = []
    studio.error_raised.connect(errors.append)
    first = studio.hub.hub.pid
    os.kill(first, signal.SIGKILL)
    server.faults.remove(throttle)
    with qtbot.waitSignal(studio.hub.downloads.finished, timeout=PATIENCE) as finished:
        pass
    assert studio.hub.hub.pid not in (0, first)
    assert errors == []  # nothing a person has to know
    [status] = finished.args or []
    folder = Path(status.folder)
    assert contents(folder) == offered(server.repos["slow/model"])


def test_quitting_pauses_and_the_next_start_offers_to_go_on(
    open_studio, qtbot: QtBot, server: HubServer
) -> None:
    throttle = server.fault("/cdn/slow/model/*", bytes_per_second=3e6)
    first = open_studio()
    download = begin(first, qtbot, "slow/model")
    qtbot.waitUntil(lambda: fetched(first, download) > 2**20, timeout=PATIENCE)
    pid = first.hub.hub.pid
    first.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    server.faults.remove(throttle)
    second = open_studio()
    assert second.models.installed_count == 0
    qtbot.waitUntil(lambda: bool(second.hub.downloads.interrupted()), timeout=PATIENCE)
    [left] = second.hub.downloads.interrupted()
    assert left.id == download and left.state is DownloadState.PAUSED and left.bytes_done >= 2**20
    server.clear_log()
    with qtbot.waitSignal(second.hub.downloads.finished, timeout=PATIENCE) as finished:
        second.hub.downloads.resume(download)
    [status] = finished.args or []
    assert contents(Path(status.folder)) == offered(server.repos["slow/model"])
    # What was there was not fetched again, up to the last block of each connection.
    assert server.sent("slow/model") < left.bytes_total - left.bytes_done + 8 * 2**20


def test_without_connection_the_catalogue_says_so(
    open_studio, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    studio = open_studio()
    studio.hub.catalogue.refresh()
    phases = ("offline", "error", "empty", "ready")
    qtbot.waitUntil(lambda: studio.hub.catalogue.state.phase in phases, timeout=PATIENCE)
    state = studio.hub.catalogue.state
    assert state.phase == "offline" and state.error.kind is ErrorKind.NETWORK and state.message
