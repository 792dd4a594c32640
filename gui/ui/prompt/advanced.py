"""The prompt panel's advanced options: processors, random numbers, safety checker."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui import words
from gui.state.draft import ComputeUnit, RandomSource
from gui.ui.widgets.controls import Choice, Switch, label

COMPUTE_UNITS = (
    (ComputeUnit.ALL, "Core ML chooses among CPU, GPU and Neural Engine."),
    (ComputeUnit.CPU_AND_GPU, "Suits models with original attention."),
    (ComputeUnit.CPU_AND_NE, "Suits split einsum models; least energy."),
    (ComputeUnit.CPU_ONLY, "Slow, and always works."),
)

RANDOM_SOURCES = (
    (RandomSource.NUMPY, "NumPy", "Same pictures as Apple’s tools, Mochi Diffusion, Diffusers app"),
    (RandomSource.TORCH, "PyTorch", "Same pictures as the diffusers library on the CPU"),
    (RandomSource.NVIDIA, "NVIDIA", "Same pictures as Stable Diffusion web UIs on NVIDIA GPUs"),
)


def compute_unit_choice(name: str = "Compute unit") -> Choice:
    """A pop-up of the compute units; its data are their values as text."""
    choice = Choice(name)
    for unit, tip in COMPUTE_UNITS:
        choice.addItem(words.COMPUTE_UNITS[unit], unit.value)
        choice.setItemData(choice.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
    return choice


class AdvancedOptions(QWidget):
    """Each control below its name, so that long names keep their room."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.compute_unit = compute_unit_choice()
        self.random_source = Choice("Random numbers")
        for source, text, tip in RANDOM_SOURCES:
            self.random_source.addItem(text, source.value)
            index = self.random_source.count() - 1
            self.random_source.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
        self.source_note = label(RANDOM_SOURCES[0][2], "small", wrap=True)
        self.safety = Switch("Safety checker")
        self.safety.setChecked(True)
        self.safety_note = label("", "small", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        for title, widget in (
            ("Compute unit", self.compute_unit),
            ("Random numbers", self.random_source),
        ):
            name = label(title)
            name.setBuddy(widget)
            layout.addWidget(name)
            layout.addWidget(widget)
            layout.addSpacing(3)
        layout.addWidget(self.source_note)
        layout.addSpacing(4)
        layout.addWidget(self.safety)
        layout.addWidget(self.safety_note)
        self.compute_unit.currentIndexChanged.connect(self.changed)
        self.random_source.currentIndexChanged.connect(self._on_source)
        self.safety.toggled.connect(self.changed)
        self.set_has_safety_checker(False)

    def set_has_safety_checker(self, has: bool) -> None:
        """A model without one leaves nothing to switch, and that is said."""
        self.safety.setVisible(has)
        self.safety_note.setText("" if has else "This model has no safety checker.")
        self.safety_note.setVisible(not has)

    def _on_source(self, index: int) -> None:
        self.source_note.setText(RANDOM_SOURCES[index][2])
        self.changed.emit()
