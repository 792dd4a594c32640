"""The list of downloads follows the Hub process through starts, ends, failures and its death."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QAbstractItemModelTester

from gui.errors import ErrorKind, SfumatoError
from gui.hub.messages import DownloadMoved
from gui.hub.types import DownloadState, DownloadStatus
from gui.state.hub.downloads import DownloadList
from tests.support.fake_hub import FakeHub, summary

FULL = SfumatoError(ErrorKind.STORAGE, "The disk is full; free some space and go on.")
GONE = SfumatoError(ErrorKind.ENGINE, "The connection to the Hub stopped unexpectedly.")


def status(number: int = 1, state: DownloadState = DownloadState.FETCHING, **values):
    return DownloadStatus(
        f"d{number}", f"ada/model-{number}", "v", f"Model {number}", "a" * 40, state, 1000, **values
    )


@pytest.fixture
def hub(qapp):
    return FakeHub([summary("ada/fog"), summary("ada/mist")])


@pytest.fixture
def downloads(hub):
    model = DownloadList(hub)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal, model)
    return model


class Heard:
    """Everything a signal said."""

    def __init__(self, *signals) -> None:
        self.all: list = []
        for signal in signals:
            signal.connect(lambda *values: self.all.append(values))


def test_a_download_from_start_to_end(hub, downloads):
    finished, progress = Heard(downloads.finished), Heard(downloads.progress_changed)
    downloads.start("ada/fog", "split_einsum/compiled")
    assert downloads.is_starting("ada/fog", "split_einsum/compiled")
    downloads.start("ada/fog", "split_einsum/compiled")  # pressed twice
    QCoreApplication.processEvents()
    assert hub.count("start") == 1
    assert not downloads.is_starting("ada/fog", "split_einsum/compiled")
    [queued] = downloads.statuses()
    assert queued.state is DownloadState.QUEUED and downloads.active_fraction == 0.0
    hub.progress(queued.id, 0.25)
    assert downloads.active_fraction == pytest.approx(0.25)
    index = downloads.index(0)
    assert index.data(Qt.ItemDataRole.UserRole).seconds_left == pytest.approx(50)
    assert index.data(Qt.ItemDataRole.AccessibleTextRole).endswith(
        "400 MB of 1.60 GB, 24.0 MB/s, 50 s left."
    )
    hub.finish(queued.id, "/models/fog")
    assert downloads.rowCount() == 0 and downloads.active_fraction is None
    assert [s.folder for (s,) in finished.all] == ["/models/fog"]
    assert progress.all[-1] == (None,)


def test_an_event_that_overtakes_the_answer_is_not_undone(hub, downloads):
    hub.silent.add("start")
    downloads.start("ada/model-1", "v")
    hub.event_received.emit(DownloadMoved(status(bytes_done=700)))
    hub.answer("start", status(state=DownloadState.QUEUED))
    assert downloads.statuses()[0].bytes_done == 700
    downloads.start("ada/model-2", "v")
    hub.event_received.emit(DownloadMoved(status(2, DownloadState.DONE, folder="/m")))
    hub.answer("start", status(2, DownloadState.QUEUED))
    assert [s.id for s in downloads.statuses()] == ["d1"]


def test_a_refused_start_names_repository_variant_and_error(hub, downloads):
    refused = Heard(downloads.refused)
    hub.errors["start"] = FULL
    downloads.start("ada/fog", "original/packages", use=True)
    QCoreApplication.processEvents()
    assert refused.all == [("ada/fog", "original/packages", FULL)]
    assert not downloads.is_starting("ada/fog", "original/packages")
    assert downloads.rowCount() == 0


def test_a_failure_is_told_once_and_can_be_gone_on_from(hub, downloads):
    failed = Heard(downloads.failed)
    downloads.start("ada/fog", "split_einsum/compiled")
    QCoreApplication.processEvents()
    download = downloads.statuses()[0].id
    hub.fail_download(download, FULL)
    hub.fail_download(download, FULL)
    assert len(failed.all) == 1 and downloads.active_fraction is None
    downloads.resume(download)
    QCoreApplication.processEvents()
    assert downloads.statuses()[0].state is DownloadState.FETCHING
    assert downloads.statuses()[0].error is None


def test_pausing_and_cancelling(hub, downloads):
    for repo in ("ada/fog", "ada/mist"):
        downloads.start(repo, "split_einsum/compiled")
    QCoreApplication.processEvents()
    fog, mist = downloads.statuses()
    downloads.pause(fog.id)
    downloads.cancel(mist.id)
    QCoreApplication.processEvents()
    assert [(s.repo, s.state) for s in downloads.statuses()] == [("ada/fog", DownloadState.PAUSED)]
    assert downloads.interrupted() == []  # the person paused it
    assert downloads.of("ada/fog") is not None and downloads.of("ada/mist") is None


def test_total_progress_weighs_by_size_and_leaves_out_what_rests(hub, downloads):
    hub.move(replace(status(1), bytes_total=3000, bytes_done=3000))
    hub.move(replace(status(2), bytes_total=1000, bytes_done=0))
    hub.move(status(3, DownloadState.PAUSED, bytes_done=500))
    assert downloads.active_fraction == pytest.approx(0.75)


def test_downloads_of_an_earlier_run_are_offered(hub, downloads):
    hub.downloads = {
        "d1": status(1, DownloadState.PAUSED, interrupted=True),
        "d2": status(2, DownloadState.PAUSED),
    }
    downloads.load()
    QCoreApplication.processEvents()
    assert [s.id for s in downloads.interrupted()] == ["d1"]
    assert downloads.rowCount() == 2 and not downloads.active


def test_downloads_go_on_when_the_hub_process_dies(hub, downloads):
    hub.downloads = {"d1": status(1), "d2": status(2, DownloadState.PAUSED)}
    downloads.load()
    QCoreApplication.processEvents()
    hub.lost.emit(GONE, False)
    assert [a.arguments["download"] for a in hub.asked if a.do == "resume"] == ["d1"]


def test_downloads_stop_with_an_error_when_it_dies_again_and_again(hub, downloads):
    hub.downloads = {"d1": status(1)}
    downloads.load()
    QCoreApplication.processEvents()
    failed = Heard(downloads.failed)
    hub.lost.emit(GONE, True)
    assert hub.count("resume") == 0
    assert [s.error for (s,) in failed.all] == [GONE]
