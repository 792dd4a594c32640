"""Runs a queue without a window: the window's own queue, on Qt's event loop alone."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gui import words
from gui.cli.drawing import STOPPED
from gui.cli.progress import ProgressLine
from gui.grid import Grid
from gui.library.job import Job
from gui.library.queue import JobStore
from gui.request import PictureRequest

if TYPE_CHECKING:
    from gui.errors import SfumatoError
    from gui.request import PictureRecord
    from gui.state.job_queue import FinishedPicture, LoadingUpdate, StepUpdate

_TICK_MS = 50
"""Between two looks whether all is done; and so often Python gets to its signal handlers."""


def run_apart(
    requests: Sequence[PictureRequest],
    grid: Grid | None,
    base: PictureRequest,
    progress: ProgressLine,
    *,
    json_lines: bool,
) -> int:
    """Make the pictures of several requests, apart from the person's own queue.

    Returns:
        The exit code.
    """
    store = JobStore(None)
    store.add_all(requests, grid, base if grid is not None else None)
    return run_queue(lambda: store, progress, json_lines=json_lines)


def run_queue(
    open_store: Callable[[], JobStore], progress: ProgressLine, *, json_lines: bool
) -> int:
    """Run what waits until nothing does, or Ctrl-C: what is under way goes back in line then.

    Args:
        open_store: opens the queue, which is to be this process's to run.
        progress: shows where it stands.
        json_lines: print JSON instead of paths.

    Returns:
        0; 1 where something failed; 130 after Ctrl-C.
    """
    from PySide6.QtCore import QCoreApplication, QTimer

    from gui.state.desktop import services
    from gui.state.job_queue import JobQueue
    from gui.state.queue.sheets import ContactSheets

    app = QCoreApplication.instance() or QCoreApplication([])
    queue = JobQueue(store=open_store)
    sheets = ContactSheets(queue)
    teller = _Teller(queue, progress, json_lines)
    sheets.made.connect(teller.sheet)
    sheets.failed.connect(teller.error)
    stopped: list[int] = []
    handlers = {
        number: signal.signal(number, lambda which, _frame: stopped.append(which))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    def look() -> None:
        teller.show_waiting()
        done = queue.current is None and not queue.waiting() and not sheets.busy
        if stopped or done or queue.is_held:
            app.quit()

    tick = QTimer()
    tick.setInterval(_TICK_MS)
    tick.timeout.connect(look)
    services().begin_activity("Making pictures")
    try:
        progress.text("starting")
        queue.start()
        sheets.look()
        tick.start()
        app.exec()
    finally:
        services().end_activity()
        tick.stop()
        queue.shutdown()
        sheets.close()
        progress.clear()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if stopped:
        progress.line("Stopped.")
        return STOPPED
    return 1 if teller.failed else 0


class _Teller:
    """Says on the terminal what the queue says."""

    def __init__(self, queue: object, progress: ProgressLine, json_lines: bool) -> None:
        from gui.state.job_queue import JobQueue

        assert isinstance(queue, JobQueue)
        self._queue = queue
        self._progress = progress
        self._json = json_lines
        self.failed = 0
        queue.loading_changed.connect(self._loading)
        queue.step_changed.connect(self._step)
        queue.picture_ready.connect(self._picture)
        queue.job_failed.connect(self._job_failed)
        queue.notice.connect(progress.line)

    def show_waiting(self) -> None:
        """Why nothing is done, where that is so."""
        from gui.state.job_queue import Waits

        if self._queue.current is None and self._queue.waits is Waits.BATTERY:
            self._progress.text(f"waits until {words.COMPUTER} is plugged in")
        elif self._queue.current is None and self._queue.waits is Waits.PAUSED:
            self._progress.text("paused; `sfumato queue resume` goes on")

    def _left(self) -> str:
        waiting = len(self._queue.waiting())
        return f", {waiting} more wait" if waiting > 1 else ", 1 more waits" if waiting else ""

    def _loading(self, update: LoadingUpdate) -> None:
        self._progress.loading(update.component, update.index, update.total)

    def _step(self, update: StepUpdate) -> None:
        which = f"picture {update.picture_index + 1} of {update.count}, " * (update.count > 1)
        speed = words.speed(update.seconds_per_step)
        told = f"step {update.step} of {update.steps}" + (f", {speed}" if speed else "")
        self._progress.text(f"{which}{told}{self._left()}")

    def _picture(self, picture: FinishedPicture) -> None:
        self._print(picture.path, picture.record)
        for note in picture.record.notes:
            self._progress.line(note)

    def sheet(self, path: str, record: PictureRecord) -> None:
        self._print(path, record)

    def _print(self, path: str, record: PictureRecord) -> None:
        self._progress.clear()
        data = {"path": path, "record": record.to_json()}
        print(json.dumps(data) if self._json else path, flush=True)

    def _job_failed(self, job: Job, error: SfumatoError) -> None:
        prompt = words.quoted(job.request.prompt, 40)
        self.failed += 1
        self._progress.clear()
        print(f"sfumato: {prompt}: {error.message}", file=sys.stderr, flush=True)

    def error(self, error: SfumatoError) -> None:
        self.failed += 1
        self._progress.line(error.message)
