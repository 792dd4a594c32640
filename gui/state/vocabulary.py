"""What the model in use knows of the words in a prompt, where it says so.

Threading: the file is read on a worker thread; the rest belongs to the window's.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from gui.library.vocabulary import Kind, Reading, Thing, Vocabulary, read_vocabulary, with_thing

__all__ = ["Kind", "ModelVocabulary", "Reading", "Thing", "Vocabulary", "with_thing"]


class _Task(QRunnable):
    def __init__(self, owner: ModelVocabulary, folder: Path) -> None:
        super().__init__()
        self._owner = owner
        self._folder = folder

    def run(self) -> None:
        self._owner.found.emit(self._folder, read_vocabulary(self._folder))


class ModelVocabulary(QObject):
    """Bound to one model at a time; a model without a vocabulary has nothing to say."""

    changed = Signal()
    """`vocabulary` is another now."""
    found = Signal(object, object)
    """From the worker: a folder, and its `Vocabulary` or None."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.vocabulary: Vocabulary | None = None
        self._folder: Path | None = None
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self.found.connect(self._on_found)

    def set_folder(self, folder: Path) -> None:
        """The model in use lies in `folder` from now on."""
        if folder == self._folder:
            return
        self._folder = folder
        self._set(None)
        self._pool.start(_Task(self, folder))

    def read(self, prompt: str) -> Reading:
        """What the model makes of `prompt`; empty for one without a vocabulary."""
        return self.vocabulary.read(prompt) if self.vocabulary is not None else Reading()

    def close(self) -> None:
        """Wait for the worker."""
        self._pool.clear()
        self._pool.waitForDone()

    def _on_found(self, folder: Path, vocabulary: Vocabulary | None) -> None:
        if folder == self._folder:
            self._set(vocabulary)

    def _set(self, vocabulary: Vocabulary | None) -> None:
        if vocabulary is not self.vocabulary:
            self.vocabulary = vocabulary
            self.changed.emit()
