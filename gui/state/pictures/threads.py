"""The threads behind the pictures: one owns the index and answers, one looks at folders, one hears
from the system what happened there.

A disk that does not answer holds up the second alone: what the index knows is still found.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, TypeVar

from gui.errors import SfumatoError, as_sfumato_error
from gui.library.picture_facts import KnownFile, PictureFacts
from gui.library.picture_index import PictureIndex
from gui.library.picture_scan import Scanned, ScanReport
from gui.state.background import END_SECONDS

WATCH_DEBOUNCE_MS = 400
"""Changes that come this close to each other are told together."""

ELSEWHERE_SECONDS = 1.5
"""Between two looks whether another process has written to the index, while nothing is asked."""

ABSENT_SECONDS = 2.0
"""Between two looks whether the picture folders are there, and the same."""

T = TypeVar("T")
Look = Callable[[Scanned], Iterator[ScanReport]]

log = logging.getLogger(__name__)


class IndexThread(threading.Thread):
    """Owns the index and answers questions in turn.

    Args:
        open_index: opens it, on this thread.
        tell: has a function called with a value on the window's thread.
        changed_elsewhere: is told where another process has written to the index.
    """

    def __init__(
        self,
        open_index: Callable[[], PictureIndex],
        tell: Callable[[Callable[[Any], object], Any], None],
        changed_elsewhere: Callable[[Any], object],
    ) -> None:
        super().__init__(name="picture-index", daemon=True)
        self._open_index = open_index
        self._tell = tell
        self._changed_elsewhere = changed_elsewhere
        self._inbox: queue.Queue[Callable[[PictureIndex], None] | None] = queue.Queue()

    def ask(
        self,
        work: Callable[[PictureIndex], Any],
        then: Callable[[Any], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        """Have this worked out, and one of the two called on the window's thread."""

        def run(index: PictureIndex) -> None:
            try:
                result = work(index)
            except Exception as error:
                self._tell(failed, as_sfumato_error(error))
            else:
                self._tell(then, result)

        self._inbox.put(run)

    def have(self, work: Callable[[PictureIndex], T]) -> Future[T]:
        """Have this worked out for another thread."""
        future: Future[T] = Future()

        def run(index: PictureIndex) -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(index))
                except Exception as error:
                    future.set_exception(error)

        self._inbox.put(run)
        return future

    def stop(self) -> None:
        """Waits a while: a disk that does not answer keeps nobody from quitting."""
        self._inbox.put(None)
        if self.is_alive():
            self.join(END_SECONDS)

    def run(self) -> None:
        index = self._open_index()
        try:
            while True:
                try:
                    work = self._inbox.get(timeout=ELSEWHERE_SECONDS)
                except queue.Empty:
                    self._look_elsewhere(index)
                    continue
                if work is None:
                    return
                work(index)
        finally:
            index.close()

    def _look_elsewhere(self, index: PictureIndex) -> None:
        try:
            if index.changed_elsewhere():
                self._tell(self._changed_elsewhere, None)
        except Exception as error:
            log.warning("the picture index cannot be asked: %r", error)


class FolderThread(threading.Thread):
    """Looks at folders, one look after the other, and enters into the index what it finds.

    Args:
        index: the thread that owns the index.
        tell: has a function called with a value on the window's thread.
        report: is told how a look stands, and whether it is over.
    """

    def __init__(
        self,
        index: IndexThread,
        tell: Callable[[Callable[[Any], object], Any], None],
        report: Callable[[ScanReport, bool], object],
    ) -> None:
        super().__init__(name="picture-folders", daemon=True)
        self._index = index
        self._tell = tell
        self._report = report
        self._ended = threading.Event()
        self._looks: queue.Queue[Look | None] = queue.Queue()

    def look(self, steps: Look) -> None:
        self._looks.put(steps)

    def stop(self) -> None:
        """Ends after the file that is being read; nobody waits for that."""
        self._ended.set()
        self._looks.put(None)

    def run(self) -> None:
        index = _FarIndex(self._index, self._ended)
        while (steps := self._looks.get()) is not None and not self._ended.is_set():
            report = ScanReport()
            try:
                for report in steps(index):
                    if self._ended.is_set():
                        return
                    self._tell(lambda r: self._report(r, False), report.copy())
            except CancelledError:
                return
            except Exception as error:
                log.warning("looking at the picture folders failed: %r", error)
            self._tell(lambda r: self._report(r, True), report.copy())


