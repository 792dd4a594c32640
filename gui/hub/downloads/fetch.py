"""Fetching the files of one download: what is missing, handed out in pieces to several threads.

A `Fetch` is one stretch of activity, from starting or resuming to being complete, failing or being
stopped.  It owns no threads: those of `gui.hub.downloads.workers` call `take` and `work`.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from gui.errors import ErrorKind, SfumatoError
from gui.hub import errors
from gui.hub.downloads.hashing import FileHash
from gui.hub.downloads.journal import DownloadJournal, Ranges
from gui.hub.downloads.plan import Plan, digest_of
from gui.hub.downloads.spans import Layout
from gui.hub.downloads.storage import storage_error
from gui.hub.downloads.transport import Aborts, RangeIgnored, Transient, Transport, transient
from gui.hub.types import RemoteFile

CHUNK = 1 << 20
"""Bytes between two entries in the journal: what a kill can cost one connection at most."""
FLUSH_SECONDS = 0.5
"""On slow lines the journal is written this often, whatever has arrived."""
LARGE = 64 << 20
"""Files above this size are fetched over several connections at once."""
PIECE = 32 << 20
"""Length of the pieces of such a file."""


@dataclass(frozen=True)
class Backoff:
    """How long to wait before the next attempt after a failure of the network."""

    first: float = 1.0
    longest: float = 60.0
    attempts: int = 8
    """Failures in a row, without a byte in between, before giving up."""

    def delay(self, failures: int, asked: float) -> float:
        """Seconds to wait after that many failures; `asked`: what the server wants at least.

        Doubles each time, with jitter so that many clients do not come back at once.
        """
        grown = self.first * 2 ** min(failures - 1, 16)
        return max(asked, min(self.longest, grown) * random.uniform(0.5, 1.0))


class FileState:
    """One file of the run, or the parts of it that are wanted.  Positions are those in the file on
    the Hub.  Guarded by the run's lock, save `hash`."""

    def __init__(
        self,
        file: RemoteFile,
        path: Path,
        local: str,
        key: bytes,
        written: Ranges,
        layout: Layout,
    ) -> None:
        self.file = file
        self.path = path
        self.local = local
        self.key = key
        self.ranges = written
        self.layout = layout
        self.hash = FileHash(file)
        self.in_flight = 0
        self.whole = False
        """The server does not do ranges for it: one connection fetches it from its front."""
        self.arrived = False
        """Some of it came over the network in this run, rather than from the disk."""
        self.strikes = 0
        """How often it came damaged."""
        self.damaged = False
        """To be fetched again, once nobody is at it any more."""
        self.done = False

    def pieces(self) -> list[Piece]:
        """What is missing, cut up for several connections."""
        gaps = self.gaps()
        if self.whole:
            return [Piece(self, gaps[0][0], self.file.size)] if gaps else []
        if self.layout.bytes <= LARGE:
            return [Piece(self, a, b) for a, b in gaps]
        return [Piece(self, k, min(k + PIECE, b)) for a, b in gaps for k in range(a, b, PIECE)]

    def gaps(self) -> list[tuple[int, int]]:
        """What is missing of what is wanted."""
        missing = self.ranges.gaps(self.file.size)
        return [part for a, b in missing for part in self.layout.within(a, b)]

    @property
    def there(self) -> bool:
        """Whether every wanted byte is."""
        return self.ranges.total >= self.layout.bytes


@dataclass(frozen=True)
class Piece:
    """Bytes ``start … end`` of a file, to be fetched in one request."""

    state: FileState
    start: int
    end: int


