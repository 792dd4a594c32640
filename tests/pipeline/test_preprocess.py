"""Control pictures, beside what the programs make of them that people know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage

from gui.control_use import Preprocessor, PreprocessorSettings
from gui.coreml.portable import PortableRuntime
from gui.pipeline.preprocess import Preprocessing, canny, condition, prepared, scribble
from gui.request import ComputeUnit

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize(
    ("low", "high", "file"),
    [
        (100, 200, "canny-opencv.png"),
        (30, 70, "canny-opencv-30-70.png"),
        (70, 30, "canny-opencv-30-70.png"),
    ],
)
def test_canny_finds_the_edges_that_opencv_finds(low: int, high: int, file: str) -> None:
    """The files are what OpenCV 4's `Canny(picture, low, high)` made of `canny.png`."""
    with Image.open(FILES / "canny.png") as picture, Image.open(FILES / file) as want:
        expected = np.asarray(want) > 0
        settings = PreprocessorSettings(canny_low=low, canny_high=high)
        found = np.asarray(prepared(picture.convert("RGB"), Preprocessor.CANNY, settings)) > 0
    assert expected.sum() > 500
    np.testing.assert_array_equal(found[..., 0], expected)


def test_what_is_set_of_blur_tile_and_scribble() -> None:
    """Blur beside scipy's Gaussian (Pillow's is made of boxes), tiles by their means."""
    with Image.open(FILES / "canny.png") as file:
        picture = file.convert("RGB")
    pixels = np.asarray(picture, np.float32)
    soft = np.asarray(
        prepared(picture, Preprocessor.BLUR, PreprocessorSettings(blur_radius=16)), np.float32
    )
    sigma = 16 * 160 / 512
    expected = ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")
    assert np.abs(soft - expected)[20:-20, 20:-20].max() < 4
    coarse = prepared(picture, Preprocessor.TILE, PreprocessorSettings(tile_size=16))
    means = pixels.reshape(10, 16, 10, 16, 3).mean((1, 3))
    seen = np.asarray(coarse, np.float32)[7:9, 7:9].mean((0, 1))
    assert np.abs(seen - means[0, 0]).max() < 1.5
    grey = Image.fromarray(np.arange(256, dtype=np.uint8)[None].repeat(8, 0))
    counts = [
        int((np.asarray(scribble(grey, threshold))[0, :, 0] > 0).sum()) for threshold in (60, 200)
    ]
    assert counts == [195, 55]


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


ARITHMETIC = [
    kind
    for kind in Preprocessor
    if kind
    not in (Preprocessor.INPAINT, Preprocessor.POSE, Preprocessor.SUBJECT, Preprocessor.NETWORK)
]


@pytest.fixture
def preprocessing() -> Preprocessing:
    return Preprocessing(PortableRuntime, ComputeUnit.CPU_ONLY)


@pytest.mark.parametrize("kind", ARITHMETIC)
def test_each_gives_an_rgb_picture_of_the_same_size(kind: Preprocessor) -> None:
    with Image.open(FILES / "canny.png") as picture:
        made = prepared(picture.convert("RGB").crop((0, 0, 61, 37)), kind)
    assert made.mode == "RGB" and made.size == (61, 37)


def test_the_picture_is_upright_and_cut_to_the_models_proportions(
    tmp_path: Path, preprocessing: Preprocessing
) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    Image.fromarray(wide).rotate(90, expand=True).save(path, quality=100, exif=exif)
    made = np.asarray(preprocessing.picture(path, 20, 20, Preprocessor.NONE))
    assert made.shape == (20, 20, 3) and made.min() > 150


def test_what_is_clear_is_to_be_filled(tmp_path: Path, preprocessing: Preprocessing) -> None:
    """As control_v11p_sd15_inpaint was trained: −1 in all three channels, the rest in 0…1."""
    pixels = np.full((8, 8, 4), 51, np.uint8)
    pixels[..., 3] = 255
    pixels[2:4, :, 3] = 0
    pixels[4, :, 3] = 127  # a soft edge counts by halves
    pixels[5, :, 3] = 128
    path = tmp_path / "holes.png"
    Image.fromarray(pixels).save(path)
    made = condition(preprocessing.picture(path, 8, 8, Preprocessor.INPAINT))
    assert made.shape == (1, 3, 8, 8) and made.dtype == np.float32
    assert (made[0, :, 2:5] == -1).all()
    kept = np.delete(made[0], [2, 3, 4], axis=1)
    np.testing.assert_allclose(kept, 0.2, atol=0.5 / 255)


def test_a_depth_map_of_sixteen_bits_fills_the_range(
    tmp_path: Path, preprocessing: Preprocessing
) -> None:
    depths = np.linspace(20000, 40000, 64, dtype=np.uint16)[None].repeat(16, 0)
    path = tmp_path / "depth.png"
    Image.fromarray(depths).save(path)
    made = np.asarray(preprocessing.picture(path, 64, 16, Preprocessor.DEPTH))
    assert made.shape == (16, 64, 3)
    np.testing.assert_allclose(made[0, :, 0], np.linspace(0, 255, 64), atol=3)
