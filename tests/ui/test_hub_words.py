"""Counts, dates and progress in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState, DownloadStatus
from gui.ui.hub import words as hub_words

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STATUS = DownloadStatus(
    "d", "a/b", "v", "b", "r", DownloadState.FETCHING, 1_600_000_000, 312_000_000,
    bytes_per_second=24e6, seconds_left=50,
)  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (987, "987"),
        (1000, "1k"),
        (1234, "1.2k"),
        (12_345, "12.3k"),
        (99_960, "100k"),
        (123_456, "123k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (4_500_000, "4.5M"),
    ],
)
def test_counts_are_short(number, text):
    assert hub_words.count_text(number) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, "today"),
        (1, "yesterday"),
        (2, "2 days ago"),
        (14, "2 weeks ago"),
        (61, "2 months ago"),
        (365, "11 months ago"),
        (740, "2 years ago"),
    ],
)
def test_dates_are_told_from_today(days, text):
    assert hub_words.when_text((NOW - timedelta(days=days)).isoformat(), NOW) == text


def test_dates_of_the_hub_are_read_and_nonsense_is_left_out():
    assert hub_words.when_text("2026-04-30T10:00:00.000Z", NOW) == "yesterday"
    assert hub_words.when_text("soon", NOW) == ""
    assert hub_words.when_text("2027-01-01T00:00:00Z", NOW) == "today", "a clock that is off"
    assert hub_words.short_when_text("2024-05-01T00:00:00Z", NOW) == "2 yr ago"


@pytest.mark.parametrize(
    ("name", "short"),
    [("coreml-anything", "anything"), ("CoreML-upscaler", "upscaler"), ("coreml-", "coreml-")],
)
def test_names_are_shown_without_what_all_begin_with(name, short):
    assert hub_words.short_name(name) == short


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
            "No connection · tries again in 8 s",
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
    assert hub_words.state_text(replace(STATUS, **values)) == text


def test_a_share_never_leaves_its_bar():
    assert hub_words.share(replace(STATUS, bytes_done=10**12)) == 1.0
    assert hub_words.share(replace(STATUS, bytes_total=0)) == 0.0
