"""Thumbnails for whoever shows pictures small: at hand, on their way, or not to be had."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from gui.library import thumbnails as store
from gui.library.picture_facts import PictureFacts
from gui.state.background import TaskThreads

KEPT_BYTES = 40 * 2**20
"""Pixels held at most, about 70 thumbnails of the largest size: what is on the screen is drawn from
smaller copies (`gui.ui.pictures.grid_painter`)."""
KEPT = 2000
"""Of those that there is none of, which take no bytes."""
WORKERS = 2
MANY = 48
"""Thumbnails on their way that a person would wait for, at two or three milliseconds each."""

log = logging.getLogger(__name__)


class _Answers(QObject):
    arrived = Signal(PictureFacts, QImage)


def _read_or_make(facts: PictureFacts) -> QImage:
    """A thumbnail from the cache, or made from the picture; null where there is none to be had."""
    try:
        target = store.name_of(facts.path, facts.bytes, facts.modified_ns)
        image = QImage.fromData(target.read_bytes()) if target.is_file() else QImage()
        if image.isNull():  # not there, or cut short by the loss of power
            image = QImage.fromData(store.make_from_file(Path(facts.path), target))
        return image
    except Exception as error:
        log.info("no thumbnail of %s: %r", facts.path, error)
        return QImage()


class Thumbnails(QObject):
    """Small pictures by path and state.  Asking never waits."""

    ready = Signal(str)
    """The picture of this path has a thumbnail now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images: OrderedDict[tuple[str, int, int], QImage] = OrderedDict()
        self._bytes = 0
        self._coming: set[tuple[str, int, int]] = set()
        self._workers = TaskThreads("thumbnails", WORKERS)
        self._answers = _Answers()
        self._answers.arrived.connect(self._on_arrived)

    def image(self, facts: PictureFacts) -> QImage | None:
        """The thumbnail; None while it comes; a null image where there is none to be had."""
        key = _key(facts)
        image = self._images.get(key)
        if image is not None:
            self._images.move_to_end(key)
            return image
        if key not in self._coming:
            self._coming.add(key)
            answers = self._answers
            self._workers.start(lambda: answers.arrived.emit(facts, _read_or_make(facts)))
        return None

    def hurry(self) -> None:
        """Other pictures are in view: where many are on their way, those that were scrolled past
        need not come any more; what is in view is asked for again."""
        if len(self._coming) > MANY:
            self._workers.clear()
            self._coming.clear()

    def close(self) -> None:
        self._workers.close()

    def _on_arrived(self, facts: PictureFacts, image: QImage) -> None:
        key = _key(facts)
        self._coming.discard(key)
        before = self._images.pop(key, None)
        self._images[key] = image
        self._bytes += image.sizeInBytes() - (before.sizeInBytes() if before is not None else 0)
        while self._bytes > KEPT_BYTES or len(self._images) > KEPT:
            self._bytes -= self._images.popitem(last=False)[1].sizeInBytes()
        self.ready.emit(facts.path)


def _key(facts: PictureFacts) -> tuple[str, int, int]:
    return facts.path, facts.bytes, facts.modified_ns
