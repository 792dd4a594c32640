"""Counting a prompt's tokens off the window's thread.

The first count reads the tokenizer's vocabulary (about a megabyte of JSON), so counts run on a
worker thread and answer by signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QRunnable, QThreadPool, QTimer, Signal

if TYPE_CHECKING:
    from gui.pipeline.tokens import TokenCount

PAUSE_MS = 120
"""Pause in typing after which the tokens are counted."""


class _Answers(QObject):
    """Carries counts from the worker thread.  Counter and task hold it together: a task that ends
    while the counter is being deleted must not touch the counter itself."""

    arrived = Signal(str, object)
    """A text and its count; the text may be old by now."""


class _Task(QRunnable):
    def __init__(self, answers: _Answers, text: str) -> None:
        super().__init__()
        self._answers = answers
        self._text = text

    def run(self) -> None:
        # Imported here: the first paint needs no tokenizer.
        from gui.pipeline.tokens import count_tokens

        self._answers.arrived.emit(self._text, count_tokens(self._text))


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
        self._answers = _Answers()
        self._answers.arrived.connect(self._on_arrived)

    def set_text(self, text: str) -> None:
        self._text = text
        self._timer.start()

    def _start(self) -> None:
        QThreadPool.globalInstance().start(_Task(self._answers, self._text))

    def _on_arrived(self, text: str, count: TokenCount) -> None:
        if text == self._text:
            self.counted.emit(count)
