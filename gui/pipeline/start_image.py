"""Reading the picture to start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gui.library.picture_reader import opaque, read_picture


def read_start_image(path: Path, width: int, height: int) -> np.ndarray:
    """The picture at `path` turned upright, in sRGB, flattened on white, cut to the model's
    proportions around its centre and resized.

    Returns:
        float32 [height, width, 3] in 0…1.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is missing, no picture, damaged or enormous.
    """
    picture = opaque(read_picture(path))
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255
