"""Which model is in use, and how models come into use and leave it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.state.hub.state import HubState, library_of
from gui.state.model_entry import ModelEntry
from gui.state.models import ModelLibrary
from gui.state.settings import Settings
from gui.state.undo import UndoStack


class ModelInUse(QObject):
    """The one model that pictures are made with.

    Args:
        settings: where the choice is kept.
        models: those that are here.
        hub: tells of models that came from there.
    """

    selected = Signal(ModelEntry)
    """Another model is in use from now on; it may not have been read yet."""
    read = Signal(ModelEntry)
    """The model in use stays, and has been read (again): its entry with the facts."""
    chosen = Signal(str)
    """The person chose another one: its folder as requests have it."""
    notice = Signal(str)
    undoable = Signal(str)
    """Something was done that `undo` takes back: one sentence."""

    def __init__(
        self,
        settings: Settings,
        models: ModelLibrary,
        hub: HubState,
        undo: UndoStack,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._models = models
        self._hub = hub
        self._undo = undo
        self._selected = settings.selected_model
        self._in_use = self.entry.folder  # what `selected` said last
        self._new: dict[str, bool] = {}  # folder just installed → whether to use it
        models.modelReset.connect(self._tell_of_another)
        models.entry_changed.connect(self._on_entry_changed)
        models.refreshed.connect(self._on_refreshed)
        models.added.connect(self._on_added)
        models.trashed.connect(self._on_trashed)
        hub.installed.connect(self._on_installed)
        hub.updated.connect(self._on_updated)
        hub.installed_changed.connect(models.refresh)
        hub.updates_changed.connect(self._on_updates)

    @property
    def entry(self) -> ModelEntry:
        """The selected model; the starter when the chosen one is gone."""
        return self._models.entry(self._selected) or self._models.entries()[0]

    def name_of(self, folder: str) -> str:
        """What the model of a request is called, whether it is here or not."""
        entry = self._models.entry(folder) if folder else self._models.entries()[0]
        return entry.name if entry is not None else Path(folder).name

    def select(self, entry: ModelEntry) -> None:
        self._selected = entry.request_folder
        self._settings.selected_model = self._selected
        self._tell_of_another()

    def select_folder(self, folder: str) -> None:
        """Select a model by its folder as requests have it, where it is here."""
        entry = self._models.entry(folder) if folder else self._models.entries()[0]
        if entry is not None:
            self.select(entry)

    def choose(self, entry: ModelEntry) -> None:
        """The person chose a model: unless it is in use already, its default preset is used."""
        other = entry.folder != self.entry.folder
        self.select(entry)
        if other:
            self.chosen.emit(entry.request_folder)

    def _tell_of_another(self) -> None:
        """Also when the folders were listed: only then is a remembered model there."""
        entry = self.entry
        if entry.folder != self._in_use:
            self._in_use = entry.folder
            self.selected.emit(entry)

    def _on_added(self, entries: list[ModelEntry]) -> None:
        if len(entries) > 1:
            self.notice.emit(f"{len(entries)} models were found in this folder and added.")
        self.select(entries[0])

    def remove(self, entry: ModelEntry) -> None:
        """Take a folder added by reference off the list; its files stay, and undo puts it back."""
        row = self._models.row_of(entry.folder)
        if row < 0 or not entry.added:
            return
        was_selected = entry.folder == self.entry.folder

        def undo() -> None:
            self._models.put_back(entry, row)
            if was_selected:
                self.select(entry)

        def redo() -> None:
            self._models.remove(entry.folder)
            if was_selected:
                self.select(self._models.entries()[0])

        redo()
        self._undo.did("Remove from List", undo, redo)
        self.undoable.emit(f"“{entry.name}” was taken off the list; its files stay where they are.")

    def _on_trashed(self, entry: ModelEntry) -> None:
        self._hub.set_library(library_of(self._models.entries()))
        if entry.request_folder == self._selected:
            self.select(self._models.entries()[0])
        self.notice.emit(f"“{entry.name}” is in the Trash.")

    def _on_installed(self, folder: str, use: bool) -> None:
        """A model came from the Hub.  It is selected, once it has been read, if the person asked
        for that or has only the starter model so far."""
        self._new[folder] = use or not self._selected

    def greet(self, folder: str, use: bool = True) -> None:
        """Greet a model that has just come into the library, and select it if `use`."""
        self._on_installed(folder, use)
        self._models.refresh()

    def _greet_new_models(self) -> None:
        for folder in list(self._new):
            entry = self._models.entry(folder)
            if entry is None or entry.reading:
                continue  # this was an earlier look at the folders
            use = self._new.pop(folder)
            if not entry.usable:
                continue
            if use:
                self.select(entry)
            then = "type a prompt to try it" if use else "choose it among your models to use it"
            self.notice.emit(f"“{entry.name}” is ready; {then}.")

    def _on_updates(self) -> None:
        revisions = {str(e.folder): self._hub.update_of(str(e.folder)) for e in self._hub_models()}
        self._models.set_updates(revisions)

    def _on_updated(self, folder: str) -> None:
        entry = self._models.entry(folder)
        if entry is not None:
            self.notice.emit(f"“{entry.name}” is up to date now.")

    def _hub_models(self) -> list[ModelEntry]:
        return [entry for entry in self._models.entries() if entry.repo]

    def _on_entry_changed(self, entry: ModelEntry) -> None:
        if entry.folder == self.entry.folder:
            self.read.emit(entry)

    def _on_refreshed(self) -> None:
        """A remembered model that is no longer there gives way to the starter, and says so."""
        self._hub.set_library(library_of(self._models.entries()))
        self._greet_new_models()
        if self._selected and self._models.entry(self._selected) is None:
            name = Path(self._selected).name
            self.select(self._models.entries()[0])
            self.notice.emit(f"The model “{name}” is no longer there; the starter model is used.")
