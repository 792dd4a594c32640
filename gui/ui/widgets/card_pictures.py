"""Small square pictures for cards and rows, decoded on a worker."""

from __future__ import annotations

from PySide6.QtCore import QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from gui.state.pictures.images import ImageLoader

MAX_PICTURES = 400
"""Pictures kept decoded; at two device pixels a point that is about 19 MB."""


def square_pixmap(image: QImage, side: int, ratio: float, radius: float) -> QPixmap:
    """The middle square of a picture, with round corners, at the screen's resolution."""
    pixels = round(side * ratio)
    least = min(image.width(), image.height())
    middle = image.copy(
        (image.width() - least) // 2, (image.height() - least) // 2, least, least
    ).scaled(
        pixels,
        pixels,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    pixmap = QPixmap(pixels, pixels)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    clip = QPainterPath()
    clip.addRoundedRect(QRectF(0, 0, pixels, pixels), radius * ratio, radius * ratio)
    painter.setClipPath(clip)
    painter.drawImage(0, 0, middle)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


class CardPictures(QObject):
    """Pictures of cards, decoded on a worker and kept ready to be drawn."""

    changed = Signal()

    def __init__(self, parent: QWidget, side: int) -> None:
        super().__init__(parent)
        self._side = side
        self._ready: dict[str, QPixmap | None] = {}
        self._asked: set[str] = set()
        self._loader = ImageLoader(QSize(320, 320), self)
        self._loader.loaded.connect(self._on_loaded)
        self._loader.failed.connect(self._on_failed)
        self._closed = False

    def get(self, path: str) -> QPixmap | None:
        """The picture, or None while it is read or where it cannot be."""
        if path in self._ready:
            return self._ready[path]
        if path and path not in self._asked and not self._closed:
            self._asked.add(path)
            self._loader.load(path)
        return None

    def close(self) -> None:
        """Wait for the picture being read; none is read after this."""
        self._closed = True
        self._loader.close()

    def _on_loaded(self, path: str, image: QImage) -> None:
        app = QApplication.instance()
        ratio = app.devicePixelRatio() if isinstance(app, QApplication) else 1.0
        self._keep(path, square_pixmap(image, self._side, ratio, 9))
        self.changed.emit()

    def _on_failed(self, path: str, _error: object) -> None:
        self._keep(path, None)

    def _keep(self, path: str, pixmap: QPixmap | None) -> None:
        self._asked.discard(path)
        while len(self._ready) >= MAX_PICTURES:
            del self._ready[next(iter(self._ready))]
        self._ready[path] = pixmap
