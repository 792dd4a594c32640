"""Every picture on disk, as the window sees it: asked for by filter, followed as files come and go.

The index lives on a thread of its own; others look at folders and hear from the system when files
change (`threads`).  Nothing here waits for a disk.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.errors import SfumatoError, as_sfumato_error
from gui.library import step_previews
from gui.library.picture_facts import (
    Choices,
    Found,
    IndexedPicture,
    PictureFacts,
    PictureFilter,
    TagChange,
)
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.library.picture_origin import PictureOrigin
from gui.library.picture_scan import ScanReport, facts_of_made, scan_changes, scan_steps
from gui.request import PictureRecord
from gui.state.background import TaskThreads
from gui.state.pictures.origin import Origin, origin_of, read_whole_origin
from gui.state.pictures.threads import FolderThread, IndexThread, WatchThread

FIRST_TOLD = 200
"""New pictures after which those so far are shown; then when they are twice as many."""

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
        self._index = IndexThread(open_index, self._tell, lambda _: self.changed.emit())
        self._folders = FolderThread(self._index, self._tell, self._on_look)
        self._made = TaskThreads("pictures-made")  # one, so that they come in their order
        self._files = TaskThreads("picture-files", 2)
        self._watcher: WatchThread | None = None
        self._watch = watch
        self._told = 0  # new files of which there has been word
        self._unreachable: frozenset[str] = frozenset()
        self._tidied = False

    def start(self) -> None:
        """Open the index, then bring it in line with the folders; returns at once."""
        self._index.start()
        self._folders.start()
        self._ask(lambda index: index.notice, self._on_opened)

    def close(self) -> None:
        """End the threads; what was asked and not answered is forgotten."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.stop()
        self._folders.stop()
        self._made.close()
        self._files.close(0)
        self._index.stop()

    def follow(self) -> None:
        """The folders are others now: look at them, and at what happens there."""
        self.refresh()
        if self._watcher is not None:
            self._watcher.stop()
            self._start_watching()

    def _start_watching(self) -> None:
        self._watcher = WatchThread(self._roots(), lambda paths: self._tell(self.look_at, paths))
        self._watcher.start()

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
        self._read(lambda: read_whole_origin(path), then)

    # -- changes ------------------------------------------------------------------------------

    def add(self, path: str, record: PictureRecord) -> None:
        """A picture was just made: index it now, and tell by `added`."""
        self._records[path] = record
        while len(self._records) > KEPT_RECORDS:
            self._records.popitem(last=False)

        def put(facts: PictureFacts) -> None:
            def work(index: PictureIndex) -> IndexedPicture | None:
                index.put([facts])
                return index.by_path(path)

            self._ask(work, then)

        def then(picture: IndexedPicture | None) -> None:
            if picture is not None:
                self.added.emit(picture)

        self._read(lambda: facts_of_made(Path(path), record), put, self._made)

    def forget(self, files: Iterable[str]) -> None:
        """These files were moved to the Trash."""
        gone = list(files)
        self._change(lambda index: index.drop(gone))

    def refresh(self) -> None:
        """Look at all folders again."""
        roots = self._roots()
        self._folders.look(lambda index: scan_steps(index, roots))

    def look_at(self, paths: Iterable[str]) -> None:
        """Look at these files and folders again; none: at all."""
        some, roots = list(paths), self._roots()
        if some:
            self._folders.look(lambda index: scan_changes(index, roots, some))
        else:
            self.refresh()

    # -- marks --------------------------------------------------------------------------------

    def toggle_favourite(
        self, ids: Iterable[int], then: Callable[[list[int], bool], object]
    ) -> None:
        """Make all of them favourites, or where all are already, none; `then` hears which of them
        changed, and whether they are favourites now."""
        some = list(ids)
        self._mark(lambda index: index.marks.toggle_favourite(some), lambda done: then(*done))

    def set_favourite(self, ids: Iterable[int], on: bool) -> None:
        some = list(ids)
        self._mark(lambda index: index.marks.set_favourite(some, on))

    def set_tags(
        self, number: int, tags: Iterable[str], then: Callable[[list[TagChange]], object]
    ) -> None:
        """Give a picture exactly these tags; `then` hears what that changed."""
        wanted = list(tags)
        self._mark(lambda index: index.marks.set_tags(number, wanted), then)

    def tag(
        self,
        ids: Iterable[int],
        add: Iterable[str],
        remove: Iterable[str],
        then: Callable[[list[TagChange]], object],
    ) -> None:
        """Give pictures tags and take others away; `then` hears what that changed."""
        some, more, less = list(ids), list(add), list(remove)
        self._mark(lambda index: index.marks.tag(some, more, less), then)

    def change_tags(self, changes: Iterable[TagChange]) -> None:
        """Do these changes, or do them again."""
        some = list(changes)
        self._mark(lambda index: index.marks.apply(some))

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
        self._index.ask(work, then, failed or self.failed.emit)

    def _read(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], object],
        workers: TaskThreads | None = None,
    ) -> None:
        """Read a file of the person's, which may take its time."""

        def task() -> None:
            try:
                found = work()
            except Exception as error:
                self._tell(self.failed.emit, as_sfumato_error(error))
            else:
                self._tell(then, found)

        (workers or self._files).start(task)

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
        self.opened.emit()
        self.refresh()
        if self._watch:
            self._start_watching()

    def _on_look(self, report: ScanReport, done: bool) -> None:
        self.looking.emit(-1 if done else report.read)
        # Of many new pictures the first are shown while the rest is being read.
        if report.changed and (done or report.read >= self._told + max(FIRST_TOLD, self._told)):
            self._told = report.read
            self.changed.emit()
        if done:
            self._told = 0
        if done and report.whole:
            self._say_unreachable(report)
            if not report.unreachable:
                self._tidy()

    def _tidy(self) -> None:
        """Once: what is in the Trash may come back while we run."""
        if not self._tidied:
            self._tidied = True
            self._ask(
                lambda index: step_previews.drop_strangers(index.known_fingerprints),
                lambda _gone: None,
            )

    def _say_unreachable(self, report: ScanReport) -> None:
        """Say once that pictures are on a disk that is not there; they are not forgotten."""
        roots = frozenset(map(str, self._roots())) & frozenset(report.unreachable)
        new, self._unreachable = roots - self._unreachable, roots
        for root in sorted(new):
            self._ask(lambda index, root=root: root if index.holds(root) else "", self._say_gone)

    def _say_gone(self, root: str) -> None:
        if root:
            self.notice.emit(
                f"The picture folder “{root}” cannot be reached; connect its disk, or see who may "
                "look at it. Nothing in it is lost, and it comes back by itself."
            )
