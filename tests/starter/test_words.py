"""The words that the starter model is given, and the table that makes it read them."""

from __future__ import annotations

import random

import pytest
import torch
from starter_model.convert import package_name
from starter_model.denoiser import CompactText, load_tokenizer
from starter_model.warm import new_words, reword, stored_tensors
from starter_model.words import Rows, plural, words_of
from starter_model.world import (
    BACKGROUNDS,
    EXTRA_NAMES,
    Subject,
    colored,
    free_caption,
    held_out_color,
    spoken_names,
)

from gui import paths
from gui.library.vocabulary import read_vocabulary

CAT = Subject("1f431", ("cat", "kitten"), core=True)
APPLE = Subject("1f34e", ("red apple", "apple"), core=True)
BIRD = Subject("1f426", ("bird",), core=False)
LADYBIRD = Subject("1f41e", ("ladybird",), core=True)


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    return load_tokenizer(paths.resource("tokenizer"))


def rows_for(tokenizer, names: list[str]) -> Rows:  # type: ignore[no-untyped-def]
    used = sorted({token for name in names for token in tokenizer(name)["input_ids"]})
    rows = torch.zeros(49408, dtype=torch.long)
    rows[torch.tensor(used)] = torch.arange(1, len(used) + 1)
    return Rows(tokenizer, rows)


@pytest.mark.parametrize(
    ("one", "many"),
    [("cat", "cats"), ("fox", "foxes"), ("puppy", "puppies"), ("monkey", "monkeys"),
     ("maple leaf", "maple leaves"), ("potato", "potatoes"), ("peach", "peaches")],
)  # fmt: skip
def test_plurals_are_english(one: str, many: str) -> None:
    assert plural(one) == many


def test_a_plural_is_read_as_the_word_itself(tokenizer) -> None:
    rows = rows_for(tokenizer, ["cat", "red apple"])
    assert rows.of("cats") == (0,)
    assert rows.add("cats", "cat")
    assert rows.of("cats") == rows.of("cat")
    assert rows.add("red apples", "red apple")
    assert rows.of("red apples") == rows.of("red apple")


def test_a_word_that_means_something_else_keeps_its_meaning(tokenizer) -> None:
    rows = rows_for(tokenizer, ["cat", "dog"])
    before = rows.of("dog")
    assert not rows.add("dog", "cat")
    assert rows.of("dog") == before


def test_whole_words_come_before_pieces_of_others(tokenizer) -> None:
    """ "ladybirds" is "lady" and "birds" to the tokenizer; "birds" are birds all the same."""
    rows = rows_for(tokenizer, ["bird", "ladybird"])
    found = words_of([LADYBIRD, BIRD], rows)
    assert "birds" in found["bird"]
    assert rows.of("birds") == rows.of("bird")


def test_every_extra_name_belongs_to_one_thing() -> None:
    names = [name for extra in EXTRA_NAMES.values() for name in extra]
    assert len(names) == len(set(names))


def test_a_colour_takes_the_place_of_the_one_in_the_name() -> None:
    assert colored("red apple", "blue") == "blue apple"
    assert colored("polar bear", "blue") == "blue polar bear"
    assert colored("orange", "blue") == "blue orange"  # the fruit


def test_captions_say_what_they_are_to_say() -> None:
    rng = random.Random(0)
    names = "|".join(spoken_names(CAT))
    for _ in range(300):
        text = free_caption(CAT, "teal", "pink", rng)
        assert "teal" in text
        assert any(f"pink {name}" in text for name in names.split("|")), text
        silent = free_caption(CAT, None, None, rng)
        assert not any(color in silent.split() for color in BACKGROUNDS), silent
    assert len({free_caption(APPLE, None, None, rng) for _ in range(300)}) > 100


def test_one_colour_per_subject_is_kept_back() -> None:
    for name in ("cat", "car", "house"):
        assert sum(held_out_color(name, color) for color in BACKGROUNDS) == 1


def test_new_words_begin_as_the_things_they_name(tokenizer) -> None:
    steak = Subject("1f969", ("cut of meat",), core=False)
    tokens = new_words(tokenizer, [Subject("0", ("bison", "wisent"), core=False), steak])
    bison = tokenizer("bison")["input_ids"][1:-1]
    assert all(tokens[token] == bison for token in tokenizer("wisent")["input_ids"][1:-1])


def test_a_checkpoint_is_reworded_with_its_optimizer() -> None:
    old, width = [320, 2368, 49406, 49407], 192
    text = CompactText(old)
    name = next(n for n in text.state_dict() if n.endswith("token_embedding.weight"))
    table = torch.arange(5.0)[:, None].expand(5, width).clone()
    weights = {f"text.{name}": table, "text.rows": text.rows}
    moments = {"exp_avg": 10 * table, "step": torch.tensor(3.0)}
    state = {
        "used": old,
        "model": dict(weights),
        "average": dict(weights),
        "optimizers": [{"state": {0: moments}}],
    }
    reword(state, [2368, 4000, 49406, 49407], {4000: [320, 2368]})
    found = state["average"][f"text.{name}"][:, 0].tolist()
    assert found == [0.0, 2.0, 1.5, 3.0, 4.0]
    assert state["optimizers"][0]["state"][0]["exp_avg"][:, 0].tolist() == [0, 20, 15, 30, 40]
    rows = state["model"]["text.rows"]
    assert rows[320] == 0  # forgotten
    assert rows[torch.tensor([2368, 4000, 49406, 49407])].tolist() == [1, 2, 3, 4]
    assert CompactText(state["used"]).rows.equal(rows)


@pytest.fixture(scope="module")
def shipped(tokenizer) -> Rows:  # type: ignore[no-untyped-def]
    """What the text encoder that ships makes of words."""
    stored = stored_tensors(paths.starter_model() / package_name("text_encoder"))
    return Rows(tokenizer, torch.from_numpy(stored["rows"]).long())


def test_the_shipped_model_tells_all_words_of_the_app_apart(shipped) -> None:
    vocabulary = read_vocabulary(paths.starter_model())
    assert vocabulary is not None
    meaning: dict[tuple[int, ...], str] = {}
    for thing in vocabulary.things:
        for word in (thing.name, *thing.words):
            known = tuple(row for row in shipped.of(word) if row)
            assert known, word
            assert meaning.setdefault(known, thing.name) == thing.name, word


def test_the_shipped_model_reads_a_colours_other_words_as_the_colour(shipped) -> None:
    vocabulary = read_vocabulary(paths.starter_model())
    assert vocabulary is not None
    for color, words in vocabulary.colors.items():
        own = {"gray": ("grey",), "purple": ("violet",)}.get(color, ())
        for word in words:
            assert word in own or shipped.of(word) == shipped.of(color) != (0,), word


@pytest.mark.parametrize("word", ["astronaut", "sunset", "wizard", "beach", "table", "quality"])
def test_what_the_app_calls_unknown_or_overlooks_is_unknown_to_the_model(shipped, word) -> None:
    assert set(shipped.of(word)) == {0}
