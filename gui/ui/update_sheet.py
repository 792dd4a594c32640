"""What is new in a newer Sfumato, and the way to it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

import gui
from gui import words
from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.background import Background
from gui.state.updates import UPGRADE, by_homebrew
from gui.ui.widgets.controls import label
from gui.ui.widgets.toast import say_briefly
from gui.updates import Release

SIZE = QSize(520, 420)


class UpdateSheet(QDialog):
    """Never in the way: it lies beside the window's work, and Escape is “later”.

    Args:
        background: looks whether Homebrew keeps this copy.
        parent: the window it belongs to.
    """

    skipped = Signal(Release)
    """The person wants to hear no more of it."""
    failed = Signal(SfumatoError)

    def __init__(self, background: Background, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self._release: Release | None = None
        self.setWindowTitle("A New Version of Sfumato")
        self.resize(SIZE)
        self.heading = label("", "title")
        self.told = label("", "secondary", wrap=True)
        self.notes = QPlainTextEdit()
        self.notes.setReadOnly(True)
        self.notes.setTabChangesFocus(True)
        self.notes.setAccessibleName("What is new")
        self.brew = label("", "small", wrap=True)
        self.brew.setVisible(False)
        self.copy_command = QPushButton("Copy Command")
        self.copy_command.setVisible(False)
        self.copy_command.clicked.connect(self._copy)
        self.skip = QPushButton("Skip This Version")
        self.skip.clicked.connect(self._skip)
        later = QPushButton("Later")
        later.clicked.connect(self.close)
        self.open_page = QPushButton("Open Page")
        self.open_page.setDefault(True)
        self.open_page.clicked.connect(self._open)
        self._lay_out(later)

    def _lay_out(self, later: QPushButton) -> None:
        brew = QHBoxLayout()
        brew.addWidget(self.brew, 1)
        brew.addWidget(self.copy_command)
        buttons = QHBoxLayout()
        buttons.addWidget(self.skip)
        buttons.addStretch(1)
        buttons.addWidget(later)
        buttons.addWidget(self.open_page)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(12)
        column.addWidget(self.heading)
        column.addWidget(self.told)
        column.addWidget(self.notes, 1)
        column.addLayout(brew)
        column.addLayout(buttons)

    def show_release(self, release: Release) -> None:
        """Tell of this one."""
        self._release = release
        self.heading.setText(f"Sfumato {release.version} is here")
        size = max((file.size for file in release.downloads), default=0)
        download = f" The download is {words.size(size)}." if size else ""
        self.told.setText(f"You have {gui.__version__}.{download}")
        self.notes.setPlainText(release.notes)
        self._background.run(by_homebrew, self._show_homebrew, self.failed.emit)
        self.show()
        self.raise_()
        self.open_page.setFocus()

    def _show_homebrew(self, here: bool) -> None:
        self.brew.setText(f"Homebrew keeps your copy; it is renewed by: {UPGRADE}")
        self.brew.setVisible(here)
        self.copy_command.setVisible(here)

    def _copy(self) -> None:
        desktop.copy_text(UPGRADE)
        say_briefly(self, "Command copied")

    def _skip(self) -> None:
        if self._release is not None:
            self.skipped.emit(self._release)
        self.close()

    def _open(self) -> None:
        if self._release is None:
            return
        try:
            desktop.open_page(self._release.page)
        except SfumatoError as error:
            self.failed.emit(error)
        self.close()
