"""Things that a person keeps, each under a key: held here, written elsewhere, with undo.

What is kept counts at once; the disk hears of it on a worker thread, in the same order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from PySide6.QtCore import QObject, Signal

from gui import records
from gui.errors import SfumatoError
from gui.library.prompt_store import KeptText, PromptStore, ShelfName
from gui.records import Mode, Record, RecordError
from gui.state.background import Background
from gui.state.undo import UndoStack

T = TypeVar("T", bound=Record)

MOST = 5000
"""Entries of a shelf that are held; older ones are forgotten."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One thing that is kept."""

    key: str
    value: T
    at: float
    """Seconds since 1970: when it was kept, or asked for the last time."""


class Shelf(QObject, Generic[T]):
    """The entries of one kind.

    Args:
        name: which shelf of the store.
        kind: what its entries are.
        store: the file; every call to it is made by `background`.
        background: shared by all shelves of one store.
        undo: gets a step for what the person takes away or puts in place of something.
        failed: hears of an error.
    """

    changed = Signal()

    def __init__(
        self,
        name: ShelfName,
        kind: type[T],
        store: PromptStore,
        background: Background,
        undo: UndoStack,
        failed: Callable[[SfumatoError], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._name = name
        self._kind = kind
        self._store = store
        self._background = background
        self._undo = undo
        self._failed = failed
        self._entries: dict[str, Entry[T]] = {}
        self._changes = 0

    # -- what there is ------------------------------------------------------------------------

    def entries(self) -> list[Entry[T]]:
        """Every entry, newest first."""
        return sorted(self._entries.values(), key=lambda entry: -entry.at)

    def get(self, key: str) -> Entry[T] | None:
        return self._entries.get(key)

    def refresh(self) -> None:
        """Read what the disk has, which another window may have changed."""
        changes, name, store = self._changes, self._name, self._store

        def work() -> dict[str, Entry[T]]:
            found = (self._read(kept) for kept in store.load(name, MOST))
            return {entry.key: entry for entry in found if entry is not None}

        def then(found: dict[str, Entry[T]]) -> None:
            if changes == self._changes:
                self._take(found)
            else:  # something was kept meanwhile
                self.refresh()

        self._background.run(work, then, self._failed)

    def _read(self, kept: KeptText) -> Entry[T] | None:
        """A bad value in it, such as a newer version's, becomes its default; one that cannot be
        read at all stays on the disk and is not shown."""
        try:
            value = records.loads(self._kind, kept.text, Mode.SALVAGE)
            return Entry(kept.key, value, kept.at)
        except RecordError as error:
            log.warning("%s “%s” is unreadable: %r", self._name, kept.key, error)
            return None

    def _take(self, entries: dict[str, Entry[T]]) -> None:
        if entries != self._entries:
            self._entries = entries
            self.changed.emit()

    # -- changes ------------------------------------------------------------------------------

    def put(self, key: str, value: T, what: str = "") -> None:
        """Keep something under a key, in place of what is there.

        Args:
            what: the step to undo, as after “Undo”; empty: none is made.
        """
        self.change({key: value}, (), what)

    def add(self, entries: Iterable[Entry[T]]) -> None:
        """Keep what is not there yet, without a step to undo."""
        new = [entry for entry in entries if entry.key not in self._entries]
        if new:
            self._set(new, [])

    def remove(self, keys: Iterable[str], what: str) -> None:
        """Forget entries, with a step to undo called `what`."""
        self.change({}, [key for key in keys if key in self._entries], what)

    def change(self, put: Mapping[str, T], remove: Sequence[str], what: str = "") -> None:
        """Keep some and forget others, as one step to undo."""
        at = time.time()
        after = [Entry(key, value, at) for key, value in put.items()]
        touched = [*put, *(key for key in remove if key not in put)]
        before = [entry for key in touched if (entry := self._entries.get(key)) is not None]
        if not touched:
            return
        self._set(after, [key for key in touched if key not in put])
        if what:
            kept = {entry.key for entry in before}
            self._undo.did(
                what,
                lambda: self._set(before, [key for key in touched if key not in kept]),
                lambda: self._set(after, [key for key in touched if key not in put]),
            )

    def _set(self, put: Sequence[Entry[T]], remove: Sequence[str]) -> None:
        self._changes += 1
        gone = set(remove)
        entries = {key: entry for key, entry in self._entries.items() if key not in gone}
        self._take(entries | {entry.key: entry for entry in put})
        name, store = self._name, self._store

        def work() -> None:
            if remove:
                store.remove(name, remove)
            if put:
                store.put(name, [KeptText(e.key, records.dumps(e.value), e.at) for e in put])

        self._background.run(work, lambda _: None, self._failed)
