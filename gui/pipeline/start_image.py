"""Pictures that go in, at the size that a model takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Image as PillowImage

from gui.library.picture_reader import opaque, read_picture


def read_start_image(path: Path, width: int, height: int) -> np.ndarray:
    """The picture at `path` turned upright, in sRGB, flattened on white, cut to the model's
    proportions around its centre and resized.

    Returns:
        float32 [height, width, 3] in 0…1.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is missing, no picture, damaged or enormous.
    """
    return np.asarray(fitted(opaque(read_picture(path)), width, height), np.float32) / 255


def fitted(picture: PillowImage, width: int, height: int) -> PillowImage:
    """Cut to the proportions around its centre, and resized."""
    if picture.size == (width, height):
        return picture
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
