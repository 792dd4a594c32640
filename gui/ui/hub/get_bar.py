"""The foot of a repository's sheet: get the chosen variant, watch it come, use it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from gui import words
from gui.errors import SfumatoError
from gui.state import describe
from gui.state.hub.types import DownloadState, DownloadStatus, Level, ModelKind, Variant
from gui.ui.widgets.controls import ElidedLabel, label

PROGRESS_STEPS = 1000
_USED = (ModelKind.TEXT_TO_IMAGE, ModelKind.LORA)
"""What can be used at once; of others it is shown where they lie."""


class GetBar(QWidget):
    """Shows where the chosen variant stands, with the buttons that fit.

    The buttons emit; whoever owns the bar acts and calls `present` again.
    """

    get_requested = Signal()
    pause_requested = Signal()
    resume_requested = Signal()
    cancel_requested = Signal()
    use_requested = Signal()
    update_requested = Signal()
    trash_requested = Signal()
    close_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = ElidedLabel()
        self.note = ElidedLabel("", "small")
        self.error = label("", "problem", wrap=True)
        self.error.hide()
        self.bar = QProgressBar()
        self.bar.setRange(0, PROGRESS_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Download")
        self.close_button = self._button("Close", self.close_requested)
        self.cancel = self._button("Cancel Download", self.cancel_requested)
        self.pause = self._button("Pause", self.pause_requested)
        self.update_button = self._button("Update", self.update_requested)
        self.trash = self._button("Move to Trash", self.trash_requested)
        self.main = QPushButton("Get")
        self.main.setObjectName("sheetPrimary")
        self.main.setMinimumWidth(104)
        self.main.clicked.connect(self._on_main)
        self._main_signal: SignalInstance = self.get_requested
        self._lay_out()

    def _button(self, text: str, signal: SignalInstance) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.clicked.connect(signal)
        return button

    def _lay_out(self) -> None:
        # Room for a bar between two lines from the start, so that nothing moves when it appears.
        self.setMinimumHeight(68)
        left = QVBoxLayout()
        left.setSpacing(4)
        left.addStretch(1)
        left.addWidget(self.text)
        left.addWidget(self.bar)
        left.addWidget(self.note)
        left.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addLayout(left, 1)
        row.addSpacing(8)
        for button in (
            self.close_button, self.cancel, self.pause, self.trash, self.update_button, self.main,
        ):  # fmt: skip
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 10, 20, 14)
        column.setSpacing(6)
        column.addWidget(self.error)
        column.addLayout(row)

    # -- what it says -------------------------------------------------------------------------

    def present(
        self,
        variant: Variant | None,
        status: DownloadStatus | None,
        *,
        installed: bool,
        starting: bool,
        free_bytes: int,
        arriving: bool = False,
        update: bool = False,
        error: SfumatoError | None = None,
    ) -> None:
        """Show where the variant stands: not here, on its way, stopped, or installed."""
        if status is not None and status.state is DownloadState.FAILED:
            error = error or status.error
        self._show_error(error)
        pressed = self.main.hasFocus() or self.pause.hasFocus()
        # An update of an installed model is shown as the download it is.
        installed = installed and status is None
        state = status.state if status is not None else None
        self.cancel.setVisible(state is not None)
        self.bar.setVisible(state is not None)
        pausable = state is not None and state.live and state is not DownloadState.UNPACKING
        self.pause.setVisible(pausable)
        self.update_button.setVisible(installed and update)
        is_addon = variant is not None and variant.kind is not ModelKind.TEXT_TO_IMAGE
        self.trash.setVisible(installed and is_addon)
        use = "Use" if variant is None or variant.kind in _USED else "Show"
        if variant is None:
            self._say("", "", "Get", self.get_requested, enabled=False, shown=False)
        elif installed:
            note = "A newer revision is on the Hub." if update else "It is in your library."
            self._say("Installed", note, use, self.use_requested)
        elif arriving:
            text = "Adding it to your library…"
            self._say(text, "", use, self.use_requested, enabled=False)
        elif status is not None:
            self._present_download(status)
        else:
            self._present_offer(variant, starting, free_bytes)
        if pressed:
            self._keep_focus()

    def _keep_focus(self) -> None:
        """The focus stays on the button in the place of the one that was pressed: left alone it
        would go to another, and the next Space press that one."""
        for button in (self.main, self.pause, self.close_button):
            if button.isVisibleTo(self) and button.isEnabled():
                button.setFocus(Qt.FocusReason.OtherFocusReason)
                return

    def _present_offer(self, variant: Variant, starting: bool, free_bytes: int) -> None:
        text = f"{words.size(variant.download_bytes)} to download"
        note = f"{words.size(free_bytes)} free on this disk" if free_bytes else ""
        unusable = variant.verdict.level is Level.NO
        word = "Get Anyway" if unusable else "Get"
        if starting:
            text, word = "Starting the download…", "Get"
        self._say(text, note, word, self.get_requested, enabled=not starting, urged=not unusable)

    def _present_download(self, status: DownloadStatus) -> None:
        self.bar.setValue(round(describe.download_share(status) * PROGRESS_STEPS))
        state = status.state
        amount = describe.download_amount(status)
        if state is DownloadState.FAILED:
            note = "What was fetched is kept." if status.bytes_done else ""
            self._say(amount, note, "Try Again", self.resume_requested)
        elif state is DownloadState.PAUSED:
            note = "Goes on from the last byte."
            self._say(describe.download_state(status), note, "Go On", self.resume_requested)
        else:
            whole = describe.download_state(status)
            head, _, rest = whole.partition(" · ")
            note = words.capital(rest) or amount
            self._say(head, note, "Get", self.get_requested, enabled=False, shown=False)

    def _say(
        self,
        text: str,
        note: str,
        word: str,
        signal: SignalInstance,
        *,
        enabled: bool = True,
        shown: bool = True,
        urged: bool = True,
    ) -> None:
        if (self.main.objectName() == "sheetPrimary") != urged:
            self.main.setObjectName("sheetPrimary" if urged else "")
            self.main.style().unpolish(self.main)
            self.main.style().polish(self.main)
        self.text.set_text(text)
        self.note.set_text(note)
        self.main.setText(word)
        self.main.setEnabled(enabled)
        self.main.setVisible(shown)
        self.main.setDefault(enabled and shown)
        self._main_signal = signal

    def _show_error(self, error: SfumatoError | None) -> None:
        self.error.setVisible(error is not None)
        if error is not None:
            self.error.setText(error.message)

    def _on_main(self) -> None:
        self._main_signal.emit()
