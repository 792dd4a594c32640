"""What a person does with the queue: take off, put in order, make twice, try again, edit.

All of it can be undone.  Jobs are known by their ids throughout, as the queue may have moved on by
the time of an undo: what is no longer there, or has begun, is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRequest
from gui.state.draft import Draft, DraftState, random_seed
from gui.state.undo import UndoStack

FINISHED = ("done", "cancelled")


class QueueDesk(QObject):
    """Commands on the queue.

    Args:
        queue: the `JobQueue`, or anything with its signals and methods.
        draft: where a waiting job's settings are brought to be edited.
        model: folder of the model in use, as requests have it.
        use_model: puts another one into use.
    """

    undoable = Signal(str)
    """Something was done that undo takes back: one sentence."""
    failed = Signal(SfumatoError)
    editing_changed = Signal()
    """`editing` is another job, or none."""

    def __init__(
        self,
        queue: Any,
        draft: DraftState,
        undo: UndoStack,
        model: Callable[[], str],
        use_model: Callable[[str], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._draft = draft
        self._undo = undo
        self._model = model
        self._use_model = use_model
        self._editing = ""
        self._set_aside: tuple[Draft, str] | None = None
        for signal in (queue.job_removed, queue.jobs_reset):
            signal.connect(self._on_removed)

    # -- looking ------------------------------------------------------------------------------

    def job(self, job_id: str) -> Any:
        """The job, or None where it is gone."""
        return next((job for job in self._queue.jobs() if job.id == job_id), None)

    def waiting(self) -> list[Any]:
        """Jobs that have not begun, in order."""
        return [job for job in self._queue.jobs() if job.status == "queued"]

    def cells_that_wait(self, grid: str) -> list[str]:
        """Ids of a grid's cells that have not begun."""
        return [j.id for j in self.waiting() if j.request.grid and j.request.grid.grid == grid]

    def _of(self, job_ids: Sequence[str], *statuses: str) -> list[Any]:
        wanted = set(job_ids)
        return [j for j in self._queue.jobs() if j.id in wanted and j.status in statuses]

    # -- taking off ---------------------------------------------------------------------------

    def remove(self, job_ids: Sequence[str]) -> None:
        """Take jobs off the list; one that is running stays.  Pictures stay in any case."""
        taken = self._take_off(job_ids)
        if not taken:
            return

        def undo() -> None:
            self._queue.put_back(*taken)

        def redo() -> None:
            taken[:] = self._take_off([job.id for job in taken])

        self._undo.did("Remove from Queue", undo, redo)
        what = "One request was" if len(taken) == 1 else f"{len(taken)} requests were"
        self.undoable.emit(f"{what} taken off the queue.")

    def remove_waiting(self) -> None:
        """Take off every job that has not begun."""
        self.remove([job.id for job in self.waiting()])

    def remove_finished(self) -> None:
        """Clear what is done or was stopped off the list."""
        self.remove([job.id for job in self._queue.jobs() if job.status in FINISHED])

    def _take_off(self, job_ids: Sequence[str]) -> list[Any]:
        return list(self._queue.remove_all(job_ids))

    # -- order --------------------------------------------------------------------------------

    def move(self, job_ids: Sequence[str], before: str | None) -> None:
        """Put waiting jobs, in their own order, before another one, or at the end."""
        order = [job.id for job in self.waiting()]
        moving = [job_id for job_id in order if job_id in set(job_ids)]
        if before in moving:  # dropped onto themselves: before what follows them
            rest = order[order.index(before) :] if before else []
            before = next((job_id for job_id in rest if job_id not in moving), None)
        left = [job_id for job_id in order if job_id not in moving]
        at = left.index(before) if before in left else len(left)
        self._reorder(order, [*left[:at], *moving, *left[at:]])

    def shift(self, job_ids: Sequence[str], by: int) -> None:
        """Move waiting jobs together by one place up (-1) or down (1)."""
        order = [job.id for job in self.waiting()]
        moving = [job_id for job_id in order if job_id in set(job_ids)]
        if not moving:
            return
        left = [job_id for job_id in order if job_id not in moving]
        above = order[: order.index(moving[0] if by < 0 else moving[-1])]
        at = sum(job_id in left for job_id in above) + by
        at = min(max(at, 0), len(left))
        self._reorder(order, [*left[:at], *moving, *left[at:]])

    def _reorder(self, before: list[str], after: list[str]) -> None:
        moved = [k for k, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
        if not moved:
            return
        span = slice(moved[0], moved[-1] + 1)  # what stands outside of it is left alone

        def put(order: list[str]) -> None:
            still = {job.id for job in self.waiting()}
            self._queue.reorder([job_id for job_id in order if job_id in still])

        put(after[span])
        self._undo.did("Move in Queue", lambda: put(before[span]), lambda: put(after[span]))

    # -- again --------------------------------------------------------------------------------

    def duplicate(self, job_ids: Sequence[str]) -> None:
        """Put the same requests in line once more: behind the last of them that waits, or at the
        end."""
        originals = [job for job in self._queue.jobs() if job.id in set(job_ids)]
        requests = [replace(job.request, output_file="", grid=None) for job in originals]
        if not requests:
            return
        order = [job.id for job in self.waiting()]
        waiting = [order.index(job.id) for job in originals if job.id in order]
        following = order[max(waiting) + 1] if waiting and max(waiting) + 1 < len(order) else None
        made: list[Any] = []

        def make() -> None:
            made[:] = self._submit(requests)
            ids = [job.id for job in made]
            if following is not None and following in (j := [job.id for job in self.waiting()]):
                rest = [job_id for job_id in j[j.index(following) :] if job_id not in ids]
                self._queue.reorder([*[job_id for job_id in ids if job_id in j], *rest])

        make()
        if made:
            self._undo.did("Duplicate", lambda: self._take_off([job.id for job in made]), make)

    def retry(self, job_ids: Sequence[str]) -> None:
        """Put jobs that failed or were stopped in line again; what they have made already is not
        made again."""
        ended = [job.id for job in self._of(job_ids, "failed", "cancelled")]
        for job_id in ended:
            self._queue.retry(job_id)

    def submit(self, requests: Sequence[PictureRequest], what: str, plan: Any = None) -> bool:
        """Put requests in line.

        Args:
            what: what this is called after “Undo”, where they are several.
            plan: the `GridPlan` whose cells they are.

        Returns:
            Whether they are in line; what hinders it has been raised as a signal.
        """
        made: list[Any] = []

        def make() -> None:
            made[:] = self._submit(list(requests), plan)

        make()
        if len(made) > 1:
            self._undo.did(what, lambda: self._take_off([job.id for job in made]), make)
        return bool(made)

    def _submit(self, requests: list[PictureRequest], plan: Any = None) -> list[Any]:
        try:
            if plan is not None:
                return list(self._queue.submit_all(requests, plan.grid, plan.base))
            return list(self._queue.submit_all(requests))
        except SfumatoError as error:
            self.failed.emit(error)
            return []

    # -- editing ------------------------------------------------------------------------------

    @property
    def editing(self) -> Any:
        """The waiting job whose settings are in the prompt panel, or None."""
        return self.job(self._editing) if self._editing else None

    @property
    def kept_draft(self) -> Draft | None:
        """What the person had in the panel before, and gets back after; None outside of editing."""
        return self._set_aside[0] if self._set_aside else None

    def edit(self, job_id: str) -> None:
        """Bring a waiting job's settings into the prompt panel.  It is not begun meanwhile."""
        if job_id == self._editing or not self._of([job_id], "queued"):
            return
        self.cancel_edit()
        request: PictureRequest = self.job(job_id).request
        self._set_aside = (self._draft.draft, self._model())
        self._editing = job_id
        self._queue.keep_back(job_id, True)
        self._use_model(request.model)
        self._draft.put(Draft.of_job(request))
        self.editing_changed.emit()

    def save_edit(self) -> bool:
        """Give the job the settings that the panel shows, and the panel what it had before.

        Returns:
            Whether it is over; what hinders it has been raised as a signal.
        """
        job = self.editing
        if job is None:
            return False
        before: PictureRequest = job.request
        draft = self._draft.draft
        if not draft.seed_locked:
            draft = replace(draft, request=replace(draft.request, seed=random_seed()))
        try:
            made = draft.requests_for(
                self._model(),
                output_dir=before.output_dir,
                previews=before.previews,
                keep_previews=before.keep_previews,
                reduce_memory=before.reduce_memory,
                precision=before.precision,
            )
            if len(made) > 1:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    "Alternatives in braces make requests of their own, and this is one; leave one "
                    "of them here.",
                )
            request = replace(made[0], output_file=before.output_file)
            if replace(request, grid=before.grid) == before:
                request = before  # nothing was changed, so it is still the cell that it was
            in_time = self._queue.edit(job.id, request)
        except SfumatoError as error:
            self.failed.emit(error)
            return False
        if not in_time:
            self._end(put_back=False)
            self.failed.emit(
                SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    "This request has begun meanwhile and stays as it was; press Generate to ask "
                    "for your settings, which are still here, as well.",
                )
            )
            return True
        self._end()
        if request != before:
            self._undo.did(
                "Edit Request",
                lambda: self._queue.edit(job.id, before),
                lambda: self._queue.edit(job.id, request),
            )
            self.undoable.emit("The waiting request was changed.")
        return True

    def cancel_edit(self) -> None:
        """Leave the job as it is, and give the panel back what it had before."""
        if self._editing:
            self._end()

    def _end(self, put_back: bool = True) -> None:
        job_id, self._editing = self._editing, ""
        kept, self._set_aside = self._set_aside, None
        if kept is not None and put_back:
            self._use_model(kept[1])
            self._draft.put(kept[0])
        self._queue.keep_back(job_id, False)
        self.editing_changed.emit()

    def _on_removed(self, *_: object) -> None:
        if self._editing and self.editing is None:
            self._end()


def what_waits(count: int) -> str:
    """“3 requests wait”"""
    return f"{words.plural(count, 'request')} {'waits' if count == 1 else 'wait'}"
