"""The downloads under way, at the foot of the left column: progress, pause, go on, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.state import describe
from gui.state.hub.types import DownloadState, DownloadStatus
from gui.ui.hub.get_bar import PROGRESS_STEPS
from gui.ui.widgets.controls import ElidedLabel, icon_button, label
from gui.ui.widgets.questions import cancel_download

if TYPE_CHECKING:
    from gui.state.hub.downloads import DownloadList

MAX_ROWS = 3
"""More than this many scroll …"""
MAX_SHARE = 0.28
"""… and so does what is higher than this part of the window."""


class DownloadRow(QWidget):
    """One download.  A click on its name opens the model's sheet."""

    opened = Signal(str)

    def __init__(self, downloads: DownloadList, status: DownloadStatus) -> None:
        super().__init__()
        self.download_id = status.id
        self._repo = status.repo
        self.name = ElidedLabel("", "statement")
        self.state = ElidedLabel("", "small")
        self.problem = label("", "problem", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, PROGRESS_STEPS)
        self.bar.setTextVisible(False)
        self.pause = icon_button("pause", "Pause")
        self.resume = icon_button("resume", "Go on")
        self.cancel = icon_button("close", "Cancel")
        for button in (self.pause, self.resume, self.cancel):
            button.setIconSize(QSize(14, 14))
        self.go_on = QPushButton("Go On")
        self.discard = QPushButton("Discard")
        for button in (self.go_on, self.discard):
            button.setObjectName("flat")
        self._lay_out()
        self.pause.clicked.connect(lambda: downloads.pause(self.download_id))
        self.resume.clicked.connect(lambda: downloads.resume(self.download_id))
        self.go_on.clicked.connect(lambda: downloads.resume(self.download_id))
        for button in (self.cancel, self.discard):
            button.clicked.connect(self._give_up)
        self._downloads = downloads
        self.set_status(status)

    def _give_up(self) -> None:
        status = self._downloads.status(self.download_id)
        if status is not None:
            cancel_download(self.window(), status, lambda: self._downloads.cancel(status.id))

    def _lay_out(self) -> None:
        self.name.setMinimumHeight(28)
        top = QHBoxLayout()
        top.setSpacing(0)
        top.addWidget(self.name, 1)
        for button in (self.pause, self.resume, self.cancel):
            top.addWidget(button)
        self._choices = QWidget()
        row = QHBoxLayout(self._choices)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.go_on)
        row.addWidget(self.discard)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 4, 12, 6)
        column.setSpacing(3)
        column.addLayout(top)
        column.addWidget(self.bar)
        column.addWidget(self.state)
        column.addWidget(self.problem)
        column.addWidget(self._choices)

    def set_status(self, status: DownloadStatus) -> None:
        """Show where the download stands, and the buttons that mean something there."""
        title = status.title or status.repo
        state = status.state
        failed = state is DownloadState.FAILED
        asks = failed or (state is DownloadState.PAUSED and status.interrupted)
        self.name.set_text(title)
        text = describe.download_state(status)
        if failed:
            self.state.set_text(describe.download_amount(status))
        else:
            self.state.set_text(text, *describe.shorter_download_states(status))
        self.problem.setText(text if failed else "")
        self.problem.setVisible(failed)
        self.bar.setValue(round(describe.download_share(status) * PROGRESS_STEPS))
        self.bar.setAccessibleName(f"Download of {title}")
        self.bar.setAccessibleDescription(text)
        pressed = any(b.hasFocus() for b in (self.pause, self.resume, self.go_on))
        self.pause.setVisible(state.live)
        self.pause.setEnabled(state is not DownloadState.UNPACKING)
        self.resume.setVisible(state is DownloadState.PAUSED and not asks)
        self.cancel.setVisible(not asks)
        self._choices.setVisible(asks)
        self.go_on.setText("Try Again" if failed else "Go On")
        for button, word in (
            (self.pause, "Pause"),
            (self.resume, "Go on with"),
            (self.cancel, "Cancel"),
            (self.go_on, "Try again to get" if failed else "Go on with"),
            (self.discard, "Discard"),
        ):
            button.setAccessibleName(f"{word} {title}")
        if pressed:
            # Left alone the focus would go on to the button that cancels.
            present = self.go_on if asks else self.pause if state.live else self.resume
            present.setFocus(Qt.FocusReason.OtherFocusReason)

    def buttons(self) -> list[QWidget]:
        """Every button, shown or not, from the first to the last."""
        return [self.pause, self.resume, self.cancel, self.go_on, self.discard]

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if self.rect().contains(event.position().toPoint()):
            self.opened.emit(self._repo)


class DownloadsStrip(QFrame):
    """Bound to a `DownloadList`; there only while there is something to show."""

    opened = Signal(str)
    """A row was clicked: ``owner/name``."""
    rebuilt = Signal()
    """Rows came or went."""

    def __init__(self, downloads: DownloadList) -> None:
        super().__init__()
        self._downloads = downloads
        self._rows: dict[str, DownloadRow] = {}
        inner = QWidget()
        inner.setObjectName("scrolled")
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 4, 0, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self._inner = inner
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setAccessibleName("Downloads")
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(inner)
        separator = QFrame()
        separator.setObjectName("separator")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(separator)
        layout.addWidget(self._scroll)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        downloads.rowsInserted.connect(self._rebuild)
        downloads.rowsRemoved.connect(self._rebuild)
        downloads.modelReset.connect(self._rebuild)
        downloads.changed.connect(self._on_changed)
        self._rebuild()

    def row(self, download_id: str) -> DownloadRow | None:
        return self._rows.get(download_id)

    def rows(self) -> list[DownloadRow]:
        return list(self._rows.values())

    def _rebuild(self, *_: object) -> None:
        statuses = {status.id: status for status in self._downloads.statuses()}
        for gone in [known for known in self._rows if known not in statuses]:
            row = self._rows.pop(gone)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        for download_id, status in statuses.items():
            if download_id not in self._rows:
                row = DownloadRow(self._downloads, status)
                row.opened.connect(self.opened)
                self._rows[download_id] = row
                self._column.insertWidget(self._column.count() - 1, row)
                row.show()
        self.fit()
        self.rebuilt.emit()

    def _on_changed(self, status: DownloadStatus) -> None:
        row = self._rows.get(status.id)
        if row is not None:
            row.set_status(status)
            self.fit()

    def fit(self) -> None:
        """Become as high as the rows, up to a few of them."""
        rows = self.rows()
        self.setVisible(bool(rows))
        width = self.width()
        heights = [
            row.heightForWidth(width) if row.hasHeightForWidth() else row.sizeHint().height()
            for row in rows[:MAX_ROWS]
        ]
        self._scroll.setFixedHeight(
            min(sum(heights) + 6, round(self.window().height() * MAX_SHARE))
        )
