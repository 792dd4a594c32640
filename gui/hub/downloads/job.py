"""One download from its plan to the finished folder: the thread that sees it through."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import install, settings
from gui.hub.downloads.fetch import Fetch
from gui.hub.downloads.journal import DownloadJournal, read_journal
from gui.hub.downloads.plan import Plan, Purpose, WorkFolder
from gui.hub.downloads.reuse import Known, clone_or_copy
from gui.hub.downloads.steering import DownloadContext, Stop, Stopped, busy
from gui.hub.downloads.storage import check_space, storage_error
from gui.hub.downloads.transport import Transport
from gui.hub.types import DownloadState, DownloadStatus, ModelKind, RemoteFile
from gui.library.models.origin import fetched_source, origin_of

TICK_SECONDS = 0.1
"""Between two reports while bytes arrive."""
_SPEED_SECONDS = 2.0
"""Time constant of the speed's moving average."""
_PAUSE_SECONDS = 0.3
"""How long pausing waits for connections that are still being opened."""


class DownloadJob:
    """One download.  Made from a plan; runs in a thread of its own when told to."""

    def __init__(self, plan: Plan, around: DownloadContext) -> None:
        self.plan = plan
        self.work = WorkFolder(around.root, plan.id)
        self._around = around
        self._thread: threading.Thread | None = None
        self._stop: Stop | None = None
        self._fetch: Fetch | None = None
        self._unpacking: tuple[int, int] | None = None
        self.state = DownloadState.PAUSED
        self.error: SfumatoError | None = None
        self.interrupted = False
        self._done_bytes = 0
        self._done_files = 0
        self._fetched_before = 0
        self._speed = 0.0
        self._folder = ""
        self._lock: int | None = None
        self._locking = threading.Lock()

    # -- how it stands ------------------------------------------------------------------------

    def recall(self) -> None:
        """Take over what an earlier process left: how far it got, and why it stopped."""
        state = self.work.load_state()
        fetched = state.get("fetched")
        self._fetched_before = fetched if isinstance(fetched, int) else 0
        self.interrupted = bool(state.get("live", True))
        error = state.get("error")
        if isinstance(error, dict):
            self.error = SfumatoError.from_json(error)
            self.state = DownloadState.FAILED
            self.interrupted = False
        self._done_bytes = self._done_files = 0
        with contextlib.suppress(OSError):
            written = read_journal(self.work.journal)
            for file in self.plan.variant.files:
                key, size = self.plan.file_key(file), self.plan.layout(file).bytes
                there = min(written[key].total, size) if key in written else 0
                self._done_bytes += there
                self._done_files += there == size

    def elsewhere(self) -> DownloadStatus:
        """How a download stands that another process works on, as far as the disk tells."""
        self.recall()
        began = self.work.load_state().get("live")
        state = DownloadState.FETCHING if began else DownloadState.QUEUED
        return dataclasses.replace(self.status(), state=state, error=None, interrupted=False)

    @property
    def kept(self) -> bool:
        """Whether there is anything on the disk to go on from.  A download that failed before its
        first byte leaves nothing there; only this process knows why, and can try again."""
        return self.state is not DownloadState.FAILED or self._done_bytes > 0

    def status(self) -> DownloadStatus:
        plan, fetch = self.plan, self._fetch
        if fetch is not None:
            self._done_bytes, self._done_files = fetch.bytes_done, fetch.files_done
        total, done = plan.bytes_total, self._done_bytes
        if self._unpacking is not None and self.state is DownloadState.UNPACKING:
            done, total = self._unpacking
        fetched = self._fetched_before + (fetch.bytes_fetched if fetch is not None else 0)
        fetching = self.state is DownloadState.FETCHING
        speed = self._speed if fetching else 0.0
        retry_in = 0.0
        if self.state is DownloadState.WAITING and fetch is not None:
            retry_in = max(0.0, fetch.resume_at - time.monotonic())
        error = self.error
        if self.state is DownloadState.WAITING and fetch is not None:
            error = fetch.last_problem
        return DownloadStatus(
            id=plan.id,
            repo=plan.repo,
            variant=plan.variant.id,
            title=plan.title,
            revision=plan.revision,
            state=self.state,
            bytes_total=total,
            bytes_done=min(done, total),
            bytes_fetched=fetched,
            files_total=len(plan.variant.files),
            files_done=self._done_files,
            bytes_per_second=speed,
            seconds_left=(total - done) / speed if speed > 0 else 0.0,
            retry_in=retry_in,
            folder=self._folder,
            error=error,
            interrupted=self.interrupted and self.state is DownloadState.PAUSED,
        )

    def was_there(self) -> None:
        """Nothing had to be done: what it would fetch is in its place."""
        self._folder = str(self.plan.target_folder(self._around.root))
        self._done_bytes, self._done_files = self.plan.bytes_total, len(self.plan.variant.files)
        self._become(DownloadState.DONE)

    def _become(self, state: DownloadState) -> None:
        if state is not self.state:
            self.state = state
            self._around.notify(self.status())

    # -- commands, from any thread ------------------------------------------------------------

    def claim(self) -> None:
        """Take the download's lock, until it comes to rest: queued ones are ours too.

        Raises:
            SfumatoError: STORAGE where another process has it, or the folder cannot be written.
        """
        with self._locking:
            if self._lock is not None:
                return
            try:
                self._lock = self.work.lock()
            except OSError as error:
                raise storage_error(error, self.work.path) from error
            if self._lock is None:
                raise busy(self.plan)

    def release(self) -> None:
        """Give the lock back, if it is held.  Once: the number may be another file's by now."""
        with self._locking:
            lock, self._lock = self._lock, None
            if lock is not None:
                os.close(lock)

    def start(self, ended: Callable[[DownloadJob], None]) -> None:
        """Run in a new thread; `ended` is called as its last act."""
        self._stop = None
        self.error = None
        self.interrupted = False

        def run() -> None:
            try:
                self._run()
            finally:
                ended(self)

        self._thread = threading.Thread(target=run, name=f"download {self.plan.id}", daemon=True)
        self._thread.start()

    def stop(self, why: Stop) -> None:
        """Ask it to stop; `join` waits for it."""
        with self._around.workers.changed:
            # Cancelling outweighs pausing, and the person's pause the end of the program.
            if self._stop is None or why is Stop.CANCEL:
                self._stop = why
            self._around.workers.changed.notify_all()
        if (fetch := self._fetch) is not None:
            fetch.stop()

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread; False where it is still at it."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(seconds)
        return not thread.is_alive()

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def at_work(self) -> bool:
        """Whether it runs in another thread than the one that asks."""
        return self.running and self._thread is not threading.current_thread()

    def settle(self, why: Stop) -> bool:
        """Bring a download that has no thread to rest: paused, or cancelled with its files gone.

        One thread at a time, with no other command beside it.

        Returns:
            whether its state changed, of which nobody has been told.
        """
        before = self.state
        self._speed = 0.0
        self._unpacking = None
        if why is Stop.CANCEL:
            self.work.remove()
            self._done_bytes = self._done_files = 0
            self.state = DownloadState.CANCELLED
        else:
            self.interrupted = why is Stop.CLOSE
            self._save_state(live=why is Stop.CLOSE)
            self.state = DownloadState.PAUSED
        self.release()
        return self.state is not before

    def rest(self, why: Stop) -> None:
        """`settle`, and say so."""
        if self.settle(why):
            self._around.notify(self.status())

    def _save_state(self, live: bool, placing: int = 0) -> None:
        error = self.error.to_json() if self.error is not None else None
        fetched = self.status().bytes_fetched
        self.work.save_state(live=live, error=error, fetched=fetched, placing=placing)

    def was_finished(self) -> bool:
        """Whether an earlier process got as far as putting the result in its place, and was ended
        before it could tidy up.  The folder is known by its number, which moving leaves as it is:
        what it replaces may be the same version of the same model."""
        placing = self.work.load_state().get("placing")
        with contextlib.suppress(OSError):
            target = self.plan.target_folder(self._around.root)
            return bool(placing) and target.stat().st_ino == placing
        return False

    def tidy_up(self) -> None:
        """Remove what is left of a download that was finished."""
        with contextlib.suppress(SfumatoError):
            self.claim()
            # Another process may have done so, and begun anew, since we looked.
            if self.was_finished():
                self.work.remove()
            self.release()

    # -- the run ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._save_state(live=True)
            files = self._get()
            self._finish(files)
        except Stopped:
            self.rest(self._stop or Stop.PAUSE)
        except SfumatoError as error:
            self._fail(error)
        except OSError as error:
            self._fail(storage_error(error, self.work.path))
        except Exception as error:
            sentence = "The download ran into a defect of Sfumato; resume it to try again."
            self._fail(SfumatoError(ErrorKind.INTERNAL, sentence, repr(error)))
        finally:
            self.release()

    def _fail(self, error: SfumatoError) -> None:
        if self._stop is Stop.CANCEL:
            self.rest(Stop.CANCEL)
            return
        self.error = error
        self._speed = 0.0
        if self._done_bytes:
            self._save_state(live=False)
        else:
            self.work.remove()
        self._become(DownloadState.FAILED)

    def _check_stop(self) -> None:
        if self._stop is not None:
            raise Stopped

    def _is_stopped(self) -> bool:
        return self._stop is not None

    def _get(self) -> dict[str, tuple[int, str]]:
        """Fetch and verify every file; returns size and SHA-256 by local path."""
        around = self._around
        transport = Transport(self.plan.repo, self.plan.revision, around.endpoint, around.token)
        self.work.model.mkdir(parents=True, exist_ok=True)
        self._become(DownloadState.FETCHING)
        with contextlib.closing(DownloadJournal(self.work.journal)) as journal:
            self._reuse(journal)
            fetch = Fetch(
                self.plan,
                self.work.model,
                journal,
                transport,
                around.workers.changed,
                around.backoff,
            )
            check_space(self.work.path, self._space_needed(fetch.bytes_done))
            fetch.prepare()
            self._fetch = fetch
            try:
                around.workers.add(fetch)
                self._watch(fetch)
            finally:
                around.workers.remove(fetch)
                fetch.stop()
                fetch.wait_idle(_PAUSE_SECONDS)
                self._done_bytes, self._done_files = fetch.bytes_done, fetch.files_done
                self._fetched_before += fetch.bytes_fetched
                self._fetch = None
        return {s.local: (s.file.size, s.hash.sha256) for s in fetch.files}

    @property
    def outstanding_bytes(self) -> int:
        """Room on the disk that it still has to take."""
        if self._unpacking is not None:
            done, total = self._unpacking
            return max(0, total - done)
        fetch = self._fetch
        return self._space_needed(fetch.bytes_done if fetch is not None else self._done_bytes)

    def _space_needed(self, there: int) -> int:
        unpacked = self.plan.variant.disk_bytes if self.plan.variant.archive else 0
        return self.plan.bytes_total - there + unpacked

    def _reuse(self, journal: DownloadJournal) -> None:
        """Take files that this machine has already, from elsewhere."""
        if self.plan.variant.spans:
            return
        known = Known(self.plan.repo, self._around.root)
        for file in self.plan.variant.files:
            self._check_stop()
            key = self.plan.file_key(file)
            target = self.work.model / self.plan.local_path(file)
            if journal.written(key).total or not file.size:
                continue
            found = known.find(file) or self._of_older_source(file)
            if found is None:
                continue
            try:
                if clone_or_copy(found, target, self._is_stopped):
                    journal.claim(key, 0, file.size)
                    self._done_bytes += file.size
            except OSError:
                continue  # fetched instead, which words a full disk properly
        self._check_stop()

    def _of_older_source(self, file: RemoteFile) -> Path | None:
        """The same file of an older revision of a kept checkpoint, perhaps; to be verified."""
        target = self.plan.target_folder(self._around.root)
        there = target / self.plan.local_path(file)
        if self.plan.purpose is Purpose.SOURCE and fetched_source(target):
            with contextlib.suppress(OSError):
                return there if there.stat().st_size == file.size else None
        return None

    def _watch(self, fetch: Fetch) -> None:
        """Report while the workers fetch, until all is there and sound.

        Raises:
            Stopped, SfumatoError: it ended before.
        """
        changed = self._around.workers.changed
        last_time, last_bytes = time.monotonic(), 0
        self._speed = 0.0
        self._become(DownloadState.FETCHING)
        while True:
            with changed:
                if self._stop is None and not fetch.complete and fetch.failure is None:
                    changed.wait(TICK_SECONDS)
            self._check_stop()
            if fetch.failure is not None:
                raise fetch.failure
            if fetch.complete:
                return
            now = time.monotonic()
            self._become(_activity(fetch, now))
            if now - last_time >= TICK_SECONDS:
                self._measure(now - last_time, fetch.bytes_fetched - last_bytes)
                last_time, last_bytes = now, fetch.bytes_fetched
                self._around.notify(self.status())

    def _measure(self, seconds: float, count: int) -> None:
        speed = count / seconds
        weight = min(1.0, seconds / _SPEED_SECONDS)
        self._speed = self._speed + weight * (speed - self._speed) if self._speed else speed

    # -- from files to a model -----------------------------------------------------------------

    def _finish(self, files: dict[str, tuple[int, str]]) -> None:
        plan, root = self.plan, self._around.root
        target = plan.target_folder(root)
        if plan.purpose is Purpose.REPAIR:
            install.flush(self.work.model)
            self._check_stop()
            self._check_target(target)
            install.swap_files(self.work.model, target, list(files))
        else:
            result = self.work.model
            install.prune(result, set(files))
            if plan.variant.archive:
                files = self._unpack()
                result = self.work.unpacked
            else:
                self._become(DownloadState.VERIFYING)
            if plan.purpose is Purpose.MODEL:
                self._describe(result, files)
            else:
                install.write_manifest(result, plan)
            install.flush(result)
            self._check_stop()
            self._save_state(live=True, placing=result.stat().st_ino)
            install.move_into_place(result, target, root)
        self._folder = str(target)
        self.work.remove()
        self._become(DownloadState.DONE)

    def _check_target(self, target: Path) -> None:
        """Make sure that what is to be repaired is still there, and the same version."""
        plan, origin = self.plan, origin_of(target)
        if origin is None or (origin.repo, origin.revision) != (plan.repo, plan.revision):
            raise SfumatoError(
                ErrorKind.NOT_FOUND,
                f"“{plan.title}” was deleted or replaced while it was being repaired; cancel this "
                "download.",
                f"{target}: {origin and origin.revision}",
            )

    def _unpack(self) -> dict[str, tuple[int, str]]:
        total = install.unpacked_bytes(self.plan, self.work)
        self._unpacking = (0, total)
        self._become(DownloadState.UNPACKING)
        last = time.monotonic()

        def on_bytes(done: int) -> None:
            nonlocal last
            self._unpacking = (done, total)
            if (now := time.monotonic()) - last >= TICK_SECONDS:
                last = now
                self._around.notify(self.status())

        try:
            files = install.unpack(self.plan, self.work, on_bytes, self._is_stopped)
        except SfumatoError as error:
            if self.plan.variant.spans and error.kind is ErrorKind.BAD_MODEL:
                # The entries' sums are all there is to check parts by: perhaps they only arrived
                # so, and another attempt fetches them anew.
                self._done_bytes = 0
            raise
        finally:
            self._unpacking = None
        if files is None:
            raise Stopped
        return files

    def _describe(self, folder: Path, files: dict[str, tuple[int, str]]) -> None:
        plan, learned = settings.learn(
            self.plan, self._around.endpoint, self._around.token, self._is_stopped
        )
        self._check_stop()
        install.write_sidecar(folder, plan, files, learned)
        if plan.variant.kind is ModelKind.LORA:
            settings.fetch_cover(plan, folder, self._around.endpoint, self._around.token)


def _activity(fetch: Fetch, now: float) -> DownloadState:
    """What a running fetch is doing just now."""
    if not fetch.in_flight and now < fetch.resume_at:
        return DownloadState.WAITING
    if fetch.all_bytes:
        return DownloadState.VERIFYING
    return DownloadState.FETCHING
