"""The service for other programs, as the person has it in Settings: off until it is switched on.

What it takes is imported then, and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from gui.errors import ErrorKind, SfumatoError

if TYPE_CHECKING:
    from gui.serve.messages import Listening
    from gui.state.service_thread import ServiceThread
    from gui.state.settings import Settings

EVERYWHERE = "0.0.0.0"
"""Every address of this computer."""
DEFAULT_PORT = "7860"


@dataclass(frozen=True)
class ServiceState:
    """What there is to be seen of the service."""

    on: bool = False
    url: str = ""
    """Where it is heard; empty: it is not, or not yet."""
    fingerprint: str = ""
    """Of the certificate, where other computers may ask too."""
    problem: str = ""
    """Why it is not heard, in a sentence."""
    waiting: int = 0
    """Requests of other programs that wait for their pictures."""
    token: str = ""
    """What programs show; empty until it is known."""


class LocalService(QObject):
    """The switch, and what belongs to it.

    Args:
        settings: where it is kept.
        queue: the `JobQueue`.
        model: tells the folder of the model in use.
    """

    changed = Signal(ServiceState)

    def __init__(
        self,
        settings: Settings,
        queue: Any,
        model: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._queue = queue
        self._model = model
        self._thread: ServiceThread | None = None
        self.state = ServiceState(on=settings.service)

    def start(self) -> None:
        """Begin where it is switched on; called after the first paint."""
        if self._settings.service:
            self._listen()

    def switch(self, on: bool) -> None:
        """Switch it on or off; it stays so."""
        self._settings.service = on
        if on:
            self._listen()
        else:
            if self._thread is not None:
                self._thread.silence()
            self._show(ServiceState())

    def set_port(self, text: str) -> None:
        """Be heard at another port.

        Raises:
            SfumatoError: BAD_REQUEST where it is none.
        """
        if not (text.isascii() and text.isdecimal()) or not 1024 <= int(text) <= 65535:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, "A port is a number from 1024 to 65535; enter another one."
            )
        self._settings.service_port = text
        self._listen_again()

    def set_elsewhere(self, on: bool) -> None:
        """Whether other computers may ask, too."""
        self._settings.service_elsewhere = on
        self._listen_again()

    def set_origins(self, text: str) -> None:
        """Which web pages may ask.

        Raises:
            SfumatoError: BAD_REQUEST where one is no page's origin.
        """
        from gui.serve.addresses import checked_origin

        given = text.replace(",", " ").split()
        self._settings.service_origins = list(dict.fromkeys(map(checked_origin, given)))
        self._listen_again()

    def new_token(self) -> None:
        """Make another token; programs that know the old one are shut out."""
        self._listen(new_token=True)

    @Slot()
    def look_again(self) -> None:
        """Another model is in use, or another folder takes the pictures."""
        self._listen_again()

    def close(self) -> None:
        """End the process, and wait for it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    # -- the process --------------------------------------------------------------------------

    def _listen_again(self) -> None:
        if self._settings.service:
            self._listen()

    def _listen(self, *, new_token: bool = False) -> None:
        from gui.request import ComputeUnit, Precision
        from gui.serve.messages import LOOPBACK, ServiceOptions
        from gui.state.service_thread import ServiceThread

        if self._thread is None:
            self._thread = ServiceThread(self)
            self._thread.heard.connect(self._on_heard)
            self._thread.failed.connect(self._on_failed)
            self._thread.asked.connect(self._on_asked)
            self._thread.token_known.connect(self._on_token)
            self._thread.touched.connect(self._queue.look_elsewhere)
        settings, model = self._settings, self._model()
        self._show(replace(self.state, on=True, problem=""))
        options = ServiceOptions(
            "",
            EVERYWHERE if settings.service_elsewhere else LOOPBACK,
            int(settings.service_port) if settings.service_port.isdecimal() else int(DEFAULT_PORT),
            tuple(str(origin) for origin in settings.service_origins),
            (),
            model,
            (*map(str, settings.model_folders), *([model] if model else [])),
            settings.pictures_folder,
            settings.safety_checker,
            ComputeUnit(settings.compute_unit),
            Precision(settings.precision),
        )
        self._thread.listen(options, new_token=new_token)

    def _show(self, state: ServiceState) -> None:
        if state != self.state:
            self.state = state
            self.changed.emit(state)

    @Slot(object)
    def _on_heard(self, listening: Listening) -> None:
        if self.state.on:
            where = {"url": listening.url, "fingerprint": listening.fingerprint}
            self._show(replace(self.state, **where, problem=""))

    @Slot(SfumatoError)
    def _on_failed(self, error: SfumatoError) -> None:
        if self.state.on:
            self._show(replace(self.state, url="", fingerprint="", problem=error.message))

    @Slot(int)
    def _on_asked(self, waiting: int) -> None:
        if self.state.on:
            self._show(replace(self.state, waiting=waiting))

    @Slot(str)
    def _on_token(self, token: str) -> None:
        if self.state.on:
            self._show(replace(self.state, token=token))
