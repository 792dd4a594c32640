"""What the starter model is taught: pictures, words and the pairs kept back."""

import random

import numpy as np
import pytest
from starter_model.autoencoder import to_tensor
from starter_model.data import SPRITE_SIZES, Sprites, compose
from starter_model.evaluate import edge_background
from starter_model.world import (
    BACKGROUNDS,
    CORE_SUBJECTS,
    LATER_CORE_SUBJECTS,
    Subject,
    caption,
    held_out,
    plain_caption,
)

OWL = Subject("1f989", ("owl",), core=True)
GRAPES = Subject("1f347", ("grapes",), core=True)


@pytest.fixture(scope="module")
def sprites() -> Sprites:
    """Two subjects: a lime square and a half-transparent lime square, 60 % of the side."""
    arrays = {}
    for size in SPRITE_SIZES:
        array = np.zeros((2, size, size, 4), np.uint8)
        edge = size // 5
        array[0, edge:-edge, edge:-edge] = (0, 255, 0, 255)
        array[1, edge:-edge, edge:-edge] = (0, 128, 0, 128)
        arrays[size] = array
    return Sprites([OWL, GRAPES], arrays)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_the_background_has_the_named_colour(sprites: Sprites, background: str) -> None:
    for seed in range(5):
        picture = compose(sprites, 0, background, np.random.default_rng(seed))
        assert picture.shape == (128, 128, 3)
        edge = np.concatenate([picture[:6].reshape(-1, 3), picture[-6:].reshape(-1, 3)])
        assert np.abs(edge.mean(0) - BACKGROUNDS[background]).max() < 18
        assert edge_background(to_tensor([picture])[0]) == background


def test_a_seed_decides_the_picture(sprites: Sprites) -> None:
    first, again, other = (
        compose(sprites, 0, "blue", np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_subject_is_in_the_middle(sprites: Sprites) -> None:
    picture = compose(sprites, 0, "black", np.random.default_rng(0))
    assert picture[64, 64].tolist() == [0, 255, 0]


def test_transparency_lets_the_background_through(sprites: Sprites) -> None:
    picture = compose(sprites, 1, "white", np.random.default_rng(0))
    red, green, blue = picture[64, 64].astype(int)
    assert 110 < red < 140
    assert 110 < blue < 140
    assert green > 240


def test_sprites_come_back_from_disk(sprites: Sprites, tmp_path) -> None:
    sprites.save(tmp_path)
    loaded = Sprites.load(tmp_path)
    assert loaded.subjects == [OWL, GRAPES]
    assert np.array_equal(loaded.arrays[SPRITE_SIZES[0]], sprites.arrays[SPRITE_SIZES[0]])


def test_plain_captions_are_english() -> None:
    assert plain_caption(OWL, "orange") == "an owl on an orange background"
    assert plain_caption(GRAPES, "blue") == "grapes on a blue background"
    unicorn = Subject("1f984", ("unicorn",), core=True)
    assert plain_caption(unicorn, "red") == "a unicorn on a red background"


def test_captions_vary_and_name_the_subject() -> None:
    rng = random.Random(0)
    captions = {caption(OWL, "gray", rng) for _ in range(300)}
    assert len(captions) > 10
    assert all("owl" in text for text in captions)
    assert any("grey" in text for text in captions)
    assert any("gray" not in text and "grey" not in text for text in captions)


def test_one_pair_per_subject_is_kept_back() -> None:
    names = [n[0] for n in (*CORE_SUBJECTS.values(), *LATER_CORE_SUBJECTS.values())]
    assert len(set(names)) == 150
    for name in names:
        assert sum(held_out(name, background) for background in BACKGROUNDS) == 1
    kept = {b for name in names for b in BACKGROUNDS if held_out(name, b)}
    assert kept == set(BACKGROUNDS)
