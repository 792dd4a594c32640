"""Crash reports, to be read and passed on by the person; nothing is sent from here."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.crash_reports import CrashReports
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import label
from gui.ui.widgets.toast import say_briefly

SIZE = QSize(680, 480)
PROMISE = (
    "A report says what Sfumato was doing when it stopped. It stays on this computer; copy it if "
    "you want to pass it on. It may name folders and prompts of yours."
)


class ReportSheet(QDialog):
    """Lists the reports that are kept, the newest one open.

    Args:
        reports: where they come from.
        parent: the window it belongs to.
    """

    failed = Signal(SfumatoError)

    def __init__(self, reports: CrashReports, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._reports = reports
        self._paths: list[Path] = []
        self.setWindowTitle("Crash Reports")
        self.resize(SIZE)
        self.choice = Choice("Report")
        self.choice.currentIndexChanged.connect(self._show_text)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName("The report")
        self.reveal = QPushButton(desktop.REVEAL_LABEL)
        self.reveal.clicked.connect(self._reveal)
        self.copy = QPushButton("Copy Report")
        self.copy.clicked.connect(self._copy)
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addWidget(self.reveal)
        buttons.addWidget(self.copy)
        buttons.addStretch(1)
        buttons.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(12)
        column.addWidget(label(PROMISE, "secondary", wrap=True))
        column.addWidget(self.choice)
        column.addWidget(self.text, 1)
        column.addLayout(buttons)

    def open(self) -> None:
        """Show what there is now."""
        self._reports.list(self._show, self.failed.emit)

    def _show(self, paths: list[Path]) -> None:
        self._paths = paths
        self.choice.clear()
        for path in paths:
            self.choice.add(_title(path), str(path), "")
        self.choice.setVisible(bool(paths))
        for button in (self.reveal, self.copy):
            button.setEnabled(bool(paths))
        if not paths:
            self.text.setPlainText("There are none: nothing of Sfumato has crashed here.")
        self._show_text()
        self.show()
        self.raise_()

    def _path(self) -> Path | None:
        row = self.choice.currentIndex()
        return self._paths[row] if 0 <= row < len(self._paths) else None

    def _show_text(self) -> None:
        path = self._path()
        if path is not None:
            self._reports.read(path, lambda text: self._on_text(path, text))

    def _on_text(self, path: Path, text: str) -> None:
        if path == self._path():
            self.text.setPlainText(text or "The report is gone.")

    def _reveal(self) -> None:
        path = self._path()
        if path is not None:
            try:
                desktop.reveal(str(path))
            except SfumatoError as error:
                self.failed.emit(error)

    def _copy(self) -> None:
        desktop.copy_text(self.text.toPlainText())
        say_briefly(self, "Report copied")


def _title(path: Path) -> str:
    """``crash-20261130-142233-window-….txt`` as a person reads it."""
    parts = path.stem.split("-")
    if len(parts) < 4 or len(parts[1]) != 8 or len(parts[2]) != 6:
        return path.stem
    day, time = parts[1], parts[2]
    role = " ".join(part for part in parts[3:] if not part.isdigit())
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}, {role}"
