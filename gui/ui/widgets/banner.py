"""The one place where errors and notices show: a banner at the top of the canvas column."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from gui.errors import SfumatoError
from gui.state import describe
from gui.state.desktop import copy_text
from gui.ui.widgets.controls import icon_button, label
from gui.ui.widgets.icons import icon

NOTICE_MS = 9000


class Banner(QFrame):
    """An error: one sentence, what to do, “Try Again” where that can help, “Copy Details”.  Or a
    notice, which goes by itself."""

    shown = Signal(str)
    """The sentence, for assistive programs."""
    retry_asked = Signal()
    undo_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._error: SfumatoError | None = None
        self._icon = QLabel()
        self._icon.setFixedSize(20, 20)
        self.statement = label("", "statement", wrap=True)
        self.advice = label("", "", wrap=True)
        self.retry_button = QPushButton("Try Again")
        self.retry_button.clicked.connect(self._retry)
        self.undo_button = QPushButton("Undo")
        self.undo_button.clicked.connect(self._undo)
        self.copy_button = QPushButton("Copy Details")
        self.copy_button.clicked.connect(self._copy)
        self.close_button = icon_button("close", "Dismiss")
        self.close_button.clicked.connect(self.dismiss)
        text = QVBoxLayout()
        text.setSpacing(2)
        text.addWidget(self.statement)
        text.addWidget(self.advice)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 8, 10)
        row.setSpacing(10)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(text, 1)
        row.addWidget(self.retry_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.undo_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignVCenter)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(NOTICE_MS)
        self._timer.timeout.connect(self.dismiss)
        self.hide()

    @property
    def error(self) -> SfumatoError | None:
        """The error on show, if any."""
        return self._error

    def show_error(self, error: SfumatoError, can_retry: bool = False) -> None:
        self._timer.stop()
        self.retry_button.setVisible(can_retry)
        self._error = error
        self._present("error", "warning", error.message, describe.advice(error.kind))
        self.copy_button.setVisible(True)
        self.undo_button.setVisible(False)

    def show_notice(self, text: str, *, can_undo: bool = False) -> None:
        """Show a remark for a while; it never covers an error that still stands."""
        if self._error is not None:
            return
        self._present("notice", "info", text, "")
        self.copy_button.setVisible(False)
        self.retry_button.setVisible(False)
        self.undo_button.setVisible(can_undo)
        self._timer.start()

    def dismiss(self) -> None:
        self._error = None
        self._timer.stop()
        self.hide()

    def _present(self, name: str, symbol: str, sentence: str, advice: str) -> None:
        self.setObjectName(name)
        self.style().unpolish(self)
        self.style().polish(self)
        tone = "error" if name == "error" else "accent"
        self._icon.setPixmap(icon(symbol, tone=tone).pixmap(20, 20))
        self.statement.setText(sentence)
        self.advice.setText(advice)
        self.advice.setVisible(bool(advice))
        self.setAccessibleName(f"{sentence} {advice}".strip())
        self.show()
        self.shown.emit(sentence)

    def _retry(self) -> None:
        self.dismiss()
        self.retry_asked.emit()

    def _undo(self) -> None:
        self.dismiss()
        self.undo_asked.emit()

    def _copy(self) -> None:
        if self._error is not None:
            error = self._error
            copy_text(f"{error.message}\n[{error.kind.value}]\n{error.detail}".strip() + "\n")
