"""A picture at halving sizes, read on a worker: any zoom is then drawn from about as many pixels as
it shows, quickly and without the glitter of skipped ones."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal
from PySide6.QtGui import QImage

from gui.errors import SfumatoError, as_sfumato_error
from gui.library.picture_reader import read_picture
from gui.state.pictures.images import to_qimage

SMALLEST = 320
"""Longest side at which no further half is made."""


class PictureLevels:
    """One picture's pixels at 1, 1/2, 1/4 … of its size."""

    def __init__(self, images: list[QImage]) -> None:
        self.images = images

    @property
    def whole(self) -> QImage:
        return self.images[0]

    def level_for(self, scale: float) -> QImage:
        """The smallest level that has a pixel for each one on the screen.

        Args:
            scale: screen pixels per pixel of the picture.
        """
        level = 0
        while level + 1 < len(self.images) and scale <= 0.5 ** (level + 1):
            level += 1
        return self.images[level]


def read_levels(path: str) -> PictureLevels:
    """Decode a picture and its smaller levels.  Blocking.

    Raises:
        SfumatoError: as `read_picture`.
    """
    picture = read_picture(Path(path))
    images = [_drawable(to_qimage(picture))]
    while max(picture.size) > SMALLEST:
        picture = picture.reduce(2)  # a mean of four, which lets other threads run meanwhile
        images.append(_drawable(to_qimage(picture)))
    return PictureLevels(images)


def _drawable(image: QImage) -> QImage:
    """In the form that is painted without being converted each time."""
    form = QImage.Format
    clear = image.hasAlphaChannel()
    return image.convertToFormat(form.Format_ARGB32_Premultiplied if clear else form.Format_RGB32)


class _Task(QRunnable):
    def __init__(self, loader: LevelLoader, path: str) -> None:
        super().__init__()
        self._loader = loader
        self._path = path

    def run(self) -> None:
        try:
            levels = read_levels(self._path)
        except SfumatoError as error:
            self._loader.failed.emit(self._path, error)
        except Exception as error:
            self._loader.failed.emit(self._path, as_sfumato_error(error))
        else:
            self._loader.loaded.emit(self._path, levels)


class LevelLoader(QObject):
    """Reads pictures one after the other; what nobody waits for any more is not begun."""

    loaded = Signal(str, object)
    """A path and its `PictureLevels`."""
    failed = Signal(str, SfumatoError)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)

    def load(self, path: str) -> None:
        self._pool.start(_Task(self, path))

    def forget(self) -> None:
        """What has not begun need not come."""
        self._pool.clear()

    def close(self) -> None:
        self._pool.clear()
        self._pool.waitForDone()
