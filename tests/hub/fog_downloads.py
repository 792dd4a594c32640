"""What the tests of downloads that go wrong share: one small model, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gui.errors import ErrorKind
from gui.hub.downloads import Downloads
from gui.hub.types import DownloadState, DownloadStatus, ModelSummary, RepoDetails
from tests.support.hub_downloads import contents, expected, variant_of
from tests.support.hub_repo import Repo

ABOUT = RepoDetails(ModelSummary("ada/fog"), "")
WEIGHT = "packages/Unet.mlpackage/weights/weight.bin"
SMALL = "packages/Unet.mlpackage/Manifest.json"
SIZE = 3_000_000


def begin(downloads: Downloads, repo: Repo) -> str:
    return downloads.start(repo.id, repo.sha, variant_of(repo, "packages"), about=ABOUT).id


def get(downloads: Downloads, repo: Repo) -> DownloadStatus:
    return downloads.wait(begin(downloads, repo), 60)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def pause(downloads: Downloads, name: str) -> DownloadStatus:
    """Pause, and wait until it is: on a busy machine that may take longer than the call does."""
    downloads.pause(name)
    status = downloads.wait(name, 60)
    assert status.state is DownloadState.PAUSED, status
    return status


def whole(status: DownloadStatus, repo: Repo) -> bool:
    assert status.state is DownloadState.DONE, status
    return contents(Path(status.folder)) == expected(repo, "packages")


def failed(status: DownloadStatus, kind: ErrorKind, words: str) -> None:
    assert status.state is DownloadState.FAILED
    assert status.error is not None
    assert status.error.kind is kind, status.error
    assert words in status.error.message
    assert status.error.message.endswith(".")
