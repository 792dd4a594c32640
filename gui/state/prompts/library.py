"""Everything that is kept of prompts, together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QObject, Signal

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.library.prompt_store import PromptStore, ShelfName
from gui.state.background import Background
from gui.state.draft import DraftState
from gui.state.prompts.history import HistoryWalk
from gui.state.prompts.presets import Preset, PresetLibrary
from gui.state.prompts.shelf import MOST, Entry, Shelf
from gui.state.prompts.styles import PromptStyle, StyleLibrary
from gui.state.prompts.types import PromptText
from gui.state.undo import UndoStack

__all__ = ["MOST", "PromptLibrary"]


class PromptLibrary(QObject):
    """The person's prompts.

    The history has a store of its own rather than being read from the pictures: it is what was
    asked for in the person's own words, also where no picture came of it, and an entry can be
    forgotten while its picture stays.

    Args:
        draft: what is typed now.
        undo: gets a step for whatever is taken away or put in a place.
        open_store: gives the file; tests give another.
    """

    failed = Signal(SfumatoError)
    notice = Signal(str)
    undoable = Signal(str)
    """Something was done that undo takes back: one sentence."""

    def __init__(
        self,
        draft: DraftState,
        undo: UndoStack,
        parent: QObject | None = None,
        *,
        open_store: Callable[[], PromptStore] = PromptStore.default,
    ) -> None:
        super().__init__(parent)
        self._draft = draft
        self._store = open_store()
        self._background = Background(self)
        self._said: set[str] = set()
        kept = (self._store, self._background, undo, self._on_failed, self)
        self.history = Shelf(ShelfName.HISTORY, PromptText, *kept)
        """Every prompt that was asked for, under its key."""
        self.saved = Shelf(ShelfName.SAVED, PromptText, *kept)
        """Prompts that were saved, under their names."""
        self.styles = StyleLibrary(
            Shelf(ShelfName.STYLES, PromptStyle, *kept), draft, self._background, self
        )
        self.presets = PresetLibrary(Shelf(ShelfName.PRESETS, Preset, *kept), draft, self)
        self.walk = HistoryWalk(draft, self.history)

    def start(self) -> None:
        """Read what is kept; returns at once."""
        self.refresh()
        self._background.run(lambda: None, self._tell_notice, self._on_failed)

    def refresh(self) -> None:
        """Read what another window may have kept."""
        for shelf in (self.history, self.saved, self.styles.shelf, self.presets.shelf):
            shelf.refresh()

    def close(self) -> None:
        """Wait until everything is written."""
        self._background.close()

    @property
    def has_words(self) -> bool:
        """Whether there is a prompt to be saved."""
        return bool(PromptText.of(self._draft.draft).prompt)

    def asked_for(self) -> None:
        """The draft was just put in line: its words are the history's newest."""
        text = PromptText.of(self._draft.draft)
        if text.prompt:
            self.history.put(text.key, text)

    def begin_history(self, prompts: Iterable[tuple[str, str, float]]) -> None:
        """Have the history know the prompts of pictures that were there before it: prompt, negative
        prompt and when, in seconds since 1970."""
        texts = [(PromptText(prompt, negative), at) for prompt, negative, at in prompts]
        self.history.add(Entry(text.key, text, at) for text, at in texts)

    def use(self, text: PromptText, what: str) -> None:
        """Take kept words in place of those that are typed.

        Args:
            what: the step, as after “Undo”.
        """
        self._draft.replace(text.put_into(self._draft.draft), what)

    def forget(self, shelf: Shelf[PromptText], keys: list[str]) -> None:
        """Take prompts off the history or off those that were saved; undo brings them back."""
        if not keys:
            return
        saved = shelf is self.saved
        shelf.remove(keys, "Delete Saved Prompt" if saved else "Delete from History")
        number = words.capital(words.plural(len(keys), "prompt")) if len(keys) > 1 else "One prompt"
        was = "were" if len(keys) > 1 else "was"
        where = "among the saved ones" if saved else "in the history"
        self.undoable.emit(f"{number} {was} deleted {where}.")

    def import_styles(self, path: str) -> None:
        """Take the styles of another program's file; `undoable` or `failed` says what came."""
        self.styles.read([path], self.undoable.emit, self.failed.emit)

    def save(self, name: str) -> None:
        """Keep what is typed under a name, in place of what has it already."""
        name = self.saved_name(name)
        self.saved.put(name, PromptText.of(self._draft.draft), "Save Prompt")

    def saved_name(self, name: str) -> str:
        """The name as it is to be written: that of a saved prompt which differs in case alone."""
        name = " ".join(name.split())
        same = (e.key for e in self.saved.entries() if e.key.casefold() == name.casefold())
        return next(same, name)

    def _tell_notice(self, _: object) -> None:
        if self._store.notice:
            self.notice.emit(self._store.notice)
            self._store.notice = ""

    def _on_failed(self, error: SfumatoError) -> None:
        """What the disk refuses is said once; the window goes on with what it holds."""
        if error.kind is not ErrorKind.STORAGE or error.message not in self._said:
            self._said.add(error.message)
            self.failed.emit(error)
