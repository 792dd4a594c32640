"""Reading the picture to start from."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gui.errors import ErrorKind, SfumatoError

BACKGROUND = (255, 255, 255)
"""What shows through transparent parts."""


def read_start_image(path: Path, width: int, height: int) -> np.ndarray:
    """The picture at `path` turned upright, flattened on white, cut to the model's proportions
    around its centre and resized.

    Returns:
        float32 [height, width, 3] in 0…1.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is missing, no picture, damaged or enormous.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of pictures that take over 256 MB and refuses those of twice that
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                picture = _rgb(ImageOps.exif_transpose(file))
    except FileNotFoundError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE, f"The starting picture does not exist: {path}", str(error)
        ) from error
    except UnidentifiedImageError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"The starting picture is not an image this program can read: {path.name}",
            str(error),
        ) from error
    except Image.DecompressionBombError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE, f"The starting picture is too large: {path.name}", str(error)
        ) from error
    # damaged files surface as any of these, depending on the format
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"The starting picture cannot be read: {path.name}",
            f"{path}: {error}",
        ) from error
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255


def _rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB; 16-bit grey is scaled, not clipped."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        grey = np.asarray(picture, np.float64)
        return Image.fromarray((grey.clip(0, 65535) / 257).round().astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        grey = np.asarray(picture, np.float64)
        return Image.fromarray((grey.clip(0, 1) * 255).round().astype(np.uint8)).convert("RGB")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layered = picture.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (*BACKGROUND, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return picture.convert("RGB")
