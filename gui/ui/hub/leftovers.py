"""Leftovers: unfinished downloads to go on with, mere rubbish, checkpoints that were converted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state.hub.types import Orphan
from gui.ui.widgets.controls import ElidedLabel, label

if TYPE_CHECKING:
    from gui.state.hub.state import HubState


def leftovers_text(orphans: list[Orphan]) -> str:
    """``Recover 3.10 GB of downloads…``; empty where there is nothing."""
    if not orphans:
        return ""
    size = sum(orphan.bytes for orphan in orphans if not orphan.checkpoint)
    if all(orphan.checkpoint for orphan in orphans):
        kept = sum(orphan.bytes for orphan in orphans)
        return f"Checkpoints kept for conversion · {words.size(kept)}…"
    if any(orphan.download for orphan in orphans):
        return f"Recover {words.size(size)} of downloads…"
    return f"Clear {words.size(size)} of leftovers…"


class OrphanRow(QFrame):
    """One leftover: what it was to be, its size, and what can be done with it."""

    resume_requested = Signal(Orphan)
    remove_requested = Signal(Orphan)

    def __init__(self, orphan: Orphan) -> None:
        super().__init__()
        self.setObjectName("card")
        self.orphan = orphan
        name = orphan.repo or Path(orphan.path).name
        kind = "Unfinished download" if orphan.download else "Belongs to no model"
        if orphan.checkpoint:
            kind = "Checkpoint kept for conversion"
        self.name = ElidedLabel(name, "statement")
        facts = ElidedLabel(f"{words.size(orphan.bytes)} · {kind}", "small")
        self.resume = QPushButton("Go On")
        self.resume.setAccessibleName(f"Go on with {name}")
        self.resume.setVisible(bool(orphan.download))
        self.remove = QPushButton("Delete")
        self.remove.setAccessibleName(f"Delete {name}")
        for button in (self.resume, self.remove):
            button.setAutoDefault(False)
        text = QVBoxLayout()
        text.setSpacing(2)
        text.addWidget(self.name)
        text.addWidget(facts)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 10, 8)
        row.setSpacing(8)
        row.addLayout(text, 1)
        row.addWidget(self.resume)
        row.addWidget(self.remove)
        self.resume.clicked.connect(lambda: self.resume_requested.emit(orphan))
        self.remove.clicked.connect(lambda: self.remove_requested.emit(orphan))

    def has_focus(self) -> bool:
        """Whether one of its buttons has it."""
        return self.resume.hasFocus() or self.remove.hasFocus()

    def set_busy(self, busy: bool) -> None:
        """Whether it is being deleted."""
        self.remove.setText("Deleting…" if busy else "Delete")
        for button in (self.remove, self.resume):
            button.setEnabled(not busy)


class LeftoversDialog(QDialog):
    """Lists what takes room and belongs to no model.

    Args:
        hub: knows the leftovers.
        orphans: those found last.
        parent: the window it lies over.
    """

    def __init__(self, hub: HubState, orphans: list[Orphan], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self.rows: list[OrphanRow] = []
        self._deleting: set[str] = set()
        self.setWindowTitle("Leftovers")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumSize(520, 320)
        self.text = label("", "secondary", wrap=True)
        self.problem = label("", "problem", wrap=True)
        self.problem.hide()
        inner = QWidget()
        inner.setObjectName("scrolled")
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setAccessibleName("Leftovers")
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inner)
        self.remove_all = QPushButton("Delete All")
        self.close_button = close = QPushButton("Close")
        close.setDefault(True)
        self.remove_all.setAutoDefault(False)
        foot = QHBoxLayout()
        foot.addWidget(self.remove_all)
        foot.addStretch(1)
        foot.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(label("Leftovers", "heading"))
        column.addWidget(self.text)
        column.addWidget(self.problem)
        column.addWidget(scroll, 1)
        column.addLayout(foot)
        close.clicked.connect(self.accept)
        self.remove_all.clicked.connect(self._remove_all)
        hub.orphans_found.connect(self.set_orphans)
        hub.orphan_removed.connect(self._on_removed)
        hub.error_raised.connect(self._on_error)
        self.set_orphans(orphans)

    def set_orphans(self, orphans: list[Orphan]) -> None:
        number = self._row_with_focus()
        kept = self.rows[number].orphan.path if number >= 0 else ""
        for row in self.rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = []
        for orphan in orphans:
            row = OrphanRow(orphan)
            row.set_busy(orphan.path in self._deleting)
            row.resume_requested.connect(self._resume)
            row.remove_requested.connect(lambda _, row=row: self._remove(row))
            self._column.insertWidget(self._column.count() - 1, row)
            self.rows.append(row)
        if number >= 0:
            same = (k for k, orphan in enumerate(orphans) if orphan.path == kept)
            self._focus_near(next(same, number))
        self._sum_up()

    def _sum_up(self) -> None:
        kept = sum(row.orphan.bytes for row in self.rows if row.orphan.checkpoint)
        rest = sum(row.orphan.bytes for row in self.rows if not row.orphan.checkpoint)
        parts = []
        if rest or not kept:
            parts.append(
                f"{words.size(rest)} lie in the models folder from downloads that were "
                "never finished."
            )
        if kept:
            parts.append(
                f"{words.size(kept)} are checkpoints, kept so that converting again need "
                "not fetch them."
            )
        parts.append("What you delete is gone; it can be fetched again from the Hub.")
        self.text.setText(" ".join(parts) if self.rows else "There is nothing left over.")
        left = [row for row in self.rows if row.orphan.path not in self._deleting]
        self.remove_all.setEnabled(bool(left))

    def _resume(self, orphan: Orphan) -> None:
        self._hub.downloads.load()
        self._hub.downloads.resume(orphan.download)
        self._drop(orphan.path)

    def _remove(self, row: OrphanRow) -> None:
        """Deleting gigabytes takes a while, and is asked for once."""
        self.problem.hide()
        number = self.rows.index(row) if row.has_focus() else -1
        row.set_busy(True)
        if number >= 0:
            self._focus_near(number)
        self._deleting.add(row.orphan.path)
        self._sum_up()
        self._hub.remove_orphan(row.orphan)

    def _remove_all(self) -> None:
        for row in [row for row in self.rows if row.orphan.path not in self._deleting]:
            self._remove(row)
        self.close_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_error(self, error: SfumatoError) -> None:
        """Here, where the window's own place for errors is out of sight."""
        self.problem.setText(error.message)
        self.problem.show()
        self._deleting.clear()
        for row in self.rows:
            row.set_busy(False)
        self._sum_up()

    def _on_removed(self, path: str) -> None:
        self._deleting.discard(path)
        self._drop(path)

    def _row_with_focus(self) -> int:
        """Its number, or -1."""
        return next((k for k, row in enumerate(self.rows) if row.has_focus()), -1)

    def _focus_near(self, number: int) -> None:
        """The focus goes on to the leftover in this place, or the nearest that is left, or the way
        out: left alone it would go to the button that deletes all."""
        left = [k for k, row in enumerate(self.rows) if row.remove.isEnabled()]
        near = min(left, key=lambda k: (abs(k - number), k < number), default=-1)
        button = self.rows[near].remove if near >= 0 else self.close_button
        button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _drop(self, path: str) -> None:
        for row in [row for row in self.rows if row.orphan.path == path]:
            number = self.rows.index(row) if row.has_focus() else -1
            self.rows.remove(row)
            if number >= 0:
                self._focus_near(number)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self._sum_up()
