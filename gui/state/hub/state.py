"""The Hub as the window sees it: catalogue, downloads, account and the care of installed models.

Everything is asked of the Hub process, which is started at the first question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub import messages
from gui.hub.types import (
    Account,
    DownloadState,
    DownloadStatus,
    FileProblem,
    ModelSummary,
    Orphan,
    RepoDetails,
)
from gui.names import repository_page
from gui.process.messages import Event
from gui.state.addons import is_addon_folder
from gui.state.background import Background
from gui.state.hub.account import HubAccount
from gui.state.hub.catalogue import HubCatalogue
from gui.state.hub.downloads import DownloadList
from gui.state.hub.thread import Hub, HubThread

PLAN_PATTERN = ".downloads/*/plan.json"
"""Below the models folder: what a download that is not finished leaves."""

_OVER = (DownloadState.DONE, DownloadState.CANCELLED)
_REMEMBERED = 500


class HubState(QObject):
    """Joins everything of the Hub.

    Args:
        hub: the Hub process, or a stand-in; default: a `HubThread`.
    """

    details_changed = Signal(str)
    """Details of a repository came; see `details`."""
    details_failed = Signal(str, SfumatoError)
    """Repository and why."""
    picture_changed = Signal(str, str)
    """Repository and the path of its picture, asked for with `want_picture`."""
    free_bytes_changed = Signal()
    installed = Signal(str, bool)
    """Folder of a model that has just been installed; true: it is to be used at once."""
    addon_installed = Signal(str)
    """Folder of a ControlNet, LoRA or upscaler that has just been installed, or updated."""
    updated = Signal(str)
    """Folder of a model whose newer revision has taken the place of the one before."""
    installed_changed = Signal()
    """Models were installed, repaired or found to have updates: the library should look again."""
    verify_progress = Signal(str, float)
    """Folder and how much of it has been checked, 0 to 1."""
    verified = Signal(str, tuple)
    """Folder and every `FileProblem`; empty: every byte is as the Hub has it."""
    verify_failed = Signal(str, SfumatoError)
    """Folder and why it could not be checked or repaired."""
    repaired = Signal(str)
    """Folder whose bad files have been fetched again."""
    orphans_found = Signal(list)
    """Every `Orphan`."""
    orphan_removed = Signal(str)
    updates_changed = Signal()
    error_raised = Signal(SfumatoError)
    """One that belongs to no place of its own."""

    def __init__(self, hub: Hub | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.hub: Hub = hub if hub is not None else HubThread(parent=self)
        self.catalogue = HubCatalogue(self.hub, self)
        self.downloads = DownloadList(self.hub, self)
        self.account = HubAccount(self.hub, self)
        self._details: dict[str, RepoDetails] = {}
        self._probing: dict[str, int] = {}
        self._verifying: dict[str, int] = {}
        self._repairing: dict[str, str] = {}  # download id → folder
        self._repairs_asked = 0
        self._ended: dict[str, DownloadStatus] = {}  # while a repair is asked for
        self._updates: dict[str, str] = {}
        self._folders: dict[tuple[str, str], str] = {}
        self._addons: dict[tuple[str, str], str] = {}
        self._disk = Background(self)
        self._looking = False
        self.free_bytes = 0
        """Free space on the models' disk when `want_free_bytes` last looked; 0: not known."""
        self._signed_in: str | None = None
        self._closed = False
        self.catalogue.details_arrived.connect(self._on_listed_details)
        self.downloads.changed.connect(self._on_download)
        self.downloads.finished.connect(self._on_finished)
        self.downloads.failed.connect(self._on_download_failed)
        self.downloads.error_raised.connect(self.error_raised)
        self.account.changed.connect(self._on_account)
        self.hub.event_received.connect(self._on_event)
        self.hub.lost.connect(self._on_lost)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Called right after the first paint: the Hub process is only started now if an earlier
        run left downloads to go on with."""

        def looked(there: bool) -> None:
            if there:
                self.downloads.load()

        self._disk.run(unfinished_downloads, looked, self.error_raised.emit)

    def close(self) -> None:
        """Pause downloads and end the Hub process; waits for it.  No signal comes after this."""
        if not self._closed:
            self._closed = True
            self._disk.close()
            self.hub.close()

    # -- repositories -------------------------------------------------------------------------

    def details(self, repo: str) -> RepoDetails | None:
        """What is known of a repository's files, or None before `want_details` was answered."""
        if known := self._details.get(repo):
            return known
        row = self.catalogue.row(repo)
        return row.details if row else None

    def summary(self, repo: str) -> ModelSummary | None:
        if row := self.catalogue.row(repo):
            return row.summary
        details = self.details(repo)
        return details.summary if details else None

    def want_details(self, repo: str, fresh: bool = False) -> None:
        """Read a repository's file list and, for facts instead of guesses, its small files.
        `details_changed` or `details_failed` follows.

        Args:
            repo: ``owner/name``, or an address on the Hub.
            fresh: also if they are known.
        """
        known = self._details.get(repo)
        if known is not None and known.probed and not fresh:
            self.details_changed.emit(repo)
            return
        if repo in self._probing:
            return

        def arrived(answer: messages.DetailsAnswer) -> None:
            self._probing.pop(repo, None)
            self._remember(answer.details)
            self.catalogue.set_details(answer.details)
            self.details_changed.emit(repo)

        def failed(error: SfumatoError) -> None:
            self._probing.pop(repo, None)
            self.details_failed.emit(repo, error)

        question = messages.Details(repo, probe=True)
        self._probing[repo] = self.hub.ask(question, arrived, failed)

    def want_picture(self, summary: ModelSummary) -> None:
        """Fetch the picture of a repository that has no row; `picture_changed` follows if it has
        one."""

        def arrived(path: str) -> None:
            if path:
                self.picture_changed.emit(summary.id, path)

        self.hub.ask(messages.FetchPicture(summary), arrived)

    def page_url(self, repo: str) -> str:
        """Address of a repository's page, where a gated model's terms can be accepted."""
        return repository_page(repo)

    def want_free_bytes(self) -> None:
        """Look at the disk; `free_bytes_changed` follows where it has more or less room."""
        if self._looking:
            return

        def looked(free: int) -> None:
            self._looking = False
            if free != self.free_bytes:
                self.free_bytes = free
                self.free_bytes_changed.emit()

        self._looking = True
        self._disk.run(_free_bytes, looked, lambda _: looked(0))

    # -- installed models ---------------------------------------------------------------------

    def set_library(self, folders: Mapping[tuple[str, str], str]) -> None:
        """Which models are installed: folder by repository and variant."""
        self._folders = dict(folders)
        self._tell_installed()

    def set_addons(self, folders: Mapping[tuple[str, str], str]) -> None:
        """Which ControlNets, LoRAs and upscalers are installed; likewise."""
        self._addons = dict(folders)
        self._tell_installed()

    def _tell_installed(self) -> None:
        self.catalogue.set_installed({repo for repo, _ in (*self._folders, *self._addons)})

    def installed_folder(self, repo: str, variant: str) -> str:
        """Folder of an installed variant; empty: it is not installed."""
        key = (repo, variant)
        return self._folders.get(key) or self._addons.get(key, "")

    def verify(self, folder: str) -> None:
        """Check every file of an installed model; `verify_progress`, then `verified` follow."""
        if folder in self._verifying:
            return

        def arrived(problems: tuple[FileProblem, ...]) -> None:
            self._verifying.pop(folder, None)
            self.verified.emit(folder, problems)

        self._verifying[folder] = self.hub.ask(
            messages.Verify(folder), arrived, lambda error: self._on_verify_failed(folder, error)
        )

    def stop_verifying(self, folder: str) -> None:
        request = self._verifying.pop(folder, 0)
        if request:
            self.hub.forget(request)

    def is_verifying(self, folder: str) -> bool:
        return folder in self._verifying

    def repair(self, folder: str) -> None:
        """Fetch the bad files of an installed model again, as a download of the list;
        `repaired` follows, or `verify_failed`."""

        def answered() -> None:
            self._repairs_asked -= 1
            if not self._repairs_asked:
                self._ended.clear()

        def started(status: DownloadStatus | None) -> None:
            # A small repair may be over before the answer that it has begun.
            now = self._ended.get(status.id, status) if status is not None else None
            answered()
            if now is None or now.state is DownloadState.DONE:
                self._on_repaired(folder)
                return
            self._repairing[now.id] = folder
            if now.state is DownloadState.CANCELLED:
                self._on_repair_cancelled(now)
            elif now.state is DownloadState.FAILED:
                self._on_download_failed(now)

        def failed(error: SfumatoError) -> None:
            answered()
            self._on_verify_failed(folder, error)

        self._repairs_asked += 1
        self.hub.ask(messages.Repair(folder), started, failed)

    def look_for_updates(self, quietly: bool = True) -> None:
        """Ask whether installed models have newer revisions; `updates_changed` follows.

        Args:
            quietly: a failure is no reason for a message, as nobody asked.
        """

        def arrived(updates: dict[str, str]) -> None:
            self._updates = {folder: revision for folder, revision in updates.items() if revision}
            self.updates_changed.emit()

        self.hub.ask(messages.Updates(), arrived, None if quietly else self.error_raised.emit)

    def update_of(self, folder: str) -> str:
        """Newer revision of an installed model; empty: none is known."""
        return self._updates.get(folder, "")

    def update(self, folder: str) -> None:
        """Get the newer revision of an installed model, in place of the present one."""
        for (repo, variant), where in (*self._folders.items(), *self._addons.items()):
            if where == folder and self.update_of(folder):
                self.downloads.start(repo, variant, self.update_of(folder))

    def want_orphans(self) -> None:
        """Look for leftovers in the models folder; `orphans_found` follows.  Downloads of the
        list are none: they are shown there."""

        def arrived(orphans: tuple[Orphan, ...]) -> None:
            self.orphans_found.emit(
                [one for one in orphans if self.downloads.status(one.download) is None]
            )

        self.hub.ask(messages.Orphans(), arrived, self.error_raised.emit)

    def remove_orphan(self, orphan: Orphan) -> None:
        """Delete a leftover, or give up the download it is of; `orphan_removed` follows."""

        def done(_result: None) -> None:
            self.orphan_removed.emit(orphan.path)

        gone = messages.Cancel(orphan.download) if orphan.download else None
        self.hub.ask(gone or messages.RemoveOrphan(orphan.path), done, self.error_raised.emit)

    # -- what the Hub process says ------------------------------------------------------------

    def _on_account(self, account: Account) -> None:
        """Someone else may see other things: what was refused is asked for again."""
        name = account.name if account.signed_in else ""
        if self._signed_in is not None and name != self._signed_in:
            self.catalogue.forget_problems()
        self._signed_in = name

    def _on_listed_details(self, repo: str, details: RepoDetails) -> None:
        known = self._details.get(repo)
        if known is None or details.probed or not known.probed:
            self._remember(details)
            self.details_changed.emit(repo)

    def _remember(self, details: RepoDetails) -> None:
        self._details.pop(details.summary.id, None)
        self._details[details.summary.id] = details
        while len(self._details) > _REMEMBERED:
            del self._details[next(iter(self._details))]

    def _on_download(self, status: DownloadStatus) -> None:
        self.catalogue.set_download(status, status.state in _OVER)
        if status.state in _OVER:
            if self._repairs_asked:
                self._ended[status.id] = status
            if status.state is DownloadState.CANCELLED:
                self._on_repair_cancelled(status)
            # Another variant of the same repository may still be under way.
            other = self.downloads.of(status.repo)
            if other is not None:
                self.catalogue.set_download(other, False)

    def _on_finished(self, status: DownloadStatus) -> None:
        folder = self._repairing.pop(status.id, "")
        if folder:
            self._on_repaired(folder)
            return
        if is_addon_folder(status.folder):
            self._updates.pop(status.folder, "")
            self.addon_installed.emit(status.folder)
            return
        if not Path(status.folder).is_relative_to(paths.models_dir()):
            return  # a checkpoint to convert, which is no model yet
        if self._updates.pop(status.folder, ""):
            self.updated.emit(status.folder)
        use = self.downloads.is_to_be_used(status)
        if use or status.folder not in self._folders.values():
            self.installed.emit(status.folder, use)
        self.installed_changed.emit()

    def _on_download_failed(self, status: DownloadStatus) -> None:
        """A repair that has stopped says so where it was asked for; it may still go on."""
        folder = self._repairing.get(status.id, "")
        if folder and status.error is not None:
            self._on_verify_failed(folder, status.error)

    def _on_repair_cancelled(self, status: DownloadStatus) -> None:
        folder = self._repairing.pop(status.id, "")
        if folder:
            message = "The repair was cancelled; the bad files are as they were."
            self._on_verify_failed(folder, SfumatoError(ErrorKind.BAD_MODEL, message))

    def _on_repaired(self, folder: str) -> None:
        self.repaired.emit(folder)
        self.installed_changed.emit()

    def _on_verify_failed(self, folder: str, error: SfumatoError) -> None:
        self._verifying.pop(folder, None)
        self.verify_failed.emit(folder, error)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, messages.VerifyProgress) and event.folder in self._verifying:
            self.verify_progress.emit(event.folder, event.fraction)

    def _on_lost(self, error: SfumatoError, often: bool) -> None:
        if often:
            self.error_raised.emit(error)


def unfinished_downloads() -> bool:
    """Whether an earlier run left a download to go on with; looks at the disk only.  Blocking."""
    try:
        return any(True for _ in paths.models_dir().glob(PLAN_PATTERN))
    except OSError:
        return False


def _free_bytes() -> int:
    from gui.hub.machine import free_disk

    return free_disk()


def library_of(entries: Iterable[Any]) -> dict[tuple[str, str], str]:
    """What `HubState.set_library` takes, from `gui.state.models.ModelEntry` values."""
    return {(e.repo, e.variant): str(e.folder) for e in entries if e.repo}
