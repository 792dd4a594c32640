"""Pictures on their way to the Trash and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from gui.errors import SfumatoError
from gui.request import PictureRecord
from gui.state import desktop
from gui.state.background import Background
from gui.state.pictures.session import SessionPictures
from gui.state.undo import UndoStack


@dataclass(frozen=True)
class _Gone:
    """A picture in the Trash."""

    path: str
    """Where it was, and comes back to."""
    record: PictureRecord
    row: int
    trashed: str
    """Where it lies now."""


class PictureTrash(QObject):
    """Moves pictures to the system's Trash; undo brings them back.

    Args:
        pictures: the list they go from.
        background: where files are moved.
        undo: gets a step for every move.
    """

    failed = Signal(SfumatoError)
    done = Signal(str)
    """One sentence: what is in the Trash now."""

    def __init__(
        self,
        pictures: SessionPictures,
        background: Background,
        undo: UndoStack,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._pictures = pictures
        self._background = background
        self._undo = undo

    def move(self, paths: list[str]) -> None:
        def moved(gone: list[_Gone]) -> None:
            if not gone:
                return
            batch = list(gone)

            def again() -> None:
                self._move([item.path for item in batch], replace_all)

            def replace_all(gone: list[_Gone]) -> None:
                batch[:] = gone

            self._undo.did("Move to Trash", lambda: self._put_back(batch), again)
            what = "The picture is" if len(batch) == 1 else f"{len(batch)} pictures are"
            self.done.emit(f"{what} in the Trash.")

        self._move(paths, moved)

    def _move(self, paths: list[str], then: Callable[[list[_Gone]], None]) -> None:
        def work() -> list[tuple[str, str | SfumatoError]]:
            return [(path, _trashed(path)) for path in paths]

        def moved(outcomes: list[tuple[str, str | SfumatoError]]) -> None:
            gone: list[_Gone] = []
            for path, outcome in outcomes:
                if isinstance(outcome, SfumatoError):
                    self.failed.emit(outcome)
                    continue
                picture, row = self._pictures.find(path), self._pictures.row_of(path)
                if picture is not None and outcome:
                    gone.append(_Gone(path, picture.record, row, outcome))
                self._pictures.forget(path)
            then(gone)

        self._background.run(work, moved, self.failed.emit)

    def _put_back(self, batch: list[_Gone]) -> None:
        # The last one that went was at a row counted without those before it.
        for item in reversed(batch):
            self._background.run(
                lambda item=item: desktop.put_back(item.trashed, item.path),
                lambda _, item=item: self._pictures.add(item.path, item.record, item.row),
                self.failed.emit,
            )


def _trashed(path: str) -> str | SfumatoError:
    try:
        return desktop.move_to_trash(path)
    except SfumatoError as error:
        return error
