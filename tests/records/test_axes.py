"""The sides of a grid: lists as people type them, and the request of each cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gui.axes import MAX_CELLS, Axis, axis_kinds, axis_named, make_grid, parse_axis
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit, PictureRequest, StartImage, described_fields, value_of

BASE = PictureRequest("a {red|blue} {fox|cat}", "", "bad {a|b}", seed=7, count=4)
PLAIN = PictureRequest("a fox", "", seed=7, start_image=StartImage("/s.png"))
MODELS = {"one": ("/m/one", "One"), "starter": ("", "Starter")}


def parse(field: str, text: str, base: PictureRequest = PLAIN, group: int = 0) -> Axis:
    return parse_axis(field, text, base, lambda name: MODELS[name], group)


@pytest.mark.parametrize(
    ("field", "text", "values"),
    [
        ("steps", "10, 20,30", (10, 20, 30)),
        ("steps", "10;20\n30", (10, 20, 30)),
        ("steps", "5-9", (5, 6, 7, 8, 9)),
        ("steps", "5-9:2", (5, 7, 9)),
        ("steps", "9-5:2", (9, 7, 5)),
        ("steps", "5 - 9 (+2)", (5, 7, 9)),  # as web UIs write it
        ("steps", "1-10 [4]", (1, 4, 7, 10)),
        ("steps", "1, 5-9:4, 5", (1, 5, 9)),
        ("guidance_scale", "5-6:0.25", (5, 5.25, 5.5, 5.75, 6)),
        ("guidance_scale", "0-0.3:0.1", (0, 0.1, 0.2, 0.3)),
        ("guidance_scale", "1-2[5]", (1, 1.25, 1.5, 1.75, 2)),
        ("seed", "4294967295", (4294967295,)),
        ("scheduler", "euler a, DPM++ 2M Karras", ("Euler a", "DPM++ 2M Karras")),
        ("compute_unit", "cpu only, CPU_AND_GPU", (ComputeUnit.CPU_ONLY, ComputeUnit.CPU_AND_GPU)),
        ("safety_checker", "on, no", (True, False)),
        ("model", "one, starter", ("/m/one", "")),
        ("prompt", "a cat|a dog ", ("a cat", "a dog")),
        ("start_image.strength", "0.3-0.9:0.3", (0.3, 0.6, 0.9)),
    ],
)
def test_lists(field: str, text: str, values: tuple[Any, ...]) -> None:
    axis = parse(field, text)
    assert axis.values == values
    assert len(axis.names) == len(values) and all(axis.names)
    if field in ("steps", "seed"):
        assert all(type(value) is int for value in axis.values)


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("steps", "", "“Steps” has no values yet"),
        ("steps", " , ;", "“Steps” has no values yet"),
        ("prompt", "", "“Prompt” has no values yet"),
        ("model", "", "“Model” has no values yet"),
        ("steps", "ten", "“ten” is no number"),
        ("steps", "nan", "“nan” is no number"),
        ("steps", "-3", "The number of steps must be a whole number from 1 to 1000"),
        ("steps", "20.5", "The number of steps must be a whole number from 1 to 1000"),
        ("steps", "0", "The number of steps must be"),
        ("steps", "1-9:0", "The step in “1-9:0” is 0"),
        ("steps", "1-1000", "1000 values; one side"),
        ("guidance_scale", "0-100:0.0001", "1000001 values; one side"),
        ("seed", "1-9 [0]", "0 values; one side"),
        ("steps", "1-60, 100-160", "121 values; one side"),
        ("guidance_scale", "1e400", "The guidance scale must be"),
        ("scheduler", "Eulr", "Did you mean"),
        ("compute_unit", "tpu", "The compute unit must be Automatic"),
        ("safety_checker", "maybe", "on or off"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(field: str, text: str, sentence: str) -> None:
    with pytest.raises(SfumatoError) as caught:
        parse(field, text)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert sentence in caught.value.message


def test_every_parameter_may_be_a_side_and_has_a_name() -> None:
    kinds = axis_kinds()
    left_out = {"count", "styles", "upscaler", "refiner", "depth_map"}
    left_out |= {"start_image.path", "start_image.mask", "start_image.outpaint"}
    for name, field in described_fields().items():
        if name in kinds:
            assert axis_named(field.parameter.label) == name
            assert all(axis_named(flag) == name for flag in field.parameter.flags)
        else:
            assert name in left_out or field.kind not in (int, float, bool, str)
    assert axis_named("guidance") == "guidance_scale"
    with pytest.raises(SfumatoError, match="no side for a grid"):
        axis_named("colour")


def test_a_grid_is_made_row_by_row() -> None:
    grid, cells = make_grid(PLAIN, parse("steps", "10,20,30"), parse("scheduler", "Euler, DDIM"))
    assert (grid.width, grid.height) == (3, 2)
    assert [(c.steps, c.scheduler) for c in cells] == [
        (10, "Euler"), (20, "Euler"), (30, "Euler"), (10, "DDIM"), (20, "DDIM"), (30, "DDIM"),
    ]  # fmt: skip
    assert [(c.grid.column, c.grid.row) for c in cells if c.grid] == [
        (x, y) for y in range(2) for x in range(3)
    ]
    assert cells[4].grid is not None and cells[4].grid.label == "Steps 20, DDIM"
    assert {c.seed for c in cells} == {7} and {c.count for c in cells} == {1}
    assert all(PictureRequest.from_json(c.to_json()) == c for c in cells)


def test_alternatives_are_sides_one_group_each() -> None:
    base = PictureRequest("a {red|blue} {fox|cat}, day", "")
    columns, rows = parse("prompt", "", base), parse("prompt", "", base, group=1)
    assert (columns.values, rows.values) == (("red", "blue"), ("fox", "cat"))
    _, cells = make_grid(base, columns, rows)
    assert [c.prompt for c in cells] == [
        "a red fox, day", "a blue fox, day", "a red cat, day", "a blue cat, day",
    ]  # fmt: skip
    _, cells = make_grid(PictureRequest("a {x|y} fox", ""), parse("prompt", "red|  |old"))
    assert [c.prompt for c in cells] == ["a red fox", "a fox", "a old fox"]
    _, cells = make_grid(PLAIN, parse("prompt", "a cat|a dog"))
    assert [c.prompt for c in cells] == ["a cat", "a dog"]


def test_alternatives_that_no_side_takes_are_not_passed_over() -> None:
    with pytest.raises(SfumatoError, match="no side of the grid takes"):
        make_grid(BASE, parse("steps", "1,2"))
    with pytest.raises(SfumatoError, match="no side of the grid takes"):
        make_grid(BASE, parse("prompt", "", BASE), parse("prompt", "", BASE, group=1))


def test_limits_of_the_whole() -> None:
    steps, seeds = parse("steps", "1-20"), parse("seed", "1-13")
    with pytest.raises(SfumatoError, match="That is 260 pictures; a grid may have up to 256"):
        make_grid(PLAIN, steps, seeds)
    assert MAX_CELLS == 256
    with pytest.raises(SfumatoError, match="Both sides are “Steps”"):
        make_grid(PLAIN, parse("steps", "1,2"), parse("steps", "3,4"))
    bare = PictureRequest("x", "")
    with pytest.raises(SfumatoError, match="needs a starting picture"):
        make_grid(bare, parse("start_image.strength", "0.5"))


def test_models_and_strengths_reach_the_cells() -> None:
    _, cells = make_grid(
        PLAIN, parse("model", "starter, one"), parse("start_image.strength", "0.3, 0.5")
    )
    assert [c.model for c in cells] == ["", "/m/one"] * 2
    assert [value_of(c, "start_image.strength") for c in cells] == [0.3, 0.3, 0.5, 0.5]
    assert {c.start_image.path for c in cells if c.start_image} == {str(Path("/s.png"))}
