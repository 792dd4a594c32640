"""The Convert sheet: choose a source, choose what to make of it, watch, use the model."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state.convert.options import facts_line
from gui.state.convert.state import (
    ConvertPhase,
    ConvertState,
    ConvertStatus,
    Estimate,
    Outlook,
    SourceInfo,
    Unfinished,
)
from gui.state.desktop import REVEAL_LABEL
from gui.ui.convert.options import ConvertOptions
from gui.ui.convert.progress import ConvertProgress, unfinished_icon
from gui.ui.convert.source import SourceField
from gui.ui.widgets.controls import label
from gui.ui.widgets.questions import ask

SIZE = (640, 590)
"""Fits the smallest main window."""

WHAT_CONVERTS = (
    "Sfumato converts Stable Diffusion 1, 2 and XL, their fine-tunes, and the XL refiner: "
    "a .safetensors file, or a folder as the diffusers library saves it.\n\n"
    "Everything happens on this computer."
)


class UnfinishedNotice(QFrame):
    """Offers to go on with a conversion that was interrupted."""

    resumed = Signal(Unfinished)
    discarded = Signal(Unfinished)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("notice")
        self._each: Unfinished | None = None
        self.text = label("", "", wrap=True)
        self.go_on = QPushButton("Go On")
        self.throw_away = QPushButton("Throw Away")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(8)
        row.addWidget(unfinished_icon())
        row.addWidget(self.text, 1)
        row.addWidget(self.throw_away)
        row.addWidget(self.go_on)
        self.go_on.clicked.connect(lambda: self.resumed.emit(self._each))
        self.throw_away.clicked.connect(lambda: self.discarded.emit(self._each))
        self.hide()

    def offer(self, found: list[Unfinished]) -> None:
        self._each = found[0] if found else None
        self.setVisible(bool(found))
        if found:
            self.text.setText(f"The conversion of “{found[0].title}” was interrupted.")


class ConvertSheet(QDialog):
    """Bound to `ConvertState`.  Closing it leaves a running conversion alone.

    Args:
        state: conversions.
        parent: the main window; on macOS the sheet hangs from its title bar.
    """

    model_wanted = Signal(str)
    """Folder of a finished model that shall be used now."""
    reveal_wanted = Signal(str)

    def __init__(self, state: ConvertState, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Sheet)
        self.state = state
        self._refused = True
        self._fetching = ""
        """Name on the Hub whose checkpoint the main button fetches."""
        self._failed_fetch = False
        self.setWindowTitle("Convert a Model")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.resize(*SIZE)
        self.setMinimumSize(560, 420)
        self.source = SourceField()
        self.options = ConvertOptions()
        self.notice = UnfinishedNotice()
        self.empty = label(WHAT_CONVERTS, "secondary", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setContentsMargins(60, 40, 60, 40)
        self.estimate = label("", "small", wrap=True)
        self.warning = label("", "warning", wrap=True)
        self.progress = ConvertProgress()
        self._make_buttons()
        self.pages = QStackedWidget()
        self.pages.addWidget(self._choosing_page())
        self.pages.addWidget(self.progress)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 18, 24, 18)
        column.setSpacing(14)
        column.addWidget(self.pages, 1)
        column.addLayout(self._buttons)
        self._connect()
        self._set_source(None)
        self.progress.set_log(state.log)
        self._on_status(state.status)
        self.notice.offer(state.unfinished)

    # -- construction -----------------------------------------------------------------------------

    def _choosing_page(self) -> QWidget:
        page = QWidget()
        inner = QWidget()
        inner.setObjectName("scrolled")
        form = QVBoxLayout(inner)
        form.setContentsMargins(0, 4, 12, 4)
        form.addWidget(self.empty)
        form.addWidget(self.options)
        self.options_scroll = QScrollArea()
        self.options_scroll.setWidgetResizable(True)
        self.options_scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.options_scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.options_scroll.setAccessibleName("Choices for the conversion")
        self.options_scroll.setWidget(inner)
        separator = QFrame()
        separator.setObjectName("separator")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(label("Convert a Model", "title"))
        column.addWidget(self.notice)
        column.addWidget(self.source)
        column.addWidget(self.options_scroll, 1)
        column.addWidget(separator)
        column.addWidget(self.estimate)
        column.addWidget(self.warning)
        return page

    def _make_buttons(self) -> None:
        self.close_button = QPushButton("Cancel")
        self.convert_button = _primary("Convert")
        self.pause_button = QPushButton("Pause")
        self.stop_button = QPushButton("Cancel Conversion")
        self.hide_button = _primary("Continue in Background")
        self.discard_button = QPushButton("Throw Away")
        self.resume_button = _primary("Go On")
        self.another_button = QPushButton("Convert Another")
        self.reveal_button = QPushButton(REVEAL_LABEL)
        self.use_button = _primary("Use This Model")
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.stop_button, self.pause_button, self.another_button):
            row.addWidget(button)
        row.addStretch(1)
        for button in (
            self.discard_button,
            self.reveal_button,
            self.close_button,
            self.convert_button,
            self.hide_button,
            self.resume_button,
            self.use_button,
        ):
            row.addWidget(button)
        self._buttons = row

    def _connect(self) -> None:
        state = self.state
        state.looked.connect(self._set_source)
        state.look_failed.connect(self._on_look_failed)
        state.estimated.connect(self._on_estimated)
        state.estimate_failed.connect(self._on_estimate_failed)
        state.found.connect(self.source.answer)
        state.library_seen.connect(self.options.set_taken)
        state.machine_known.connect(self.options.set_machine)
        state.status_changed.connect(self._on_status)
        state.log_added.connect(self.progress.add_log)
        state.unfinished_changed.connect(lambda: self.notice.offer(state.unfinished))
        state.source_progress.connect(self._on_source_progress)
        state.source_failed.connect(self._on_fetch_failed)
        self.source.asked.connect(self._find)
        self.source.path_chosen.connect(self._look)
        self.source.hub_chosen.connect(self._offer_download)
        self.source.cleared.connect(self._on_cleared)
        self.options.changed.connect(self._on_options)
        self.notice.resumed.connect(lambda each: self._start(each.request))
        self.notice.discarded.connect(self._ask_to_discard)
        self.close_button.clicked.connect(self.close)
        self.hide_button.clicked.connect(self.close)
        self.convert_button.clicked.connect(self._convert)
        self.pause_button.clicked.connect(state.pause)
        self.stop_button.clicked.connect(self._cancel)
        self.resume_button.clicked.connect(self._resume)
        self.discard_button.clicked.connect(self._discard)
        self.another_button.clicked.connect(state.forget)
        self.reveal_button.clicked.connect(lambda: self.reveal_wanted.emit(self._made()))
        self.use_button.clicked.connect(self._use)

    # -- the source -------------------------------------------------------------------------------

    def _find(self, text: str) -> None:
        self._set_source(None)
        self.source.say("Looking…", "busy")
        self.state.find(text)

    def _look(self, path: str) -> None:
        self._set_source(None)
        self.source.say("Reading…", "busy")
        self.state.look(path)

    def _set_source(self, info: SourceInfo | None) -> None:
        self._fetching = ""
        self._refused = True
        self.options.setEnabled(info is not None)
        self.options.setVisible(info is not None)
        self.empty.setVisible(info is None)
        self.estimate.setText("")
        self.warning.setText("")
        self.warning.hide()
        if info is not None:
            if self.state.machine is not None:
                self.options.set_machine(self.state.machine)
            notes = " " + " ".join(info.notes) if info.notes else ""
            self.source.say(facts_line(info) + notes, "good")
            self.options.set_source(info)
        self._show_buttons(self.state.status)

    def _on_cleared(self) -> None:
        self.state.leave()
        self._set_source(None)

    def _on_look_failed(self, error: SfumatoError) -> None:
        self._set_source(None)
        self.source.say(error.message, "error")

    def _on_fetch_failed(self, error: SfumatoError) -> None:
        """The name stays, and with it the way to try again; what was fetched is kept."""
        repo, self._failed_fetch = self._fetching, bool(self._fetching)
        self._set_source(None)
        self._fetching = repo
        self.source.say(error.message, "error")
        self._show_buttons(self.state.status)

    def _offer_download(self, repo: str) -> None:
        """A name on the Hub: its checkpoint is fetched first, which the main button offers."""
        self._set_source(None)
        self.state.leave(repo)
        if not self.state.can_fetch:
            self.source.say("Download the model first, then choose its folder here.", "warning")
            return
        self._fetching, self._failed_fetch = repo, False
        self.source.say(f"“{repo}” on the Hub: its checkpoint is downloaded first.")
        self._show_buttons(self.state.status)

    def _on_source_progress(self, text: str) -> None:
        self.source.say(text, "busy")
        self._show_buttons(self.state.status)

    # -- what it will take ------------------------------------------------------------------------

    def _on_options(self) -> None:
        request = self.options.request()
        self._refused = True
        if request is not None and self.options.isEnabled():
            self.state.estimate(request)
        else:
            self.estimate.setText("")
        self._show_buttons(self.state.status)

    def _on_estimated(self, outlook: Outlook) -> None:
        if not self.options.isEnabled():
            return
        self._refused = outlook.refusal is not None or not outlook.checked
        checking = "" if outlook.checked else " · checking the weights…"
        self.estimate.setText(estimate_text(outlook.estimate) + checking)
        texts = [outlook.refusal.message] if outlook.refusal else list(outlook.estimate.warnings)
        self.warning.setText("\n".join(texts))
        self.warning.setVisible(bool(texts))
        self._show_buttons(self.state.status)

    def _on_estimate_failed(self, error: SfumatoError) -> None:
        self._refused = True
        self.estimate.setText("")
        self.warning.setText(error.message)
        self.warning.show()
        self._show_buttons(self.state.status)

    # -- the conversion ---------------------------------------------------------------------------

    def _convert(self) -> None:
        if self._fetching:
            repo, self._failed_fetch = self._fetching, False
            self.source.say(f"Asking the Hub for “{repo}”…", "busy")
            self.state.fetch(repo)
            self._show_buttons(self.state.status)
            return
        request = self.options.request()
        if request is not None and self.convert_button.isEnabled():
            self._start(self.state.with_origin(request))

    def _start(self, request) -> None:  # type: ignore[no-untyped-def]
        self.progress.set_log([])
        self.state.start(request)

    def _resume(self) -> None:
        self.progress.set_log([])
        self.state.resume()

    def _cancel(self) -> None:
        """Cancel, after a question where finished parts would be lost."""
        if not any(row.done for row in self.state.status.rows):
            self.state.cancel()
            return
        text = "The finished parts will be deleted. Pausing keeps them."
        box = ask(
            self, f"Cancel the conversion of “{self.state.status.title}”?", text,
            "Cancel Conversion", self.state.cancel,
        )  # fmt: skip
        box.button(QMessageBox.StandardButton.Cancel).setText("Go On")

    def _discard(self) -> None:
        """Throw away what a paused or failed conversion has made, and go back to choosing."""
        request = self.state.status.request
        each = next((one for one in self.state.unfinished if one.request == request), None)
        if each is None:
            self.state.forget()
        else:
            self._ask_to_discard(each)

    def _ask_to_discard(self, each: Unfinished) -> None:
        box = ask(
            self,
            f"Throw away what has been converted of “{each.title}”?",
            "The finished parts will be deleted. The source stays as it is.",
            "Throw Away",
            lambda: self.state.discard(each),
        )
        box.button(QMessageBox.StandardButton.Cancel).setText("Keep")

    def _use(self) -> None:
        folder = self._made()
        self.state.forget()
        self.close()
        self.model_wanted.emit(folder)

    def _made(self) -> str:
        report = self.state.status.report
        return report.folders[0] if report and report.folders else ""

    def _on_status(self, status: ConvertStatus) -> None:
        choosing = status.phase in (ConvertPhase.IDLE, ConvertPhase.CANCELLED)
        came_back = choosing and self.pages.currentIndex() == 1
        self.pages.setCurrentIndex(0 if choosing else 1)
        if not choosing:
            self.progress.show_status(status)
        elif came_back:
            self._on_options()  # what it takes may have changed, and the folder it goes to has
        self._show_buttons(status)

    def _show_buttons(self, status: ConvertStatus) -> None:
        phase = status.phase
        choosing = phase in (ConvertPhase.IDLE, ConvertPhase.CANCELLED)
        stopped = phase in (ConvertPhase.FAILED, ConvertPhase.PAUSED)
        done = phase is ConvertPhase.DONE
        shown = {
            self.close_button: not status.busy,
            self.convert_button: choosing,
            self.pause_button: status.busy,
            self.stop_button: status.busy,
            self.hide_button: status.busy,
            self.discard_button: stopped,
            self.resume_button: stopped,
            self.another_button: done or stopped,
            self.reveal_button: done,
            self.use_button: done,
        }
        for button, visible in shown.items():
            button.setVisible(visible)
        self.another_button.setText("Convert Another" if done else "Change Options")
        self.close_button.setText("Cancel" if choosing else "Close")
        running = phase is ConvertPhase.RUNNING
        self.pause_button.setEnabled(running)
        self.stop_button.setEnabled(running)
        fetch = "Try Again" if self._failed_fetch else "Download"
        self.convert_button.setText(fetch if self._fetching else "Convert")
        ready = self.options.request() is not None and not self._refused
        fetching = bool(self._fetching) and not self.state.fetching
        self.convert_button.setEnabled(ready or fetching)
        for button in (self.convert_button, self.hide_button, self.resume_button, self.use_button):
            if shown[button]:
                button.setDefault(True)

    # -- the dialog -------------------------------------------------------------------------------

    def open_with(self, path: str = "") -> None:
        """Show the sheet, with a source where one is known already."""
        self.open()
        self.raise_()
        if path and not self.state.status.busy:
            self.state.forget()
            self.source.set_path(path)
        elif self.pages.currentIndex() == 0:
            self.source.edit.setFocus()
            self._on_options()  # an estimate under way ended when the sheet was closed

    def keyPressEvent(self, event: QKeyEvent) -> None:
        in_field = self.source.edit.hasFocus()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and in_field:
            return  # it takes the source in, and must not start anything
        super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.state.rest()


def estimate_text(estimate: Estimate) -> str:
    """What it takes: ``About 2.60 GB on disk · 7.5 GB of memory · 7 min · 90.0 GB free``."""
    parts = [
        f"About {words.size(estimate.disk_bytes)} on disk",
        f"{words.memory(estimate.memory_bytes)} of memory",
        words.duration(estimate.seconds),
    ]
    if estimate.free_disk_bytes:
        parts.append(f"{words.size(estimate.free_disk_bytes)} free")
    return " · ".join(parts)


def _primary(text: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName("sheetPrimary")
    return button
