"""Pictures as a client is given them: small enough to be looked at, with the way to the whole."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from gui.library.picture_reader import opaque, read_picture

BUDGET = 700_000
"""Bytes of all pictures of one answer: clients refuse answers of more than a megabyte."""
LONGEST = 1024
_LEAST = 64
_QUALITY = 85


def small_jpeg(path: Path, longest: int, budget: int) -> str:
    """A picture in base64, scaled down until it fits.  Blocking.

    Args:
        longest: pixels of its longest side, at most.
        budget: bytes, before base64.

    Raises:
        SfumatoError: it cannot be read.
    """
    picture = opaque(read_picture(path, longest))
    while True:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_QUALITY)
        data = file.getvalue()
        if len(data) <= budget or max(picture.size) <= _LEAST:
            return base64.b64encode(data).decode("ascii")
        width, height = picture.size
        picture = picture.resize((max(1, width * 3 // 4), max(1, height * 3 // 4)))
