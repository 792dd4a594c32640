"""What a parameter of a picture may be and how it is told is declared once and used everywhere."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Any

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.request import (
    Described,
    PictureRequest,
    StartImage,
    described_fields,
    value_of,
    with_value,
)
from gui.ui.prompt.controls import ROWS

FIELDS = list(described_fields().values())
NUMBERS = [field for field in FIELDS if field.range is not None]
BLANK = PictureRequest("", "", start_image=StartImage("/a.png"))


def test_every_field_is_described_but_those_that_nobody_sets() -> None:
    described = {name.partition(".")[0] for name in described_fields()}
    every = {field.name for field in dataclasses.fields(PictureRequest)}
    assert every - described == {
        "controls",  # a list of its own kind: see `gui.cli.controls`
        "grid",
        "model",
        "previews",
        "keep_previews",
        "reduce_memory",  # a setting, and an option of `generate` and `queue add`
        "precision",  # likewise
        "branch",
        "output_dir",
        "output_file",
    }


def test_every_parameter_has_a_control_and_an_option_of_its_own() -> None:
    assert [row.field for row in ROWS if row.field not in described_fields()] == []
    assert sorted(row.field for row in ROWS) == sorted(described_fields())
    flags = [flag for field in FIELDS for flag in field.parameter.flags]
    assert len(flags) == len(set(flags)) >= len(FIELDS)
    for field in FIELDS:
        told = field.parameter
        assert told.label and told.words.startswith("The ") and told.help.endswith((".", "web UIs"))


@pytest.mark.parametrize("field", [f for f in FIELDS if issubclass(f.kind, StrEnum)])
def test_every_value_there_is_can_be_chosen(field: Described) -> None:
    assert [option.value for option in field.parameter.options] == list(field.kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", NUMBERS, ids=lambda f: f.name)
def test_a_range_is_kept_by_reading_and_by_validation(field: Described) -> None:
    assert field.range is not None
    low, high = field.kind(field.range.low), field.kind(field.range.high)
    for good in (low, high):
        request = with_value(BLANK, field.name, good)
        request.validate()
        assert PictureRequest.from_json(request.to_json()) == request
        assert value_of(request, field.name) == good
    bad: tuple[Any, ...] = (low - 1, high + 1, float("nan"), float("inf"), "3", True, [1])
    for value in bad:
        request = with_value(BLANK, field.name, value)
        with pytest.raises(SfumatoError) as caught:
            request.validate()
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        assert caught.value.message.startswith(f"{field.parameter.words} must be ")
        data = {**BLANK.to_json()}
        outer, _, inner = field.name.rpartition(".")
        if outer:
            data[outer] = {**data[outer], inner: value}
        else:
            data[inner] = value
        with pytest.raises(SfumatoError, match=f"{field.parameter.words} must be "):
            PictureRequest.from_json(data)
