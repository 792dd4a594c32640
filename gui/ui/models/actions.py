"""The care of installed models: verify, repair, update, and the way to the Trash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state import desktop
from gui.ui.hub.get_bar import PROGRESS_STEPS
from gui.ui.widgets.controls import ElidedLabel, label
from gui.ui.widgets.questions import ask

if TYPE_CHECKING:
    from gui.state.hub.state import HubState
    from gui.state.hub.types import FileProblem
    from gui.state.model_entry import ModelEntry
    from gui.state.studio import Studio

SHOWN_PROBLEMS = 6
WHAT = {"missing": "is missing", "size": "has the wrong size", "hash": "has other contents"}


def problems_text(problems: list[FileProblem]) -> str:
    """What is wrong, file by file, the first few of them."""
    lines = [f"“{p.path}” {WHAT.get(p.what, 'is not right')}" for p in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"and {words.plural(len(problems) - SHOWN_PROBLEMS, 'more file')}")
    return "\n".join(lines)


class VerifyDialog(QDialog):
    """Checks every file of one model; what is wrong can be repaired here.

    Args:
        hub: does the checking.
        entry: the model.
        parent: the window it lies over.
        repair_at_once: fetch what is bad without asking.
    """

    def __init__(
        self,
        hub: HubState,
        entry: ModelEntry,
        parent: QWidget | None = None,
        *,
        repair_at_once: bool = False,
    ) -> None:
        super().__init__(parent)
        self._hub = hub
        self._folder = str(entry.folder)
        self._repair_at_once = repair_at_once
        self._repairing = False
        self.setWindowTitle("Verify Files")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setFixedWidth(440)
        self.title = ElidedLabel(f"Checking “{entry.name}”", "heading")
        self.text = label("Every byte is compared with what the Hub has.", "secondary", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, PROGRESS_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Files checked")
        self.repair_button = QPushButton("Repair")
        self.repair_button.setObjectName("sheetPrimary")
        self.repair_button.hide()
        self.close_button = QPushButton("Stop")
        self.close_button.setAutoDefault(False)
        self._lay_out()
        self._fit()
        self.repair_button.clicked.connect(self._repair)
        self.close_button.clicked.connect(self.reject)
        hub.verify_progress.connect(self._on_progress)
        hub.verified.connect(self._on_verified)
        hub.verify_failed.connect(self._on_failed)
        hub.repaired.connect(self._on_repaired)
        hub.verify(self._folder)

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.close_button)
        foot.addWidget(self.repair_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(self.title)
        column.addWidget(self.text)
        column.addWidget(self.bar)
        column.addLayout(foot)

    def done(self, result: int) -> None:
        self._hub.stop_verifying(self._folder)
        super().done(result)

    def _repair(self) -> None:
        self.repair_button.hide()
        self._repairing = True
        self._say("Fetching the bad files again…", "It goes on if you close this.", busy=True)
        self._hub.repair(self._folder)

    def _on_progress(self, folder: str, fraction: float) -> None:
        if folder == self._folder:
            self.bar.setValue(round(fraction * PROGRESS_STEPS))

    def _on_verified(self, folder: str, problems: list[FileProblem]) -> None:
        if folder != self._folder:
            return
        if not problems:
            self._say("All files are as the Hub has them.", "")
        elif self._repair_at_once:
            self._repair()
        else:
            number = words.plural(len(problems), "file is", "files are")
            them = "it" if len(problems) == 1 else "them"
            self._say(f"{number} not as the Hub has {them}.", problems_text(problems))
            self.repair_button.show()
            self.repair_button.setDefault(True)
            self.repair_button.setFocus()

    def _on_failed(self, folder: str, error: SfumatoError) -> None:
        if folder == self._folder:
            what = "repaired" if self._repairing else "checked"
            self._say(f"The files could not be {what}", error.message)

    def _on_repaired(self, folder: str) -> None:
        if folder == self._folder:
            self._say("Repaired: all files are as the Hub has them.", "")

    def _say(self, title: str, text: str, *, busy: bool = False) -> None:
        self.title.set_text(title)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.bar.setVisible(busy)
        self.bar.setRange(0, 0 if busy else PROGRESS_STEPS)
        self.close_button.setText("Close")
        self._fit()

    def _fit(self) -> None:
        """As high as the text needs at this width."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        height = layout.totalHeightForWidth(self.width())
        # Without a wrapped text on show nothing depends on the width.
        self.setFixedHeight(height if height > 0 else layout.totalSizeHint().height())


class LibraryActions(QObject):
    """What can be done with an installed model; the menus of its card and its details ask here.

    Args:
        studio: the models and the Hub.
        window: parent of the sheets.
    """

    failed = Signal(SfumatoError)
    measure_wanted = Signal(object)
    """How fast this `ModelEntry` is on each compute unit is to be shown."""

    def __init__(self, studio: Studio, window: QWidget) -> None:
        super().__init__(window)
        self._studio = studio
        self._window = window

    def of(self, entry: ModelEntry) -> list[tuple[str, Callable[[], object]]]:
        """Words and deed of everything that makes sense for this model."""
        found: list[tuple[str, Callable[[], object]]] = []
        if entry.repo:
            if entry.update:
                found.append(("Update…", lambda: self.update(entry)))
            found.append(("Verify Files…", lambda: self.verify(entry)))
            found.append(("Repair…", lambda: self.repair(entry)))
            found.append(("Open on the Hub", lambda: self.open_page(entry)))
        if entry.usable:
            found.append(("Measure This Model…", lambda: self.measure_wanted.emit(entry)))
        if entry.removable and not entry.added:
            found.append(("Move to Trash…", lambda: self.trash(entry)))
        return found

    def verify(self, entry: ModelEntry) -> VerifyDialog:
        return self._open(VerifyDialog(self._studio.hub, entry, self._window))

    def repair(self, entry: ModelEntry) -> VerifyDialog:
        """Check, and fetch what is bad at once."""
        hub = self._studio.hub
        return self._open(VerifyDialog(hub, entry, self._window, repair_at_once=True))

    def update(self, entry: ModelEntry) -> QMessageBox:
        """Ask, then fetch the newer revision; only files that changed are fetched."""
        return ask(
            self._window,
            f"Update “{entry.name}”?",
            "The newer revision takes the place of this one. Files that have not changed are "
            "not fetched again.",
            "Update",
            lambda: self._studio.hub.update(str(entry.folder)),
        )

    def open_page(self, entry: ModelEntry) -> None:
        try:
            desktop.open_page(self._studio.hub.page_url(entry.repo))
        except SfumatoError as error:
            self.failed.emit(error)

    def trash(self, entry: ModelEntry) -> QMessageBox:
        """Ask, then move the model's files to the Trash."""
        size = words.size(entry.bytes) if entry.bytes else "Its space"
        again = " You can get it again from the Hub." if entry.repo else ""
        return ask(
            self._window,
            f"Move “{entry.name}” to the Trash?",
            f"{size} will be free once the Trash is emptied.{again}",
            "Move to Trash",
            lambda: self._studio.models.move_to_trash(Path(entry.folder)),
        )

    @staticmethod
    def _open(dialog: VerifyDialog) -> VerifyDialog:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog
