"""Reading the picture to start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.start_image import read_start_image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture


def test_same_size_is_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_start_image(tmp_path / "a.png", 40, 24)
    np.testing.assert_allclose(read, pixels / 255, atol=1e-6)
    assert read.dtype == np.float32


def test_other_proportions_are_cut_around_the_centre(tmp_path: Path) -> None:
    """From 96 × 32 to 32 × 32: the outer thirds go, the seam stays in the middle."""
    picture = halves(96, 32)
    picture.paste((0, 255, 0), (0, 0, 30, 32))
    picture.save(tmp_path / "a.png")
    read = read_start_image(tmp_path / "a.png", 32, 32)
    assert read.shape == (32, 32, 3)
    np.testing.assert_allclose(read[:, :14], np.broadcast_to((1, 0, 0), (32, 14, 3)), atol=0.01)
    np.testing.assert_allclose(read[:, -14:], np.broadcast_to((0, 0, 1), (32, 14, 3)), atol=0.01)


def test_a_photo_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    halves(32, 32).save(tmp_path / "a.jpg", exif=exif, quality=95)
    read = read_start_image(tmp_path / "a.jpg", 32, 32)
    assert read[:12, :, 0].mean() > 0.9  # the left half is now the top
    assert read[-12:, :, 2].mean() > 0.9


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    picture.paste((10, 20, 30, 0), (0, 0, 16, 8))
    picture.convert(mode).save(tmp_path / "a.png")
    read = read_start_image(tmp_path / "a.png", 16, 16)
    assert read[:8].min() > 0.99
    assert read[8:].max() < 0.01


def test_grey_of_16_bits_is_scaled(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    read = read_start_image(tmp_path / "a.png", 16, 16)
    np.testing.assert_allclose(read[..., 1], grey / 65535, atol=0.003)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "I"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    name = "a.tif" if mode in ("CMYK", "I") else "a.png"
    Image.new("L", (8, 8), 255).convert(mode).save(tmp_path / name)
    assert read_start_image(tmp_path / name, 16, 16).shape == (16, 16, 3)


def test_missing_foreign_damaged_and_enormous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    halves(64, 64).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "folder.png").mkdir()
    for name in ("missing.png", "text.png", "empty.jpg", "half.png", "folder.png"):
        with pytest.raises(SfumatoError) as caught:
            read_start_image(tmp_path / name, 16, 16)
        assert caught.value.kind is ErrorKind.BAD_IMAGE, name
        assert name in caught.value.message
    monkeypatch.setattr("gui.library.picture_reader.MAX_PIXELS", 1000)
    with pytest.raises(SfumatoError, match="64 × 64 pixels large, more than can be handled"):
        read_start_image(tmp_path / "whole.png", 16, 16)
