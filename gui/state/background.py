"""Short work off the window's thread: whatever touches a person's files.

A slow disk, a sleeping share or a large file must never hold the window up, so even a rename runs
here, and its outcome comes back on the window's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from gui.errors import SfumatoError, as_sfumato_error

T = TypeVar("T")


class _Answers(QObject):
    """Carries outcomes to the window's thread.  Worker and task hold it together: a task that ends
    while the worker is being deleted must not touch the worker itself."""

    arrived = Signal(object, object)
    """What to call, and what to call it with."""


class _Task(QRunnable):
    def __init__(
        self,
        answers: _Answers,
        work: Callable[[], Any],
        then: Callable[[Any], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        super().__init__()
        self._answers = answers
        self._work = work
        self._then = then
        self._failed = failed

    def run(self) -> None:
        try:
            result = self._work()
        except Exception as error:
            self._answers.arrived.emit(self._failed, as_sfumato_error(error))
        else:
            self._answers.arrived.emit(self._then, result)


class Background(QObject):
    """Runs short pieces of work one after the other on a thread of its own."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._answers = _Answers()
        self._answers.arrived.connect(self._on_arrived)
        self._closed = False

    def run(
        self,
        work: Callable[[], T],
        then: Callable[[T], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        """Do `work` elsewhere, then call `then` with its result, or `failed` with its error, on the
        thread this object lives on.  Nothing is called after `close`."""
        self._pool.start(_Task(self._answers, work, then, failed))

    def close(self) -> None:
        """Finish what has begun; what it yields is not told any more."""
        self._closed = True
        self._pool.waitForDone()

    def _on_arrived(self, call: Callable[[Any], object], value: Any) -> None:
        if not self._closed:
            call(value)
