"""Reading picture files off the window's thread.

Decoding a 1024² PNG takes tens of milliseconds; done on the window's thread it would be a visible
hitch, so canvas and thumbnails ask here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QRunnable, QSize, QThreadPool, Signal
from PySide6.QtGui import QImage

from gui.errors import SfumatoError
from gui.library.picture_reader import SUFFIXES as PICTURE_SUFFIXES
from gui.library.picture_reader import is_picture_name, read_picture, size_of

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["PICTURE_SUFFIXES", "ImageLoader", "is_picture_name", "picture_size", "read_image"]

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
    """A copy of a picture of mode RGB or RGBA."""
    clear = image.mode == "RGBA"
    form = QImage.Format.Format_RGBA8888 if clear else QImage.Format.Format_RGB888
    width, height = image.size
    stride = width * (4 if clear else 3)
    return QImage(image.tobytes(), width, height, stride, form).copy()


def picture_size(image: QImage) -> QSize:
    """Pixels of the picture that `read_image` read, before it was scaled down."""
    words = image.text(_SIZE).split()
    return QSize(int(words[0]), int(words[1])) if len(words) == 2 else image.size()


class _Task(QRunnable):
    def __init__(self, loader: ImageLoader, path: str, bound: QSize | None) -> None:
        super().__init__()
        self._loader = loader
        self._path = path
        self._bound = bound

    def run(self) -> None:
        try:
            image = read_image(self._path, self._bound)
        except SfumatoError as error:
            self._loader.failed.emit(self._path, error)
        else:
            self._loader.loaded.emit(self._path, image)


class ImageLoader(QObject):
    """Loads pictures on one worker thread; answers arrive in the order they were asked for."""

    loaded = Signal(str, QImage)
    failed = Signal(str, SfumatoError)

    def __init__(self, bound: QSize | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bound = bound
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)

    def load(self, path: str) -> None:
        self._pool.start(_Task(self, path, self._bound))

    def close(self) -> None:
        self._pool.clear()
        self._pool.waitForDone()
