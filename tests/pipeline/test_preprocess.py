"""Control pictures, beside what the programs make of them that people know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from gui.pipeline.preprocess import canny, control_picture, prepared, scribble
from gui.request import Preprocessor

FILES = Path(__file__).parent / "files"


def test_canny_finds_the_edges_that_opencv_finds() -> None:
    """`canny-opencv.png` is what OpenCV 4's `Canny(picture, 100, 200)` made of `canny.png`."""
    with Image.open(FILES / "canny.png") as picture, Image.open(FILES / "canny-opencv.png") as want:
        expected = np.asarray(want) > 0
        found = canny(np.asarray(picture, np.float32), 100, 200)
    assert expected.sum() > 500
    np.testing.assert_array_equal(found, expected)


def test_weak_edges_count_only_where_they_lead_to_a_strong_one() -> None:
    grey = np.zeros((20, 40), np.float32)
    grey[:, 10:] = 40  # 4 · 40 = 160: weak
    grey[:, 30:] = 80
    assert not canny(grey, 100, 200).any()
    grey[10:, 30:] = 255  # the lower half of the second edge is strong
    edges = canny(grey, 100, 200)
    assert edges[:, 28:32].any(axis=1).all()
    assert not edges[:, 5:15].any()


def test_a_scribble_is_white_on_black_whichever_way_it_was_drawn() -> None:
    paper = np.full((32, 32, 3), 250, np.uint8)
    paper[10:12, 4:28] = 20
    drawn = Image.fromarray(paper)
    for picture in (drawn, ImageOps.invert(drawn)):
        found = np.asarray(scribble(picture))
        assert (found[10:12, 4:28] == 255).all() and found.sum() == 2 * 24 * 3 * 255


@pytest.mark.parametrize("kind", list(Preprocessor))
def test_each_gives_an_rgb_picture_of_the_same_size(kind: Preprocessor) -> None:
    with Image.open(FILES / "canny.png") as picture:
        made = prepared(picture.convert("RGB").crop((0, 0, 61, 37)), kind)
    assert made.mode == "RGB" and made.size == (61, 37)


def test_the_picture_is_upright_and_cut_to_the_models_proportions(tmp_path: Path) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    Image.fromarray(wide).rotate(90, expand=True).save(path, quality=100, exif=exif)
    made = np.asarray(control_picture(path, 20, 20, Preprocessor.NONE))
    assert made.shape == (20, 20, 3) and made.min() > 150
