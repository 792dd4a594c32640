"""Reading picture files off the window's thread.

Decoding a 1024² PNG takes tens of milliseconds; done on the window's thread it would be a visible
hitch, so canvas and thumbnails ask here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Signal
from PySide6.QtGui import QImage

from gui.errors import SfumatoError, as_sfumato_error
from gui.library.picture_forms import SUFFIXES as PICTURE_SUFFIXES
from gui.library.picture_forms import is_picture_name
from gui.library.picture_reader import read_picture, size_of
from gui.state.background import TaskThreads

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = [
    "PICTURES_FILTER",
    "PICTURE_SUFFIXES",
    "ImageLoader",
    "is_picture_name",
    "picture_size",
    "read_image",
]

PICTURES_FILTER = "Pictures (" + " ".join(f"*{suffix}" for suffix in PICTURE_SUFFIXES) + ")"
"""What a dialog for opening pictures offers."""

_SIZE = "sfumato-size"


def read_image(path: str, bound: QSize | None = None) -> QImage:
    """Decode a picture: upright, sRGB, scaled down to fit `bound`.  Blocking.

    Raises:
        SfumatoError: BAD_IMAGE where the file is missing or no picture; MEMORY.
    """
    longest = None if bound is None else max(bound.width(), bound.height())
    image = to_qimage(read_picture(Path(path), longest))
    width, height = (image.width(), image.height()) if longest is None else size_of(Path(path))
    image.setText(_SIZE, f"{width} {height}")
    return image


def to_qimage(image: PillowImage) -> QImage:
    """A copy of a picture of mode RGB or RGBA.  An opaque one has the form that is scaled and
    painted as it is: converting a large picture holds the window up."""
    clear = image.mode == "RGBA"
    form = QImage.Format.Format_RGBA8888 if clear else QImage.Format.Format_RGB32
    # Pillow puts the bytes in order piece by piece, between which the window's thread has its turn.
    data = image.tobytes() if clear else image.tobytes("raw", "BGRX")
    width, height = image.size
    return QImage(data, width, height, 4 * width, form).copy()


def picture_size(image: QImage) -> QSize:
    """Pixels of the picture that `read_image` read, before it was scaled down."""
    words = image.text(_SIZE).split()
    return QSize(int(words[0]), int(words[1])) if len(words) == 2 else image.size()


class _Answers(QObject):
    """Outlives a loader that goes while a disk is waited for."""

    loaded = Signal(str, object)
    failed = Signal(str, SfumatoError)


class FileLoader(QObject):
    """Reads files one after the other on a worker; answers arrive in the order they were asked for,
    unless a disk does not answer.

    Args:
        read: makes of a path what `loaded` brings; raises what `failed` brings.
    """

    loaded = Signal(str, object)
    failed = Signal(str, SfumatoError)

    def __init__(self, read: Callable[[str], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read = read
        self._workers = TaskThreads("pictures")
        self._answers = _Answers()
        self._answers.loaded.connect(self.loaded)
        self._answers.failed.connect(self.failed)

    def load(self, path: str) -> None:
        answers, read = self._answers, self._read

        def task() -> None:
            try:
                found = read(path)
            except Exception as error:
                answers.failed.emit(path, as_sfumato_error(error))
            else:
                answers.loaded.emit(path, found)

        self._workers.start(task)

    def forget(self) -> None:
        """What has not begun need not come."""
        self._workers.clear()

    def close(self) -> None:
        self._workers.close()


class ImageLoader(FileLoader):
    """Brings a `QImage`, scaled down to fit `bound`."""

    def __init__(self, bound: QSize | None = None, parent: QObject | None = None) -> None:
        super().__init__(lambda path: read_image(path, bound), parent)
