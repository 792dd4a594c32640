"""This Mac's own queue, asked for in the farm.

The queue's file stays what it is, and the truth: a job is queued, runs, has so many pictures.  What
arrives is first kept under the number of its picture, then, in the pictures' order, saved as any
picture is and written down.  Each of these steps can be the last one of this process, and is taken
up where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gui import records
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.farm import wire
from gui.farm.config import folder
from gui.farm.packing import Packed, pack
from gui.farm.transfers import Transfers
from gui.farm.wire import Unit
from gui.library import pictures, places
from gui.library.contact_sheet import save_sheet
from gui.library.job import ENDED, Job, JobStatus
from gui.library.picture_record import read_record
from gui.library.queue import PAUSED, JobStore
from gui.library.queue_live import LiveState, LiveWriter
from gui.process.messages import Event

LOOK_SECONDS = 0.25
"""Between two looks at what windows and commands did to the queue."""
MOST = 400
"""So many pictures are asked for at a time; the farm need not hear of all ten thousand."""
_RETRIES = 3
_MESSAGE = 2 * 2**20
"""Characters of jobs that are told in one message."""

log = logging.getLogger(__name__)


@dataclass
class Mine:
    """A job of this Mac's that is asked for."""

    job: Job
    packed: Packed
    told: bool = False
    """Whether the scheduler has heard of it as it is."""
    arrived: dict[int, Path] = field(default_factory=dict[int, Path])
    fetching: set[int] = field(default_factory=set[int])


