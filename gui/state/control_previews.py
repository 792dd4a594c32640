"""Control pictures made beforehand, to be looked at: by a process, the newest wish first."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from gui.control.client import ControlClient
from gui.control.messages import ControlPicture, PrepareControl, Prepared
from gui.errors import Cancelled, SfumatoError, as_sfumato_error

__all__ = ["ControlPreview", "ControlPreviews", "PrepareControl"]

IDLE_SECONDS = 60.0
"""So long the process waits for another picture."""


@dataclass(frozen=True)
class ControlPreview:
    """What a network would be shown."""

    wish: PrepareControl
    image: QImage
    size: tuple[int, int]
    """Of the picture that it was made of."""
    cut: bool
    """Whether something of that lies outside."""


class ControlPreviews(QObject):
    """Makes them on a thread of its own, which a process does the work for."""

    made = Signal(object, ControlPreview)
    """Whose, and what."""
    failed = Signal(object, PrepareControl, SfumatoError)
    """Whose, what was wished, and why there is none."""

    _told = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wishes: dict[Hashable, PrepareControl] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._client: ControlClient | None = None
        self._closed = False
        self._told.connect(self._on_told)

    def want(self, whose: Hashable, wish: PrepareControl) -> None:
        """Have one made; what the same one wished before is given up."""
        with self._changed:
            self._wishes[whose] = wish
            self._changed.notify_all()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._work, name="control pictures", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End thread and process."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            client, thread = self._client, self._thread
        if client is not None:
            client.abandon()
        if thread is not None:
            thread.join()
            self._thread = None

    # -- the thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (wished := self._next()) is not None:
                self._make(*wished)
        finally:
            if self._client is not None:
                self._client.close()

    def _next(self) -> tuple[Hashable, PrepareControl] | None:
        with self._changed:
            while not self._wishes and not self._closed:
                if not self._changed.wait(IDLE_SECONDS) and self._client is not None:
                    self._client.stop()
            if self._closed:
                return None
            self._client = self._client or ControlClient()
            whose = next(iter(self._wishes))
            return whose, self._wishes.pop(whose)

    def _make(self, whose: Hashable, wish: PrepareControl) -> None:
        assert self._client is not None
        try:
            answer: object = self._client.prepare(
                wish, lambda: whose in self._wishes or self._closed
            )
        except Cancelled:
            return
        except Exception as error:
            answer = as_sfumato_error(error)
        if not self._closed:
            self._told.emit(whose, wish, answer)

    # -- the window's thread ------------------------------------------------------------------

    def _on_told(
        self,
        whose: Hashable,
        wish: PrepareControl,
        answer: tuple[ControlPicture, Prepared] | SfumatoError,
    ) -> None:
        if isinstance(answer, SfumatoError):
            self.failed.emit(whose, wish, answer)
            return
        picture, told = answer
        form = QImage.Format.Format_RGBA8888
        image = QImage(picture.rgba, picture.width, picture.height, 4 * picture.width, form)
        found = ControlPreview(wish, image.copy(), (told.width, told.height), told.cut)
        self.made.emit(whose, found)
