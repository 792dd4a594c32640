"""Reading picture files off the window's thread.

Decoding a 1024² PNG takes tens of milliseconds; done on the window's thread it would be a visible
hitch, so canvas and thumbnails ask here.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage, QImageReader

from gui.errors import ErrorKind, SfumatoError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_SIZE = "sfumato-size"
MAX_MEGABYTES = 512
"""Largest decoded picture; a file that claims more is damaged or hostile."""


def read_image(path: str, bound: QSize | None = None) -> QImage:
    """Decode a picture, turned upright by its EXIF note, scaled down to fit `bound`.  Blocking.

    Raises:
        SfumatoError: BAD_IMAGE where the file is missing or no picture.
    """
    QImageReader.setAllocationLimit(MAX_MEGABYTES)
    reader = QImageReader(path)
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    image = reader.read()
    if image.isNull():
        name = Path(path).name or path
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{name}” cannot be read as a picture.",
            f"{path}: {reader.errorString()}",
        )
    whole = image.size()
    if bound is not None and (image.width() > bound.width() or image.height() > bound.height()):
        image = image.scaled(
            bound, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    image.setText(_SIZE, f"{whole.width()} {whole.height()}")
    return image


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
    failed = Signal(str, object)

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