class Fetch:
    """One run of a download.

    Args:
        plan: what to fetch.
        folder: where the files go, under their final names.
        journal: what is already there; stays the caller's.
        transport: where they come from.
        changed: condition shared with the worker threads; its lock guards this object.
        backoff: patience with the network.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        journal: DownloadJournal,
        transport: Transport,
        changed: threading.Condition,
        backoff: Backoff,
    ) -> None:
        self._repo = plan.repo
        self._journal = journal
        self._transport = transport
        self._changed = changed
        self._backoff = backoff
        self._aborts = Aborts()
        self._failures = 0
        self._pending: deque[Piece] = deque()
        self.in_flight = 0
        self.stopped = False
        self.failure: SfumatoError | None = None
        self.resume_at = 0.0
        """Monotonic time before which nothing is handed out."""
        self.last_problem: SfumatoError | None = None
        self.bytes_fetched = 0
        self.files = [_file_state(file, folder, plan, journal) for file in plan.variant.files]
        self._left = len(self.files)
        self._bytes_total = plan.bytes_total
        self.bytes_done = sum(state.ranges.total for state in self.files)

    # -- for the thread that runs the download -----------------------------------------------

    def prepare(self) -> None:
        """Make folders, hand out what is missing, the largest files first.

        Raises:
            OSError: the folder cannot be written.
        """
        for folder in {state.path.parent for state in self.files}:
            folder.mkdir(parents=True, exist_ok=True)
        with self._changed:
            for state in sorted(self.files, key=lambda s: -s.file.size):
                pieces = state.pieces()
                # A file that is there already has no piece left; an empty one checks it.
                size = state.file.size
                self._pending.extend(pieces or [Piece(state, size, size)])
            self._changed.notify_all()

    @property
    def complete(self) -> bool:
        return self._left == 0

    @property
    def files_done(self) -> int:
        return len(self.files) - self._left

    @property
    def all_bytes(self) -> bool:
        """Whether every byte is there, and only checking is left."""
        return self.bytes_done >= self._bytes_total

    def stop(self) -> None:
        """Hand out nothing more and end what is under way."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()
        self._aborts.abort_all()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no thread works here any more; False where that takes longer."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self.in_flight:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    # -- for the worker threads --------------------------------------------------------------

    def take(self, now: float) -> Piece | None:
        """The next piece to fetch, if there is one now.  Call with the lock held."""
        if self.stopped or self.failure or now < self.resume_at or not self._pending:
            return None
        piece = self._pending.popleft()
        self.in_flight += 1
        piece.state.in_flight += 1
        return piece

    def work(self, piece: Piece) -> None:
        """Fetch a piece that `take` gave, and settle what follows from how it went."""
        state = piece.state
        failure: SfumatoError | None = None
        retry: Transient | None = None
        try:
            self._fetch(piece)
        except RangeIgnored:
            if state.layout.in_parts:
                failure = _no_parts(state)
            else:
                with self._changed:
                    state.whole = True
        except SfumatoError as error:
            failure = error
        except Exception as error:
            retry = transient(error)
            failure = None if retry else self._permanent(error, state)
        with self._changed:
            self.in_flight -= 1
            state.in_flight -= 1
            if not self.stopped:
                if failure is not None:
                    self.failure = self.failure or failure
                if retry is not None:
                    self._postpone(retry)
                self._requeue(piece)
            self._changed.notify_all()

    def _postpone(self, retry: Transient) -> None:
        now = time.monotonic()
        if now < self.resume_at:  # another connection of the same outage
            self.resume_at = max(self.resume_at, now + retry.wait)
            return
        self._failures += 1
        self.last_problem = retry.error
        if self._failures > self._backoff.attempts:
            self.failure = self.failure or retry.error
            return
        self.resume_at = max(self.resume_at, now + self._backoff.delay(self._failures, retry.wait))

    def _requeue(self, piece: Piece) -> None:
        """Put back what of a piece is still missing.  Call with the lock held."""
        state = piece.state
        if state.done:
            return
        if state.whole or state.damaged:
            # From the beginning, or over one connection only; not beside one that still writes.
            self._pending = deque(p for p in self._pending if p.state is not state)
            if not state.in_flight:
                state.damaged = False
                size = state.file.size
                self._pending.extendleft(state.pieces() or [Piece(state, size, size)])
            return
        missing = [
            Piece(state, max(a, piece.start), min(b, piece.end))
            for a, b in state.gaps()
            if a < piece.end and b > piece.start
        ]
        self._pending.extendleft(reversed(missing))
        if not missing and not state.in_flight and state.there:
            # All is there but the file was not settled, as another thread was still at it.
            self._pending.appendleft(Piece(state, state.file.size, state.file.size))

    def _permanent(self, error: Exception, state: FileState) -> SfumatoError:
        # huggingface_hub's errors are OSErrors too, without a number.
        if isinstance(error, OSError) and error.errno is not None:
            return storage_error(error, state.path)
        found = errors.translate(error, self._repo)
        # To those not signed in the Hub says "unauthorized" of what it does not have; of something
        # that could be read a moment ago we know better.
        gone = isinstance(error, RepositoryNotFoundError) or self._transport.anonymous
        unheard = found.kind in (ErrorKind.ACCESS, ErrorKind.NOT_FOUND) and gone
        known = isinstance(error, (GatedRepoError, EntryNotFoundError, RevisionNotFoundError))
        if unheard and self.bytes_done and not known:
            return SfumatoError(
                ErrorKind.NOT_FOUND,
                f"“{self._repo}” has been taken off the Hub, or made private; look for it again "
                "later, as what was fetched is kept.",
                found.detail,
            )
        return found

    def _fetch(self, piece: Piece) -> None:
        """Fetch, write, record and hash a piece; settle the file when that was its last."""
        state = piece.state
        fd = os.open(state.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if state.ranges.total and not state.layout.in_parts:
                # After a restart: hash what lies there before a connection waits for us.
                state.hash.catch_up(fd, state.ranges.prefix, self._is_stopped)
            if piece.end > piece.start:
                self._stream(fd, piece)
            self._settle(fd, state)
        finally:
            os.close(fd)

    def _is_stopped(self) -> bool:
        return self.stopped

    def _stream(self, fd: int, piece: Piece) -> None:
        state = piece.state
        with (
            self._transport.open(state.file, piece.start, piece.end, state.whole) as stretch,
            self._aborts.watch(stretch),
        ):
            # A server without ranges sends from the front: pass over what is there.
            position, skip = piece.start, piece.start - stretch.start
            held: list[bytes] = []
            size, since = 0, time.monotonic()
            try:
                for block in stretch.blocks():
                    if self.stopped:
                        return
                    if skip:
                        dropped = min(skip, len(block))
                        skip -= dropped
                        block = block[dropped:]
                    if not block:
                        continue
                    held.append(block)
                    size += len(block)
                    if size >= CHUNK or time.monotonic() - since > FLUSH_SECONDS:
                        position = self._write(fd, state, position, held)
                        held, size, since = [], 0, time.monotonic()
            finally:
                # Also when the connection broke: what has arrived is not asked for again.
                if held:
                    position = self._write(fd, state, position, held)
            if position < piece.end and not self.stopped:
                raise Transient(_cut_short(f"{state.local}: {position} of {piece.end}"))

    def _write(self, fd: int, state: FileState, position: int, held: list[bytes]) -> int:
        """Write, then record: the journal never claims what is not there."""
        data = held[0] if len(held) == 1 else b"".join(held)
        if self.stopped:
            return position
        end = position + len(data)
        written, place = 0, state.layout.place(position)
        while written < len(data):
            written += os.pwrite(fd, memoryview(data)[written:], place + written)
        self._journal.append(state.key, position, end)
        with self._changed:
            self.bytes_done += state.ranges.add(position, end)
            self.bytes_fetched += len(data)
            self._failures = 0
            state.arrived = True
        if state.layout.in_parts:
            return end
        state.hash.feed(position, data)
        if state.hash.position < position:
            state.hash.catch_up(fd, state.ranges.prefix, self._is_stopped)
        return end

    def _settle(self, fd: int, state: FileState) -> None:
        """When nothing of the file is missing: check it, once."""
        with self._changed:
            if state.done or self.stopped or not state.there:
                return
            if state.layout.in_parts:  # the Hub states no sum of them; the archive has one of each
                state.done = True
                self._left -= 1
                return
        state.hash.catch_up(fd, state.ranges.prefix, self._is_stopped, wait=True)
        with self._changed:
            if state.done or self.stopped or not state.there:
                return  # settled by another thread meanwhile
            if state.hash.matches():
                if os.fstat(fd).st_size > state.file.size:
                    os.ftruncate(fd, state.file.size)
                state.done = True
                self._left -= 1
                return
            self._damaged(fd, state)

    def _damaged(self, fd: int, state: FileState) -> None:
        """All bytes are there and wrong: once more from the front, then give up."""
        self._journal.forget(state.key)
        self.bytes_done -= state.ranges.total
        state.ranges.clear()
        state.hash.reset()
        os.ftruncate(fd, 0)
        state.strikes += state.arrived
        state.damaged = True
        state.arrived = False
        if state.strikes > 1:
            self.failure = SfumatoError(
                ErrorKind.NETWORK,
                f"“{Path(state.local).name}” arrived damaged twice; resume the download to try "
                "again, perhaps over another network.",
                f"{state.local}: hash differs from {digest_of(state.file)}",
            )


def _file_state(file: RemoteFile, folder: Path, plan: Plan, journal: DownloadJournal) -> FileState:
    local, key, layout = plan.local_path(file), plan.file_key(file), plan.layout(file)
    path = folder / local
    state = FileState(file, path, local, key, journal.written(key), layout)
    with contextlib.suppress(OSError):
        there = path.stat().st_size
        if all(layout.place(end - 1) < there for _, end in state.ranges):
            return state
    if state.ranges.total:
        journal.forget(state.key)
        state.ranges.clear()
    return state


def _no_parts(state: FileState) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"This server sends no parts of files, so “{state.path.name}” can only be had as a whole; "
        "download it in a browser and unpack it.",
        state.local,
    )


def _cut_short(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK,
        "The connection to the Hub broke off; check the network, then resume the download.",
        detail,
    )
