"""Small pictures of models for the list: fetched once, checked, scaled, kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 8 * 2**20
"""Largest picture that is fetched."""
MAX_PIXELS = 50_000_000
"""Largest picture that is decoded."""
MAX_KEPT = 2000
"""Pictures in the folder; the oldest go first."""

_FORMATS = ("PNG", "JPEG", "WEBP")


def picture_path(folder: Path, url: str, revision: str, longest: int) -> Path:
    """Where a picture is kept, without its suffix."""
    key = hashlib.sha256(f"{url} {revision} {longest}".encode()).hexdigest()[:32]
    return folder / key


def kept(stem: Path) -> Path | None:
    """A picture that is there already."""
    for suffix in (".jpg", ".png"):
        path = stem.with_suffix(suffix)
        if path.is_file():
            with contextlib.suppress(OSError):
                os.utime(path)
            return path
    return None


def scale(data: bytes, stem: Path, longest: int) -> Path | None:
    """Write a picture no longer than `longest` pixels; None where the bytes are none we show.

    Raises:
        OSError: the cache cannot be written.
    """
    image = _decode(data, longest)
    if image is None:
        return None
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    image = image.convert("RGBA" if clear else "RGB")
    path = stem.with_suffix(".png" if clear else ".jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".picture-")
    try:
        with os.fdopen(handle, "wb") as file:
            image.save(file, "PNG" if clear else "JPEG", **({} if clear else {"quality": 88}))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _prune(path.parent)
    return path


def _decode(data: bytes, longest: int) -> Image.Image | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            return None
        image.draft("RGB", (longest, longest))  # a large JPEG is decoded small
        image = ImageOps.exif_transpose(image)
        image.thumbnail((longest, longest))
    except (
        UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError,
        Image.DecompressionBombError, Image.DecompressionBombWarning,
    ):  # fmt: skip
        return None
    return image


def _prune(folder: Path) -> None:
    with contextlib.suppress(OSError):
        files = [e for e in os.scandir(folder) if e.name.endswith((".jpg", ".png"))]
        if len(files) > MAX_KEPT:
            files.sort(key=lambda e: e.stat().st_mtime)
            for entry in files[: len(files) - MAX_KEPT * 9 // 10]:
                Path(entry.path).unlink(missing_ok=True)
