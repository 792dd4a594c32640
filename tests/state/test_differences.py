"""What is said of pictures that are compared: only what sets them apart."""

from __future__ import annotations

from dataclasses import replace

from gui.library.metadata.imported import Imported
from gui.library.picture_origin import PictureOrigin
from gui.request import PictureRecord, PictureRequest, StartImage
from gui.state.pictures.differences import differences, telling_parts
from gui.state.pictures.origin import origin_of

REQUEST = PictureRequest(
    "a fox", "", seed=1, steps=20, guidance_scale=7.0, scheduler="Euler a", negative_prompt="blur"
)


def made(request: PictureRequest, model: str = "Dream"):
    return origin_of(PictureOrigin(PictureRecord(request, 64, 64, model)))


def told(*origins, sizes=None) -> list[list[str]]:
    found = differences(origins, sizes or [(64, 64)] * len(origins))
    return [[f"{one.label}={one.text}" for one in each] for each in found]


def test_only_settings_that_differ_are_told_seed_first() -> None:
    other = replace(REQUEST, seed=2, scheduler="DDIM", prompt="a cat")
    assert told(made(REQUEST), made(other)) == [
        ["Seed=1", "Scheduler=Euler a"],
        ["Seed=2", "Scheduler=DDIM"],
    ]
    assert told(made(REQUEST), made(REQUEST)) == [[], []]


def test_one_of_three_that_differs_is_told_of_all() -> None:
    found = told(made(REQUEST), made(replace(REQUEST, steps=30)), made(REQUEST))
    assert found == [["Steps=20"], ["Steps=30"], ["Steps=20"]]


def test_models_and_sizes_count() -> None:
    found = told(made(REQUEST), made(REQUEST, "Other"), sizes=[(64, 64), (64, 96)])
    assert found == [["Model=Dream", "Size=64 × 64"], ["Model=Other", "Size=64 × 96"]]


def test_what_one_has_and_another_lacks_is_a_difference() -> None:
    start = replace(REQUEST, start_image=StartImage("/tmp/start.png", 0.5), negative_prompt="")
    found = told(made(REQUEST), made(start))
    assert "Negative prompt=blur" in found[0] and "Negative prompt=none" in found[1]
    assert "Strength=none" in found[0] and "Strength=0.5" in found[1]


def test_what_another_program_does_not_say_is_no_difference() -> None:
    foreign = origin_of(PictureOrigin(imported=Imported("Other", prompt="a fox", seed=1, steps=25)))
    ours, theirs = told(made(REQUEST, model=""), foreign)
    assert "Steps=20" in ours and "Steps=25" in theirs
    assert not any("Guidance" in each for each in ours), "nobody knows theirs"


def test_prompts_are_shown_from_where_they_part() -> None:
    one, two = "a b c d e f in the morning", "a b c d e f at night"
    assert telling_parts([one, two]) == ["… f in the morning", "… f at night"]
    assert telling_parts(["a fox", "a cat"]) == ["a fox", "a cat"]
    assert telling_parts([one, one]) == [one, one]
