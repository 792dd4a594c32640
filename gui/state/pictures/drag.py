"""What a drag or a copy of pictures offers to other programs."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, QUrl
from PySide6.QtGui import QImage

MOST_FILES = 2000
"""Files that are offered at once: what takes them has to look at each."""


def drag_data(paths: list[str], image: QImage | None = None) -> QMimeData:
    """What a drag or a copy of these pictures offers: their file URLs, and the pixels of one.

    Every result is on disk under its real name before it can be dragged: macOS reads the URL when
    the drag starts, so a file written later would not arrive.

    Args:
        image: the pixels of the picture that a program without use for files gets, where they are
            at hand; no file is read for them.
    """
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    if image is not None and not image.isNull():
        data.setImageData(image)
    return data
