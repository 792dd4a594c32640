"""The one place where errors and notices show: a banner at the top of the canvas column."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from gui.errors import ErrorKind, SfumatoError
from gui.state.desktop import copy_text
from gui.ui.widgets.controls import icon_button, label
from gui.ui.widgets.icons import icon

NOTICE_MS = 9000


class Subject(Enum):
    """What an error is about; it goes when that is mended, replaced or no concern any more."""

    MODEL = auto()
    """The model in use."""
    PROMPT = auto()
    """What was asked for: text, settings, starting picture."""
    JOB = auto()
    """The making of a picture."""
    FOLDER = auto()
    """A folder or disk."""
    NETWORK = auto()
    ACCOUNT = auto()


_SUBJECTS = {
    ErrorKind.BAD_REQUEST: Subject.PROMPT,
    ErrorKind.BAD_IMAGE: Subject.PROMPT,
    ErrorKind.BAD_MODEL: Subject.MODEL,
    ErrorKind.UNSUPPORTED: Subject.MODEL,
    ErrorKind.CHANGED_MODEL: Subject.PROMPT,
    ErrorKind.MEMORY: Subject.MODEL,
    ErrorKind.STORAGE: Subject.FOLDER,
    ErrorKind.NETWORK: Subject.NETWORK,
    ErrorKind.NOT_FOUND: Subject.NETWORK,
    ErrorKind.ACCESS: Subject.ACCOUNT,
    ErrorKind.ENGINE: Subject.JOB,
    ErrorKind.INTERNAL: Subject.JOB,
}


class Banner(QFrame):
    """An error: its sentence, “Try Again” where that can help, “Copy Details”.  Or a
    notice, which goes by itself."""

    shown = Signal(str)
    """The sentence, for assistive programs."""
    retry_asked = Signal()
    undo_asked = Signal()
    plain_asked = Signal()
    """The model is to be used as it is, where Core ML refused a changed one."""
    copied = Signal()
    """The details are on the clipboard."""

    def __init__(self) -> None:
        super().__init__()
        self._error: SfumatoError | None = None
        self._about: frozenset[Subject] = frozenset()
        self._icon = QLabel()
        self._icon.setFixedSize(20, 20)
        self.statement = label("", "statement", wrap=True)
        self.retry_button = QPushButton("Try Again")
        self.retry_button.clicked.connect(self._retry)
        self.undo_button = QPushButton("Undo")
        self.undo_button.clicked.connect(self._undo)
        self.plain_button = QPushButton("Use Model As It Is")
        self.plain_button.clicked.connect(self._use_plain)
        self.offer_button = QPushButton()
        self.offer_button.clicked.connect(self._take_offer)
        self._deed: Callable[[], object] | None = None
        self.copy_button = QPushButton("Copy Details")
        self.copy_button.clicked.connect(self._copy)
        self.close_button = icon_button("close", "Dismiss")
        self.close_button.clicked.connect(self.dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 8, 10)
        row.setSpacing(10)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.statement, 1)
        row.addWidget(self.retry_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.plain_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.undo_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.offer_button, 0, Qt.AlignmentFlag.AlignVCenter)
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

    def show_error(
        self, error: SfumatoError, can_retry: bool = False, about: Subject | None = None
    ) -> None:
        """Show an error until it is dismissed, or one of its subjects is settled.

        Args:
            about: what it is about besides what its kind tells.
        """
        self._timer.stop()
        self._deed = None
        self._about = frozenset(filter(None, (_SUBJECTS.get(error.kind), about)))
        self.retry_button.setVisible(can_retry)
        self._error = error
        self.plain_button.setVisible(error.kind is ErrorKind.CHANGED_MODEL)
        self._present("error", "warning", error.message)
        self.copy_button.setVisible(True)
        self.undo_button.setVisible(False)
        self.offer_button.setVisible(False)

    def show_notice(self, text: str, *, can_undo: bool = False) -> None:
        """Show a remark for a while; it never covers an error that still stands, nor an offer."""
        if self._error is not None or self._deed is not None:
            return
        self._show_remark(text, can_undo)
        self._timer.start()

    def show_offer(self, text: str, word: str, deed: Callable[[], object]) -> None:
        """Show a remark with a button of its own until it is dismissed; it never covers an error
        that still stands, and an error covers it.

        Args:
            word: on the button.
            deed: what the button does.
        """
        if self._error is not None:
            return
        self._show_remark(text, can_undo=False)
        self._deed = deed
        self.offer_button.setText(word)
        self.offer_button.setVisible(True)
        self._timer.stop()

    def _show_remark(self, text: str, can_undo: bool) -> None:
        self._present("notice", "info", text)
        for button in (self.copy_button, self.retry_button, self.plain_button, self.offer_button):
            button.setVisible(False)
        self.undo_button.setVisible(can_undo)

    def settle(self, *subjects: Subject) -> None:
        """Let an error about any of these go: its cause is mended, replaced or beside the point."""
        if self._error is not None and self._about.intersection(subjects):
            self.dismiss()

    def dismiss(self) -> None:
        self._error = self._deed = None
        self._timer.stop()
        self.hide()

    def _present(self, name: str, symbol: str, sentence: str) -> None:
        self.setObjectName(name)
        self.style().unpolish(self)
        self.style().polish(self)
        tone = "error" if name == "error" else "accent"
        self._icon.setPixmap(icon(symbol, tone=tone).pixmap(20, 20))
        self.statement.setText(sentence)
        self.setAccessibleName(sentence)
        self.show()
        self.shown.emit(sentence)

    def _retry(self) -> None:
        self.dismiss()
        self.retry_asked.emit()

    def _use_plain(self) -> None:
        self.dismiss()
        self.plain_asked.emit()

    def _undo(self) -> None:
        self.dismiss()
        self.undo_asked.emit()

    def _take_offer(self) -> None:
        deed = self._deed
        self.dismiss()
        if deed is not None:
            deed()

    def _copy(self) -> None:
        if self._error is not None:
            error = self._error
            copy_text(f"{error.message}\n[{error.kind.value}]\n{error.detail}".strip() + "\n")
            self.copied.emit()
