"""Pictures from elsewhere on their way into the library, and out of it again by undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui import words
from gui.errors import SfumatoError
from gui.library.picture_adding import add_copy, mark_of
from gui.state.background import Background
from gui.state.pictures.library import PictureLibrary
from gui.state.pictures.trash import Gone, PictureTrash
from gui.state.undo import UndoStack


@dataclass
class _Batch:
    """Pictures that were handed in together."""

    line: list[str]
    """Files still to be copied."""
    added: list[str] = field(default_factory=list[str])
    """Their copies."""
    here: int = 0
    """How many are in the library already."""


class PictureAdding(QObject):
    """Copies pictures into the person's folder; the originals stay where they are.

    Args:
        library: knows which are there, and finds the copies.
        root: the folder that copies go to.
        background: where files are read and copied.
        trash: takes the copies back.
        undo: gets a step for every batch.
    """

    failed = Signal(SfumatoError)
    done = Signal(str)
    """One sentence: what is in the library now, which undo takes back."""
    notice = Signal(str)
    """One sentence: why there was nothing to do."""

    def __init__(
        self,
        library: PictureLibrary,
        root: Callable[[], Path],
        background: Background,
        trash: PictureTrash,
        undo: UndoStack,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._library = library
        self._root = root
        self._background = background
        self._trash = trash
        self._undo = undo

    def add(self, paths: list[str]) -> None:
        """Copy these pictures; those that are in the library already are left."""

        def work() -> list[tuple[str, str | SfumatoError]]:
            return [(path, _mark(path)) for path in paths]

        self._background.run(work, self._on_marks, self.failed.emit)

    def _on_marks(self, marks: list[tuple[str, str | SfumatoError]]) -> None:
        good: dict[str, str] = {}
        batch = _Batch([])
        for path, mark in marks:
            if isinstance(mark, SfumatoError):
                self.failed.emit(mark)
            elif mark in good:
                batch.here += 1
            else:
                good[mark] = path

        def then(known: set[str]) -> None:
            batch.line = [path for mark, path in good.items() if mark not in known]
            batch.here += len(known & set(good))
            self._copy_next(batch)

        self._library.with_known(good, then)

    def _copy_next(self, batch: _Batch) -> None:
        """One at a time, so that other work on files comes between."""
        if not batch.line:
            self._finish(batch)
            return
        path, root = batch.line.pop(0), self._root()

        def copied(target: Path) -> None:
            batch.added.append(str(target))
            self._copy_next(batch)

        def failed(error: SfumatoError) -> None:
            self.failed.emit(error)
            self._copy_next(batch)

        self._background.run(lambda: add_copy(Path(path), root), copied, failed)

    def _finish(self, batch: _Batch) -> None:
        number = len(batch.added)
        already = ""
        if batch.here:
            are = "is" if batch.here == 1 else "are"
            already = f"{words.counted(batch.here, 'picture')} {are} in the library already."
        if not number:
            if already:
                self.notice.emit(already)
            return
        self._library.look_at(batch.added)
        added = list(batch.added)
        trashed: list[Gone] = []

        def undo() -> None:
            self._trash.take(added, lambda gone: trashed.__setitem__(slice(None), gone))

        self._undo.did("Add to the Library", undo, lambda: self._trash.bring_back(list(trashed)))
        was = "was" if number == 1 else "were"
        sentence = f"{words.counted(number, 'picture')} {was} added to the library."
        self.done.emit(f"{sentence} {already}".strip())


def _mark(path: str) -> str | SfumatoError:
    try:
        return mark_of(Path(path))
    except SfumatoError as error:
        return error
