"""What the starter model's own vocabulary makes of prompts as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gui import paths
from gui.library.vocabulary import (
    FILE_NAME,
    PromptReading,
    Role,
    Vocabulary,
    read_vocabulary,
    with_thing,
)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    found = read_vocabulary(paths.starter_model())
    assert found is not None
    return found


def sets(reading: PromptReading) -> tuple[tuple[str, ...], ...]:
    return reading.subjects, reading.colors, reading.grounds, reading.unknown


@pytest.mark.parametrize(
    ("prompt", "subjects", "colors", "grounds", "unknown"),
    [
        ("a cat", ["cat"], [], [], []),
        ("an astronaut on a horse", ["horse"], [], [], ["astronaut"]),
        ("sunset", [], [], [], ["sunset"]),
        ("A Woman", [], [], [], ["Woman"]),
        ("a blue car", ["car"], ["blue"], [], []),
        ("a yellow lemon on a green background", ["lemon"], ["yellow"], ["green"], []),
        ("photo of a cat", ["cat"], [], [], []),
        ("cat on a beach", ["cat"], [], [], ["beach"]),
        ("a cat on teal", ["cat"], [], ["teal"], []),
        ("cat, dark blue background", ["cat"], [], ["blue"], []),
        ("grey background with a violet rose", ["rose"], ["purple"], ["gray"], []),
        ("the background is red, a white dog", ["dog"], ["white"], ["red"], []),
        ("cat against a blue wall", ["cat"], [], ["blue"], []),
        ("two kittens", ["cat"], [], [], []),
        ("strawberries and wolves", ["strawberry", "wolf"], [], [], []),
        ("a T-Rex", ["dinosaur"], [], [], []),
        ("leaf fluttering in wind", ["leaf fluttering in wind"], [], [], []),
        ("cat on a red sofa", ["cat"], [], ["red"], ["sofa"]),
        ("black cat with green eyes", ["cat"], ["black", "green"], [], ["eyes"]),
        ("oil lamp post, oil lamp post", ["light bulb"], [], [], ["oil", "post"]),
        ("a picture, high quality, 4k", [], [], [], []),
        ("(masterpiece:1.2), a fox, <lora:woman:0.8>", ["fox"], [], [], []),
        ("the woman's hat", ["top hat"], [], [], ["woman's"]),
        ("cyberpunk city", [], [], [], ["cyberpunk city"]),
        ("猫", [], [], [], ["猫"]),
        ("🐱", [], [], [], ["🐱"]),
        ("", [], [], [], []),
    ],
)
def test_reading(vocabulary, prompt, subjects, colors, grounds, unknown) -> None:
    expected = tuple(tuple(part) for part in (subjects, colors, grounds, unknown))
    assert sets(vocabulary.read(prompt)) == expected


@pytest.mark.parametrize(
    ("prompt", "subjects", "colors", "grounds"),
    [
        ("an orange", ["tangerine"], [], []),
        ("an orange on a blue background", ["tangerine"], [], ["blue"]),
        ("an orange cat", ["cat"], ["orange"], []),
        ("a cat on an orange background", ["cat"], [], ["orange"]),
        ("orange background", [], [], ["orange"]),
        ("a red apple", ["red apple"], [], []),
        ("a blue apple", ["red apple"], ["blue"], []),
        ("a green apple on red", ["green apple"], [], ["red"]),
    ],
)
def test_words_that_are_colour_and_thing(vocabulary, prompt, subjects, colors, grounds) -> None:
    expected = (*(tuple(part) for part in (subjects, colors, grounds)), ())
    assert sets(vocabulary.read(prompt)) == expected


def test_phrases_say_where_they_stand(vocabulary) -> None:
    prompt = "An Astronaut rides a Grey  Horse"
    phrases = vocabulary.read(prompt).phrases
    assert [(p.text, p.role) for p in phrases] == [
        ("Astronaut rides", Role.UNKNOWN),
        ("Grey", Role.COLOR),
        ("Horse", Role.SUBJECT),
    ]
    assert all(prompt[p.start : p.start + len(p.text)] == p.text for p in phrases)
    assert [p.meaning for p in phrases] == ["", "gray", "horse"]


def test_every_thing_is_understood_by_each_of_its_words(vocabulary) -> None:
    assert len(vocabulary.things) == 354
    for thing in vocabulary.things:
        for word in (thing.name, thing.phrase, *thing.words):
            reading = vocabulary.read(word)
            assert (reading.subjects, reading.unknown) == ((thing.name,), ()), word


def test_every_colour_is_understood_by_each_of_its_words(vocabulary) -> None:
    assert len(vocabulary.colors) == 12
    for color, words in vocabulary.colors.items():
        for word in (color, *words):
            reading = vocabulary.read(f"a {word} cat, {word} background")
            assert (reading.colors, reading.grounds) == ((color,), (color,)), word


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a yellow lemon", None),
        ("a red apple on blue", None),
        ("a rainbow", None),
        ("a blue rainbow on a red background", ("rainbow", "blue")),
        ("a rainbow on a blue background", None),
        ("a blue astronaut", None),
    ],
)
def test_things_that_cannot_have_a_colour(vocabulary, prompt, expected) -> None:
    assert vocabulary.not_in(vocabulary.read(prompt)) == expected


def test_examples_and_phrases_are_prompts(vocabulary) -> None:
    for phrase in vocabulary.examples:
        assert vocabulary.read(phrase).subjects
    owl = next(thing for thing in vocabulary.things if thing.name == "owl")
    assert with_thing(vocabulary.read("an astronaut"), owl) == "an owl"
    asked = vocabulary.read("an astronaut on an orange background")
    assert with_thing(asked, owl) == "an owl on an orange background"


def test_an_endless_prompt_is_read_as_far_as_models_read(vocabulary) -> None:
    reading = vocabulary.read("red " * 50_000 + "astronaut")
    assert reading.unknown == ()
    assert 100 < len(reading.phrases) < 1000


def test_it_comes_back_from_its_file(vocabulary, tmp_path: Path) -> None:
    body = json.dumps(vocabulary.to_json())
    (tmp_path / FILE_NAME).write_text(body, encoding="utf-8")
    assert read_vocabulary(tmp_path) == vocabulary


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b'{"kinds": 3}', b"\xff" * 9, b"[" * 99999]
)
def test_a_model_without_a_readable_vocabulary_has_none(tmp_path: Path, content) -> None:
    if content is not None:
        (tmp_path / FILE_NAME).write_bytes(content)
    assert read_vocabulary(tmp_path) is None
