"""What made a picture: every setting with a tick, to be copied or used again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.state.desktop import copy_text
from gui.state.pictures.imported import MODEL
from gui.state.pictures.origin import Origin
from gui.state.pictures.types import IndexedPicture
from gui.state.studio import Studio
from gui.ui.widgets.controls import Switch, label
from gui.ui.widgets.facts import TechnicalDetails

WIDTH, HEIGHT = 380, 560


class PictureInfo(QDialog):
    """A window of its own beside the main one; it follows the picture that is looked at."""

    use_requested = Signal(Origin, list)
    """These settings of a picture are wanted, by name; the model among them."""
    model_wanted = Signal(Origin)
    """The model that made this picture is to be shown."""

    def __init__(self, studio: Studio, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setWindowTitle("Picture Info")
        self._studio = studio
        self._picture: IndexedPicture | None = None
        self._origin = Origin()
        self._technical_open = False
        self.ticks: dict[str, QCheckBox] = {}
        self.favourite = Switch("Favourite")
        self.tags = QLineEdit()
        self.tags.setAccessibleName("Tags")
        self.tags.setPlaceholderText("Tags, parted by commas")
        self.copy = QPushButton("Copy")
        self.show_model = QPushButton("Show the Model")
        self.use = QPushButton("Use These Settings")
        self.use.setObjectName("sheetPrimary")
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroller.setAccessibleName("What made the picture")
        foot = QHBoxLayout()
        foot.addWidget(self.copy)
        foot.addWidget(self.show_model)
        foot.addStretch(1)
        foot.addWidget(self.use)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 14)
        column.setSpacing(8)
        column.addWidget(self.favourite)
        column.addWidget(self.tags)
        column.addWidget(self.scroller, 1)
        column.addLayout(foot)
        self.resize(WIDTH, HEIGHT)
        self.favourite.clicked.connect(self._on_favourite)
        self.tags.editingFinished.connect(self._on_tags)
        self.copy.clicked.connect(lambda: copy_text(self._origin.text()))
        self.show_model.clicked.connect(lambda: self.model_wanted.emit(self._origin))
        self.use.clicked.connect(lambda: self.use_requested.emit(self._origin, self.ticked()))
        self._show()

    def set_picture(self, picture: IndexedPicture | None) -> None:
        """Tell of this picture; what its file says comes a little later."""
        if picture == self._picture:
            return
        same = picture is not None and self._picture is not None and (
            picture.path == self._picture.path
        )  # fmt: skip
        self._picture = picture
        if picture is not None and not same:
            self._origin = Origin()
            path = picture.path
            self._studio.library.with_origin(path, lambda origin: self._on_origin(path, origin))
        self._show()

    def ticked(self) -> list[str]:
        """Names of the settings that are wanted."""
        return [name for name, tick in self.ticks.items() if tick.isChecked()]

    def _on_origin(self, path: str, origin: Origin) -> None:
        if self._picture is not None and self._picture.path == path:
            self._origin = origin
            self._show()

    def _show(self) -> None:
        picture, origin = self._picture, self._origin
        for widget in (self.favourite, self.tags):
            widget.setEnabled(picture is not None)
        self.copy.setEnabled(not origin.empty)
        self.use.setEnabled(not origin.empty)
        self.show_model.setEnabled(bool(origin.model))
        self.favourite.setChecked(picture is not None and picture.favourite)
        if not self.tags.hasFocus():
            self.tags.setText(", ".join(picture.tags) if picture is not None else "")
        self.scroller.setWidget(self._rows(picture, origin))

    def _rows(self, picture: IndexedPicture | None, origin: Origin) -> QWidget:
        inner = QWidget()
        inner.setObjectName("scrolled")
        grid = QGridLayout(inner)
        grid.setContentsMargins(0, 4, 8, 4)
        grid.setVerticalSpacing(7)
        grid.setHorizontalSpacing(12)
        grid.setColumnStretch(1, 1)
        self.ticks = {}

        def add(first: QWidget, text: str, name: str = "") -> None:
            value = label(text, name, wrap=True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            row = grid.rowCount()
            grid.addWidget(first, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, row, 1)

        match = self._studio.imports.match(origin)
        if match.entry is not None:
            remark = "" if match.sure else f"{match.entry.name}: {match.how}."
            text = origin.model or match.entry.name
            add(self._tick(MODEL, "Model", on=match.sure), f"{text}\n{remark}".strip())
        elif origin.model:
            add(label("Model"), f"{origin.model}\nIt is not among your models.")
        for setting in origin.settings:
            add(
                self._tick(setting.name, setting.label), f"{setting.text}\n{setting.remark}".strip()
            )
        if picture is None:
            add(label(""), "No picture is chosen.", "secondary")
        else:
            for name, text in _facts(picture, origin):
                add(label(name, "secondary"), text)
        if origin.left:
            add(label("Not used here", "heading"), "")
            for name, text, why in origin.left:
                add(label(name, "secondary"), f"{text}\n{why}", "small")
        self.technical = TechnicalDetails()
        self.technical.show_facts(origin.technical)
        self.technical.set_open(self._technical_open)
        self.technical.toggled.connect(self._on_technical)
        grid.addWidget(self.technical, grid.rowCount(), 0, 1, 2)
        grid.setRowStretch(grid.rowCount(), 1)
        return inner

    def _tick(self, name: str, text: str, *, on: bool = True) -> QCheckBox:
        tick = QCheckBox(text)
        tick.setChecked(on)
        tick.setToolTip("Use this setting")
        self.ticks[name] = tick
        return tick

    def _on_technical(self, is_open: bool) -> None:
        self._technical_open = is_open  # also for the pictures that are looked at next

    def _on_favourite(self) -> None:
        if self._picture is not None:
            self._studio.marks.toggle_favourite([self._picture.id])

    def _on_tags(self) -> None:
        if self._picture is not None:
            tags = [" ".join(tag.split()) for tag in self.tags.text().split(",")]
            self._studio.marks.set_tags(self._picture.id, [tag for tag in tags if tag])


def _facts(picture: IndexedPicture, origin: Origin) -> list[tuple[str, str]]:
    """What is told beside the settings."""
    facts = picture.facts
    made = datetime.fromtimestamp(facts.created)
    rows = list(origin.facts)
    rows += [
        ("Size", f"{words.pixels(facts.width, facts.height)}, {words.size(facts.bytes)}"),
        ("Date", f"{words.day_heading(made.date())}, {made:%H:%M}"),
        ("File", Path(facts.path).name),
    ]
    return rows
