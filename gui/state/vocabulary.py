"""What the model in use knows of the words in a prompt, where it says so.

Threading: the file is read on a worker thread; the rest belongs to the window's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.library.vocabulary import (
    Category,
    PromptReading,
    Thing,
    Vocabulary,
    read_vocabulary,
    with_thing,
)
from gui.state.background import Background

__all__ = ["Category", "ModelVocabulary", "PromptReading", "Thing", "Vocabulary", "with_thing"]


class ModelVocabulary(QObject):
    """Bound to one model at a time; a model without a vocabulary has nothing to say."""

    changed = Signal()
    """`vocabulary` is another now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.vocabulary: Vocabulary | None = None
        self._folder: Path | None = None
        self._background = Background(self)

    def set_folder(self, folder: Path) -> None:
        """The model in use lies in `folder` from now on."""
        if folder == self._folder:
            return
        self._folder = folder
        self._set(None)
        self._background.run(
            lambda: read_vocabulary(folder),
            partial(self._on_found, folder),
            lambda _error: self._on_found(folder, None),
        )

    def read(self, prompt: str) -> PromptReading:
        """What the model makes of `prompt`; empty for one without a vocabulary."""
        return self.vocabulary.read(prompt) if self.vocabulary is not None else PromptReading()

    def close(self) -> None:
        """Wait for the worker."""
        self._background.close()

    def _on_found(self, folder: Path, vocabulary: Vocabulary | None) -> None:
        if folder == self._folder:
            self._set(vocabulary)

    def _set(self, vocabulary: Vocabulary | None) -> None:
        if vocabulary is not self.vocabulary:
            self.vocabulary = vocabulary
            self.changed.emit()
