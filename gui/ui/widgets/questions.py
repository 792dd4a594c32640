"""Questions asked before something is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QMessageBox, QWidget

from gui import words

if TYPE_CHECKING:
    from gui.state.hub.types import DownloadStatus

MUCH = 100_000_000
"""Bytes that nobody wants to fetch again for a slip of the hand."""


def ask(
    parent: QWidget, question: str, text: str, word: str, deed: Callable[[], object]
) -> QMessageBox:
    """Ask over the parent's window, and do it if the answer is `word`.  Return says no."""
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowModality(Qt.WindowModality.WindowModal)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(question)
    box.setInformativeText(text)
    for made in box.findChildren(QLabel):  # `setTextFormat` reaches the question alone
        made.setTextFormat(Qt.TextFormat.PlainText)
    yes = box.addButton(word, QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
    yes.clicked.connect(lambda *_: deed())
    box.open()
    return box


def cancel_download(
    parent: QWidget, status: DownloadStatus, cancel: Callable[[], object]
) -> QMessageBox | None:
    """Cancel a download, after a question where much has been fetched that would be lost."""
    if status.bytes_done < MUCH:
        cancel()
        return None
    box = ask(
        parent,
        f"Give up the download of “{status.title or status.repo}”?",
        f"The {words.size(status.bytes_done)} that are here already will be deleted. "
        "A paused download keeps them.",
        "Give Up",
        cancel,
    )
    box.button(QMessageBox.StandardButton.Cancel).setText("Keep")
    return box
