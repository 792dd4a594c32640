"""Figures in words."""

from __future__ import annotations

import pytest

from gui.errors import ErrorKind
from gui.state import describe


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 KB"),
        (999_499, "999 KB"),
        (999_600, "1.0 MB"),
        (12_440_000, "12.4 MB"),
        (640_000_000, "640 MB"),
        (2_873_000_000, "2.87 GB"),
        (15_000_000_000, "15.0 GB"),
    ],
)
def test_file_sizes_are_decimal(size, text):
    assert describe.bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3840, "1 h 4 min")],
)
def test_spans_of_time(seconds, text):
    assert describe.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, ""), (0.1, "10.0 steps/s"), (1.0, "1.0 s/step"), (2.44, "2.4 s/step")]
)
def test_speed_keeps_the_number_above_one(seconds, text):
    assert describe.speed_text(seconds) == text


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_comes_with_advice(kind):
    text = describe.advice(kind)
    assert text.endswith(".")
    assert text.count(".") == 1
