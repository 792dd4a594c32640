"""The one list of picture forms, and how a file of any of them is opened."""

from __future__ import annotations

import stat
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gui import words
from gui.errors import ErrorKind, SfumatoError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic", ".heif", ".hif",
    ".gif", ".bmp", ".tif", ".tiff",
)  # fmt: skip
"""Endings of the files that are taken for pictures, everywhere."""
FORMS = ("PNG", "JPEG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "TIFF")
"""The same as Pillow's names: what a file really is decides, and nothing else is opened."""
MAX_PROFILE = 16 * 1024 * 1024
"""Bytes of the largest colour profile that is read; those of presses have two or three million."""


def is_picture_name(name: str) -> bool:
    """Whether a file's name ends as a picture's does."""
    return Path(name).suffix.lower() in SUFFIXES


def open_picture(path: Path) -> BinaryIO:
    """Open a picture file to read.  A pipe or a device of a picture's name, which would be waited
    for without end, is refused.

    Raises:
        SfumatoError: BAD_IMAGE for what is no file.
        OSError: it is not there or may not be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{words.shortened(path.name, 80)}” is no picture file; choose another.",
        )
    return path.open("rb")


def opened(file: BinaryIO, forms: tuple[str, ...] = FORMS) -> PillowImage:
    """The picture in an open file, with nothing decoded yet; its size is the caller's to judge.

    Raises:
        Exception: whatever Pillow makes of a file that is damaged or none of `forms`.
    """
    image = _pillow()
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return image.open(file, formats=forms)


@cache
def _pillow():  # type: ignore[no-untyped-def]
    """Pillow's `Image`, with HEIC, and with limits that let ordinary large files pass: what is too
    large is said in words by who reads it."""
    import pillow_heif
    from PIL import Image, PngImagePlugin

    pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE  # that of profiles as well
    return Image
