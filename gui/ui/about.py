"""About Sfumato, with versions and licences; and the list of shortcuts."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from importlib import metadata

import PySide6
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

import gui
from gui import paths
from gui.state.desktop import copy_text
from gui.ui.canvas.empty_state import Mist
from gui.ui.widgets.controls import fit_height, label
from gui.ui.widgets.facts import TechnicalDetails
from gui.ui.widgets.toast import say_briefly

PROMISE = (
    "Pictures are made on this computer alone, and nothing about them is sent anywhere. "
    "The Hugging Face Hub is asked only when you look for models there."
)
LIBRARIES = ("torch", "coremltools", "diffusers", "transformers", "numpy", "Pillow")


def versions() -> list[tuple[str, str]]:
    """Name and version of the program and what it runs on; imports none of them."""
    rows = [
        ("Sfumato", gui.__version__),
        ("System", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("Qt for Python", PySide6.__version__),
    ]
    for name in LIBRARIES:
        try:
            rows.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            rows.append((name, "not installed"))
    return rows


class AboutDialog(QDialog):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About Sfumato")
        self.setFixedWidth(520)
        self.technical = TechnicalDetails()
        self.technical.show_facts(versions())
        self.technical.toggled.connect(lambda _: fit_height(self))
        self.licences = QTextEdit()
        self.licences.setMarkdown(_licences())
        self.licences.setReadOnly(True)
        self.licences.setTabChangesFocus(True)
        self.licences.setAccessibleName("Licences")
        self.licences.setFixedHeight(150)
        self.copy_button = QPushButton("Copy Versions")
        self.copy_button.clicked.connect(self._copy)
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addWidget(self.copy_button)
        buttons.addStretch(1)
        buttons.addWidget(close)
        head = QVBoxLayout()
        head.setSpacing(4)
        for widget in (
            Mist(),
            label("Sfumato", "title"),
            label(f"Version {gui.__version__}", "secondary"),
            label("Pictures from words, on your own computer.", "secondary"),
        ):
            head.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 14, 24, 18)
        column.setSpacing(14)
        column.addLayout(head)
        promise = label(PROMISE, "small", wrap=True)
        promise.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(promise)
        column.addWidget(self.licences)
        column.addWidget(self.technical)
        column.addLayout(buttons)
        fit_height(self)
        close.setFocus()

    def _copy(self) -> None:
        copy_text("".join(f"{name} {value}\n" for name, value in versions()))
        say_briefly(self, "Versions copied")


class ShortcutsDialog(QDialog):
    def __init__(self, actions: Iterable[QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard Shortcuts")
        columns = [QFormLayout(), QFormLayout()]
        with_keys = [action for action in actions if not action.shortcut().isEmpty()]
        half = (len(with_keys) + 1) // 2
        for number, action in enumerate(with_keys):
            keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            text = action.text().removesuffix("…")
            columns[number // half].addRow(label(keys, "heading"), label(text))
        row = QHBoxLayout()
        row.setSpacing(36)
        for form in columns:
            form.setHorizontalSpacing(16)
            form.setVerticalSpacing(7)
            form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
            row.addLayout(form)
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.close)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 22, 24, 18)
        column.setSpacing(18)
        column.addLayout(row)
        column.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)


def _licences() -> str:
    own = "Sfumato is free software under the MIT licence.\n\n"
    file = paths.resource("LICENSES.md")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    # One look for headings of every level: the box is small.
    return own + re.sub(r"^#+ (.*)$", r"**\1**", text, flags=re.MULTILINE)
