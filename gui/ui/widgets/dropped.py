"""What a drag brings."""

from __future__ import annotations

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QImage

from gui.state.pictures.images import is_picture_name


def local_files(data: QMimeData) -> list[str]:
    """Paths of the files on this computer among it."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]


def brings_picture(data: QMimeData) -> bool:
    """Whether a drag brings a picture, as far as its name tells."""
    files = local_files(data)
    return is_picture_name(files[0]) if files else data.hasImage()


def picture_from_drop(data: QMimeData) -> str | QImage:
    """Path of the picture a drag brings, or its pixels; neither: an empty path."""
    if files := local_files(data):
        return files[0]
    image = QImage(data.imageData()) if data.hasImage() else QImage()
    return "" if image.isNull() else image