class _FarIndex:
    """The index as another thread has it: asked, and waited for.  A `Scanned`."""

    def __init__(self, thread: IndexThread, ended: threading.Event) -> None:
        self._thread = thread
        self._ended = ended

    def _have(self, work: Callable[[PictureIndex], T]) -> T:
        future = self._thread.have(work)
        while not self._ended.is_set():
            try:
                return future.result(timeout=0.5)
            except FutureTimeout:
                if future.done():  # the work's own
                    raise
        raise CancelledError

    def folders(self) -> list[str]:
        return self._have(lambda index: index.folders())

    def known_files(self, folder: str) -> dict[str, KnownFile]:
        return self._have(lambda index: index.known_files(folder))

    def known(self, paths: Iterable[str]) -> dict[str, KnownFile]:
        some = list(paths)
        return self._have(lambda index: index.known(some))

    def put(self, pictures: Iterable[PictureFacts]) -> list[int]:
        some = list(pictures)
        return self._have(lambda index: index.put(some))

    def refuse(self, files: Iterable[tuple[str, int, int]]) -> int:
        some = list(files)
        return self._have(lambda index: index.refuse(some))

    def drop(self, paths: Iterable[str]) -> int:
        some = list(paths)
        return self._have(lambda index: index.drop(some)) if some else 0


class WatchThread(threading.Thread):
    """Hears from the system what happens in folders.  They may go and come back, as with a disk.

    Args:
        roots: the folders, with all below them.
        tell: is told paths of files and folders that came, changed or went; none: anything may
            have happened.
    """

    def __init__(self, roots: list[Path], tell: Callable[[list[str]], None]) -> None:
        super().__init__(name="picture-watcher", daemon=True)
        self._roots = roots
        self._tell = tell
        self._stop = threading.Event()
        self._again = threading.Event()

    def stop(self) -> None:
        self._stop.set()
        self._again.set()

    def run(self) -> None:
        # Imported here: the first paint needs no watcher.
        import watchfiles

        before = self._there()
        while not self._stop.is_set():
            there = self._there()
            if there != before:
                self._tell([])  # all: what came before the watch began
            before = there
            if not there:
                self._stop.wait(ABSENT_SECONDS)
                continue
            self._again.clear()
            guard = threading.Thread(target=self._guard, args=(there,), daemon=True)
            guard.start()
            try:
                for changes in watchfiles.watch(
                    *there,
                    stop_event=self._again,
                    debounce=WATCH_DEBOUNCE_MS,
                    rust_timeout=500,
                    raise_interrupt=False,
                ):
                    self._tell(sorted({path for _, path in changes}))
            except Exception as error:
                # The system's limit of watches, a disk that goes, a name that is no text: what it
                # would have told is looked for.
                log.warning("picture folders are not watched: %r", error)
                self._stop.wait(ABSENT_SECONDS)
                self._tell([])
            self._again.set()
            guard.join()

    def _guard(self, there: dict[Path, tuple[int, int]]) -> None:
        """End the watch when the folders are others: the system goes on watching those that were
        moved away."""
        while not self._again.wait(ABSENT_SECONDS):
            if self._there() != there:
                self._again.set()

    def _there(self) -> dict[Path, tuple[int, int]]:
        """The folders that there are, and which ones."""
        found: dict[Path, tuple[int, int]] = {}
        for root in self._roots:
            try:
                status = root.stat()
            except OSError:
                continue
            found[root] = (status.st_dev, status.st_ino)
        return found
