"""Every picture on disk, as the window sees it: asked for by filter, followed as files come and go.

The index lives on a thread of its own, which answers questions first and looks through the folders
in between; another thread hears from the system when files change.  Nothing here waits for a disk.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.errors import SfumatoError, as_sfumato_error
from gui.library import step_previews
from gui.library.picture_facts import Choices, Found, IndexedPicture, PictureFilter, TagChange
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.library.picture_origin import PictureOrigin, read_origin
from gui.library.picture_scan import ScanReport, facts_of_made, scan_folder, scan_steps
from gui.request import PictureRecord
from gui.state.background import END_SECONDS
from gui.state.pictures.origin import Origin, origin_of

WATCH_DEBOUNCE_MS = 400
"""Changes that come this close to each other are told together."""

ELSEWHERE_SECONDS = 1.5
"""Between two looks whether another process has written to the index, while nothing is asked."""

ABSENT_SECONDS = 2.0
"""Between two looks for a picture folder that is not there."""

KEPT_RECORDS = 200
"""Records of pictures made in this session that are held, the newest."""

log = logging.getLogger(__name__)


class PictureLibrary(QObject):
    """The person's pictures.

    Args:
        roots: the folders that are looked through, asked for whenever they are needed.
        open_index: opens the index, on the index's thread; tests give another.
    """

    opened = Signal()
    """The index can be asked; what it knows may be older than the folders."""
    answered = Signal(int, Found)
    """What `ask` was answered with, by its number."""
    rows_read = Signal(list)
    """Pictures (`IndexedPicture`) that `want_rows` asked for."""
    choices_changed = Signal(Choices)
    changed = Signal()
    """Pictures came, went or were marked: whoever shows some asks again."""
    added = Signal(IndexedPicture)
    """A picture that was just made is in the index."""
    looking = Signal(int)
    """The folders are being read: the number of new files so far; -1: done."""
    failed = Signal(SfumatoError)
    notice = Signal(str)

    _answer = Signal(object, object)

    def __init__(
        self,
        roots: Callable[[], list[Path]],
        parent: QObject | None = None,
        *,
        open_index: Callable[[], PictureIndex] = lambda: PictureIndex(paths.data_dir() / FILE_NAME),
        watch: bool = True,
    ) -> None:
        super().__init__(parent)
        self._roots = roots
        self._number = 0
        self._awaited: set[int] = set()
        self._records: OrderedDict[str, PictureRecord] = OrderedDict()
        self._closed = False
        self._answer.connect(self._on_answer)
        self._worker = _Worker(open_index, self._tell)
        self._watcher: _Watcher | None = None
        self._watch = watch
        self._tidied = False

    def start(self) -> None:
        """Open the index, then bring it in line with the folders; returns at once."""
        self._worker.start()
        self._ask(lambda index: index.notice, self._on_opened)

    def close(self) -> None:
        """End both threads; what was asked and not answered is forgotten."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.stop()
        self._worker.stop()

    # -- questions ----------------------------------------------------------------------------

    def ask(self, wanted: PictureFilter, instead_of: int = -1) -> int:
        """Look for pictures; `answered` comes with the number that is returned here.

        Args:
            instead_of: number of an earlier question whose answer nobody waits for any more.
        """
        self._number += 1
        number = self._number
        self._awaited.discard(instead_of)
        self._awaited.add(number)

        def work(index: PictureIndex) -> Found | None:
            return index.find(wanted) if number in self._awaited else None

        def then(found: Found | None) -> None:
            if found is not None and number in self._awaited:
                self._awaited.discard(number)
                self.answered.emit(number, found)

        self._ask(work, then)
        return number

    def want_rows(self, ids: Iterable[int]) -> None:
        """Have `rows_read` bring these pictures."""
        wanted = list(ids)
        self._ask(lambda index: index.rows(wanted), self.rows_read.emit)

    def with_rows(self, ids: Iterable[int], then: Callable[[list[IndexedPicture]], object]) -> None:
        """Call `then` with these pictures, in their order; those that are gone are left out."""
        wanted = list(ids)
        self._ask(lambda index: index.rows(wanted), then)

    def with_paths(self, ids: Iterable[int], then: Callable[[list[str]], object]) -> None:
        """Call `then` with the files of these pictures, in their order; nothing else is read."""
        wanted = list(ids)
        self._ask(lambda index: index.paths_of(wanted), then)

    def with_picture(self, path: str, then: Callable[[IndexedPicture], object]) -> None:
        """Call `then` with the picture in this file, if it is in the index."""

        def told(picture: IndexedPicture | None) -> None:
            if picture is not None:
                then(picture)

        self._ask(lambda index: index.by_path(path), told)

    def with_known(self, fingerprints: Iterable[str], then: Callable[[set[str]], object]) -> None:
        """Call `then` with those of these fingerprints whose pictures are here."""
        wanted = list(fingerprints)
        self._ask(lambda index: index.known_fingerprints(wanted), then)

    def with_prompts(
        self, most: int, then: Callable[[list[tuple[str, str, float]]], object]
    ) -> None:
        """Call `then` with `PictureIndex.prompts`."""
        self._ask(lambda index: index.prompts(most), then)

    def want_choices(self) -> None:
        self._ask(lambda index: index.choices(), self.choices_changed.emit)

    def with_origin(self, path: str, then: Callable[[Origin], object]) -> None:
        """Call `then` with what made a picture, read from its file unless it was made just now."""
        if path in self._records:
            then(origin_of(PictureOrigin(self._records[path])))
            return
        self._ask(lambda _index: origin_of(read_origin(Path(path))), then, self.failed.emit)

    # -- changes ------------------------------------------------------------------------------

    def add(self, path: str, record: PictureRecord) -> None:
        """A picture was just made: index it now, and tell by `added`."""
        self._records[path] = record
        while len(self._records) > KEPT_RECORDS:
            self._records.popitem(last=False)

        def work(index: PictureIndex) -> IndexedPicture | None:
            index.put([facts_of_made(Path(path), record)])
            return index.by_path(path)

        def then(picture: IndexedPicture | None) -> None:
            if picture is not None:
                self.added.emit(picture)

        self._ask(work, then)

    def forget(self, files: Iterable[str]) -> None:
        """These files were moved to the Trash."""
        gone = list(files)
        self._change(lambda index: index.drop(gone))

    def refresh(self, folders: Iterable[str] = ()) -> None:
        """Look at these folders again, or at all of them."""
        some = list(dict.fromkeys(folders))
        if not some:
            roots = self._roots()
            self._worker.look(lambda index: scan_steps(index, roots))
            return
        self._change(lambda index: sum(scan_folder(index, Path(f)).changed for f in some))

    # -- marks --------------------------------------------------------------------------------

    def toggle_favourite(
        self, ids: Iterable[int], then: Callable[[list[int], bool], object]
    ) -> None:
        """Make all of them favourites, or where all are already, none; `then` hears which of them
        changed, and whether they are favourites now."""
        some = list(ids)
        self._mark(lambda index: index.toggle_favourite(some), lambda done: then(*done))

    def set_favourite(self, ids: Iterable[int], on: bool) -> None:
        some = list(ids)
        self._mark(lambda index: index.set_favourite(some, on))

    def set_tags(
        self, number: int, tags: Iterable[str], then: Callable[[list[TagChange]], object]
    ) -> None:
        """Give a picture exactly these tags; `then` hears what that changed."""
        wanted = list(tags)
        self._mark(lambda index: index.set_tags(number, wanted), then)

    def tag(
        self,
        ids: Iterable[int],
        add: Iterable[str],
        remove: Iterable[str],
        then: Callable[[list[TagChange]], object],
    ) -> None:
        """Give pictures tags and take others away; `then` hears what that changed."""
        some, more, less = list(ids), list(add), list(remove)
        self._mark(lambda index: index.tag(some, more, less), then)

    def change_tags(self, changes: Iterable[TagChange]) -> None:
        """Do these changes, or do them again."""
        some = list(changes)
        self._mark(lambda index: index.apply(some))

    def with_tags(
        self,
        ids: Iterable[int],
        then: Callable[[tuple[list[tuple[str, int]], list[str]]], object],
    ) -> None:
        """Call `then` with the tags of these pictures, each with how many have it, and with every
        tag there is."""
        some = list(ids)
        self._ask(
            lambda index: (index.tags_of(some), [tag for tag, _ in index.choices().tags]), then
        )

    def _mark(
        self, work: Callable[[PictureIndex], Any], then: Callable[[Any], object] | None = None
    ) -> None:
        def marked(done: Any) -> None:
            self.changed.emit()
            if then is not None:
                then(done)

        self._ask(work, marked)

    # -- threads ------------------------------------------------------------------------------

    def _ask(
        self,
        work: Callable[[PictureIndex], Any],
        then: Callable[[Any], object],
        failed: Callable[[SfumatoError], object] | None = None,
    ) -> None:
        self._worker.ask(work, then, failed or self.failed.emit)

    def _change(self, work: Callable[[PictureIndex], Any]) -> None:
        def then(done: Any) -> None:
            if done:
                self.changed.emit()

        self._ask(work, then)

    def _tell(self, call: Callable[[Any], object], value: Any) -> None:
        """From any thread: have `call` called with `value` on the window's."""
        try:
            self._answer.emit(call, value)
        except RuntimeError:  # the window is gone
            log.debug("an answer came after the end")

    def _on_answer(self, call: Callable[[Any], object], value: Any) -> None:
        if not self._closed:
            call(value)

    def _on_opened(self, notice: str) -> None:
        if notice:
            self.notice.emit(notice)
        self._worker.report = self._on_look
        self._worker.changed_elsewhere = self.changed.emit
        self.opened.emit()
        self.refresh()
        if self._watch:
            self._watcher = _Watcher(self._roots(), lambda f: self._tell(self.refresh, f))
            self._watcher.start()

    def _on_look(self, report: ScanReport, done: bool) -> None:
        self.looking.emit(-1 if done else report.read)
        if done and report.changed:
            self.changed.emit()
        if done and not report.unreachable and not self._tidied:
            self._tidied = True  # once: what is in the Trash may come back while we run

            def tidy(index: PictureIndex) -> int:
                return step_previews.drop_strangers(index.known_fingerprints)

            self._ask(tidy, lambda _gone: None)


