"""Masks on disk: written where the app keeps its own things, read from any picture.  Blocking."""

from __future__ import annotations

import contextlib
import io
import secrets
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

from gui import paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.picture_reader import read_picture, size_of
from gui.library.temporaries import write_whole
from gui.start_image import MASK_ALPHA

KEPT = 400
"""Masks that are kept, the newest ones: those of pictures are named in what made them."""
STROKES = 4
"""The engine reads one while the next are written."""
_GREY = QImage.Format.Format_Grayscale8


def new_file() -> Path:
    """A name that no mask has yet."""
    return paths.masks_dir() / f"mask-{secrets.token_hex(8)}.png"


def stroke_file(whose: str, number: int) -> Path:
    """Where a mask lies for a moment, while a stroke is drawn on it; a few names take turns."""
    return paths.masks_dir() / f"stroke-{whose}-{number % STROKES}.png"


def forget_strokes(whose: str) -> None:
    with contextlib.suppress(OSError):
        for number in range(STROKES):
            stroke_file(whose, number).unlink(missing_ok=True)


def write(image: QImage, file: Path, *, for_long: bool = True) -> None:
    """Keep a mask, in shades of grey, and of earlier ones as many as `KEPT` says.

    Args:
        for_long: False: for a moment, which has no need of looking at the others.

    Raises:
        SfumatoError: STORAGE.
    """
    from PIL import Image  # not before the window's first paint

    stride = image.bytesPerLine()
    size = (image.width(), image.height())
    grey = Image.frombytes("L", size, bytes(image.constBits()), "raw", "L", stride)
    data = io.BytesIO()
    grey.save(data, "PNG", compress_level=1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file.parent, file.name, data.getvalue())
    except OSError as error:
        raise disk_error(error, "The mask could not be kept", detail=str(error)) from error
    if for_long:
        trim()


def read_size(picture: str) -> QSize:
    """Of the picture that a mask lies on, upright."""
    return QSize(*size_of(Path(picture)))


def read(file: str, size: QSize, *, picture: str = "") -> QImage:
    """A mask of any kind as shades of grey: white where it is white, or opaque where it has
    transparency.

    Args:
        file: path, or `MASK_ALPHA` for what is transparent in `picture`.
        size: of the result.

    Raises:
        SfumatoError: BAD_IMAGE.
    """
    own = file == MASK_ALPHA
    image = read_picture(Path(picture if own else file))
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    seen = alpha is not None and b"\xff" * (image.width * image.height) != alpha.tobytes()
    if own and not seen:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            "Nothing in this picture is transparent; choose a mask’s file, or use the brush.",
        )
    grey = alpha if alpha is not None and seen else image.convert("L")
    width, height = grey.size
    made = QImage(grey.tobytes(), width, height, width, _GREY).copy()
    if own:
        made.invertPixels()
    if made.size() != size:
        stretch = Qt.AspectRatioMode.IgnoreAspectRatio
        made = made.scaled(size, stretch, Qt.TransformationMode.SmoothTransformation)
    return made.convertToFormat(_GREY)


def trim(kept: int = KEPT) -> None:
    """Remove all but the newest masks."""
    with contextlib.suppress(OSError):
        files = sorted(paths.masks_dir().glob("mask-*.png"), key=lambda f: f.stat().st_mtime)
        for file in files[:-kept]:
            file.unlink(missing_ok=True)
