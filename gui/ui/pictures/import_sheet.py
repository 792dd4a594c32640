"""The sheet over a picture from outside: what made it, what each setting becomes here, and what can
be done with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state.pictures.images import ImageLoader, picture_size
from gui.state.pictures.imported import AS_IT_IS, MODEL, ImportRow
from gui.state.pictures.origin import Origin
from gui.state.studio import Studio
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import ElidedLabel, icon_button, label
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.message import Message

SIZE = (660, 590)
"""Fits the smallest main window."""
THUMBNAIL = 76
MOST_SHOWN = 320
"""Characters of one value that are shown; its tool tip has more, and what is taken is all of it."""
MOST_IN_TIP = 3000
LABELS = 148
"""Width of the column of names."""


class PictureTile(QWidget):
    """A picture, small."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self._image = QImage()
        self.setFixedSize(side, side)

    def show_image(self, image: QImage) -> None:
        self._image = image
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        room = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        if self._image.isNull():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(palette.hover))
            painter.drawRoundedRect(room, 8, 8)
            side = room.width() / 3
            middle = QRectF(room.center().x() - side / 2, room.center().y() - side / 2, side, side)
            paint_icon(painter, "picture", middle, QColor(palette.secondary))
            return
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        whole = QRectF(0, 0, max(1, size.width()), max(1, size.height()))
        whole.moveCenter(room.center())
        clip = QPainterPath()
        clip.addRoundedRect(whole, 6, 6)
        painter.setClipPath(clip)
        painter.drawImage(whole, self._image)
        painter.setClipping(False)
        painter.setPen(QPen(QColor(palette.border), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(whole.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)


class _AllSettings(QCheckBox):
    """Ticks all of them or none; in between it is only while some are ticked."""

    def __init__(self) -> None:
        super().__init__("All settings")
        self.setTristate(True)


class _Becomes(QWidget):
    """What a setting is here, what should be known of that, and a button where there is one."""

    def __init__(self, here: str, remark: str) -> None:
        super().__init__()
        self._here = label("", wrap=True)
        self._remark = label("", "small", wrap=True)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(self._here)
        self._column.addWidget(self._remark)
        self.show_text(here, remark)

    def show_text(self, here: str, remark: str) -> None:
        same = here == AS_IT_IS
        self._here.setText("" if same else words.shortened(words.plain(here), MOST_SHOWN))
        self._here.setVisible(bool(here) and not same)
        told = f"{AS_IT_IS}. {remark}" if remark else AS_IT_IS
        self._remark.setText(told if same else remark)
        self._remark.setVisible(same or bool(remark))

    def add_button(self, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName("flat")
        button.setAutoDefault(False)
        row = QHBoxLayout()
        row.setContentsMargins(-8, 0, 0, 0)  # its text in line with the rest
        row.addWidget(button)
        row.addStretch(1)
        self._column.addLayout(row)
        return button


class ImportSheet(QDialog):
    """Shows one picture, or several one at a time.

    Args:
        studio: where settings go, and whose models are looked through.
        parent: the main window; on macOS the sheet hangs from its title bar.
    """

    start_wanted = Signal(str)
    """The picture at this path is to be the start of another one."""
    library_wanted = Signal(list)
    """The pictures at these paths are to be copied among the person's."""
    search_wanted = Signal(str)
    """The Hub is to be searched for this model."""

    def __init__(self, studio: Studio, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Sheet)
        self._studio = studio
        self._paths: list[str] = []
        self._at = 0
        self._origin = Origin()
        self._image_size = QSize()
        self._read = False
        self._setting_all = False
        self.ticks: dict[str, QCheckBox] = {}
        self.setWindowTitle("Picture Settings")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.resize(*SIZE)
        self.setMinimumSize(560, 420)
        self._loader = ImageLoader(QSize(3 * THUMBNAIL, 3 * THUMBNAIL), self)
        self._loader.loaded.connect(self._on_image)
        self._loader.failed.connect(self._on_no_image)
        self._make()
        self._lay_out()
        self._connect()

    def _make(self) -> None:
        self.tile = PictureTile(THUMBNAIL)
        self.title = ElidedLabel("", "sheetTitle")
        self.made_with = ElidedLabel("", "secondary")
        self.warning = label("", "warning", wrap=True)
        self.back = icon_button("chevron-left", "The picture before")
        self.forth = icon_button("chevron-right", "The next picture")
        self.place = label("", "small")
        self.all = _AllSettings()
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroller.setAccessibleName("What made the picture")
        self.nothing = Message()
        self.start = QPushButton("Use as Starting Picture")
        self.library = QPushButton("Add to the Library")
        self.cancel = QPushButton("Cancel")
        self.use = QPushButton("Use Settings")
        self.use.setObjectName("sheetPrimary")
        self.use.setDefault(True)
        for button in (self.start, self.library, self.cancel):
            button.setAutoDefault(False)

    def _lay_out(self) -> None:
        about = QVBoxLayout()
        about.setSpacing(3)
        about.addStretch(1)
        about.addWidget(self.title)
        about.addWidget(self.made_with)
        about.addWidget(self.warning)
        about.addStretch(1)
        head = QHBoxLayout()
        head.setSpacing(14)
        head.addWidget(self.tile)
        head.addLayout(about, 1)
        for widget in (self.back, self.place, self.forth):
            head.addWidget(widget)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.scroller)
        self.pages.addWidget(self.nothing)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.start)
        foot.addWidget(self.library)
        foot.addStretch(1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.use)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(24, 18, 24, 18)
        whole.setSpacing(14)
        whole.addLayout(head)
        whole.addWidget(self.pages, 1)
        whole.addLayout(foot)

    def _connect(self) -> None:
        self.back.clicked.connect(lambda: self._go(-1))
        self.forth.clicked.connect(lambda: self._go(1))
        self.cancel.clicked.connect(self.reject)
        self.use.clicked.connect(self._on_use)
        self.start.clicked.connect(lambda: self._done(self.start_wanted, self.path))
        self.library.clicked.connect(lambda: self._done(self.library_wanted, list(self._paths)))

    # -- what is shown ------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The picture that is shown."""
        return self._paths[self._at] if self._paths else ""

    def open_with(self, paths: list[str], origin: Origin | None = None) -> None:
        """Show these pictures, the first of them first.

        Args:
            origin: what made the first, where it has been read already.
        """
        self._paths = list(paths)
        self._at = 0
        self.library.setText("Add All to the Library" if len(paths) > 1 else "Add to the Library")
        self._look(origin)
        self.open()

    def _go(self, step: int) -> None:
        self._at = min(max(self._at + step, 0), len(self._paths) - 1)
        self._look(None)

    def _look(self, origin: Origin | None) -> None:
        path = self.path
        self.tile.show_image(QImage())
        self._image_size = QSize()
        self._loader.load(path)
        self._read = origin is not None
        self._origin = origin or Origin()
        self._show()
        if origin is None:
            self._studio.imports.read(
                path,
                lambda found: self._on_origin(path, found),
                lambda error: self._on_unreadable(path, error),
            )

    def _on_origin(self, path: str, origin: Origin) -> None:
        if path == self.path:
            self._read, self._origin = True, origin
            self._show()

    def _on_unreadable(self, path: str, error: SfumatoError) -> None:
        self._on_origin(path, Origin(note=error.message))

    def _on_image(self, path: str, image: QImage) -> None:
        if path == self.path:
            self.tile.show_image(image)
            self._image_size = picture_size(image)
            self._show_head()

    def _on_no_image(self, path: str, error: SfumatoError) -> None:
        if path == self.path:
            self.start.setEnabled(False)
            self.library.setEnabled(len(self._paths) > 1)
            self._say(error.message)

    def _say(self, text: str) -> None:
        self.warning.setText(text)
        self.warning.setVisible(bool(text))

    def _show_head(self) -> None:
        size = self._image_size
        parts = [f"Made with {self._origin.program}"] if self._origin.program else []
        if not size.isEmpty():
            parts.append(f"{words.pixels(size.width(), size.height())} pixels")
        self.made_with.set_text(" · ".join(parts))
        several = len(self._paths) > 1
        for widget in (self.back, self.place, self.forth):
            widget.setVisible(several)
        self.place.setText(f"{self._at + 1} of {len(self._paths)}")
        self.back.setEnabled(self._at > 0)
        self.forth.setEnabled(self._at < len(self._paths) - 1)

    def _show(self) -> None:
        origin = self._origin
        self.title.set_text(Path(self.path).name)
        self._show_head()
        self._say(origin.note)
        self.start.setEnabled(True)
        self.library.setEnabled(True)
        self.ticks = {}
        empty = origin.empty and not origin.left
        if not self._read:
            self.nothing.say("picture", "Reading…", "")
        elif empty:
            self.nothing.say(
                "picture",
                "This picture does not say what made it.",
                "It can still be the start of another one.",
            )
        else:
            self._tell(self._studio.imports.rows(origin))
        self.pages.setCurrentIndex(1 if empty or not self._read else 0)
        self.use.setVisible(not empty)
        self._count()
        main = self.start if empty else self.use
        main.setDefault(True)
        main.setFocus()

    def _tell(self, rows: list[ImportRow]) -> None:
        self.ticks = {}
        inner = QWidget()
        inner.setObjectName("scrolled")
        grid = QGridLayout(inner)
        grid.setContentsMargins(0, 4, 8, 4)
        grid.setVerticalSpacing(9)
        grid.setHorizontalSpacing(12)
        grid.setColumnMinimumWidth(0, LABELS)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(2, 2)
        self.all = _AllSettings()
        self.all.clicked.connect(self._on_all)
        grid.addWidget(self.all, 0, 0)
        grid.addWidget(label("In the picture", "small"), 0, 1)
        grid.addWidget(label("Here", "small"), 0, 2)
        line = QFrame()
        line.setObjectName("separator")
        grid.addWidget(line, 1, 0, 1, 3)
        self._grid = grid
        for row in rows:
            self._add_row(row)
        if self._origin.left:
            heading = label("Not used here", "heading")
            heading.setContentsMargins(0, 8, 0, 0)
            grid.addWidget(heading, grid.rowCount(), 0, 1, 3)
            for name, text, why in self._origin.left:
                first = ElidedLabel(words.plain(name), "secondary")
                self._add(first, text, _Becomes("", why))
        grid.setRowStretch(grid.rowCount(), 1)
        self.scroller.setWidget(inner)
        QWidget.setTabOrder(self.forth, self.all)

    def _add_row(self, row: ImportRow) -> None:
        first: QWidget = label(row.label)
        value = _Becomes(row.here, row.remark)
        if row.name:
            tick = first = QCheckBox(row.label)
            tick.setChecked(row.ticked)
            tick.setToolTip("Use this")
            tick.toggled.connect(self._on_tick)
            if row.name == MODEL:
                tick.toggled.connect(self._on_model)
            self.ticks[row.name] = tick
        elif row.label == "Model":
            search = value.add_button("Find It on the Hub")
            search.setToolTip("Takes the ticked settings, then searches the Hub for this model")
            search.clicked.connect(self._on_search)
        self._add(first, row.stated, value)

    def _add(self, first: QWidget, stated: str, becomes: QWidget) -> None:
        row, top = self._grid.rowCount(), Qt.AlignmentFlag.AlignTop
        clean = "\n".join(words.plain(line) for line in stated[:MOST_IN_TIP].split("\n"))
        value = label(words.shortened(clean, MOST_SHOWN), wrap=True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if len(clean) > MOST_SHOWN:
            value.setToolTip(words.plain_tip(clean))
        first.setMaximumWidth(LABELS)
        self._grid.addWidget(first, row, 0, top)
        self._grid.addWidget(value, row, 1, top)
        self._grid.addWidget(becomes, row, 2, top)

    def _on_model(self, taken: bool) -> None:
        """Another model will be in use, to which sizes may be another matter."""
        # Not now: the rows go, and among them is the one that says so.
        QTimer.singleShot(0, lambda: self._tell_again(taken))

    def _tell_again(self, with_model: bool) -> None:
        if MODEL not in self.ticks or self.ticks[MODEL].isChecked() != with_model:
            return
        before = {name: tick.isChecked() for name, tick in self.ticks.items()}
        focused, at = self.ticks[MODEL].hasFocus(), self.scroller.verticalScrollBar().value()
        self._tell(self._studio.imports.rows(self._origin, with_model=with_model))
        for name, tick in self.ticks.items():
            tick.blockSignals(True)
            tick.setChecked(before.get(name, True))
            tick.blockSignals(False)
        self.scroller.verticalScrollBar().setValue(at)
        if focused:
            self.ticks[MODEL].setFocus()
        self._count()

    # -- ticks --------------------------------------------------------------------------------

    def ticked(self) -> list[str]:
        """Names of the settings that are wanted; `MODEL` among them."""
        return [name for name, tick in self.ticks.items() if tick.isChecked()]

    def _on_tick(self) -> None:
        if not self._setting_all:
            self._count()

    def _count(self) -> None:
        number = len(self.ticked())
        every = number == len(self.ticks)
        state = Qt.CheckState.Checked if every else Qt.CheckState.PartiallyChecked
        self.all.setCheckState(state if number else Qt.CheckState.Unchecked)
        self.use.setEnabled(number > 0)

    def _on_all(self) -> None:
        """One click ticks them all, another none; only code leaves it in between."""
        on = len(self.ticked()) < len(self.ticks)
        self._setting_all = True
        for tick in self.ticks.values():
            tick.setChecked(on)
        self._setting_all = False
        self._count()

    # -- what is done -------------------------------------------------------------------------

    def _on_use(self) -> None:
        origin, names = self._origin, self.ticked()
        self.accept()
        self._studio.imports.use(origin, names)

    def _on_search(self) -> None:
        model = self._origin.model
        self._on_use()
        self.search_wanted.emit(model)

    def _done(self, signal: object, value: object) -> None:
        self.accept()
        signal.emit(value)  # type: ignore[attr-defined]

    def close_down(self) -> None:
        """Wait for the worker that reads the pictures."""
        self._loader.close()
