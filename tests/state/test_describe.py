"""Models and downloads in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState, DownloadStatus
from gui.state import describe

STATUS = DownloadStatus(
    "d", "a/b", "v", "b", "r", DownloadState.FETCHING, 1_600_000_000, 312_000_000,
    bytes_per_second=24e6, seconds_left=50,
)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "312 MB of 1.60 GB · 24.0 MB/s · 50 s left"),
        ({"seconds_left": 0.0, "bytes_per_second": 0.0}, "312 MB of 1.60 GB"),
        ({"state": DownloadState.QUEUED}, "Waiting for its turn · 1.60 GB"),
        ({"state": DownloadState.PAUSED}, "Paused · 312 MB of 1.60 GB"),
        ({"state": DownloadState.PAUSED, "interrupted": True}, "Interrupted · 312 MB of 1.60 GB"),
        (
            {"state": DownloadState.WAITING, "retry_in": 8.0},
            "No answer · tries again in 8 s",
        ),
        (
            {
                "state": DownloadState.WAITING,
                "retry_in": 8.0,
                "error": SfumatoError(
                    ErrorKind.NETWORK,
                    "The Hub has a problem of its own (error 503); try again in a few minutes.",
                ),
            },
            "The Hub has a problem of its own (error 503) · tries again in 8 s",
        ),
        (
            {
                "state": DownloadState.FAILED,
                "error": SfumatoError(ErrorKind.STORAGE, "The disk is full."),
            },
            "The disk is full.",
        ),
    ],
)
def test_where_a_download_stands(values, text):
    assert describe.download_state(replace(STATUS, **values)) == text


def test_a_share_never_leaves_its_bar():
    assert describe.download_share(replace(STATUS, bytes_done=10**12)) == 1.0
    assert describe.download_share(replace(STATUS, bytes_total=0)) == 0.0
