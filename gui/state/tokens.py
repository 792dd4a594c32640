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

if TYPE_CHECKING:
    from gui.pipeline.tokens import TokenCount

log = logging.getLogger(__name__)

PAUSE_MS = 120
"""Pause in typing after which the tokens are counted."""


def _count(text: str) -> TokenCount:
    # Imported here: the first paint needs no tokenizer.
    from gui.pipeline.tokens import count_tokens

    return count_tokens(text)


def _not_counted(error: Exception) -> None:
    log.warning("tokens not counted: %r", error)


class TokenCounter(QObject):
    """Counts one text field's tokens; only the newest text's answer is passed on."""

    counted = Signal(object)
    """A `gui.pipeline.tokens.TokenCount`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._start)
        self._background = Background(self)

    def set_text(self, text: str) -> None:
        self._text = text
        self._timer.start()

    def _start(self) -> None:
        text = self._text
        self._background.run(lambda: _count(text), partial(self._on_arrived, text), _not_counted)

    def _on_arrived(self, text: str, count: TokenCount) -> None:
        if text == self._text:
            self.counted.emit(count)
