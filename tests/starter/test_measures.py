"""What is counted as right, and which scenes are kept from training."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from starter_model.data import SPRITE_SIZES, Sprites
from starter_model.finetune import FinetunePlan, Scene, Scenes, Wardrobe
from starter_model.measures import COLORS, Asked, tally
from starter_model.recolor import PAINTS
from starter_model.rephrase import Meanings, Prompts, RephrasePlan
from starter_model.world import (
    BACKGROUNDS,
    Subject,
    held_out,
    held_out_color,
    spoken_names,
    usual_caption,
)

BALL = Subject("26bd", ("balloon",), core=True)
BIRD = Subject("1f426", ("bird",), core=False)
BLACK_BIRD = Subject("1f426-200d-2b1b", ("black bird",), core=False)


@pytest.fixture(scope="module")
def sprites() -> Sprites:
    """Three red discs."""
    arrays = {}
    for size in SPRITE_SIZES:
        rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
        disc = np.zeros((size, size, 4), np.uint8)
        disc[np.hypot(rows, columns) < size * 0.4] = (*PAINTS["red"], 255)
        arrays[size] = np.stack([disc, disc, disc])
    return Sprites([BALL, BIRD, BLACK_BIRD], arrays)


@pytest.fixture(scope="module")
def wardrobe(sprites: Sprites) -> Wardrobe:
    return Wardrobe(sprites)


def test_a_scene_shows_its_colours(wardrobe: Wardrobe) -> None:
    for color in wardrobe.colors[0]:
        ground = "white" if color != "white" else "blue"
        picture = wardrobe.picture(Scene(0, ground, color), np.random.default_rng(0))
        assert np.abs(picture[64, 64].astype(int) - PAINTS[color]).max() < 30, color
        assert np.abs(picture[0].mean(0) - BACKGROUNDS[ground]).max() < 70


def test_no_subject_has_a_colour_that_makes_it_another_one(wardrobe: Wardrobe) -> None:
    assert "black" not in wardrobe.colors[1]
    assert len(wardrobe.colors[1]) == 11
    assert "black" in wardrobe.colors[2]  # its own


def test_what_is_kept_back_is_never_drawn(sprites: Sprites, wardrobe: Wardrobe) -> None:
    scenes = Scenes.__new__(Scenes)
    scenes.wardrobe, scenes.plan = wardrobe, FinetunePlan(colored=0.8)
    scenes.rng, scenes.chances = np.random.default_rng(0), np.full(3, 1 / 3)
    drawn = [scenes.scene() for _ in range(600)]
    for scene in drawn:
        name = sprites.subjects[scene.subject].name
        assert not held_out(name, scene.ground)
        assert scene.color is None or not held_out_color(name, scene.color)
        assert scene.color != scene.ground
    assert {scene.ground for scene in drawn} == set(BACKGROUNDS)
    assert {scene.color for scene in drawn} == {None, *COLORS}


def test_subject_colour_ground_and_leaks_are_counted() -> None:
    red, blue = (torch.tensor(BACKGROUNDS[c]) / 127.5 - 1 for c in ("red", "blue"))
    pictures = torch.stack([red, blue])[:, :, None, None].expand(2, 3, 128, 128)
    paints = torch.zeros(2, 12)
    paints[:, COLORS.index("blue")] = 1

    def judge(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert seen.shape == (2, 3, 64, 64)
        return torch.tensor([[0.0, 1.0], [1.0, 0.0]]), paints

    asked = [Asked("", 1, "blue", "red"), Asked("", 1, "blue", None)]
    found = tally(judge, pictures, asked)  # type: ignore[arg-type]
    assert (found.pictures, found.subject, found.color) == (2, 1, 2)
    assert (found.ground, found.all, found.leaked) == (2, 1, 1)


class _Echo:
    """In the place of a text encoder: every prompt's first id as its only state."""

    def __call__(self, ids: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ids[:, :1, None].float(), None


def test_prompts_come_with_the_meaning_of_the_usual_wording(
    sprites: Sprites, wardrobe: Wardrobe
) -> None:
    prompts: list[str] = []

    def ids(text: str) -> list[int]:
        if text not in prompts:
            prompts.append(text)
        return [prompts.index(text)]

    captions = SimpleNamespace(subjects=sprites.subjects, ids=ids, rng=random.Random(0))
    meanings = Meanings(_Echo(), captions)  # type: ignore[arg-type]
    usual = [usual_caption(s, b) for s in sprites.subjects for b in (None, *BACKGROUNDS)]
    assert prompts == ["", *usual]
    drawn = Prompts(captions, wardrobe, meanings)  # type: ignore[arg-type]
    plan, grounds = RephrasePlan(), 0
    for _ in range(400):
        text, row = drawn.draw(plan)
        meant = prompts[int(meanings.states[row, 0, 0])]
        if not text:
            assert meant == ""
            continue
        subject = next(s for s in sprites.subjects if meant in map(s_usual(s), _GROUNDS))
        last_word = spoken_names(subject)[0].split()[-1]
        assert last_word in text
        ground = next((b for b in _GROUNDS[1:] if usual_caption(subject, b) == meant), None)
        grounds += ground is not None
        assert ground is None or ground in text or ground in ("gray", "purple"), text
    assert 100 < grounds < 350


_GROUNDS = (None, *BACKGROUNDS)


def s_usual(subject: Subject):  # type: ignore[no-untyped-def]
    return lambda ground: usual_caption(subject, ground)
