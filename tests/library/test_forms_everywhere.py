"""Whatever is taken for a picture anywhere is taken everywhere, in the same colours, upright."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QImage

from gui.library.picture_adding import mark_of
from gui.library.picture_forms import SUFFIXES
from gui.library.picture_origin import read_origin
from gui.library.picture_scan import facts_of
from gui.library.thumbnails import make_from_file
from gui.pipeline.start_image import read_start_image
from gui.state.pictures.images import PICTURES_FILTER, picture_size, read_image
from tests.library.test_picture_reader import display_p3, near

P3_GREEN, SRGB_GREEN = (60, 170, 90), (0, 173, 80)
"""One colour in Display P3 and in sRGB, by Apple's reckoning."""
BLACK = (0, 0, 0)


def write(path: Path) -> Path:
    """Stored on its side where the form can say so: seen, it is 32 × 48 with green at the top."""
    upright = Image.new("RGB", (32, 48), BLACK)
    upright.paste(P3_GREEN, (0, 0, 32, 24))
    options: dict[str, Any] = {"icc_profile": display_p3(), "quality": 100}
    if path.suffix in (".gif", ".bmp"):  # neither profile nor orientation
        upright.paste(SRGB_GREEN, (0, 0, 32, 24))
        options = {}
    elif path.suffix in (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".webp",
        ".tif",
        ".tiff",
    ):
        upright = upright.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
        if path.suffix.startswith(".tif"):
            options.pop("quality")
    upright.save(path, **options)
    return path


def by_reader(path: Path) -> Image.Image:
    image = read_image(str(path))
    assert (picture_size(image).width(), picture_size(image).height()) == (32, 48)
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    data = bytes(image.constBits())
    return Image.frombytes("RGB", (image.width(), image.height()), data, "raw", "RGB",
                           image.bytesPerLine())  # fmt: skip


def by_thumbnail(path: Path) -> Image.Image:
    kept = path.parent / "kept" / "thumbnail.jpg"
    make_from_file(path, kept)
    return Image.open(kept).convert("RGB")


def by_pipeline(path: Path) -> Image.Image:
    return Image.fromarray((read_start_image(path, 32, 48) * 255).round().astype(np.uint8))


READERS: dict[str, Callable[[Path], Image.Image]] = {
    "canvas, sheet and drop zone": by_reader,
    "thumbnails": by_thumbnail,
    "starting picture": by_pipeline,
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_form_is_taken_everywhere(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"picture{suffix}")
    for name, read in READERS.items():
        seen = read(path)
        assert seen.size == (32, 48), name
        assert near(seen.getpixel((16, 8)), SRGB_GREEN, 12), (name, seen.getpixel((16, 8)))
        assert near(seen.getpixel((16, 40)), BLACK, 12), name
    assert facts_of(path).width in (32, 48), "the gallery"
    assert mark_of(path), "what is added to the library"
    assert read_origin(path).imported is None, "the import sheet"


def test_the_dialog_for_pictures_offers_the_same_endings() -> None:
    assert re.findall(r"\*(\.\w+)", PICTURES_FILTER) == list(SUFFIXES)
