"""Pictures on their way to the Trash and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.background import Background
from gui.state.pictures.library import PictureLibrary
from gui.state.undo import UndoStack

MANY = 500
"""Files that take long enough to say so."""


@dataclass(frozen=True)
class Gone:
    """A picture in the Trash."""

    path: str
    """Where it was, and comes back to."""
    trashed: str
    """Where it lies now."""


class PictureTrash(QObject):
    """Moves pictures to the system's Trash; undo brings them back.

    Args:
        library: forgets them, and finds them again.
        background: where files are moved.
        undo: gets a step for every move.
    """

    failed = Signal(SfumatoError)
    went = Signal(list)
    """Paths of files that are not where they were any more."""
    began = Signal(str)
    """One sentence: what takes a while."""
    done = Signal(str)
    """One sentence: what is in the Trash now."""

    def __init__(
        self,
        library: PictureLibrary,
        background: Background,
        undo: UndoStack,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._library = library
        self._background = background
        self._undo = undo

    def move(self, paths: list[str]) -> None:
        """Move files to the Trash; one step of undo brings all of them back."""
        if len(paths) > MANY:
            self.began.emit(f"{len(paths):,} pictures are going to the Trash…")

        def moved(gone: list[Gone]) -> None:
            if not gone:
                return
            batch = list(gone)

            def replace_all(gone: list[Gone]) -> None:
                batch[:] = gone

            self._undo.did(
                "Move to Trash",
                lambda: self.bring_back(list(batch)),
                lambda: self.take([item.path for item in batch], replace_all),
            )
            what = "The picture is" if len(batch) == 1 else f"{len(batch):,} pictures are"
            self.done.emit(f"{what} in the Trash.")

        self.take(paths, moved)

    def take(self, paths: list[str], then: Callable[[list[Gone]], None]) -> None:
        """Move files to the Trash without a step to undo; `then` hears what is there now."""

        def work() -> list[tuple[str, str | SfumatoError]]:
            return [(path, _trashed(path)) for path in paths]

        def moved(outcomes: list[tuple[str, str | SfumatoError]]) -> None:
            gone: list[str] = []
            back: list[Gone] = []
            for path, outcome in outcomes:
                if isinstance(outcome, SfumatoError):
                    self.failed.emit(outcome)
                    continue
                gone.append(path)
                if outcome:
                    back.append(Gone(path, outcome))
            self.went.emit(gone)
            self._library.forget(gone)
            then(back)

        self._background.run(work, moved, self.failed.emit)

    def bring_back(self, batch: list[Gone]) -> None:
        """Move files out of the Trash to where they were."""

        def work() -> list[SfumatoError]:
            errors: list[SfumatoError] = []
            for item in batch:
                try:
                    desktop.put_back(item.trashed, item.path)
                except SfumatoError as error:
                    errors.append(error)
            return errors

        def back(errors: list[SfumatoError]) -> None:
            for error in errors:
                self.failed.emit(error)
            self._library.look_at(item.path for item in batch)

        self._background.run(work, back, self.failed.emit)


def _trashed(path: str) -> str | SfumatoError:
    try:
        return desktop.move_to_trash(path)
    except SfumatoError as error:
        return error
