"""One picture of the gallery, large: the space bar shows it and takes it away."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from gui.state.pictures.images import ImageLoader
from gui.state.pictures.types import IndexedPicture
from gui.ui.canvas.canvas import caption_of, title_of
from gui.ui.canvas.picture_view import PictureView
from gui.ui.widgets.controls import ElidedLabel, icon_button

_KEYS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down,
         Qt.Key.Key_Home, Qt.Key.Key_End)  # fmt: skip


class LargeView(QFrame):
    """Lies over the gallery; arrow keys go to its neighbours."""

    moved = Signal(int)
    """The key that was pressed to see another picture."""
    passed = Signal(QKeyEvent)
    """Another key, which means what it means in the grid."""
    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("canvasColumn")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.path = ""
        """Of the picture on show."""
        self._loader = ImageLoader(parent=self)
        self._loader.loaded.connect(self._on_loaded)
        self._loader.failed.connect(self._on_failed)
        self.view = PictureView()
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.title = ElidedLabel("")
        self.caption = ElidedLabel("", "small")
        self.close_button = icon_button("close", "Back to the gallery")
        self.close_button.clicked.connect(self.close_view)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 12)
        column.setSpacing(2)
        column.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignRight)
        column.addWidget(self.view, 1)
        for line in (self.title, self.caption):
            line.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(line)
        self.hide()

    def show_picture(self, picture: IndexedPicture, thumbnail: QImage | None) -> None:
        """Show a picture: its thumbnail at once, all its pixels when they have come."""
        facts = picture.facts
        self.path = picture.path
        if thumbnail is not None and not thumbnail.isNull():
            size = QSize(facts.width, facts.height)
            self.view.show_image(thumbnail, size=size)
        else:
            self.view.show_fog(facts.width, facts.height)
        self._loader.load(picture.path)
        self.title.set_text(title_of(picture))
        self.caption.set_text(caption_of(picture))
        self.setAccessibleName(f"Picture of “{title_of(picture)}”, large")
        self.show()
        self.raise_()
        self.setFocus()

    def close_view(self) -> None:
        self.hide()
        self.closed.emit()

    def close_loader(self) -> None:
        self._loader.close()

    def _on_loaded(self, path: str, image: QImage) -> None:
        if path == self.path and self.isVisible():
            self.view.show_image(image, path=path)

    def _on_failed(self, path: str, _error: object) -> None:
        if path == self.path:
            self.caption.set_text("This picture cannot be read; its file was moved or is damaged.")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Escape):
            self.close_view()
        elif event.key() in _KEYS:
            self.moved.emit(event.key())
        else:
            self.passed.emit(event)
