"""The picture that the one on show was made from: beside it under a divider, or as long as a key is
held."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QImage

from gui.framing import beginning_in_result
from gui.start_image import StartImage
from gui.state.pictures.images import ImageLoader
from gui.state.pictures.origin import Origin
from gui.ui.canvas.option_widgets import symbol_button
from gui.ui.canvas.original_layer import Shown
from gui.ui.desks.parts import Parts

TIP = "Compare with the original (hold \\ to see it alone)"
GONE = "The picture that this one was made from is not there any more."


class OriginalDesk(QObject):
    """Finds what the picture on show was made from, and offers it."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._library = parts.studio.library
        self._canvas = canvas = parts.canvas
        self._action = parts.actions.original
        self.layer = canvas.view.surface.original
        self._path = ""
        self._start: StartImage | None = None
        self._drawn = QSize()
        self._divided = False  # the person wants it for the next pictures, too
        self._loader = ImageLoader(parent=self)
        self._loader.loaded.connect(self._on_loaded)
        self._loader.failed.connect(lambda path, _error: self._on_gone(path))
        self.button = symbol_button("before-after", "Original", TIP, checkable=True)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        canvas.tools.strip.add_below(self.button)
        self.button.clicked.connect(self._divide)
        self._action.triggered.connect(self._divide)
        self.layer.changed.connect(self._show_state)
        canvas.pixels_shown.connect(self._on_pixels)
        canvas.picture_shown.connect(self._on_shown)
        self._offer(False)

    def _on_pixels(self, path: str, image: QImage) -> None:
        if path == self._path and self.layer.there:
            return
        self._forget()
        self._path = path
        self._library.with_origin(path, lambda origin: self._on_origin(path, image.size(), origin))

    def _on_shown(self, path: str) -> None:
        if path != self._path:
            self._forget()

    def _forget(self) -> None:
        self._path, self._start = "", None
        self._offer(False)
        self.layer.set_original(QImage(), QRectF())

    def _on_origin(self, path: str, size: QSize, origin: Origin) -> None:
        request = origin.request
        start = request.lineage()[0].start_image if request is not None else None
        if path != self._path or start is None or not start.path:
            return
        self._start = start
        self._drawn = QSize(*origin.size) if all(origin.size) else size
        self._offer(True)
        if Path(start.path).is_absolute():
            self._loader.load(start.path)
        else:  # made elsewhere, so that only its name is known
            self._on_gone(start.path)

    def _on_loaded(self, path: str, image: QImage) -> None:
        start = self._start
        if start is None or path != start.path or image.isNull():
            return
        drawn = self._drawn.width(), self._drawn.height()
        left, top, width, height = beginning_in_result(
            start, (image.width(), image.height()), drawn
        )
        whole = QSizeF(self._drawn)
        rect = QRectF(
            left / whole.width(),
            top / whole.height(),
            width / whole.width(),
            height / whole.height(),
        )
        form = QImage.Format.Format_ARGB32_Premultiplied
        self.layer.set_original(image.convertToFormat(form), rect)
        if self._divided:
            self.layer.show(Shown.BESIDE)

    def _on_gone(self, path: str) -> None:
        if self._start is not None and path == self._start.path:
            self.button.setEnabled(False)
            self.button.setToolTip(GONE)

    def _offer(self, there: bool) -> None:
        self.button.setVisible(there)
        self.button.setEnabled(True)
        self.button.setToolTip(TIP)
        self._show_state()

    def _divide(self, on: bool) -> None:
        self._divided = on
        self.layer.show(Shown.BESIDE if on else Shown.NOTHING)
        self._canvas.announce("The original is left of the divider" if on else "The picture alone")

    def _show_state(self) -> None:
        beside = self.layer.shown is Shown.BESIDE
        self.button.setChecked(beside)
        self._action.setChecked(beside)
        self._action.setEnabled(self.layer.there)

    def close_down(self) -> None:
        """Wait for what is being read."""
        self._loader.close()
