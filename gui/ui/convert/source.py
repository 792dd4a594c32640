"""Where a conversion starts: a file or folder chosen or dropped, or a name on the Hub typed in."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from gui.names import parse_repository
from gui.state.pictures.images import is_picture_name
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import label
from gui.ui.widgets.dropped import local_files
from gui.ui.widgets.icons import icon

TYPING_MS = 500
_HINT = "Drop a .safetensors file or a diffusers folder here, choose one, or type a Hub name."
_FILTER = "Checkpoints (*.safetensors);;All files (*)"


class SourceField(QFrame):
    """A line to type into, two buttons, and what was recognised below; files can be dropped on it.

    What is chosen, dropped or typed (after a pause) is asked about first: only a look at the disk
    can tell whether it is a path, and that is not taken here.  `answer` then announces it.
    """

    asked = Signal(str)
    """Whether this text is a path is to be found out; see `answer`."""
    path_chosen = Signal(str)
    hub_chosen = Signal(str)
    """``owner/name``"""
    cleared = Signal()
    """What is typed is no source."""

    def __init__(self) -> None:
        super().__init__()
        self._hovering = False
        self._announced = ""
        self.setAcceptDrops(True)
        self.edit = QLineEdit()
        self.edit.setPlaceholderText("File, folder, or owner/name on the Hub")
        self.edit.setAccessibleName("Model to convert")
        self.edit.setClearButtonEnabled(False)
        self.file_button = QPushButton("Choose File…")
        self.folder_button = QPushButton("Choose Folder…")
        self._mark = QLabel()
        self._mark.setFixedSize(16, 16)
        self.facts = label(_HINT, "small", wrap=True)
        self.facts.setMinimumHeight(18)
        self.facts.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(TYPING_MS)
        self._timer.timeout.connect(self._announce)
        self._lay_out()
        self.edit.textEdited.connect(lambda _: self._timer.start())
        self.edit.returnPressed.connect(self._announce)
        self.file_button.clicked.connect(self._choose_file)
        self.folder_button.clicked.connect(self._choose_folder)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.edit, 1)
        row.addWidget(self.file_button)
        row.addWidget(self.folder_button)
        below = QHBoxLayout()
        below.setSpacing(7)
        below.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        below.addWidget(self.facts, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 10)
        column.setSpacing(8)
        column.addLayout(row)
        column.addLayout(below)
        self.say(_HINT, "info")

    def text(self) -> str:
        return self.edit.text().strip()

    def set_path(self, path: str) -> None:
        """Take a file or folder as the source."""
        self.edit.setText(path)
        self._announced = ""
        self._announce()

    def say(self, text: str, kind: str = "info") -> None:
        """The line below the field; `kind`: info, busy, good, warning or error."""
        self.facts.setText(text)
        self.facts.setObjectName("warning" if kind in ("warning", "error") else "small")
        self.facts.style().unpolish(self.facts)
        self.facts.style().polish(self.facts)
        name, tone = {
            "good": ("check", "accent"),
            "warning": ("warning", "warning"),
            "error": ("warning", "error"),
        }.get(kind, ("info", "secondary"))
        self._mark.setPixmap(icon(name, tone=tone).pixmap(16, 16))

    def say_hint(self) -> None:
        self.say(_HINT)

    def _announce(self) -> None:
        self._timer.stop()
        text = self.text()
        if text == self._announced:
            return
        self._announced = text
        if text:
            self.asked.emit(text)
        else:
            self.say_hint()
            self.cleared.emit()

    def answer(self, text: str, path: str) -> None:
        """What a text that was asked about turned out to be: a path, or none."""
        if text != self._announced:
            return
        if path:
            self.path_chosen.emit(path)
        elif repo := parse_repository(text):
            self.hub_chosen.emit(repo)
        else:
            name = text if len(text) < 60 else f"…{text[-58:]}"
            self.say(f"There is no file or folder “{name}”; choose one with the buttons.", "error")
            self.cleared.emit()

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a Checkpoint", "", _FILTER)
        if path:
            self.set_path(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a Diffusers Folder")
        if path:
            self.set_path(path)

    # -- drag and drop, ground ------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(palette.accent if self._hovering else palette.border_strong))
        pen.setWidth(2 if self._hovering else 1)
        pen.setStyle(Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([4, 3])
        painter.setPen(pen)
        painter.setBrush(QColor(palette.accent_soft if self._hovering else palette.panel))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 9, 9)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        path = dropped_path(event.mimeData())
        if path and not is_picture_name(path):  # a folder may have any name
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._hover(True)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        self._hover(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._hover(False)
        path = dropped_path(event.mimeData())
        if path:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.set_path(path)

    def _hover(self, on: bool) -> None:
        self._hovering = on
        self.update()


def dropped_path(data: QMimeData) -> str:
    """The first file or folder of this computer that a drag brings; empty: none."""
    return next(iter(local_files(data)), "")
