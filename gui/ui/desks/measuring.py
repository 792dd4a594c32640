"""How fast a model is on each compute unit, shown and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from gui.state.model_entry import ModelEntry
from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.ui.models.measure_sheet import MeasureSheet


class MeasuringDesk(QObject):
    """Opens the sheet for the model in use, or for the one whose menu asked for it."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = studio = parts.studio
        self._window = parts.main_window
        self._command = parts.actions.measure
        connect_commands((self._command, lambda: self.show(studio.model)))
        studio.model_selected.connect(self._on_model)
        studio.model_read.connect(self._on_model)
        self._on_model(studio.model)

    def _on_model(self, entry: ModelEntry) -> None:
        self._command.setEnabled(entry.usable)

    def show(self, entry: ModelEntry) -> MeasureSheet | None:
        if not entry.usable:
            return None
        from gui.ui.models.measure_sheet import MeasureSheet

        sheet = MeasureSheet(self._studio.measuring, entry, self._unit_chosen(), self._window)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()
        return sheet

    def _unit_chosen(self) -> str:
        """The compute unit that the person has chosen for pictures, in words; empty: none."""
        control = self._studio.draft.draft.request.compute_unit
        return "" if control.value == "ALL" else control.value
