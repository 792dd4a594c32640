"""Small copies of pictures, made once and kept in the cache until the picture changes.

A thumbnail's name is made of its picture's path, size and date, so a picture that changed simply
has another one, and the old one is never shown again; it goes when the cache is trimmed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths
from gui.library.picture_reader import opaque, read_picture
from gui.library.temporaries import sweep, temporary_file

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SIDE = 384
"""Longest side in pixels: twice the largest cell of the grid at 1×, and enough for it at 2×."""
QUALITY = 82
LIMIT_BYTES = 600 * 10**6
"""The cache is trimmed to nine tenths of this, the least used first."""

log = logging.getLogger(__name__)


def folder() -> Path:
    return paths.cache_dir() / "Thumbnails"


def name_of(path: str, size: int, modified_ns: int) -> Path:
    """Where the thumbnail of a picture in this state lies, or would lie."""
    text = f"{path}\0{size}\0{modified_ns}".encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=16).hexdigest()
    return folder() / digest[:2] / f"{digest[2:]}.jpg"


def make_from_file(path: Path, target: Path) -> bytes:
    """Read a picture and write its thumbnail; the thumbnail's bytes.

    Raises:
        SfumatoError: BAD_IMAGE where the picture cannot be read.
    """
    return make(read_picture(path, longest=SIDE), target)


def make(image: PillowImage, target: Path) -> bytes:
    """Write the thumbnail of a picture as `read_picture` gives it and return its bytes.

    Never raises for the disk: a thumbnail that cannot be kept is still shown.
    """
    small = image.copy() if max(image.size) > SIDE else image
    small.thumbnail((SIDE, SIDE))
    small = opaque(small)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    data = buffer.getvalue()
    temporary = temporary_file(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(target)
    except OSError as error:
        log.info("thumbnail not kept: %r", error)
        with contextlib.suppress(OSError):
            temporary.unlink()
    return data


def trim(limit: int = LIMIT_BYTES) -> int:
    """Delete the least recently used thumbnails beyond `limit` bytes; how many went."""
    found: list[tuple[float, int, str]] = []
    for shelf in _folders(folder()):
        sweep(Path(shelf))
        with contextlib.suppress(OSError), os.scandir(shelf) as listing:
            for entry in listing:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    found.append(
                        (max(status.st_atime, status.st_mtime), status.st_size, entry.path)
                    )
    total = sum(size for _, size, _ in found)
    if total <= limit:
        return 0
    gone = 0
    for _, size, path in sorted(found):
        if total <= limit * 9 // 10:
            break
        with contextlib.suppress(OSError):
            Path(path).unlink()
            gone += 1
            total -= size
    return gone


def _folders(root: Path) -> list[str]:
    try:
        with os.scandir(root) as listing:
            return [entry.path for entry in listing if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
