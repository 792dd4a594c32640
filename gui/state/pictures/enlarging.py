"""Pictures that exist, enlarged one after the other while everything else goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.enlarge.client import EnlargeClient
from gui.enlarge.messages import Enlarged, EnlargePicture, Pieces
from gui.errors import Cancelled, SfumatoError, as_sfumato_error
from gui.request import ComputeUnit

SHIPPED = {
    "Drawings x4": "Quick, with clean outlines: drawings and 3-D renderings",
    "Photographs x4": "Slow and thorough: photographs and paintings",
}
"""The upscalers that come with the app, and what they suit."""

IDLE_SECONDS = 60.0
"""So long the process and its network wait for another picture."""


@dataclass(frozen=True)
class EnlargingStatus:
    """What is being enlarged."""

    name: str = ""
    """Of the file; empty: nothing is."""
    done: int = 0
    total: int = 0
    """Pieces; 0 while the network is being loaded."""
    waiting: int = 0
    """Pictures behind this one."""
    stopping: bool = False


class PictureEnlarging(QObject):
    """Enlarges pictures on a thread of its own, which a process does the work for."""

    changed = Signal(EnlargingStatus)
    enlarged = Signal(str, int, int)
    """Path, width and height of a new picture."""
    failed = Signal(SfumatoError)

    _told = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.status = EnlargingStatus()
        self._line: queue.Queue[EnlargePicture | None] = queue.Queue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: EnlargeClient | None = None
        self._told.connect(self._on_told)

    def enlarge(
        self,
        files: Iterable[str],
        factor: int,
        upscaler: str,
        compute_unit: ComputeUnit = ComputeUnit.ALL,
    ) -> None:
        """Put pictures in line; each is saved beside its original."""
        self._stop.clear()
        for file in files:
            self._line.put(EnlargePicture(file, factor, upscaler, "", compute_unit))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="enlarging", daemon=True)
            self._thread.start()
        self._on_told(replace(self.status, waiting=self._line.qsize()))

    def stop(self) -> None:
        """Give up the picture under way and those in line; what is finished stays."""
        self._stop.set()
        if self.status.name:
            self._on_told(replace(self.status, stopping=True))

    def close(self) -> None:
        """End thread and process."""
        self._stop.set()
        self._line.put(None)
        if self._client is not None:
            self._client.abandon()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # -- the thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        client: EnlargeClient | None = None
        try:
            while True:
                try:
                    question = self._line.get(timeout=IDLE_SECONDS if client else None)
                except queue.Empty:
                    if client is not None:
                        client.close()
                    client = self._client = None
                    continue
                if question is None:
                    return
                if self._stop.is_set():
                    continue
                client = self._client = client or EnlargeClient()
                self._enlarge(client, question)
        finally:
            if client is not None:
                client.close()

    def _enlarge(self, client: EnlargeClient, question: EnlargePicture) -> None:
        status = EnlargingStatus(Path(question.file).name, waiting=self._line.qsize())
        self._tell(status)

        def on_pieces(pieces: Pieces) -> None:
            self._tell(
                replace(status, done=pieces.done, total=pieces.total, waiting=self._line.qsize())
            )

        told: Enlarged | SfumatoError | None = None
        try:
            told = client.enlarge(question, on_pieces, self._stop.is_set)
        except Cancelled:
            pass
        except Exception as error:
            told = as_sfumato_error(error)
        self._tell(EnlargingStatus(waiting=self._line.qsize()))
        if told is not None:
            self._tell(told)

    def _tell(self, what: EnlargingStatus | Enlarged | SfumatoError) -> None:
        self._told.emit(what)

    # -- the window's thread ------------------------------------------------------------------

    def _on_told(self, what: EnlargingStatus | Enlarged | SfumatoError) -> None:
        if isinstance(what, EnlargingStatus):
            self.status = replace(what, stopping=what.stopping or self._stop.is_set())
            self.changed.emit(self.status)
        elif isinstance(what, Enlarged):
            self.enlarged.emit(what.path, what.width, what.height)
        else:
            self.failed.emit(what)
