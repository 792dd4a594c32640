"""Runs a queue without a window: the window's own queue, on Qt's event loop alone."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gui import words
from gui.cli import json_lines
from gui.cli.options import STOPPED
from gui.cli.progress import JsonProgress, ProgressLine
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
    as_json: bool,
) -> int:
    """Make the pictures of several requests, apart from the person's own queue.

    Returns:
        The exit code.
    """
    store = JobStore(None)
    store.add_all(requests, grid, base if grid is not None else None)
    return run_queue(lambda: store, progress, as_json=as_json)


def run_queue(
    open_store: Callable[[], JobStore],
    progress: ProgressLine,
    *,
    as_json: bool,
    linger: float = 0.0,
) -> int:
    """Run what waits until nothing does, or Ctrl-C: what is under way goes back in line then.

    Args:
        open_store: opens the queue, which is to be this process's to run.
        progress: shows where it stands.
        as_json: print JSON instead of paths.
        linger: seconds to stay, once nothing waits, for what may be put in line next; the model
            stays loaded, and whoever else wants to run the queue may.

    Returns:
        0; 1 where something failed; 130 after Ctrl-C.
    """
    from PySide6.QtCore import QCoreApplication, QTimer

    from gui.state.desktop import services
    from gui.state.job_queue import JobQueue
    from gui.state.queue.sheets import ContactSheets

    app = QCoreApplication.instance() or QCoreApplication([])
    queue = JobQueue(store=open_store, gives_way=linger > 0)
    sheets = ContactSheets(queue)
    teller = _Teller(queue, progress, as_json)
    sheets.made.connect(teller.sheet)
    sheets.failed.connect(teller.error)
    stopped: list[int] = []
    handlers = {
        number: signal.signal(number, lambda which, _frame: stopped.append(which))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    idle_since = 0.0

    def look() -> None:
        nonlocal idle_since
        teller.show_waiting()
        idle = queue.current is None and not queue.waiting() and not sheets.busy
        if not idle:
            idle_since = 0.0
        elif not idle_since:
            idle_since = time.monotonic()
        done = idle and (
            (linger > 0 and queue.give_way()) or time.monotonic() - idle_since >= linger
        )
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
        if as_json:
            json_lines.tell("stopped")
        return STOPPED
    return 1 if teller.failed else 0


class _Teller:
    """Says on the terminal what the queue says."""

    def __init__(self, queue: object, progress: ProgressLine, as_json: bool) -> None:
        from gui.state.job_queue import JobQueue

        assert isinstance(queue, JobQueue)
        self._queue = queue
        self._progress = progress
        self._json = as_json
        self.failed = 0
        queue.loading_changed.connect(self._loading)
        queue.step_changed.connect(self._step)
        queue.picture_ready.connect(self._picture)
        queue.job_failed.connect(self._job_failed)
        queue.notice.connect(progress.line)

    def show_waiting(self) -> None:
        """Why nothing is done, where that is so."""
        from gui.state.queue.waits import Waits

        if self._queue.current is None and self._queue.waits is Waits.BATTERY:
            self._progress.text(f"waits until {words.COMPUTER} is plugged in")
        elif self._queue.current is None and self._queue.waits is Waits.PAUSED:
            self._progress.text("paused; `sfumato queue resume` goes on")

    def _left(self) -> str:
        waiting = len(self._queue.waiting())
        return f", {waiting} more wait" if waiting > 1 else ", 1 more waits" if waiting else ""

    def _loading(self, update: LoadingUpdate) -> None:
        self._progress.loading(update.component, update.index, update.total, update.preparing)

    def _step(self, update: StepUpdate) -> None:
        if isinstance(self._progress, JsonProgress):
            self._progress.step(
                update.picture_index, update.step, update.steps, update.seconds_per_step
            )
            return
        which = f"picture {update.picture_index + 1} of {update.count}, " * (update.count > 1)
        speed = words.speed(update.seconds_per_step)
        told = f"step {update.step} of {update.steps}" + (f", {speed}" if speed else "")
        self._progress.text(f"{which}{told}{self._left()}")

    def _picture(self, picture: FinishedPicture) -> None:
        self._print(picture.path, picture.record)
        for note in picture.record.notes:
            self._progress.line(note)

    def sheet(self, path: str, record: PictureRecord) -> None:
        self._print(path, record, "sheet")

    def _print(self, path: str, record: PictureRecord, event: str = "picture") -> None:
        self._progress.clear()
        if self._json:
            json_lines.tell_picture(path, record, event)
        else:
            print(path, flush=True)

    def _job_failed(self, job: Job, error: SfumatoError) -> None:
        prompt = words.quoted(job.request.prompt, 40)
        self.failed += 1
        self._progress.clear()
        print(f"sfumato: {prompt}: {error.message}", file=sys.stderr, flush=True)
        if self._json:
            json_lines.tell_error(error, job=job.id, prompt=job.request.prompt)

    def error(self, error: SfumatoError) -> None:
        self.failed += 1
        if self._json:
            json_lines.tell_error(error)
        self._progress.line(error.message)
