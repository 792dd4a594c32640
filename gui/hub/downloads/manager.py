"""All downloads of this process, and those that earlier ones left on the disk."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gui import names, paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import checkpoint_files
from gui.hub.downloads.fetch import Backoff
from gui.hub.downloads.job import DownloadJob
from gui.hub.downloads.plan import (
    FOLDER,
    About,
    Plan,
    Purpose,
    WorkFolder,
    download_id,
    is_source_of,
    source_target,
    target_of,
)
from gui.hub.downloads.steering import DownloadContext, Stop, busy
from gui.hub.downloads.storage import check_space, storage_error
from gui.hub.downloads.workers import Workers
from gui.hub.types import (
    DownloadState,
    DownloadStatus,
    RemoteFile,
    RepoDetails,
    RepoTree,
    Variant,
)
from gui.library.models.folders import holds_files
from gui.library.models.origin import origin_of

_STOP_SECONDS = 1.0


class Downloads:
    """Downloads that lose nothing: resumable, verified, several at once.

    Every method may be called from any thread.

    Args:
        root: folder of the installed models; None: `paths.models_dir()`.
        endpoint: base address of the Hub; None: huggingface_hub's.
        token: asked before every request; may answer None.
        on_change: told of every change of state, and of progress at most ten times a second per
            download; called from one thread at a time, in order.
        limit: downloads that run at once; the others are queued.
        connections: over all downloads together.
        backoff: patience with the network.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        endpoint: str | None = None,
        token: Callable[[], str | None] = lambda: None,
        on_change: Callable[[DownloadStatus], None] = lambda _: None,
        limit: int = 2,
        connections: int = 8,
        backoff: Backoff | None = None,
    ) -> None:
        self.root = root or paths.models_dir()
        self._limit = limit
        self._on_change = on_change
        self._notifying = threading.RLock()
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._jobs: dict[str, DownloadJob] = {}
        self._queue: list[DownloadJob] = []
        self._active: set[DownloadJob] = set()
        self._settling: set[DownloadJob] = set()
        """Being brought to rest by one thread; others leave them alone."""
        self._closed = False
        workers = Workers(connections)
        self._around = DownloadContext(
            self.root, endpoint, token, workers, backoff or Backoff(), self._notify
        )

    # -- starting ------------------------------------------------------------------------------

    def start(
        self,
        repo: str,
        revision: str,
        variant: Variant,
        *,
        title: str = "",
        about: RepoDetails | None = None,
    ) -> DownloadStatus:
        """Download and install a variant; goes on with what an earlier attempt left.

        Args:
            repo: ``owner/name``.
            revision: commit hash.
            variant: what to get.
            title: name of the model in the library; empty: the repository's.
            about: where known, gives the sidecar its licence, description and base model, which
                are asked of the Hub otherwise.

        Raises:
            SfumatoError: BAD_MODEL for file names that cannot be made; STORAGE where the disk has
                no room or cannot be written, or another process downloads the same.
        """
        return self.start_plan(
            Plan(
                id=download_id(repo, variant.id, Purpose.MODEL),
                repo=repo,
                revision=revision,
                title=title or repo.partition("/")[2] or repo,
                purpose=Purpose.MODEL,
                variant=variant,
                target=self._free_target(repo, variant),
                about=About.of(about) if about is not None else About(),
            )
        )

    def start_source(self, repo: str, revision: str, tree: RepoTree) -> DownloadStatus:
        """Download a diffusers checkpoint (or a single-file one) to convert, unless it is kept here
        from an earlier time.

        Raises:
            SfumatoError: as `start`; UNSUPPORTED where it holds nothing that can be converted.
        """
        files = checkpoint_files.pick(tree)
        size = sum(file.size for file in files)
        variant = Variant(
            id="source", title="Checkpoint", files=files, download_bytes=size, disk_bytes=size
        )
        plan = Plan(
            id=download_id(repo, variant.id, Purpose.SOURCE),
            repo=repo,
            revision=revision,
            title=repo.partition("/")[2] or repo,
            purpose=Purpose.SOURCE,
            variant=variant,
            target=source_target(repo),
        )
        plan.check()
        if not is_source_of(plan, plan.target_folder(self.root)):
            return self.start_plan(plan)
        with self._lock:
            job = self._jobs.get(plan.id)
            if job is not None and job.state.live:
                return job.status()
            job = self._jobs[plan.id] = DownloadJob(plan, self._around)
        job.was_there()
        return job.status()

    def start_repair(
        self,
        folder: Path,
        repo: str,
        revision: str,
        variant: Variant,
        files: tuple[RemoteFile, ...],
    ) -> DownloadStatus:
        """Fetch single files of an installed model again.

        Args:
            folder: the model.
            repo: where it came from.
            revision: the commit it was installed from.
            variant: the variant, whose `folder` says how remote paths map to local ones.
            files: the bad ones, as the Hub lists them.
        """
        part = dataclasses.replace(
            variant, files=files, archive=False, download_bytes=sum(f.size for f in files)
        )
        return self.start_plan(
            Plan(
                id=download_id(repo, f"{variant.id}\0{folder}", Purpose.REPAIR),
                repo=repo,
                revision=revision,
                title=folder.name,
                purpose=Purpose.REPAIR,
                variant=part,
                target=str(folder),
            )
        )

    def start_plan(self, plan: Plan) -> DownloadStatus:
        """Start, or go on with, a download that is planned."""
        plan.check()
        self._at_rest(plan.id)
        with self._settled:
            self._await_settled(plan.id)
            self._scan()
            job = self._jobs.get(plan.id)
            if job is not None and (job.running or job in self._queue):
                return job.status()
            job = DownloadJob(plan, self._around)
            self._prepare(job)
            self._enqueue(job)
            self._jobs[plan.id] = job
        self._pump()
        return job.status()

    def _prepare(self, job: DownloadJob) -> None:
        """Take the lock of a download, write its plan, and see whether there is room for it."""
        work = job.work
        try:
            work.path.mkdir(parents=True, exist_ok=True)
            job.claim()
        except OSError as error:
            raise storage_error(error, work.path) from error
        try:
            work.save(job.plan)
            job.recall()
            others = sum(other.outstanding_bytes for other in (*self._active, *self._queue))
            check_space(self.root, job.outstanding_bytes, others)
        except BaseException as error:
            if not job.status().bytes_done:
                work.remove()
            job.release()
            if isinstance(error, OSError):
                raise storage_error(error, work.path) from error
            raise

    # -- steering ------------------------------------------------------------------------------

    def pause(self, download: str) -> DownloadStatus:
        """Stop it and keep what is there."""
        return self._halt(download, Stop.PAUSE)

    def cancel(self, download: str) -> DownloadStatus:
        """Stop it and remove what is there."""
        return self._halt(download, Stop.CANCEL)

    def resume(self, download: str) -> DownloadStatus:
        """Go on with a download that is paused, failed or left from an earlier run.

        Raises:
            SfumatoError: NOT_FOUND where there is none; STORAGE where another process works on it.
        """
        self._at_rest(download)
        with self._settled:
            self._await_settled(download)
            self._scan()
            job = self._job(download)
            if job.running or job in self._queue or job.state is DownloadState.DONE:
                return job.status()
            if not job.kept:
                self._prepare(job)
            elif job.work.path.is_dir():
                job.claim()
                # Another process may have gone on with it meanwhile, even at a newer revision.
                if (plan := job.work.load()) is not None and plan != job.plan:
                    job.plan = plan
                    job.recall()
            else:
                del self._jobs[download]
                raise _unknown(download)
            self._enqueue(job)
        self._pump()
        return job.status()

    def _halt(self, download: str, why: Stop) -> DownloadStatus:
        with self._settled:
            self._scan()
            job = self._job(download)
            seized = self._seize(job, why)
        if not seized and job.running:
            job.stop(why)
            if job.join(_STOP_SECONDS) and why is Stop.CANCEL:
                with self._settled:  # it may have been failing, or being paused, just then
                    seized = self._seize(job, why)
        if seized:
            self._settle(job, why)
        with self._settled:
            self._settled.notify_all()
        return job.status()

    def _seize(self, job: DownloadJob, why: Stop) -> bool:
        """Keep others from a download that does not run, so that it can be brought to rest; False
        where that is not to be done.  Call with the lock held."""
        self._settled.wait_for(lambda: job not in self._settling, _STOP_SECONDS)
        if job in self._settling:
            return False
        if job in self._queue:
            self._queue.remove(job)
        elif (
            job.at_work
            or why is not Stop.CANCEL
            or job.state not in (DownloadState.PAUSED, DownloadState.FAILED)
        ):
            return False
        elif job.work.path.is_dir():
            job.claim()
        self._settling.add(job)
        return True

    def _settle(self, job: DownloadJob, why: Stop) -> None:
        """Bring a download that was seized to rest.  Call without the lock."""
        try:
            changed = job.settle(why)
        finally:
            with self._settled:
                self._settling.discard(job)
                self._settled.notify_all()
        if changed:
            self._notify(job.status())

    def _enqueue(self, job: DownloadJob) -> None:
        job.state = DownloadState.QUEUED
        job.error = None
        self._queue.append(job)

    def _pump(self) -> None:
        """Start queued downloads while there is room."""
        with self._lock:
            while self._queue and len(self._active) < self._limit and not self._closed:
                job = self._queue.pop(0)
                self._active.add(job)
                job.start(self._ended)
            waiting = list(self._queue)
        for job in waiting:
            self._notify(job.status())

    def _ended(self, job: DownloadJob) -> None:
        """In a download's thread, as its last act."""
        with self._settled:
            self._active.discard(job)
            self._settled.notify_all()
        self._pump()

    def _at_rest(self, download: str) -> None:
        """Let a download that has said it is over be so; steering follows."""
        job = self._jobs.get(download)
        if job is not None and not job.state.live:
            job.join(_STOP_SECONDS)

    def _await_settled(self, download: str) -> None:
        """Let another thread finish bringing a download to rest.  Call with the lock held.

        Raises:
            SfumatoError: STORAGE where that takes long.
        """
        if not self._settled.wait_for(
            lambda: self._jobs.get(download) not in self._settling, _STOP_SECONDS
        ):
            raise SfumatoError(
                ErrorKind.STORAGE,
                "This download is just being brought to rest; try again in a moment.",
                download,
            )

    # -- looking -------------------------------------------------------------------------------

    def all(self) -> tuple[DownloadStatus, ...]:
        """Every download there is: of this run, and paused ones of earlier runs."""
        with self._lock:
            self._scan()
            jobs = list(self._jobs.values())
        return tuple(
            status for job in jobs if (status := job.status()).state is not DownloadState.CANCELLED
        )

    def elsewhere(self) -> tuple[DownloadStatus, ...]:
        """Downloads that other processes work on at the moment."""
        with self._lock:
            own = {job.plan.id for job in (*self._active, *self._queue, *self._settling)}
        found = (WorkFolder(self.root, name) for name in sorted(self._folders() - own))
        return tuple(
            DownloadJob(plan, self._around).elsewhere()
            for work in found
            if work.is_locked() and (plan := work.load()) is not None
        )

    def status(self, download: str) -> DownloadStatus:
        """How one download stands.

        Raises:
            SfumatoError: NOT_FOUND.
        """
        with self._lock:
            self._scan()
            return self._job(download).status()

    def wait(self, download: str, timeout: float | None = None) -> DownloadStatus:
        """Wait until a download does not move by itself any more, or `timeout` seconds passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._settled:
            self._scan()
            job = self._job(download)
            while job.state.live:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._settled.wait(0.25 if left is None else min(left, 0.25))
        self._at_rest(download)
        return job.status()

    def close(self) -> None:
        """Pause everything, to be offered again at the next start, and end the threads."""
        with self._lock:
            self._closed = True
            queued, self._queue = self._queue, []
            running = [job for job in self._jobs.values() if job.running]
        for job in queued:
            job.rest(Stop.CLOSE)
        for job in running:
            job.stop(Stop.CLOSE)
        for job in running:
            job.join(_STOP_SECONDS)
        self._around.workers.close()
        self._around.workers.join(_STOP_SECONDS)

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------

    def _notify(self, status: DownloadStatus) -> None:
        with self._notifying:
            try:
                self._on_change(status)
            except Exception:
                # Whoever listens must not be able to stop a download.
                logging.getLogger(__name__).exception("a listener failed on %s", status.state)
        if not status.state.live:
            with self._settled:
                self._settled.notify_all()

    def _job(self, download: str) -> DownloadJob:
        if (job := self._jobs.get(download)) is None:
            work = WorkFolder(self.root, download)
            if work.is_locked() and (plan := work.load()) is not None:
                raise busy(plan)
            raise _unknown(download)
        return job

    def _scan(self) -> None:
        """Take note of downloads that other processes left, and of those that went away."""
        there = self._folders()
        over = (DownloadState.DONE, DownloadState.CANCELLED)
        known = {name for name, job in self._jobs.items() if job.running or job.state not in over}
        for name in sorted(there - known):
            work = WorkFolder(self.root, name)
            if work.is_locked() or (plan := work.load()) is None:
                continue
            job = DownloadJob(plan, self._around)
            if job.was_finished():
                job.tidy_up()
                continue
            job.recall()
            self._jobs[name] = job
        for name, job in list(self._jobs.items()):
            idle = job.state in (DownloadState.PAUSED, DownloadState.FAILED) and job.kept
            if idle and name not in there and not job.running and job not in self._queue:
                del self._jobs[name]

    def _folders(self) -> set[str]:
        """Names of what lies in the folder of downloads."""
        try:
            return {entry.name for entry in (self.root / FOLDER).iterdir() if entry.is_dir()}
        except OSError:
            return set()

    def _free_target(self, repo: str, variant: Variant) -> str:
        """Folder for a variant; one that another has, or is to have, is not overwritten, nor one
        of which nothing says where it came from: a person may have put it there."""
        target, own = target_of(repo, variant), download_id(repo, variant.id, Purpose.MODEL)
        with self._lock:
            self._scan()
            promised = {
                names.folded(job.plan.target)
                for job in self._jobs.values()
                if job.plan.id != own
                and job.state not in (DownloadState.CANCELLED, DownloadState.DONE)
            }
        origin = origin_of(self.root / target)
        if origin is not None:
            taken = (origin.repo, origin.variant) != (repo, variant.id)
        else:
            taken = holds_files(self.root / target)
        if taken or names.folded(target) in promised:
            target = f"{target}-{own[-4:]}"
        return target


def _unknown(download: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NOT_FOUND,
        "This download is not there any more; start it again from the model's page.",
        download,
    )
