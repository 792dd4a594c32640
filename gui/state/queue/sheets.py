"""Contact sheets: made off the window's thread once nothing of a grid is to be waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from gui.errors import SfumatoError
from gui.library.contact_sheet import save_sheet
from gui.library.queue_grids import FinishedGrid
from gui.request import PictureRecord
from gui.state.background import Background

ENDED = ("done", "cancelled", "failed")


class ContactSheets(QObject):
    """Follows a queue.

    Args:
        queue: the `JobQueue`, or anything with its signals and methods.
    """

    made = Signal(str, PictureRecord)
    """A sheet was saved: file and record."""
    failed = Signal(SfumatoError)

    def __init__(self, queue: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._background = Background(self)
        self._under_way: set[str] = set()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.look)
        queue.job_changed.connect(self._on_job)
        for signal in (queue.job_removed, queue.jobs_reset, queue.waits_changed):
            signal.connect(self._look_later)

    @property
    def busy(self) -> bool:
        """Whether a sheet is being made, or may be wanted."""
        return bool(self._under_way) or self._later.isActive()

    def close(self) -> None:
        """Wait for the sheet that is being made; it is found again at the next start."""
        self._later.stop()
        self._background.close()

    def _on_job(self, job: Any) -> None:
        if str(job.status) in ENDED and job.request.grid is not None:
            self._later.start(0)

    def _look_later(self) -> None:
        self._later.start(0)

    def look(self) -> None:
        """Make the sheets that can be made."""
        for finished in self._queue.finished_grids():
            if finished.grid.id not in self._under_way:
                self._under_way.add(finished.grid.id)
                self._make(finished)

    def _make(self, finished: FinishedGrid) -> None:
        grid = finished.grid.id

        def then(sheet: tuple[Path, PictureRecord] | None) -> None:
            self._under_way.discard(grid)
            self._queue.sheet_made(grid, made=sheet is not None)
            if sheet is not None:
                self.made.emit(str(sheet[0]), sheet[1])

        def failed(error: SfumatoError) -> None:
            # It stays among those that are under way, so that it is not tried again until the next
            # start, when the disk may be another.
            self.failed.emit(error)

        self._background.run(lambda: save_sheet(finished), then, failed)
