"""The queue as rows of a list: what runs, what failed, what waits, what is over, each under its
heading."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from gui.request import PictureRequest
from gui.state.farm import Farm
from gui.state.pictures.drag import drag_data
from gui.state.pictures.library import PictureLibrary
from gui.state.pictures.thumbnails import Thumbnails
from gui.state.pictures.types import IndexedPicture
from gui.state.queue.desk import FINISHED, QueueDesk

JOBS_FORMAT = "application/x-sfumato-jobs"
"""Ids of dragged jobs, a line each."""
HEADINGS = (
    ("In Progress", ("running",)),
    ("Failed", ("failed",)),
    ("Waiting", ("queued",)),
    ("Finished", FINISHED),
)
DETAIL_ROLE = Qt.ItemDataRole.UserRole + 1
"""What a job asks for, in a line: told when it is wanted, as there may be thousands."""
_Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class QueueRow:
    """A heading, or a job."""

    heading: str = ""
    """Of a group; empty: this is a job."""
    count: int = 0
    """Jobs under the heading; of a job that waits, its place in line."""
    job_id: str = ""
    status: str = ""
    request: PictureRequest | None = None
    pictures: int = 0
    """Made so far."""
    problem: str = ""
    """The sentence of what failed."""
    picture: str = ""
    """File of the last picture that was made."""
    ended: float = 0.0
    """When it was over: seconds since 1970."""
    edited: bool = False
    """Whether its settings are in the prompt panel."""

    @property
    def prompt(self) -> str:
        """In one line."""
        text = self.request.prompt if self.request is not None else ""
        return " ".join(text.split()) or "(no prompt)"

    @property
    def key(self) -> str:
        return self.job_id or self.heading


def detail_of(job: QueueRow, model: str) -> str:
    """What is asked for beside the prompt, in a line; of what is over, when that was."""
    request, made = job.request, job.pictures
    if request is None:
        return ""
    parts: list[str] = []
    if job.status == "cancelled":
        parts.append("Stopped")
    if job.status != "done" and made:
        parts.append(f"{made} of {request.count} made")
    elif request.count > 1 or job.status == "done":
        parts.append(words.plural(made if job.status == "done" else request.count, "picture"))
    if job.status in FINISHED:
        parts.append(_when(job.ended))
    if request.grid is not None:
        parts.append(f"Grid: {request.grid.label}")
    elif job.status not in FINISHED:
        if request.steps is not None:
            parts.append(words.plural(request.steps, "step"))
        parts += [request.scheduler or "", f"seed {request.seed}"]
    return "  ·  ".join(part for part in (*parts, model) if part)


def _when(moment: float) -> str:
    """A time of today by the clock, another by its day."""
    if moment <= 0:
        return ""
    then = datetime.fromtimestamp(moment)
    today = then.date() == datetime.fromtimestamp(time.time()).date()
    return then.strftime("%H:%M") if today else words.date_of(then.date())


class QueueList(QAbstractListModel):
    """Bound to a queue.  A drag of waiting rows puts them in another order.

    Args:
        queue: the `JobQueue`, or anything with its signals and methods.
        desk: does what is asked for.
        library: knows finished pictures.
        model_name: what the model in a folder is called.
    """

    about_to_change = Signal()
    changed = Signal()
    """Rows came, went, moved or say something else."""

    def __init__(
        self,
        queue: Any,
        desk: QueueDesk,
        library: PictureLibrary,
        thumbnails: Thumbnails,
        model_name: Callable[[str], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._desk = desk
        self._library = library
        self._thumbnails = thumbnails
        self._model_name = model_name
        self._rows: list[QueueRow] = []
        self._pictures: dict[str, IndexedPicture | None] = {}
        self._drawn: dict[str, tuple[str, QImage | None]] = {}
        # Many jobs come at once, at the start above all.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.refresh)
        for signal in (
            queue.job_added, queue.job_changed, queue.job_removed, queue.jobs_reset,
            queue.reordered, desk.editing_changed,
        ):  # fmt: skip
            signal.connect(self._refresh_soon)
        thumbnails.ready.connect(self._on_thumbnail)
        library.added.connect(self._on_picture)
        self.refresh()

    def rows(self) -> list[QueueRow]:
        return self._rows

    def detail(self, row: QueueRow) -> str:
        """The second line of a job."""
        if row.status == "running" and row.job_id in self._drawn:
            made = f"  ·  {row.pictures} of {row.request.count} made" if row.request else ""
            return self._drawn[row.job_id][0] + made
        return detail_of(row, self._model_name(row.request.model)) if row.request else ""

    def show_farm(self, farm: Farm) -> None:
        """Tell of jobs that run who draws them, with a preview."""
        drawn: dict[str, tuple[str, QImage | None]] = {}
        for k, row in enumerate(self._rows):
            if row.status == "running" and (seats := farm.drawing(row.job_id)):
                first = seats[0]
                who = words.listed(seat.name for seat in seats)
                at = (
                    f"step {first.step} of {first.steps}" if first.steps and len(seats) == 1 else ""
                )
                shown = next((p for s in seats if (p := farm.preview(s)) is not None), None)
                drawn[row.job_id] = ("  ·  ".join(t for t in (f"Drawn by {who}", at) if t), shown)
            if drawn.get(row.job_id) != self._drawn.get(row.job_id):
                self.dataChanged.emit(self.index(k), self.index(k))
        self._drawn = drawn

    def row_of(self, job_id: str) -> int:
        """Where a job stands; -1: nowhere."""
        return next((k for k, row in enumerate(self._rows) if row.job_id == job_id), -1)

    def _refresh_soon(self, *_: object) -> None:
        if not self._later.isActive():
            self._later.start(0)

    def refresh(self) -> None:
        """Bring the rows in line with the queue; those that stay are left where they are."""
        before, after = self._rows, self._made_rows()
        old, new = [row.key for row in before], [row.key for row in after]
        start = 0
        while start < min(len(old), len(new)) and old[start] == new[start]:
            start += 1
        end = 0
        while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
            end += 1
        self.about_to_change.emit()
        if len(old) - end > start:
            self.beginRemoveRows(QModelIndex(), start, len(old) - end - 1)
            self._rows = [*before[:start], *before[len(old) - end :]]
            self.endRemoveRows()
        if len(new) - end > start:
            self.beginInsertRows(QModelIndex(), start, len(new) - end - 1)
            self._rows = after
            self.endInsertRows()
        stay = [*range(start), *range(len(new) - end, len(new))]
        was = {row.key: row for row in before}
        self._rows = after
        shown = {row.picture for row in after}
        self._pictures = {path: one for path, one in self._pictures.items() if path in shown}
        for k in stay:
            if was[after[k].key] != after[k]:
                self.dataChanged.emit(self.index(k), self.index(k))
        self.changed.emit()

    def _made_rows(self) -> list[QueueRow]:
        jobs = self._queue.jobs()
        editing = self._desk.editing
        rows: list[QueueRow] = []
        for heading, statuses in HEADINGS:
            under = [job for job in jobs if job.status in statuses]
            if statuses == FINISHED:
                under.sort(key=lambda job: -job.ended)
            if under:
                rows.append(QueueRow(heading, len(under)))
            for place, job in enumerate(under, 1):
                rows.append(
                    QueueRow(
                        count=place if heading == "Waiting" else 0,
                        job_id=job.id,
                        status=str(job.status),
                        request=job.request,
                        pictures=len(job.pictures),
                        ended=job.ended,
                        problem=job.error.message if job.status == "failed" and job.error else "",
                        picture=job.pictures[-1] if job.pictures else "",
                        edited=editing is not None and editing.id == job.id,
                    )
                )
        return rows

    # -- thumbnails ---------------------------------------------------------------------------

    def _thumbnail(self, path: str) -> QImage | None:
        if not path:
            return None
        if path not in self._pictures:
            self._pictures[path] = None
            self._library.with_picture(path, self._on_picture)
        picture = self._pictures[path]
        return self._thumbnails.image(picture.facts) if picture is not None else None

    def _on_picture(self, picture: IndexedPicture) -> None:
        if picture.path in self._pictures:  # it was wanted, and may not have been indexed yet
            self._pictures[picture.path] = picture
            self._on_thumbnail(picture.path)

    def _on_thumbnail(self, path: str) -> None:
        for k, row in enumerate(self._rows):
            if row.picture == path:
                self.dataChanged.emit(self.index(k), self.index(k))

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role == Qt.ItemDataRole.DecorationRole:
            drawn = self._drawn.get(row.job_id) if row.status == "running" else None
            return drawn[1] if drawn and drawn[1] is not None else self._thumbnail(row.picture)
        if role == Qt.ItemDataRole.ToolTipRole and row.job_id:
            lines = (row.prompt, self.detail(row), row.problem)
            return words.plain_tip("\n".join(line for line in lines if line))
        if role == DETAIL_ROLE:
            return self.detail(row)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            if row.heading:
                return f"{row.heading}, {row.count}"
            group = next(title for title, of in HEADINGS if row.status in of)
            return ". ".join(t for t in (group, row.prompt, self.detail(row), row.problem) if t)
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        if not index.isValid() or index.row() >= len(self._rows):
            return Qt.ItemFlag.ItemIsDropEnabled
        row = self._rows[index.row()]
        if row.heading:
            return Qt.ItemFlag.ItemIsEnabled
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if row.status == "queued" or (row.status in FINISHED and row.picture):
            flags |= Qt.ItemFlag.ItemIsDragEnabled
        return flags

    def mimeTypes(self) -> list[str]:
        return [JOBS_FORMAT, "text/uri-list"]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Waiting jobs to be put elsewhere in line; of what is over, the pictures' files."""
        rows = [self._rows[index.row()] for index in sorted(indexes, key=QModelIndex.row)]
        waiting = [row.job_id for row in rows if row.status == "queued"]
        if not waiting:
            jobs = [self._desk.job(row.job_id) for row in rows]
            return drag_data([path for job in jobs if job is not None for path in job.pictures])
        data = QMimeData()
        data.setData(JOBS_FORMAT, "\n".join(waiting).encode())
        return data

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction | Qt.DropAction.MoveAction

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def canDropMimeData(
        self, data: QMimeData, _action: Qt.DropAction, row: int, _column: int, parent: _Index
    ) -> bool:
        return data.hasFormat(JOBS_FORMAT) and not parent.isValid() and self._place(row) is not None

    def dropMimeData(
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: _Index
    ) -> bool:
        if not self.canDropMimeData(data, action, row, column, parent):
            return False
        dragged = bytes(data.data(JOBS_FORMAT).data()).decode("utf-8", "replace").split("\n")
        self._desk.move(dragged, self._place(row) or None)
        self.refresh()
        return True

    def _place(self, row: int) -> str | None:
        """Before which waiting job something goes that is dropped between rows: empty: at the
        end; None: not among them."""
        waiting = [k for k, one in enumerate(self._rows) if one.status == "queued"]
        if not waiting:
            return None
        row = len(self._rows) if row < 0 else row
        if row > waiting[-1]:
            return ""
        return self._rows[max(row, waiting[0])].job_id
