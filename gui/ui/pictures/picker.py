"""A sheet to choose one of one's own pictures: for a starting picture, or to lead by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.state.pictures.gallery import Gallery
from gui.state.pictures.images import PICTURES_FILTER
from gui.state.studio import Studio
from gui.ui.pictures.gallery import SEARCH_TIP, TYPING_MS
from gui.ui.pictures.grid import PictureGrid
from gui.ui.widgets.controls import label, search_field
from gui.ui.widgets.message import Message

WIDTH, HEIGHT = 660, 520
SIDE = 120


class PicturePicker(QDialog):
    """Search and grid over all pictures; a double click takes one.

    Args:
        studio: has the pictures.
        kind: what one is chosen for, in small letters: ``starting picture``.
        parent: the window it hangs from.
    """

    chosen = Signal(str)
    """Path of the picture."""

    def __init__(self, studio: Studio, kind: str, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Sheet)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setWindowTitle(f"Choose a {kind.title()}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._kind = kind
        self._studio = studio
        self.pictures = Gallery(studio.library, studio.thumbnails, self)
        self.title = label(f"Choose a {kind}", "sheetTitle")
        self.search = search_field("Search", "Search pictures", SEARCH_TIP)
        self.grid = PictureGrid(self.pictures)
        self.grid.set_side(SIDE)
        self.message = Message()
        self.file = QPushButton("From a File…")
        self.cancel = QPushButton("Cancel")
        self.take = QPushButton("Choose")
        self.take.setObjectName("sheetPrimary")
        for button in (self.file, self.cancel, self.take):
            button.setAutoDefault(False)
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._lay_out()
        self._connect()
        self.pictures.refresh()
        self._show()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.search, 1)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.grid)
        self.stack.addWidget(self.message)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.file)
        foot.addStretch(1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.take)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 16)
        column.setSpacing(10)
        column.addLayout(head)
        column.addWidget(self.stack, 1)
        column.addLayout(foot)
        self.resize(WIDTH, HEIGHT)

    def _connect(self) -> None:
        pictures, grid = self.pictures, self.grid
        self.search.textEdited.connect(lambda _: self._typing.start())
        self.search.returnPressed.connect(self._search_now)
        self._typing.timeout.connect(self._search_now)
        for signal in (pictures.rowsInserted, pictures.rowsRemoved, pictures.refreshed):
            signal.connect(self._show)
        pictures.dataChanged.connect(self._show_take)
        grid.current_changed.connect(self._show_take)
        grid.opened.connect(self._take)
        grid.look_wanted.connect(self._take)  # the space bar
        grid.left.connect(self.reject)
        grid.verticalScrollBar().valueChanged.connect(lambda _: self._studio.thumbnails.hurry())
        self.cancel.clicked.connect(self.reject)
        self.take.clicked.connect(self._take)
        self.file.clicked.connect(self._choose_file)

    def _search_now(self) -> None:
        self._typing.stop()
        text = self.search.text().strip()
        self.pictures.set_filter(replace(self.pictures.filter, text=text))

    def _show(self, *_: object) -> None:
        """The grid, or why there is nothing in it."""
        there = self.pictures.rowCount() > 0
        if not there and self.pictures.filter.text:
            self.message.say("search", "Nothing matches.", "Try fewer words.")
        elif not there:
            self.message.say("picture", "No pictures yet.", "Choose one from a file instead.")
        self.stack.setCurrentWidget(self.grid if there else self.message)
        self._show_take()

    def _show_take(self, *_: object) -> None:
        self.take.setEnabled(self.grid.current() is not None)

    def _take(self) -> None:
        picture = self.grid.current()
        if picture is not None:
            self.chosen.emit(picture.path)
            self.accept()

    def _choose_file(self) -> None:
        title = f"Choose a {self._kind.title()}"
        path, _ = QFileDialog.getOpenFileName(self, title, "", PICTURES_FILTER)
        if path:
            self.chosen.emit(path)
            self.accept()


def pick(studio: Studio, kind: str, over: QWidget, then: Callable[[str], object]) -> PicturePicker:
    """Open a sheet over a window, and call `then` with the path that is chosen."""
    made = PicturePicker(studio, kind, over)
    made.chosen.connect(then)
    made.open()
    made.grid.setFocus()
    return made
