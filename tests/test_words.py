"""Figures and terms in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gui import words
from gui.coreml.model import Attention, ComponentKind, Family, FileFormat
from gui.hub.types import Level

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (999.7, "1 KB"),
        (1_000, "1 KB"),
        (999_499, "999 KB"),
        (999_600, "1.0 MB"),
        (12_440_000, "12.4 MB"),
        (99_970_000, "100 MB"),
        (640_000_000, "640 MB"),
        (999_700_000, "1.00 GB"),
        (2_873_000_000, "2.87 GB"),
        (9_997_000_000, "10.0 GB"),
        (15_000_000_000, "15.0 GB"),
        (2_000_000_000_000, "2.00 TB"),
    ],
)
def test_sizes_of_files_are_decimal_with_three_digits(size, text):
    assert words.size(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(16 * 2**30, "16 GB"), (round(4.1 * 2**30), "4.1 GB"), (310 * 2**20, "310 MB")],
)
def test_memory_is_counted_as_macs_are_sold(size, text):
    assert words.memory(size) == text


@pytest.mark.parametrize(
    ("share", "text"), [(-1, "0%"), (0.29, "29%"), (0.999, "99%"), (1.0, "100%"), (1.5, "100%")]
)
def test_only_what_is_complete_is_a_hundred_percent(share, text):
    assert words.percent(share) == text


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
    assert words.count(number) == text


def test_one_of_a_thing_is_singular():
    assert [words.plural(n, "file") for n in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
    assert words.plural(2, "entry", "entries") == "2 entries"
    assert [words.counted(n, "like") for n in (1, 1200)] == ["1 like", "1.2k likes"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12, "12 weights"),
        (3_400_000, "3 million weights"),
        (859_520_964, "860 million weights"),
        (999_900_000, "1.0 billion weights"),
        (2_567_463_684, "2.6 billion weights"),
    ],
)
def test_networks_are_told_by_their_weights(number, text):
    assert words.weights(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3840, "1 h 4 min")],
)
def test_spans_of_time(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (3.21, "3.2 s"), (9.97, "10 s"), (125.3, "2 min 5 s")]
)
def test_what_took_little_is_told_with_tenths(seconds, text):
    assert words.measured(seconds) == text


def test_nothing_is_said_of_time_that_nobody_knows():
    assert words.left(0) == ""
    assert words.left(300) == "5 min left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, ""), (0.1, "10.0 steps/s"), (1.0, "1.0 s/step"), (2.44, "2.4 s/step")]
)
def test_speed_keeps_the_number_above_one(seconds, text):
    assert words.speed(seconds) == text


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
    assert words.ago((NOW - timedelta(days=days)).isoformat(), NOW) == text


def test_dates_of_the_hub_are_read_and_nonsense_is_left_out():
    assert words.ago("2026-04-30T10:00:00.000Z", NOW) == "yesterday"
    assert words.ago("soon", NOW) == words.day("soon", NOW) == ""
    assert words.ago("2027-01-01T00:00:00Z", NOW) == "today", "a clock that is off"
    assert words.short_ago("2024-05-01T00:00:00Z", NOW) == "2 yr ago"
    assert words.day("2026-03-09T12:00:00Z", NOW) == "9 March"
    assert words.day("2024-03-09T12:00:00Z", NOW) == "9 March 2024"


def test_lists_are_read_as_sentences():
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b"]) == "a and b"
    assert words.listed(["a", "b", "c"], "or") == "a, b or c"


def test_words_of_strangers_are_plain_and_not_endless():
    assert words.quoted("fog\u202e\x1b[31m") == "“fog  [31m”"
    assert words.quoted("fog " * 50, 10) == "“fog fog f…”"
    assert words.shortened("fog", 3) == "fog"


@pytest.mark.parametrize(
    ("name", "short"),
    [("coreml-anything", "anything"), ("CoreML-upscaler", "upscaler"), ("coreml-", "coreml-")],
)
def test_names_are_shown_without_what_all_begin_with(name, short):
    assert words.short_name(name) == short


@pytest.mark.parametrize(
    ("terms", "values"),
    [
        (words.COMPONENTS, ComponentKind),
        (words.FAMILIES, Family),
        (words.SHORT_FAMILIES, Family),
        (words.ATTENTION, Attention),
        (words.FORMATS, FileFormat),
        (words.LEVELS, Level),
    ],
)
def test_everything_that_has_a_value_has_a_name(terms, values):
    assert set(values) <= set(terms)
    assert all(terms[value] and "_" not in terms[value] for value in values)
