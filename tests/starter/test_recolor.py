"""Subjects in other colours, and views that differ: colours against published figures."""

from __future__ import annotations

import numpy as np
import pytest
from starter_model.data import FREE_SIZES, place
from starter_model.recolor import PAINTS, find_paint, from_oklab, repaint, to_oklab

# From the article that introduced Oklab, as CSS Color 4 repeats them.
PUBLISHED = {
    (255, 255, 255): (1.0, 0.0, 0.0),
    (255, 0, 0): (0.6280, 0.2249, 0.1258),
    (0, 255, 0): (0.8664, -0.2339, 0.1795),
    (0, 0, 255): (0.4520, -0.0325, -0.3115),
    (0, 0, 0): (0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("color", PUBLISHED)
def test_oklab_is_the_published_one(color: tuple[int, int, int]) -> None:
    np.testing.assert_allclose(to_oklab(np.array(color)), PUBLISHED[color], atol=2e-4)


def test_oklab_and_back() -> None:
    colors = np.random.default_rng(0).uniform(0, 255, (500, 3))
    np.testing.assert_allclose(from_oklab(to_oklab(colors)), colors, atol=1e-3)


@pytest.fixture(scope="module")
def ball() -> np.ndarray:
    """A red ball, lit from the left, with a white eye and a half-transparent rim."""
    rows, columns = np.mgrid[:112, :112] - 55.5
    away = np.hypot(rows, columns)
    array = np.zeros((112, 112, 4), np.uint8)
    shade = (1 - (columns + 56) / 260)[..., None]
    array[away < 50] = np.concatenate(
        [np.array([230, 40, 40]) * shade, np.full_like(shade, 255)], axis=-1
    ).astype(np.uint8)[away < 50]
    array[np.hypot(rows + 20, columns) < 8] = 255
    array[(away >= 50) & (away < 53)] = (100, 20, 20, 128)
    return array


def nearest(color: np.ndarray) -> str:
    known = to_oklab(np.array(list(PAINTS.values())))
    return list(PAINTS)[int(np.square(known - to_oklab(color)).sum(1).argmin())]


@pytest.mark.parametrize("color", [c for c in PAINTS if c != "red"])
def test_the_paint_changes_and_the_drawing_stays(ball: np.ndarray, color: str) -> None:
    paint = find_paint(ball)
    assert paint.changes
    assert not paint.gray
    result = repaint(ball, paint, color)
    assert np.array_equal(result[..., 3], ball[..., 3])
    assert nearest(result[70, 56, :3].astype(float)) == color
    assert result[36, 56].min() > 235  # the eye is white still
    light, dark = result[56, 20, :3].astype(int), result[56, 90, :3].astype(int)
    assert light.sum() > dark.sum()  # and the light still comes from the left
    assert (result[..., :3] <= result[..., 3:].astype(int) + 1).all()  # premultiplied


def test_many_colours_are_no_paint() -> None:
    array = np.full((112, 112, 4), 255, np.uint8)
    stripes = [(230, 30, 30), (240, 220, 40), (40, 160, 60), (40, 60, 230), (150, 50, 200)]
    for number, color in enumerate(stripes):
        array[:, number * 18 : (number + 1) * 18, :3] = color
    assert not find_paint(array).changes


def test_views_differ_and_show_the_whole_subject(ball: np.ndarray) -> None:
    ground = np.full((128, 128, 3), 255, np.float32)
    places = set()
    for seed in range(30):
        picture = place(ball, ground, np.random.default_rng(seed))
        found = np.argwhere((picture < 200).any(-1))
        top, left = found.min(0)
        bottom, right = found.max(0)
        assert top > 0
        assert left > 0
        assert bottom < 127
        assert right < 127
        assert FREE_SIZES[0] * 0.8 < bottom - top < FREE_SIZES[1]
        places.add((top, left, bottom, right))
    assert len(places) > 20
    assert (ground == 255).all()
