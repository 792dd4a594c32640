"""The queue on disk, for coroutines: what other programs ask for is put in line, watched and taken
off there.

One thread has the queue's connection.  It looks whether anything changed fifty times a second
while somebody waits, and twice a second otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.library.job import ENDED, Job, JobStatus
from gui.library.queue import PAUSED, JobStore
from gui.library.queue_live import LiveReader, LiveState
from gui.request import PictureRequest
from gui.serve import limits
from gui.serve.refusals import Refusal

_SOON, _LATER = 0.02, 0.5
_TOGETHER = 0.05
"""Seconds in which who runs the queue is told of it once."""
_T = TypeVar("_T")


@dataclass(eq=False)
class Ticket:
    """What one program asked for: jobs that are made one after the other."""

    jobs: list[str]
    pictures: int
    """That it will have in all."""
    interrupted: bool = False
    skipped: bool = False
    unfinished: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    """The last preview of jobs that were stopped: width, height, pixels."""
    made: list[str] = field(default_factory=list)
    """Files, in order, once all jobs have ended."""


@dataclass(frozen=True)
class Now:
    """The queue as it was last looked at."""

    jobs: tuple[Job, ...] = ()
    paused: bool = False
    version: int = 0


class QueueDesk:
    """Belongs to the service's event loop.

    Args:
        on_touched: told after something was put in line or taken off, so that who runs the queue
            looks at once.
        on_waiting: told how many requests wait for their pictures.
    """

    def __init__(self, on_touched: Callable[[], None], on_waiting: Callable[[int], None]) -> None:
        self._on_touched = on_touched
        self._on_waiting = on_waiting
        self._thread = ThreadPoolExecutor(1, "queue")
        self._store: JobStore | None = None
        self._live: LiveReader | None = None
        self._watch: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._eager = 0
        self._woken = asyncio.Event()
        self._told = 0.0
        self._telling: asyncio.TimerHandle | None = None
        self.now = Now()
        self.state = LiveState("")
        """The newest step that was told, of whichever job."""
        self.preview: tuple[int, int, bytes] | None = None
        """Of the job of `state`: width, height, pixels."""
        self.steps = 0
        """Counts what was told."""
        self.tickets: list[Ticket] = []
        """Of programs that wait, in their order."""

    async def start(self) -> None:
        """Raises SfumatoError where the queue cannot be used."""
        await self._run(self._open)
        self._watch = asyncio.create_task(self._watching())

    async def close(self) -> None:
        """End the watch, and let go of the queue."""
        if self._telling is not None:
            self._telling.cancel()
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    # -- for whoever asks ---------------------------------------------------------------------

    async def add(self, requests: Sequence[PictureRequest]) -> list[Job]:
        """Put requests in line, all or none.

        Raises:
            SfumatoError: BAD_REQUEST, STORAGE; 503 where too many wait already.
        """
        for request in requests:
            request.validate()
        waiting = sum(job.status is JobStatus.QUEUED for job in self.now.jobs)
        if waiting + len(requests) > limits.MAX_WAITING:
            raise Refusal(503, "Too many requests wait in line already; try again later.")
        jobs = await self._run(lambda: self._there().add_all(requests))
        await self.touch()
        return jobs

    async def make(self, ticket: Ticket) -> None:
        """Wait until all jobs of a ticket have ended; its `made` are there then.

        Raises:
            SfumatoError: what the first one failed with.
        """
        self.tickets.append(ticket)
        self._on_waiting(len(self.tickets))
        try:
            async with self.eagerly():
                jobs = await self._ended(ticket)
        finally:
            self.tickets.remove(ticket)
            self._on_waiting(len(self.tickets))
        for job in jobs.values():
            if job.status is JobStatus.DONE:  # it was finished before it could be stopped
                ticket.unfinished.pop(job.id, None)
        ticket.made = [path for job in jobs.values() for path in job.pictures]
        failed = next((job for job in jobs.values() if job.status is JobStatus.FAILED), None)
        if failed is not None:
            raise failed.error or SfumatoError(
                ErrorKind.INTERNAL, "The picture could not be made; try again."
            )
        if not ticket.made and not ticket.interrupted and not ticket.skipped:
            raise Refusal(409, "The request was stopped in Sfumato; ask again to have it made.")

    async def _ended(self, ticket: Ticket) -> dict[str, Job]:
        """What became of a ticket's jobs; those that were taken off are left out."""
        found: dict[str, Job] = {}
        known: set[str] = set()
        async for now in self.changes():
            there = {job.id: job for job in now.jobs if job.id in ticket.jobs}
            known |= there.keys()
            found |= {name: job for name, job in there.items() if job.status in ENDED}
            # Those that this has never seen were added after it looked last.
            if all(name in found or (name in known and name not in there) for name in ticket.jobs):
                return {name: found[name] for name in ticket.jobs if name in found}
        return found

    def keep_preview(self, ticket: Ticket) -> None:
        """Remember how far the job of a ticket is that is made now, as it is going to be
        stopped."""
        job = self.state.job
        if self.preview is not None and job in ticket.jobs:
            ticket.unfinished[job] = self.preview

    async def stop(self, job_ids: Sequence[str]) -> None:
        """Take jobs off; one that runs is stopped at its next step.

        Raises:
            SfumatoError: STORAGE.
        """
        await self._run(lambda: self._stop(job_ids))
        await self.touch()

    async def forget(self, job_ids: Sequence[str]) -> None:
        """Take jobs off that have ended.  Never raises."""
        with contextlib.suppress(SfumatoError):
            await self._run(lambda: self._there().remove(*job_ids))
        await self.touch()

    async def move(self, job_id: str, before: str | None) -> None:
        """Put a job that waits before another one, or at the end.

        Raises:
            SfumatoError: NOT_FOUND, STORAGE.
        """
        order = [job.id for job in self.now.jobs if job.status is JobStatus.QUEUED]
        if job_id not in order or (before is not None and before not in order):
            raise SfumatoError(
                ErrorKind.NOT_FOUND,
                "Only what waits can be moved; look at the queue again.",
            )
        order.remove(job_id)
        order.insert(len(order) if before is None else order.index(before), job_id)
        await self._run(lambda: self._there().reorder(order))
        await self.touch()

    async def pause(self, on: bool) -> None:
        """Raises SfumatoError: STORAGE."""
        await self._run(lambda: self._there().set_option(PAUSED, on))
        await self.touch()

    async def touch(self) -> None:
        """Look now, and have who runs the queue look."""
        self._tell_touched()
        await self._look(anyway=True)

    def _tell_touched(self) -> None:
        """At once, and of what follows soon once for all: each time the whole queue is read."""
        if self._telling is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._told + _TOGETHER - loop.time()
        if wait > 0:
            self._telling = loop.call_later(wait, self._tell_now)
        else:
            self._tell_now()

    def _tell_now(self) -> None:
        self._telling = None
        self._told = asyncio.get_running_loop().time()
        self._on_touched()

    async def changes(self) -> AsyncIterator[Now]:
        """The queue as it is, and again whenever it has changed."""
        version = -1
        while True:
            async with self._changed:
                while self.now.version == version:
                    await self._changed.wait()
                now = self.now
            version = now.version
            yield now

    async def next_step(self, seen: int, seconds: float) -> int:
        """Wait for a step that is newer, or for the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                while self.steps == seen:
                    await self._changed.wait()
        return self.steps

    @contextlib.asynccontextmanager
    async def eagerly(self) -> AsyncIterator[None]:
        """While somebody waits, it is looked often."""
        self._eager += 1
        self._woken.set()
        try:
            yield
        finally:
            self._eager -= 1

    def job(self, job_id: str) -> Job:
        """Raises SfumatoError: NOT_FOUND."""
        for job in self.now.jobs:
            if job.id == job_id:
                return job
        raise SfumatoError(
            ErrorKind.NOT_FOUND, "No request of this id is in the queue; look at the queue again."
        )

    # -- watching -----------------------------------------------------------------------------

    async def _watching(self) -> None:
        while True:
            with contextlib.suppress(SfumatoError):
                await self._look()
            self._woken.clear()
            if self._eager:
                await asyncio.sleep(_SOON)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), _LATER)

    async def _look(self, anyway: bool = False) -> None:
        eager = self._eager > 0
        now, told = await self._run(lambda: self._looked(anyway, eager))
        if now is None and told is None:
            return
        async with self._changed:
            if now is not None:
                jobs, paused = now
                self.now = Now(jobs, paused, self.now.version + 1)
            if told is not None:
                state, pixels = told
                if state.width:
                    self.preview = state.width, state.height, pixels
                elif state.job != self.state.job:
                    self.preview = None
                self.state = state
                self.steps += 1
            self._changed.notify_all()

    # -- on the queue's thread ----------------------------------------------------------------

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _there(self) -> JobStore:
        assert self._store is not None
        return self._store

    def _open(self) -> None:
        store = JobStore.default(own=False)
        if not store.is_kept:
            notice = store.notice
            store.close()
            raise SfumatoError(ErrorKind.STORAGE, notice)
        self._store = store
        self._leave_nothing(store)
        self.now = Now(tuple(store.jobs()), store.option(PAUSED), 1)

    @staticmethod
    def _leave_nothing(store: JobStore) -> None:
        """Nobody waits any more for what an earlier service was to give away."""
        ours = str(paths.answers_dir())
        store.remove(*(job.id for job in store.jobs() if job.request.output_dir == ours))

    def _close(self) -> None:
        if self._live is not None:
            self._live.close()
        if self._store is not None:
            self._store.close()

    def _looked(
        self, anyway: bool, eager: bool
    ) -> tuple[tuple[tuple[Job, ...], bool] | None, tuple[LiveState, bytes] | None]:
        store = self._there()
        now = None
        if store.changed_elsewhere() or anyway:
            now = tuple(store.jobs()), store.option(PAUSED)
        if not eager:
            if self._live is not None:
                self._live.close()
                self._live = None
            return now, None
        self._live = self._live or LiveReader()
        return now, self._live.newer()

    def _stop(self, job_ids: Sequence[str]) -> None:
        store = self._there()
        off = store.remove(*job_ids)
        for name in job_ids:
            if name not in off:
                store.ask_to_stop(name)
