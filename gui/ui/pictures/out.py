"""The ways of pictures out of the window: saved, exported, printed, shared, opened elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.pictures.export import FORMS, ExportReport, PictureForm
from gui.ui.widgets.controls import without_shortcut

if TYPE_CHECKING:
    from gui.state.studio import Studio
    from gui.ui.menus import Actions
    from gui.ui.pictures.commands import PictureCommands
    from gui.ui.pictures.export_sheet import ExportSheet
    from gui.ui.pictures.printing import PicturePrinter


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
        self._printer: PicturePrinter | None = None
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

    # -- to other programs ------------------------------------------------------------------------

    def offer(self, actions: Actions) -> None:
        """Only what this desktop can do is in the menus; who opens pictures is asked when the
        menu is opened."""
        actions.share.setVisible(desktop.can_share())
        actions.wallpaper.setVisible(desktop.can_set_wallpaper())
        menu = actions.open_with_menu
        menu.aboutToShow.connect(lambda: self._fill_programs(menu))

    def share(self) -> None:
        """The system's ways to share what is chosen."""
        at = self._window.rect().center()

        def share(paths: list[str]) -> None:
            desktop.share(paths, int(self._window.winId()), (at.x(), at.y()))

        self._commands.with_paths(share)

    def set_wallpaper(self) -> None:
        """The picture on show, on the desktop of every screen."""
        picture = self._commands.shown()
        if picture is not None:
            try:
                desktop.set_wallpaper(picture.path)
            except SfumatoError as error:
                self._commands.failed.emit(error)
            else:
                self._commands.said.emit("On the desktop")

    def _fill_programs(self, menu: QMenu) -> None:
        menu.clear()
        usual = menu.addAction("Default Program")
        usual.triggered.connect(lambda: self._open_in(None))
        picture = self._commands.shown()
        if picture is None:
            return

        def add(found: list[Any]) -> None:
            if not found or menu.actions()[:1] != [usual]:
                return  # none, or the menu was opened anew
            usual.setText(without_shortcut(f"{found[0].name} (default)"))
            for program in found[1:]:
                entry = menu.addAction(without_shortcut(program.name))
                entry.triggered.connect(lambda _=False, program=program: self._open_in(program))

        path = picture.path
        self._studio.background.run(
            lambda: desktop.applications(path), add, self._commands.failed.emit
        )

    def _open_in(self, program: Any) -> None:
        """What is chosen, in a program; None: the usual one."""
        self._commands.with_paths(
            lambda paths: self._studio.background.run(
                lambda: desktop.open_with(paths, program),
                lambda _: None,
                self._commands.failed.emit,
            )
        )

    # -- on paper ---------------------------------------------------------------------------------

    def print_pictures(self) -> None:
        """All that are chosen, a page each."""
        self._commands.with_paths(self._print)

    def _print(self, paths: list[str]) -> None:
        from gui.ui.pictures.printing import PicturePrinter

        self._printer = PicturePrinter(self._studio.background, self._window)
        self._printer.failed.connect(self._commands.failed)
        self._printer.ask_and_print(paths)

    def _on_exported(self, report: ExportReport) -> None:
        if report.errors or report.notes or report.stopped:
            self._studio.notice.emit(report.sentence)
        else:
            self._commands.said.emit(report.sentence.rstrip("."))
