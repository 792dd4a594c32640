"""The models a person can use: the starter, those installed, and folders added by reference.

Threading: folders are listed on a worker thread of our own pool, which also waits for the process
that reads the models; entries and every signal belong to the thread that made the library (the
window's).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)

from gui import paths, words
from gui.coreml.client import ModelReader
from gui.errors import ErrorKind, SfumatoError
from gui.library import variants
from gui.library.models.folders import model_folders, models_in
from gui.library.models.removal import what_goes
from gui.state.background import TaskThreads
from gui.state.model_entry import ModelEntry, marks_of, read_entry
from gui.state.settings import Settings

if TYPE_CHECKING:
    pass

TOGETHER_MS = 20
"""Models that have been read within this time, or a longer one for thousands of cards, change the
list together: each change lays out every card anew."""
AT_ONCE = 250
"""Of so many at most, to leave the window room to react."""

_Index = QModelIndex | QPersistentModelIndex


def look_for_models(path: str) -> list[Path] | SfumatoError:
    """`gui.library.models.folders.models_in`, the error as a value.  Blocking."""
    try:
        return models_in(path)
    except SfumatoError as error:
        return error


def trash_model(folder: Path) -> SfumatoError | None:
    """Move a model to the Trash: all of `what_goes`.  Blocking.  Returns the error if it would not
    go."""
    from gui.state import desktop

    try:
        desktop.move_to_trash(str(what_goes(folder)))
        variants.clear([folder])
    except SfumatoError as error:
        return error
    return None


class _Worker(QObject):
    """Carries results from a pool thread to the library's thread."""

    listed = Signal(object)
    looked = Signal(object)
    """A list of folders, or a `SfumatoError`."""
    read = Signal(ModelEntry)
    moved = Signal(ModelEntry, object)
    """And why its files stay, or None."""
    marked = Signal(object, bool)
    """`list` would be copied, and its tuples made lists."""