class _Worker(threading.Thread):
    """Owns the index: answers questions in turn, and looks at folders while there are none."""

    def __init__(
        self,
        open_index: Callable[[], PictureIndex],
        tell: Callable[[Callable[[Any], object], Any], None],
    ) -> None:
        super().__init__(name="picture-index", daemon=True)
        self._open_index = open_index
        self._tell = tell
        self._inbox: queue.Queue[Callable[[PictureIndex], None] | None] = queue.Queue()
        self._looks: list[Callable[[PictureIndex], Iterator[ScanReport]]] = []
        self.report: Callable[[ScanReport, bool], None] = lambda _report, _done: None
        self.changed_elsewhere: Callable[[], object] = lambda: None

    def ask(
        self,
        work: Callable[[PictureIndex], Any],
        then: Callable[[Any], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        def run(index: PictureIndex) -> None:
            try:
                result = work(index)
            except Exception as error:
                self._tell(failed, as_sfumato_error(error))
            else:
                self._tell(then, result)

        self._inbox.put(run)

    def look(self, steps: Callable[[PictureIndex], Iterator[ScanReport]]) -> None:
        self._looks.append(steps)
        self._inbox.put(lambda _index: None)

    def stop(self) -> None:
        """Waits a while: a disk that does not answer keeps nobody from quitting."""
        self._inbox.put(None)
        if self.is_alive():
            self.join(END_SECONDS)

    def run(self) -> None:
        index = self._open_index()
        steps: Iterator[ScanReport] | None = None
        try:
            while True:
                if steps is None and self._looks:
                    steps = self._looks.pop(0)(index)
                try:
                    wait = ELSEWHERE_SECONDS if steps is None else 0
                    work = self._inbox.get(block=steps is None, timeout=wait)
                except queue.Empty:
                    if steps is not None:
                        steps = self._step(steps)
                    else:
                        self._look_elsewhere(index)
                    continue
                if work is None:
                    return
                work(index)
        finally:
            index.close()

    def _look_elsewhere(self, index: PictureIndex) -> None:
        """Another copy of Sfumato has made, marked or moved pictures: what is shown is asked for
        again."""
        try:
            changed = index.changed_elsewhere()
        except Exception as error:
            log.warning("the picture index cannot be asked: %r", error)
        else:
            if changed:
                self._tell(lambda _: self.changed_elsewhere(), None)

    def _step(self, steps: Iterator[ScanReport] | None) -> Iterator[ScanReport] | None:
        """One step of a look; None when it is over."""
        assert steps is not None
        try:
            self._last = next(steps)
        except StopIteration:
            self._tell(lambda r: self.report(r, True), self._last)
            return None
        except Exception as error:
            log.warning("looking at the picture folders failed: %r", error)
            self._tell(lambda r: self.report(r, True), ScanReport())
            return None
        self._tell(lambda r: self.report(r, False), self._last)
        return steps

    _last = ScanReport()


class _Watcher(threading.Thread):
    """Hears from the system which folders changed."""

    def __init__(self, roots: list[Path], tell: Callable[[list[str]], None]) -> None:
        super().__init__(name="picture-watcher", daemon=True)
        self._roots = roots
        self._tell = tell
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        # Imported here: the first paint needs no watcher.
        import watchfiles

        there = [root for root in self._roots if root.is_dir()]
        late = not there
        if late and not (there := self._wait_for_folders()):
            return
        try:
            for changes in watchfiles.watch(
                *there,
                stop_event=self._stop,
                debounce=WATCH_DEBOUNCE_MS,
                rust_timeout=500,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                if late:
                    self._tell([])  # all: what came before the first look at changes
                    late = False
                elif changes:
                    self._tell(sorted({str(Path(path).parent) for _, path in changes}))
        except Exception as error:  # the system's limit of watches, a disk that goes
            log.warning("picture folders are not watched: %r", error)

    def _wait_for_folders(self) -> list[Path]:
        """Those that have come, as the first picture or a disk brings them; none at the end."""
        while not self._stop.wait(ABSENT_SECONDS):
            if there := [root for root in self._roots if root.is_dir()]:
                return there
        return []
