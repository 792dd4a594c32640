"""What happens with pictures from outside, and with the settings and models of those at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from gui.errors import SfumatoError
from gui.state.pictures.images import PICTURES_FILTER
from gui.state.pictures.model_match import search_words
from gui.state.pictures.origin import Origin
from gui.ui.widgets.questions import ask

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.state.studio import Studio
    from gui.ui.models.desk import ModelsDesk
    from gui.ui.pictures.import_sheet import ImportSheet


class ImportDesk(QObject):
    """Ties dropped pictures, their sheet, the prompt panel and the models together.

    Args:
        studio: settings, models and pictures.
        models: shows models, installed ones and the Hub's.
        shown: the picture that commands act on.
        window: what sheets lie over.
    """

    failed = Signal(SfumatoError)
    branched = Signal()
    """The draft goes on from a step of a picture now."""
    start_wanted = Signal(str)
    """The picture at this path is to be the start of another one."""

    def __init__(
        self,
        studio: Studio,
        models: ModelsDesk,
        shown: Callable[[], IndexedPicture | None],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._studio = studio
        self._models = models
        self._shown = shown
        self._window = window
        self.sheet: ImportSheet | None = None
        studio.imports.used.connect(self._on_used)

    # -- pictures from outside ----------------------------------------------------------------

    def choose(self) -> None:
        """File › Import Settings…"""
        paths, _ = QFileDialog.getOpenFileNames(
            self._window, "Import the Settings of a Picture", "", PICTURES_FILTER
        )
        if paths:
            self.show_sheet(paths)

    def open_pictures(self, paths: list[str]) -> None:
        """Pictures were dropped on the window or opened with it: one that does not say what made it
        becomes the start of another one, else a sheet asks what is wanted of it."""
        if len(paths) > 1:
            self.show_sheet(paths)
        elif paths:
            path, start = paths[0], self._start()
            self._studio.imports.read(
                path, lambda origin: self._on_read(path, origin, start), self.failed.emit
            )

    def _on_read(self, path: str, origin: Origin, start: str) -> None:
        if not origin.empty or origin.left:
            self.show_sheet([path], origin)
        elif self._start() == start:  # else another one was chosen meanwhile
            self.start_wanted.emit(path)

    def _start(self) -> str:
        """The starting picture as it is now."""
        return self._studio.draft.value("start_image.path") or ""

    def show_sheet(self, paths: list[str], origin: Origin | None = None) -> None:
        """Ask what is wanted of these pictures."""
        if self.sheet is None:
            from gui.ui.pictures.import_sheet import ImportSheet

            self.sheet = ImportSheet(self._studio, self._window)
            self.sheet.start_wanted.connect(self.start_wanted)
            self.sheet.library_wanted.connect(self._studio.adding.add)
            self.sheet.search_wanted.connect(self._search)
        self.sheet.open_with(paths, origin)

    def close_down(self) -> None:
        """Wait for the worker that reads pictures for the sheet."""
        if self.sheet is not None:
            self.sheet.close_down()

    # -- settings of pictures at hand ---------------------------------------------------------

    def use_settings_of(self, path: str) -> None:
        """All settings of a picture of the library."""
        self._studio.library.with_origin(path, self.use)

    def use(self, origin: Origin, names: list[str] | None = None) -> None:
        """Settings of a picture; `names`: these alone."""
        if origin.empty:
            self._studio.notice.emit("This picture does not say what made it.")
        else:
            self._studio.imports.use(origin, names)

    def branch(self, step: int) -> None:
        """Go on from a step of the picture on show, in another way."""

        def begin(origin: Origin) -> None:
            if self._studio.imports.branch(origin, step):
                self.branched.emit()

        picture = self._shown()
        if picture is not None:
            self._studio.library.with_origin(picture.path, begin)

    def _on_used(self, sentence: str) -> None:
        if sentence:
            self._studio.notice.emit(sentence)

    # -- the model that made a picture --------------------------------------------------------

    def show_model(self) -> None:
        """Show the model of the picture on show among the installed ones, or say where it is."""
        picture = self._shown()
        if picture is not None:
            self._studio.library.with_origin(picture.path, self.show_model_of)

    def show_model_of(self, origin: Origin) -> None:
        match = self._studio.imports.match(origin)
        if match.entry is not None:
            self._models.show_model(match.entry)
            if not match.sure:
                name = origin.model or match.entry.name
                self._studio.notice.emit(f"Made with “{name}”: {match.how}.")
        elif origin.model:
            ask(
                self._window,
                f"“{origin.model}” is not among your models.",
                "Pictures can be made with it once it is here. The Hub may have it for Core ML.",
                "Search the Hub",
                lambda: self._search(origin.model),
            )
        else:
            self._studio.notice.emit("This picture does not say which model made it.")

    def _search(self, model: str) -> None:
        self._models.search_hub(search_words(model))
