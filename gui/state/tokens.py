"""Counting a prompt's tokens off the window's thread.

The first count reads the tokenizer's vocabulary (about a megabyte of JSON), so counts run on a
worker thread and answer by signal.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from gui.state.background import Background
from gui.syntax.types import PromptSyntax

if TYPE_CHECKING:
    from gui.pipeline.tokens import TokenCount

log = logging.getLogger(__name__)

PAUSE_MS = 120
"""Pause in typing after which the tokens are counted."""


def _count(text: str, syntax: PromptSyntax, chunks: int | None) -> TokenCount:
    # Imported here: the first paint needs no tokenizer.
    from gui.pipeline.tokens import count_tokens

    return count_tokens(text, syntax, chunks)


def _not_counted(error: Exception) -> None:
    log.warning("tokens not counted: %r", error)


class TokenCounter(QObject):
    """Counts one text field's tokens; only the newest text's answer is passed on."""

    counted = Signal(object)
    """A `gui.pipeline.tokens.TokenCount`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._syntax = PromptSyntax.PLAIN
        self._chunks: int | None = 1
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._start)
        self._background = Background(self)

    def set_text(self, text: str) -> None:
        self._text = text
        self._timer.start()

    def set_reading(self, syntax: PromptSyntax, chunks: int | None) -> None:
        """How the text is read, as in `gui.pipeline.tokens.count_tokens`."""
        if (syntax, chunks) != (self._syntax, self._chunks):
            self._syntax, self._chunks = syntax, chunks
            self._timer.start()

    def _start(self) -> None:
        asked = self._text, self._syntax, self._chunks
        self._background.run(lambda: _count(*asked), partial(self._on_arrived, asked), _not_counted)

    def _on_arrived(self, asked: tuple[str, PromptSyntax, int | None], count: TokenCount) -> None:
        if asked == (self._text, self._syntax, self._chunks):
            self.counted.emit(count)
