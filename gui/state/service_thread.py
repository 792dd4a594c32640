"""The thread that keeps the process of the service for other programs: started, watched, and ended
with the window or `sfumato serve`."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal

from gui.errors import SfumatoError, as_sfumato_error
from gui.process.child import ChildLost
from gui.process.messages import Answer
from gui.serve.client import ServeClient, kept_token
from gui.serve.messages import Asked, Listen, Listening, QueueTouched, ServiceOptions

log = logging.getLogger(__name__)


class ServiceThread(QThread):
    """Keeps the service's process, from the first `listen` to `close`.

    Signals arrive on the receiver's thread.  Methods may be called from the window's thread.
    """

    heard = Signal(Listening)
    failed = Signal(SfumatoError)
    """It is not to be heard with these options; it may be asked again."""
    touched = Signal()
    """Something was put in the queue, or taken off."""
    asked = Signal(int)
    """So many requests of other programs wait for their pictures."""
    token_known = Signal(str)

    def __init__(self, parent: QObject | None = None, *, client: ServeClient | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("service")
        self._client = client or ServeClient()
        self._lock = threading.Lock()
        self._wanted: ServiceOptions | None = None
        self._new_token = False
        self._silent = False
        self._closing = False

    def listen(self, options: ServiceOptions, *, new_token: bool = False) -> None:
        """Be heard with these options from now on; an empty token stands for the one that is kept.

        Args:
            new_token: make another one first.
        """
        with self._lock:
            self._wanted, self._silent = options, False
            self._new_token |= new_token
        self._client.wake()
        if not self.isRunning():
            self.start()

    def silence(self) -> None:
        """End the process, until it is to listen again; does not wait."""
        with self._lock:
            self._wanted, self._silent = None, True
        self._client.wake()

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._client.pid

    def close(self) -> None:
        """End the process and the thread; waits for both."""
        with self._lock:
            self._closing = True
        self._client.wake()
        self.wait()
        self._client.close()

    # -- on this thread -----------------------------------------------------------------------

    def run(self) -> None:
        current: ServiceOptions | None = None
        while True:
            with self._lock:
                if self._closing:
                    return
                wanted, self._wanted = self._wanted, None
                silent, self._silent = self._silent, False
                fresh, self._new_token = self._new_token, False
            if silent:
                self._client.stop()
                current = None
            if wanted is not None:
                current = self._begin(wanted, fresh)
            try:
                if self._client.wait():
                    self._hear()
            except ChildLost as lost:
                log.warning("the service ended: %s", lost.detail)
                self.asked.emit(0)
                if current is not None and not self._client.keeps_dying:
                    current = self._begin(current, False)
                else:
                    current = None
                    self.failed.emit(lost)

    def _begin(self, options: ServiceOptions, fresh: bool) -> ServiceOptions | None:
        try:
            if not options.token or fresh:
                options = replace(options, token=kept_token(fresh=fresh))
            self.token_known.emit(options.token)
            self._client.start()
            self._client.put(Listen(options))
        except SfumatoError as error:
            self.failed.emit(error)
            return None
        except Exception as error:  # a defect of ours must not end the thread
            log.exception("the service cannot be started")
            self.failed.emit(as_sfumato_error(error))
            return None
        return options

    def _hear(self) -> None:
        message = self._client.receive()
        if isinstance(message, Answer):
            if message.error is not None:
                self.failed.emit(message.error)
            elif isinstance(message.value, Listening):
                self.heard.emit(message.value)
            return
        event: Any = message.event if message is not None else None
        if isinstance(event, QueueTouched):
            self.touched.emit()
        elif isinstance(event, Asked):
            self.asked.emit(event.waiting)
