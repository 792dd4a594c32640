"""Pictures on their way out, one after the other on a worker: progress, cancel, what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QStandardPaths, Signal

from gui import words
from gui.errors import SfumatoError
from gui.library.export.credentials import available as can_sign
from gui.library.export.forms import (
    FORMS,
    MAX_LONGEST,
    MAX_SCALE,
    MIN_SCALE,
    ExportOptions,
    FormFacts,
    PictureForm,
    form_of,
)
from gui.library.export.naming import FIELDS, check_template, fill, values_of
from gui.records import Mode, from_plain
from gui.state.background import Background

if TYPE_CHECKING:
    from gui.state.settings import Settings

__all__ = [
    "FIELDS",
    "FORMS",
    "MAX_LONGEST",
    "MAX_SCALE",
    "MIN_SCALE",
    "ExportOptions",
    "ExportReport",
    "FormFacts",
    "PictureExport",
    "PictureForm",
    "can_sign",
    "form_of",
]  # fmt: skip


@dataclass
class ExportReport:
    """What came of an export."""

    count: int
    """Pictures that were to be written."""
    written: list[str] = field(default_factory=list[str])
    errors: list[SfumatoError] = field(default_factory=list[SfumatoError])
    notes: list[str] = field(default_factory=list[str])
    """One of each."""
    stopped: bool = False

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        number = len(self.written)
        done = "The picture was" if number == 1 else f"{words.plural(number, 'picture')} were"
        said = [f"{done} exported." if number else "No picture was exported."]
        if self.stopped:
            said = [f"Stopped: {number} of {words.plural(self.count, 'picture')} are exported."]
        if self.errors:
            failed = words.plural(len(self.errors), "picture")
            said.append(f"{failed} could not be: {self.errors[0].message}")
        return " ".join([*said, *self.notes])


class PictureExport(QObject):
    """Writes pictures elsewhere.

    Args:
        settings: keep how it was done last.
    """

    progressed = Signal(int, int)
    """Pictures that are done, of how many."""
    finished = Signal(ExportReport)
    failed = Signal(SfumatoError)
    """A picture could not be saved under the name that was asked for."""

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._background = Background(self)
        self._line: list[str] = []
        self._report: ExportReport | None = None

    @property
    def busy(self) -> bool:
        return self._report is not None

    def close(self) -> None:
        """The picture in hand is still written; the others are not."""
        self._line.clear()
        self._background.close()

    # -- how -------------------------------------------------------------------------------------

    @property
    def options(self) -> ExportOptions:
        """As it was done last."""
        try:
            return from_plain(ExportOptions, self._settings.export_options, Mode.SALVAGE)
        except ValueError:
            return ExportOptions()

    @property
    def folder(self) -> str:
        """Where pictures went last."""
        desktop = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DesktopLocation)
        return self._settings.export_folder or desktop

    def with_example(
        self,
        path: str,
        options: ExportOptions,
        then: Callable[[str], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        """Call `then` with the name that a picture would get, or `failed` with why it gets none."""

        def work() -> str:
            from gui.library.export.writing import look_at

            file = Path(path)
            source = look_at(file)
            size = options.size_for(source.fields.width or 1, source.fields.height or 1)
            values = values_of(file, source.origin, file.stat().st_mtime)
            return fill(options.name, values, size, 1, 1) + FORMS[options.form].suffix

        self._background.run(work, then, failed)

    # -- doing it --------------------------------------------------------------------------------

    def start(self, paths: Sequence[str], folder: str, options: ExportOptions) -> None:
        """Write pictures into a folder, each under a name that is not in use there.

        Raises:
            SfumatoError: BAD_REQUEST where the template of the names makes none.
        """
        check_template(options.name)
        self._settings.export_options = options.to_json()
        self._settings.export_folder = folder
        self._report = ExportReport(len(paths))
        self._line = list(paths)
        self._next(folder, options)

    def cancel(self) -> None:
        """Leave out what has not begun."""
        if self._report is not None and self._line:
            self._report.stopped = True
            self._line.clear()

    def save_as(self, path: str, target: str, then: Callable[[], object]) -> None:
        """Write a picture to exactly this file, in the form its ending asks for and as it is
        otherwise; a file of that name is replaced."""

        def work() -> str:
            from gui.library.export.writing import save_as

            options = ExportOptions(form_of(target), self.options.quality)
            return save_as(Path(path), Path(target), options).note

        def done(note: str) -> None:
            if note:
                self.finished.emit(ExportReport(1, [target], notes=[note]))
            then()

        self._background.run(work, done, self.failed.emit)

    def _next(self, folder: str, options: ExportOptions) -> None:
        report = self._report
        assert report is not None
        if not self._line:
            self._report = None
            self.finished.emit(report)
            return
        path = self._line.pop(0)
        number = report.count - len(self._line)

        def work() -> tuple[str, str]:
            from gui.library.export.writing import export_picture

            made = export_picture(Path(path), Path(folder), options, number, report.count)
            return str(made.path), made.note

        def done(outcome: tuple[str, str]) -> None:
            report.written.append(outcome[0])
            if outcome[1] and outcome[1] not in report.notes:
                report.notes.append(outcome[1])
            go_on()

        def failed(error: SfumatoError) -> None:
            report.errors.append(error)
            go_on()

        def go_on() -> None:
            self.progressed.emit(number, report.count)
            self._next(folder, options)

        self._background.run(work, done, failed)
