"""Composed pictures: one subject in many views, whole and on its own ground."""

from __future__ import annotations

import numpy as np
import pytest
from starter_model.autoencoder import to_tensor
from starter_model.data import FREE_SIZES, MARGIN, light_background, place
from starter_model.evaluate import edge_background
from starter_model.world import BACKGROUNDS

SIZE = 112


def flag() -> np.ndarray:
    """An opaque square, premultiplied: its left half red, its right half blue."""
    sprite = np.full((SIZE, SIZE, 4), 255, np.uint8)
    sprite[:, : SIZE // 2, :3] = (220, 10, 10)
    sprite[:, SIZE // 2 :, :3] = (10, 10, 220)
    return sprite


@pytest.fixture(scope="module")
def views() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    gray = np.full((128, 128, 3), 140, np.float32)
    return [place(flag(), gray, rng).astype(int) for _ in range(300)]


def halves(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the red and where the blue half is seen."""
    red = picture[..., 0] - picture[..., 2]
    return red > 90, red < -90


def test_the_subject_is_whole_wherever_it_stands(views: list[np.ndarray]) -> None:
    lefts, tops, sizes = [], [], []
    for picture in views:
        rows, columns = np.nonzero(np.logical_or(*halves(picture)))
        assert rows.min() >= MARGIN
        assert columns.min() >= MARGIN
        assert rows.max() < 128 - MARGIN
        assert columns.max() < 128 - MARGIN
        lefts.append(columns.min())
        tops.append(rows.min())
        sizes.append(rows.max() - rows.min() + 1)
    for found in (lefts, tops):
        assert max(found) - min(found) > 32  # a quarter of the picture's width
    assert (min(sizes), max(sizes)) == FREE_SIZES


def test_light_differs_but_the_colours_stay(views: list[np.ndarray]) -> None:
    brightness = [picture[halves(picture)[0]][:, 0].mean() for picture in views]
    assert max(brightness) - min(brightness) > 30
    assert min(brightness) > 150


@pytest.mark.parametrize("color", BACKGROUNDS)
def test_a_ground_keeps_its_name_in_nearly_any_light(color: str) -> None:
    named = 0
    for seed in range(100):
        ground = light_background(BACKGROUNDS[color], np.random.default_rng(seed))
        named += edge_background(to_tensor([ground.astype(np.uint8)])[0]) == color
    assert named >= 95
