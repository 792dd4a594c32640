"""Lists of files that go into a conversion: LoRAs with their scales, ControlNets."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.ui.widgets.controls import ElidedLabel, QuietSpinBox, icon_button
from gui.ui.widgets.icons import icon

MAX_SCALE = 4.0


class _Row(QWidget):
    removed = Signal()
    changed = Signal()

    def __init__(self, path: str, scaled: bool) -> None:
        super().__init__()
        self.path = path
        name = Path(path).name
        self.name = ElidedLabel(name)
        self.name.setToolTip(words.plain_tip(path))
        self.scale: QDoubleSpinBox | None = None
        self.remove = icon_button("close", f"Remove {name}")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.name, 1)
        if scaled:
            self.scale = QuietSpinBox(2)
            self.scale.setRange(-MAX_SCALE, MAX_SCALE)
            self.scale.setSingleStep(0.1)
            self.scale.setValue(1.0)
            self.scale.setAccessibleName(f"Strength of {name}")
            self.scale.setToolTip("Strength: 1 is as trained, 0 is none")
            self.scale.valueChanged.connect(lambda _: self.changed.emit())
            row.addWidget(self.scale)
        row.addWidget(self.remove)
        self.remove.clicked.connect(self.removed)


class FileList(QWidget):
    """Files one below the other, and a button that adds one.

    Args:
        what: for button and dialog, e.g. ``LoRA``.
        scaled: whether each has a strength.
        folders: folders may be chosen too.
    """

    changed = Signal()

    def __init__(self, what: str, *, scaled: bool = False, folders: bool = False) -> None:
        super().__init__()
        self._what = what
        self._scaled = scaled
        self._rows: list[_Row] = []
        self.add_button = self._flat(f"Add {what}…")
        self.add_button.clicked.connect(self._choose)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.add_button)
        if folders:
            self.folder_button = self._flat(f"Add {what} Folder…")
            self.folder_button.clicked.connect(self._choose_folder)
            buttons.addWidget(self.folder_button)
        buttons.addStretch(1)
        self._column.addLayout(buttons)

    @staticmethod
    def _flat(text: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName("flat")
        button.setIcon(icon("plus", tone="accent"))
        return button

    def add(self, path: str) -> None:
        if path in self.paths():
            return
        row = _Row(path, self._scaled)
        row.removed.connect(lambda: self._remove(row))
        row.changed.connect(self.changed)
        self._rows.append(row)
        self._column.insertWidget(len(self._rows) - 1, row)
        self.changed.emit()

    def paths(self) -> list[str]:
        return [row.path for row in self._rows]

    def scaled(self) -> list[tuple[str, float]]:
        """Paths with their strengths."""
        return [(row.path, row.scale.value() if row.scale else 1.0) for row in self._rows]

    def clear(self) -> None:
        for row in list(self._rows):
            self._remove(row)

    def _remove(self, row: _Row) -> None:
        self._rows.remove(row)
        row.hide()
        row.deleteLater()
        self.add_button.setFocus(Qt.FocusReason.OtherFocusReason)
        self.changed.emit()

    def _choose(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, f"Choose a {self._what}", "", "Weights (*.safetensors)"
        )
        for path in paths:
            self.add(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, f"Choose a {self._what} Folder")
        if path:
            self.add(path)
