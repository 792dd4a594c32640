"""A model that was just chosen is loaded before anybody asks for a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer, Slot

from gui.errors import SfumatoError
from gui.hub.variants.verdict import TIGHT
from gui.request import PictureRequest
from gui.state import desktop
from gui.state.background import Background
from gui.state.model_entry import ModelEntry, machine

PAUSE_MS = 1500
"""After a model was chosen: who looks through several stays with none for so long."""


class ModelPreparing(QObject):
    """Has the model that was chosen last loaded while the engine has nothing else to do.

    Not where memory is short, as the model would have to go again at once, nor where the computer
    is to save power.  Nothing is said of it: a model that cannot be loaded is told of when a
    picture is asked for.

    Args:
        queue: the `JobQueue`, or anything with its signals and methods.
        in_use: the model in use.
        requests: what the draft asks for with a model; raises `SfumatoError`.
        saves_power: tells whether the computer is to save power; called on another thread.
    """

    def __init__(
        self,
        queue: Any,
        in_use: Callable[[], ModelEntry],
        requests: Callable[[ModelEntry], list[PictureRequest]],
        parent: QObject | None = None,
        saves_power: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._in_use = in_use
        self._requests = requests
        self._saves_power = saves_power or (lambda: desktop.services().saves_energy())
        self._wanted = ""
        self._background = Background(self)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._ask)
        for signal in (queue.job_changed, queue.job_removed, queue.waits_changed):
            signal.connect(self.look)

    @Slot(str)
    def chosen(self, _folder: str) -> None:
        """The person chose another model."""
        self._queue.drop_prepared()
        self._wanted = str(self._in_use().folder)
        self._pause.start()

    @Slot()
    def look(self, *_: object) -> None:
        """The engine may be free now, or the model have been read."""
        if self._wanted and not self._pause.isActive() and self._queue.is_free:
            self._pause.start()

    def close(self) -> None:
        self._wanted = ""
        self._pause.stop()
        self._background.close()

    @Slot()
    def _ask(self) -> None:
        entry = self._in_use()
        if str(entry.folder) != self._wanted:
            self._wanted = ""
        elif entry.info is not None and self._queue.is_free:  # else `look` comes again
            self._wanted = ""
            if entry.usable and not 0 < TIGHT * machine().memory_bytes < entry.memory:
                self._background.run(
                    self._saves_power,
                    lambda saves: None if saves else self._prepare(entry),
                    lambda _error: None,
                )

    def _prepare(self, entry: ModelEntry) -> None:
        if entry.folder != self._in_use().folder or not self._queue.is_free:
            return
        try:
            request = self._requests(entry)[0]
        except SfumatoError:
            return  # the draft is not finished
        self._queue.prepare(request)
