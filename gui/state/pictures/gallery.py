"""Pictures as an item model: a hundred thousand rows of which only those on show are held."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QImage

from gui import words
from gui.library.picture_facts import Found, IndexedPicture, PictureFilter
from gui.state.pictures.drag import drag_data
from gui.state.pictures.library import PictureLibrary
from gui.state.pictures.thumbnails import Thumbnails

PAGE = 120
"""Rows that are asked for together."""
KEPT_ROWS = 4000
"""Rows held at most, many pages; the least recently looked at go."""

FEW = 20
"""Rows that are taken off one by one; more are taken off together."""

_Index = QModelIndex | QPersistentModelIndex


class Gallery(QAbstractListModel):
    """The pictures that fit a filter, newest first.

    Rows carry an `IndexedPicture` as UserRole (None until it has come) and its thumbnail as
    DecorationRole.

    Args:
        library: where they come from.
        thumbnails: shared by everything that shows pictures small.
    """

    filter_changed = Signal(PictureFilter)
    refreshed = Signal()
    """The rows are those of the filter now."""
    removed = Signal(str, int)
    """A picture's path, and the row it had."""

    def __init__(
        self, library: PictureLibrary, thumbnails: Thumbnails, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._library = library
        self._thumbnails = thumbnails
        self._filter = PictureFilter()
        self._found = Found()
        self._number = -1
        self._rows: OrderedDict[int, IndexedPicture] = OrderedDict()
        self._numbers: dict[str, int] = {}  # of the pictures that are held, by path
        self._places: dict[int, int] = {}  # where each was last: rows move seldom
        self._asked: set[int] = set()
        self._pixels = ("", QImage())
        self._want = QTimer(self, singleShot=True, interval=0)
        self._want.timeout.connect(self._ask_for_rows)
        self._wanted: set[int] = set()
        library.opened.connect(self.refresh)
        library.changed.connect(self._on_changed)
        library.answered.connect(self._on_answered)
        library.rows_read.connect(self._on_rows)
        library.added.connect(self._on_added)
        thumbnails.ready.connect(self._on_thumbnail)

    # -- what is shown ------------------------------------------------------------------------

    @property
    def filter(self) -> PictureFilter:
        return self._filter

    def set_filter(self, wanted: PictureFilter) -> None:
        if wanted != self._filter:
            self._filter = wanted
            self.filter_changed.emit(wanted)
            self.refresh()

    def refresh(self) -> None:
        self._number = self._library.ask(self._filter, self._number)

    def days(self) -> list[tuple[date, int]]:
        """Each day with the row it begins at."""
        return list(self._found.days)

    def day_of(self, row: int) -> date | None:
        starts = [start for _, start in self._found.days]
        place = bisect_right(starts, row) - 1
        return self._found.days[place][0] if place >= 0 else None

    def picture(self, row: int) -> IndexedPicture | None:
        """The picture of a row; None where it has not come yet (it is asked for then)."""
        if not 0 <= row < len(self._found.ids):
            return None
        number = self._found.ids[row]
        self._places[number] = row
        picture = self._rows.get(number)
        if picture is None:
            self._wanted.add(row // PAGE)
            if not self._want.isActive():
                self._want.start()
        else:
            self._rows.move_to_end(number)
        return picture

    def id_at(self, row: int) -> int:
        """The id of a row; it is known even where the picture has not come yet."""
        return self._found.ids[row]

    def ids(self) -> Sequence[int]:
        """Every row's id, in order."""
        return self._found.ids

    def row_of_id(self, number: int) -> int:
        """-1 where the filter leaves the picture out."""
        ids = self._found.ids
        place = self._places.get(number, -1)
        if 0 <= place < len(ids) and ids[place] == number:
            return place
        try:
            return ids.index(number)
        except ValueError:
            return -1

    def row_of(self, path: str) -> int:
        """The row of a picture that is held; -1 else."""
        number = self._numbers.get(path)
        return -1 if number is None else self.row_of_id(number)

    def find(self, path: str) -> IndexedPicture | None:
        """A picture that is held."""
        number = self._numbers.get(path)
        return None if number is None else self._rows.get(number)

    def held(self, number: int) -> IndexedPicture | None:
        """A picture that is held, by its id; nothing is asked for."""
        return self._rows.get(number)

    def thumbnail(self, picture: IndexedPicture) -> QImage | None:
        """None while it comes; a null image where there is none to be had."""
        return self._thumbnails.image(picture.facts)

    def with_pictures(
        self, ids: Sequence[int], then: Callable[[list[IndexedPicture]], object]
    ) -> None:
        """Call `then` with these pictures: at once where all are held, else when they have come."""
        there = [picture for number in ids if (picture := self._rows.get(number)) is not None]
        if len(there) == len(ids):
            then(there)
        else:
            self._library.with_rows(ids, then)

    def keep(self, ids: Sequence[int]) -> None:
        """Have these pictures at hand soon."""
        missing = [number for number in ids if number not in self._rows]
        if missing:
            self._library.want_rows(missing)

    def paths_of(self, rows: Sequence[int]) -> list[str]:
        """Paths of rows that are held, in the rows' order."""
        return [p.facts.path for row in sorted(rows) if (p := self.picture(row)) is not None]

    def held_paths(self, ids: Sequence[int]) -> list[str]:
        """Files of those of these pictures that are held, in the ids' order."""
        held = (self._rows.get(number) for number in ids)
        return [picture.path for picture in held if picture is not None]

    def drop(self, paths: Sequence[str]) -> None:
        """Take pictures off at once that are gone; the library follows."""
        gone = sorted((row, path) for path in paths if (row := self.row_of(path)) >= 0)
        if len(gone) <= FEW:
            for row, path in reversed(gone):
                self.beginRemoveRows(QModelIndex(), row, row)
                self._take_out({row})
                self.endRemoveRows()
                self.removed.emit(path, row)
            return
        self.beginResetModel()
        self._take_out({row for row, _ in gone})
        self.endResetModel()
        self.refreshed.emit()
        for before, (row, path) in enumerate(gone):
            self.removed.emit(path, row - before)

    def _take_out(self, rows: set[int]) -> None:
        ids = array("q", (n for row, n in enumerate(self._found.ids) if row not in rows))
        ordered = sorted(rows)
        days = [(day, at - bisect_left(ordered, at)) for day, at in self._found.days]
        ends = [at for _, at in days[1:]] + [len(ids)]
        days = [d for d, end in zip(days, ends, strict=True) if d[1] < end]
        self._found = Found(ids, days)
        self._asked.clear()

    # -- dragging -----------------------------------------------------------------------------

    def keep_pixels(self, path: str, image: QImage) -> None:
        """Have the picture on show at hand, so that a drag of it can offer its pixels."""
        self._pixels = (path, image)

    def drag_data(self, paths: list[str]) -> QMimeData:
        """As `drag_data`, with the pixels of the only picture where it is the one on show."""
        return self.copy_data(paths, paths[0] if len(paths) == 1 else "")

    def copy_data(self, paths: list[str], current: str) -> QMimeData:
        """As `drag_data`, with the pixels of the current picture where it is the one on show."""
        shown, image = self._pixels
        return drag_data(paths, image if current and current == shown else None)

    # -- what the library says ----------------------------------------------------------------

    def _on_changed(self) -> None:
        self._asked.clear()
        # Marks may have changed: what was looked at last is read again, the rest when it is wanted.
        stale = list(self._rows)[-PAGE:]
        for number in list(self._rows)[:-PAGE]:
            self._forget(number)
        if stale:
            self._library.want_rows(stale)
        self.refresh()

    def _on_answered(self, number: int, found: Found) -> None:
        if number != self._number:
            return
        if found.ids == self._found.ids:
            self._found = found
            self.refreshed.emit()
            return
        self.beginResetModel()
        self._found = found
        self._asked.clear()
        self.endResetModel()
        self.refreshed.emit()

    def _on_added(self, picture: IndexedPicture) -> None:
        """A picture that was just made goes in front at once, where everything is shown."""
        if self._filter != PictureFilter():
            self.refresh()
            return
        if picture.id in self._rows and self.row_of_id(picture.id) >= 0:
            return
        self._keep(picture)
        self.beginInsertRows(QModelIndex(), 0, 0)
        self._found.ids.insert(0, picture.id)
        day = date.fromtimestamp(picture.facts.created)
        days = self._found.days
        shifted = [(d, row + 1) for d, row in days]
        if days and days[0][0] == day:
            self._found.days = [(day, 0), *shifted[1:]]
        else:
            self._found.days = [(day, 0), *shifted]
        self._asked.clear()
        self.endInsertRows()

    def _ask_for_rows(self) -> None:
        pages, self._wanted = self._wanted - self._asked, set()
        self._asked |= pages
        for page in sorted(pages):
            ids = self._found.ids[page * PAGE : (page + 1) * PAGE]
            self._library.want_rows(n for n in ids if n not in self._rows)

    def _on_rows(self, pictures: list[IndexedPicture]) -> None:
        for picture in pictures:
            self._keep(picture)
        if self._found.ids:
            last = len(self._found.ids) - 1
            self.dataChanged.emit(self.index(0), self.index(last))

    def _keep(self, picture: IndexedPicture) -> None:
        self._rows[picture.id] = picture
        self._rows.move_to_end(picture.id)
        self._numbers[picture.path] = picture.id
        while len(self._rows) > KEPT_ROWS:
            self._forget(next(iter(self._rows)))
            self._asked.clear()

    def _forget(self, number: int) -> None:
        picture = self._rows.pop(number)
        self._places.pop(number, None)
        if self._numbers.get(picture.path) == number:
            del self._numbers[picture.path]

    def _on_thumbnail(self, path: str) -> None:
        row = self.row_of(path)
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row))

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._found.ids)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        picture = self.picture(index.row())
        if role == Qt.ItemDataRole.UserRole:
            return picture
        if picture is None:
            return None
        facts = picture.facts
        if role == Qt.ItemDataRole.DecorationRole:
            return self._thumbnails.image(facts)
        if role == Qt.ItemDataRole.ToolTipRole:
            seed = "" if facts.seed is None else f"\nSeed {facts.seed}"
            return words.plain_tip(f"{facts.prompt or Path(facts.path).name}{seed}")
        if role == Qt.ItemDataRole.AccessibleTextRole:
            what = f"Picture of “{facts.prompt}”" if facts.prompt else Path(facts.path).name
            return f"{what}, favourite" if picture.favourite else what
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        base = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return base | Qt.ItemFlag.ItemIsDragEnabled if index.isValid() else base

    def mimeTypes(self) -> list[str]:
        return ["text/uri-list", "application/x-qt-image"]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        return self.drag_data(self.paths_of([index.row() for index in indexes]))

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction
