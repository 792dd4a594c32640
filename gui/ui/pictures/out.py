"""The ways of pictures out of the window: saved, exported, printed, shared, opened elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QWidget

from gui.state.pictures.export import FORMS, ExportReport, PictureForm

if TYPE_CHECKING:
    from gui.state.studio import Studio
    from gui.ui.pictures.commands import PictureCommands
    from gui.ui.pictures.export_sheet import ExportSheet


class WaysOut(QObject):
    """Acts on what the picture commands act on.

    Args:
        studio: where the pictures are.
        commands: say which pictures are meant, and what became of them.
        window: what sheets hang from.
    """

    def __init__(self, studio: Studio, commands: PictureCommands, window: QWidget) -> None:
        super().__init__(window)
        self._studio = studio
        self._commands = commands
        self._window = window
        self._sheet: ExportSheet | None = None
        studio.export.failed.connect(commands.failed)
        studio.export.finished.connect(self._on_exported)

    def save_as(self) -> None:
        """The picture on show under a name of the person's, in the form its ending asks for."""
        picture = self._commands.shown()
        if picture is None:
            return
        suggested = str(Path.home() / Path(picture.path).with_suffix(".png").name)
        filters = {
            f"{facts.label} picture ({' '.join('*' + s for s in facts.suffixes)})": form
            for form, facts in FORMS.items()
        }
        target, chosen = QFileDialog.getSaveFileName(
            self._window, "Save Picture As", suggested, ";;".join(filters)
        )
        if not target:
            return
        if not Path(target).suffix:
            target += FORMS[filters.get(chosen, PictureForm.PNG)].suffix
        self._studio.export.save_as(picture.path, target, lambda: None)

    def export(self) -> None:
        """All that are chosen, in a sheet."""
        self._commands.with_paths(self._show_sheet)

    def _show_sheet(self, paths: list[str]) -> None:
        from gui.ui.pictures.export_sheet import ExportSheet

        if not paths:
            return
        if self._sheet is None:
            self._sheet = ExportSheet(self._studio.export, self._window)
        self._sheet.open_for(paths)

    def _on_exported(self, report: ExportReport) -> None:
        if report.errors or report.notes or report.stopped:
            self._studio.notice.emit(report.sentence)
        else:
            self._commands.said.emit(report.sentence.rstrip("."))