class ModelLibrary(QAbstractListModel):
    """Models in display order: starter, installed, added.  Rows carry `ModelEntry` as UserRole."""

    entry_changed = Signal(ModelEntry)
    """An entry was read (or read again): ModelEntry."""
    refreshed = Signal()
    """The folders were listed and every one of them has been read."""
    added = Signal(list)
    """What `add_folder` was asked to add: `ModelEntry` of each model found there."""
    add_failed = Signal(SfumatoError)
    """Nothing was added, and why."""
    trashed = Signal(ModelEntry)
    """The files of this `ModelEntry` are in the Trash, and it has left the list."""
    trash_failed = Signal(ModelEntry, SfumatoError)
    """`ModelEntry` and the `SfumatoError` for which its files stay."""

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._entries = [ModelEntry(paths.starter_model(), starter=True)]
        self._places: dict[Path, int] | None = None
        self._to_read: deque[ModelEntry] = deque()
        self._reading = False
        self._arrived: deque[ModelEntry] = deque()
        self._waiting: set[Path] = set()
        self._take_in_soon = QTimer(self, singleShot=True, interval=TOGETHER_MS)
        self._take_in_soon.timeout.connect(self._take_in)
        self._workers = TaskThreads("models", strict=True)
        self._reader = ModelReader()
        self._worker = _Worker(self)
        self._worker.listed.connect(self._on_listed)
        self._worker.looked.connect(self._on_looked)
        self._worker.read.connect(self._on_read)
        self._worker.moved.connect(self._on_moved)
        self._worker.marked.connect(self._on_marked)

    # -- what is there ------------------------------------------------------------------------

    def entries(self) -> list[ModelEntry]:
        return list(self._entries)

    def entry(self, folder: Path | str) -> ModelEntry | None:
        """The entry of a folder; an empty text means the starter model."""
        if not str(folder):
            return self._entries[0]
        row = self.row_of(Path(folder))
        return self._entries[row] if row >= 0 else None

    def named(self, text: str) -> ModelEntry:
        """The usable model of this name, in any case.

        Raises:
            SfumatoError: NOT_FOUND where there is none.
        """
        wanted = text.strip().casefold()
        usable = [entry for entry in self._entries if not entry.problem]
        for entry in usable:
            if entry.name.casefold() == wanted:
                return entry
        known = words.listed((f"“{entry.name}”" for entry in usable[:6]), "or")
        raise SfumatoError(
            ErrorKind.NOT_FOUND, f"No model here is called {words.quoted(text)}; choose {known}."
        )

    def row_of(self, folder: Path) -> int:
        if self._places is None:  # the first of two with one folder
            self._places = {e.folder: k for k, e in reversed(list(enumerate(self._entries)))}
        return self._places.get(folder, -1)

    @property
    def disk_use(self) -> int:
        """Bytes of every model in the library's folder; not the starter, nor folders elsewhere."""
        return sum(e.bytes for e in self._entries if not e.starter and not e.added)

    @property
    def installed_count(self) -> int:
        """Models in the library's folder."""
        return sum(not e.starter and not e.added for e in self._entries)

    @property
    def added_count(self) -> int:
        """Models in folders elsewhere."""
        return sum(e.added for e in self._entries)

    # -- changing it --------------------------------------------------------------------------

    def refresh(self) -> None:
        """List the folders again and read every model, in the background."""
        worker = self._worker
        self._workers.start(lambda: worker.listed.emit(list(model_folders(paths.models_dir()))))

    def add_folder(self, path: str) -> None:
        """Look at a path in the background, add the models there by reference and have them read;
        `added` or `add_failed` follows."""
        worker = self._worker
        self._workers.start(lambda: worker.looked.emit(look_for_models(path)))

    def put_back(self, entry: ModelEntry, row: int) -> None:
        """Take a folder by reference into the list, at its old place if it had one."""
        if self.row_of(entry.folder) >= 0:
            return
        folder, row = str(entry.folder), min(row, len(self._entries))
        self._settings.update(Settings.model_folders, lambda added: [*added, folder])
        self.beginInsertRows(QModelIndex(), row, row)
        self._entries.insert(row, entry)
        self._places = None
        self.endInsertRows()
        self._read_now(entry)

    def remove(self, folder: Path) -> None:
        """Take an added folder off the list; its files stay."""
        row = self.row_of(folder)
        if row < 0 or not self._entries[row].added:
            return
        self._forget(folder)
        self._take_off(row)

    def _take_off(self, row: int) -> None:
        self.beginRemoveRows(QModelIndex(), row, row)
        del self._entries[row]
        self._places = None
        self.endRemoveRows()
        self._tell_apart()

    def _forget(self, folder: Path) -> None:
        gone = str(folder)
        self._settings.update(Settings.model_folders, lambda added: [p for p in added if p != gone])

    def move_to_trash(self, folder: Path) -> None:
        """Move a model's files to the Trash, in the background; `trashed` or `trash_failed`
        follows.  The starter model stays where it is."""
        entry = self.entry(folder)
        if entry is None or not entry.removable:
            return
        worker = self._worker
        self._workers.start(lambda: worker.moved.emit(entry, trash_model(entry.folder)))

    def set_updates(self, revisions: Mapping[str, str]) -> None:
        """Note which models have a newer revision: revision by folder."""
        changed: list[int] = []
        for row, entry in enumerate(self._entries):
            update = revisions.get(str(entry.folder), "")
            if update != entry.update:
                self._entries[row] = replace(entry, update=update)
                changed.append(row)
        self._tell_changed(changed)
        for row in changed:
            self.entry_changed.emit(self._entries[row])

    def close(self) -> None:
        """End the reading under way; no signal comes after this."""
        self._take_in_soon.stop()
        self._to_read.clear()
        self._workers.clear()
        self._reader.abandon()
        self._workers.close()
        self._reader.close()
        self._worker.disconnect(self)

    # -- the worker's answers -----------------------------------------------------------------

    def _on_looked(self, found: list[Path] | SfumatoError) -> None:
        if isinstance(found, SfumatoError):
            self.add_failed.emit(found)
            return
        for folder in found:
            known = self.entry(folder)
            if known is not None:
                self._read_now(known)
            else:
                self.put_back(ModelEntry(folder, added=True), len(self._entries))
        self.added.emit([self.entry(folder) for folder in found])

    def _read_now(self, entry: ModelEntry) -> None:
        """Before those that are in line: a person waits for it."""
        self._waiting.add(entry.folder)
        self._to_read.appendleft(entry)
        self._read_next()

    def _read_next(self) -> None:
        """One at a time, so that what a person asks of the worker comes between."""
        if self._reading or not self._to_read:
            return
        self._reading = True
        entry, worker, reader = self._to_read.popleft(), self._worker, self._reader
        self._workers.start(lambda: worker.read.emit(read_entry(entry, reader)))

    def _on_listed(self, installed: list[Path]) -> None:
        entries = [ModelEntry(paths.starter_model(), starter=True)]
        entries += [ModelEntry(folder) for folder in installed]
        known = {e.folder for e in entries}
        # Read here, not when the listing began: a folder may have been added meanwhile.
        added = [Path(p) for p in self._settings.model_folders if isinstance(p, str)]
        entries += [ModelEntry(folder, added=True) for folder in added if folder not in known]
        before = {e.folder: e for e in self._entries}
        self.beginResetModel()
        # An entry that was read before keeps its facts until the new reading arrives.
        self._entries = [
            replace(
                e,
                info=old.info,
                sidecar=old.sidecar,
                problem=old.problem,
                update=old.update,
                mark=old.mark,
                identity=old.identity,
            )
            if (old := before.get(e.folder))
            else e
            for e in entries
        ]
        self._places = None
        self.endResetModel()
        self._waiting.update(e.folder for e in entries)
        self._to_read.extend(entries)
        self._read_next()

    def _on_read(self, entry: ModelEntry) -> None:
        self._reading = False
        self._read_next()
        self._arrived.append(entry)
        if not self._take_in_soon.isActive():
            self._take_in_soon.start(max(TOGETHER_MS, len(self._entries) // 4))

    def _take_in(self) -> None:
        """Put what has been read into the list."""
        arrived = [self._arrived.popleft() for _ in range(min(AT_ONCE, len(self._arrived)))]
        rows: list[int] = []
        for entry in arrived:
            self._waiting.discard(entry.folder)
            row = self.row_of(entry.folder)
            if row >= 0:
                known = self._entries[row].update
                mark = self._entries[row].mark
                update = "" if known == entry.revision else known
                self._entries[row] = replace(entry, update=update, mark=mark)
                rows.append(row)
        self._tell_changed(rows)
        for row in rows:
            self.entry_changed.emit(self._entries[row])
        if self._arrived:
            self._take_in_soon.start(TOGETHER_MS)
        elif not self._waiting:
            self._workers.start(self._reader.stop)
            self._tell_apart(read_all=True)

    def _tell_changed(self, rows: list[int]) -> None:
        if rows:
            self.dataChanged.emit(self.index(min(rows)), self.index(max(rows)))

    def _on_moved(self, entry: ModelEntry, error: SfumatoError | None) -> None:
        if error is not None:
            self.trash_failed.emit(entry, error)
            return
        row = self.row_of(entry.folder)
        if row >= 0:
            self._forget(entry.folder)
            self._take_off(row)
        self.trashed.emit(entry)

    def _tell_apart(self, read_all: bool = False) -> None:
        """Have those that look the same marked; `refreshed` follows if `read_all`."""
        worker, entries = self._worker, list(self._entries)

        def work() -> None:
            worker.marked.emit(list(zip(entries, marks_of(entries), strict=True)), read_all)

        self._workers.start(work)

    def _on_marked(self, marks: list[tuple[ModelEntry, str]], read_all: bool) -> None:
        changed: list[int] = []
        # Where the list has changed meanwhile, it is gone through once more.
        for row, (entry, mark) in enumerate(marks[: len(self._entries)]):
            if self._entries[row] is entry and entry.mark != mark:
                self._entries[row] = replace(entry, mark=mark)
                changed.append(row)
        self._tell_changed(changed)
        if read_all and not self._waiting:
            self.refreshed.emit()

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.name
        if role == Qt.ItemDataRole.UserRole:
            return entry
        if role == Qt.ItemDataRole.AccessibleTextRole:
            state = entry.problem or entry.facts()
            parts = (entry.name, entry.source_line(), entry.subtitle(), state)
            return ". ".join(part for part in parts if part)
        if role == Qt.ItemDataRole.ToolTipRole:
            return words.plain_tip(entry.problem or str(entry.folder))
        return None