class Origin:
    """The queue of this Mac.  All of it belongs to one event loop's thread.

    Args:
        send: says something to the scheduler, if there is one.
        transfers: fetches pictures.
        store: opens the queue, which is the farm's to run.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        transfers: Transfers,
        store: Callable[[], JobStore] = lambda: JobStore.default(farm=True),
    ) -> None:
        self._send = send
        self._transfers = transfers
        self._open = store
        self._store: JobStore | None = None
        self._mine: dict[str, Mine] = {}
        self._connected = False
        self._order_told: tuple[str, ...] | None = None
        self._begun_by: dict[Unit, str] = {}
        """Who draws pictures, or holds them, that have not arrived."""
        self._ended: tuple[str, ...] = ()
        """Jobs that are over and still listed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._sheets_refused: set[str] = set()
        self._arrivals = folder() / "Arrived"
        self._stale = True
        self._live = LiveWriter()

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take the queue as soon as nobody else runs it, and ask for what waits, until cancelled.

        Raises:
            SfumatoError: STORAGE where the queue cannot be used.
        """
        store = self._store = self._open()
        while not store.take():
            await asyncio.sleep(0.2)
        if not store.is_kept:
            raise SfumatoError(ErrorKind.STORAGE, store.notice)
        self._recover(store)
        while True:
            try:
                await self._look(store)
            except SfumatoError as error:  # the disk is full, or slow; it may be better soon
                log.warning("%s %s", error.message, error.detail)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    def close(self) -> None:
        """Let the queue go: what was under way is in line again."""
        for task in self._tasks:
            task.cancel()
        if self._store is not None and self._store.is_owner and self._store.is_kept:
            with contextlib.suppress(SfumatoError):
                self._store.recover()
            self._store.close()
        self._store = None

    def connected(self) -> None:
        """There is a scheduler, which knows nothing yet."""
        self._connected, self._order_told = True, None
        for mine in self._mine.values():
            mine.told = False
        self._nudge()

    def hung_up(self) -> None:
        self._connected = False

    def elsewhere(self, own: str) -> frozenset[Unit]:
        """Pictures that another Mac drew or had finished when it was heard of last."""
        return frozenset(
            unit for unit, who in self._begun_by.items() if who != own and unit.job in self._mine
        )

    def _recover(self, store: JobStore) -> None:
        """What the last process left."""
        for job in store.recover():
            if job.begun and job.status is JobStatus.QUEUED:
                # Saved and not written down: the process died between the two.
                number = len(job.pictures)
                for path, _record in pictures.made_for(job.id, job.request, number):
                    job.pictures.append(str(path))
                if len(job.pictures) > number:
                    self._settle_status(job)
                    store.update(job)

    # -- asking -------------------------------------------------------------------------------

    async def _look(self, store: JobStore) -> None:
        if store.changed_elsewhere() or self._stale:
            self._stale = False
            await self._read(store)
            for job_id in store.take_stops():
                self.stop(job_id)
        self._tell()
        await self._make_sheets(store)

    async def _read(self, store: JobStore) -> None:
        """Take over the queue as it stands."""
        paused = store.option(PAUSED)
        wanted: dict[str, Mine] = {}
        pictures_asked = 0
        jobs = store.jobs()
        self._ended = tuple(job.id for job in jobs if job.status in ENDED)
        for job in jobs:
            known = self._mine.get(job.id)
            running = known is not None and job.status is JobStatus.RUNNING
            waits = job.status is JobStatus.QUEUED and not paused
            if not (running or waits) or pictures_asked >= MOST:
                continue
            if known is not None and known.job.request == job.request:
                known.job = job if not running else known.job
                wanted[job.id] = known
            else:
                mine = await self._packed(store, job)
                if mine is None:
                    continue
                wanted[job.id] = mine
            pictures_asked += job.request.count - len(job.pictures)
        self._mine = wanted
        self._begun_by = {u: who for u, who in self._begun_by.items() if u.job in wanted}

    async def _packed(self, store: JobStore, job: Job) -> Mine | None:
        """A job ready to be asked for; None: it has failed by that."""
        arrived = self._kept(job)
        missing = self._missing(job, arrived)
        try:
            packed = await asyncio.to_thread(pack, job, missing)
        except Exception as error:
            self._fail(store, job, as_sfumato_error(error))
            return None
        mine = Mine(job, packed, arrived=arrived)
        if arrived:
            self._settle(store, mine)
            if job.status in ENDED:
                return None
        return mine

    @staticmethod
    def _missing(job: Job, arrived: dict[int, Path]) -> tuple[int, ...]:
        numbers = range(len(job.pictures), job.request.count)
        return tuple(number for number in numbers if number not in arrived)

    def _kept(self, job: Job) -> dict[int, Path]:
        """Pictures of a job that arrived and are not saved yet."""
        found: dict[int, Path] = {}
        for path in self._arrivals.glob(f"{job.id}-*.png"):
            number = path.stem.rpartition("-")[2]
            if number.isdigit() and int(number) >= len(job.pictures):
                found[int(number)] = path
        return found

    def _tell(self) -> None:
        """Say to the scheduler what has changed."""
        if not self._connected:
            return
        order = tuple(self._mine)
        new = [mine for mine in self._mine.values() if not mine.told]
        if order == self._order_told and not new:
            return
        ended = self._ended if self._order_told is None else ()
        told = []
        for mine in new:
            missing = self._missing(mine.job, mine.arrived)
            told.append(replace(mine.packed.wanted, missing=missing))
            mine.told = True
        # Requests can be long: in several messages, each of which has the whole order.
        for part in _in_parts(told):
            self._send(wire.Jobs(order, part, ended))
        self._order_told = order

    def _nudge(self) -> None:
        self._wake.set()

    # -- hearing ------------------------------------------------------------------------------

    def begun(self, event: wire.Begun) -> None:
        """Somebody draws a picture of a job."""
        mine, store = self._mine.get(event.unit.job), self._store
        if mine is not None and event.unit.number not in mine.arrived:
            self._begun_by[event.unit] = event.member
        if mine is None or store is None or mine.job.status is not JobStatus.QUEUED:
            return
        with self._storage():
            claimed = store.claim(mine.job.id)
            if claimed is None:
                self._stale = True
            else:
                mine.job = replace(claimed, pictures=list(claimed.pictures))
                if claimed.request != mine.packed.wanted.request:
                    self._stale = True  # edited: `_read` looks whether it is the same
        self._nudge()

    def made(self, event: wire.Made) -> None:
        """A picture can be fetched."""
        mine, number = self._mine.get(event.unit.job), event.unit.number
        if mine is None or number in mine.fetching:
            return
        if number < len(mine.job.pictures) or number in mine.arrived:
            self._send(wire.Got(event.unit))
            return
        self._begun_by[event.unit] = event.member
        mine.fetching.add(number)
        task = asyncio.create_task(self._fetch(mine, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, mine: Mine, event: wire.Made) -> None:
        unit = event.unit
        target = self._arrivals / f"{unit}.png"
        try:
            for attempt in range(_RETRIES):
                try:
                    await self._transfers.fetch(
                        event.member, "picture", str(unit), target, event.sha256
                    )
                    break
                except SfumatoError as error:
                    log.warning("%s: %s %s", unit, error.message, error.detail)
                    if error.kind is ErrorKind.STORAGE and self._store is not None:
                        self._fail(self._store, mine.job, error)
                        return
                    if not self._connected:
                        return  # it is told anew when the scheduler is back
                    if attempt == _RETRIES - 1 or error.kind is ErrorKind.NOT_FOUND:
                        self._send(wire.Missing(unit))
                        return
                    await asyncio.sleep(0.5)
        finally:
            mine.fetching.discard(unit.number)
        if self._mine.get(unit.job) is not mine:
            with contextlib.suppress(OSError):
                target.unlink()  # taken off meanwhile
            return
        mine.arrived[unit.number] = target
        self._begun_by.pop(unit, None)
        self._send(wire.Got(unit))
        if self._store is not None:
            with self._storage():
                self._settle(self._store, mine)
        self._nudge()

    def preview(self, event: wire.Preview) -> None:
        """Tell other processes of this Mac how far a picture is, where one of them looks."""
        drawn, mine = event.drawn, self._mine.get(event.drawn.unit.job)
        if mine is not None:
            state = LiveState(
                drawn.unit.job, drawn.unit.number, mine.job.request.count, drawn.step, drawn.steps,
                drawn.seconds_per_step, drawn.width, drawn.height,
            )  # fmt: skip
            self._live.tell(state, drawn.rgb)

    def _settle(self, store: JobStore, mine: Mine) -> None:
        """Save what has arrived and is next in order.

        Raises:
            SfumatoError: STORAGE.
        """
        job = mine.job
        while (path := mine.arrived.get(number := len(job.pictures))) is not None:
            record = None
            with contextlib.suppress(SfumatoError):
                record = read_record(path)
            if (
                record is None
                or record.job != job.id
                or (job.request.number_of(record.request) != number)
            ):
                log.warning("%s is not the picture that was asked for", path.name)
                del mine.arrived[number]
                path.unlink(missing_ok=True)
                mine.told = False  # asked for again
                return
            try:
                saved = pictures.save_made(path.read_bytes(), record, job.request)
            except SfumatoError as error:
                self._fail(store, job, error)
                return
            own = job.request.single(number)
            places.remember(replace(record, request=own))
            job.pictures.append(str(saved))
            self._settle_status(job)
            store.update(job)
            del mine.arrived[number]
            path.unlink(missing_ok=True)
        if job.status in ENDED:
            self._mine.pop(job.id, None)
            store.forget_finished()

    @staticmethod
    def _settle_status(job: Job) -> None:
        if len(job.pictures) >= job.request.count:
            job.status, job.error, job.ended = JobStatus.DONE, None, time.time()

    def failed(self, event: wire.Failed) -> None:
        """A job came to nothing."""
        mine = self._mine.get(event.job)
        if mine is not None and self._store is not None:
            self._fail(self._store, mine.job, event.error)

    def _fail(self, store: JobStore, job: Job, error: SfumatoError) -> None:
        job.status, job.error, job.ended = JobStatus.FAILED, error, time.time()
        with self._storage():
            store.update(job)
        self._mine.pop(job.id, None)
        self._nudge()

    def stop(self, job_id: str) -> None:
        """A person stops a job that runs."""
        mine, store = self._mine.pop(job_id, None), self._store
        if mine is not None and store is not None:
            job = mine.job
            job.status, job.error, job.ended = JobStatus.CANCELLED, None, time.time()
            with self._storage():
                store.update(job)
                store.forget_finished()
            for path in mine.arrived.values():
                with contextlib.suppress(OSError):
                    path.unlink()
        self._nudge()

    @contextlib.contextmanager
    def _storage(self):
        """What the disk refuses is logged, and looked at again."""
        try:
            yield
        except (SfumatoError, OSError) as error:
            log.warning("the queue cannot be written: %r", error)
            self._stale = True

    def file_of(self, sha256: str) -> Path | None:
        """A picture that goes along with a job of this Mac's; nothing else is ever given."""
        for mine in self._mine.values():
            if sha256 in mine.packed.files:
                return mine.packed.files[sha256]
        return None

    # -- grids --------------------------------------------------------------------------------

    async def _make_sheets(self, store: JobStore) -> None:
        """Make the contact sheets of grids that are over."""
        for finished in store.finished_grids():
            grid = finished.grid.id
            if grid in self._sheets_refused:
                continue
            try:
                sheet = await asyncio.to_thread(save_sheet, finished)
                store.sheet_made(grid, made=sheet is not None)
            except SfumatoError as error:
                self._sheets_refused.add(grid)  # until the next start, on another disk perhaps
                log.warning("%s %s", error.message, error.detail)


def _in_parts(told: list[wire.WantedJob]) -> Iterator[tuple[wire.WantedJob, ...]]:
    """Jobs for messages of a moderate length; at least one message, which may have none."""
    part: list[wire.WantedJob] = []
    length = 0
    for wanted in told:
        own = len(records.dumps(wanted))
        if part and length + own > _MESSAGE:
            yield tuple(part)
            part, length = [], 0
        part.append(wanted)
        length += own
    yield tuple(part)
