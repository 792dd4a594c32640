"""A picture at halving sizes, read on a worker: any zoom is then drawn from about as many pixels as
it shows, quickly and without the glitter of skipped ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from gui.library.picture_reader import read_picture
from gui.state.pictures.images import FileLoader, to_qimage

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

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
    images = [_drawable(picture)]
    while max(picture.size) > SMALLEST:
        picture = picture.reduce(2)  # a mean of four, which lets other threads run meanwhile
        images.append(_drawable(picture))
    return PictureLevels(images)


def _drawable(picture: PillowImage) -> QImage:
    """In the form that is painted without being converted each time."""
    image = to_qimage(picture)
    clear = image.hasAlphaChannel()
    return image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied) if clear else image


class LevelLoader(FileLoader):
    """Brings a picture's `PictureLevels`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(read_levels, parent)
