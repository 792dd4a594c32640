"""The downloads under way, as a list to show, and their common progress.

Every download lives on disk and belongs to the Hub process; this is what is known of them here.
A download leaves the list when it is done, cancelled or taken off.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from gui.errors import SfumatoError
from gui.hub import messages
from gui.hub.types import DownloadState, DownloadStatus
from gui.process.messages import Event
from gui.state import describe
from gui.state.hub.thread import Hub

_Index = QModelIndex | QPersistentModelIndex
_OVER = (DownloadState.DONE, DownloadState.CANCELLED)


class DownloadList(QAbstractListModel):
    """Downloads in the order they were begun.  Rows carry `DownloadStatus` as UserRole.

    Args:
        hub: the Hub process.
    """

    changed = Signal(DownloadStatus)
    """A download moved.  Also the last one, done or cancelled."""
    finished = Signal(DownloadStatus)
    """A download is done, its model installed in ``status.folder``; it has left the list."""
    failed = Signal(DownloadStatus)
    """A download needs the person; the status has the error."""
    refused = Signal(str, str, SfumatoError)
    """Repository, variant id and why a download could not be begun."""
    error_raised = Signal(SfumatoError)
    """Of pausing, going on or cancelling."""
    progress_changed = Signal(object)
    """`active_fraction`, or None."""

    def __init__(self, hub: Hub, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self._rows: list[DownloadStatus] = []
        self._row_of: dict[str, int] = {}
        self._starting: set[tuple[str, str]] = set()
        self._to_use: set[tuple[str, str]] = set()
        self._over: dict[str, tuple[str, str]] = {}
        self._was_active = False
        hub.event_received.connect(self._on_event)
        hub.lost.connect(self._on_lost)

    # -- what there is ------------------------------------------------------------------------

    def statuses(self) -> list[DownloadStatus]:
        return list(self._rows)

    def status(self, download_id: str) -> DownloadStatus | None:
        row = self._row_of.get(download_id)
        return None if row is None else self._rows[row]

    def of(self, repo: str, variant: str | None = None) -> DownloadStatus | None:
        """The download of a repository, or of one variant of it; the newest first."""
        for status in reversed(self._rows):
            if status.repo == repo and variant in (None, status.variant):
                return status
        return None

    def is_starting(self, repo: str, variant: str) -> bool:
        """Whether `start` was asked for and has not been answered yet."""
        return (repo, variant) in self._starting

    def interrupted(self) -> list[DownloadStatus]:
        """Those that stopped because the app ended, and that wait to be gone on with."""
        return [s for s in self._rows if s.interrupted and s.state is DownloadState.PAUSED]

    @property
    def active(self) -> bool:
        """Whether any download moves by itself."""
        return any(status.state.live for status in self._rows)

    @property
    def active_fraction(self) -> float | None:
        """How much of all live downloads together is done, 0 to 1; None: none is live."""
        live = [status for status in self._rows if status.state.live]
        total = sum(status.bytes_total for status in live)
        if not live:
            return None
        return min(1.0, sum(s.bytes_done for s in live) / total) if total else 0.0

    def is_to_be_used(self, status: DownloadStatus) -> bool:
        """Whether the person asked to use this model as soon as it is there."""
        return (status.repo, status.variant) in self._to_use

    # -- what to do ---------------------------------------------------------------------------

    def load(self) -> None:
        """Find the downloads of earlier runs."""
        self._hub.ask(messages.Downloads(), self._on_listed, self.error_raised.emit)

    def start(self, repo: str, variant: str, revision: str = "", use: bool = False) -> None:
        """Get a variant of a repository, or go on with getting it.

        Args:
            repo: ``owner/name``.
            variant: `Variant.id`.
            revision: commit; empty: the newest.
            use: select the model once it is there.
        """
        key = (repo, variant)
        if use:
            self._to_use.add(key)
        if key in self._starting:
            return
        self._starting.add(key)
        self._over = {k: v for k, v in self._over.items() if v != key}

        def refused(error: SfumatoError) -> None:
            self._starting.discard(key)
            self._to_use.discard(key)
            self.refused.emit(repo, variant, error)

        def started(status: DownloadStatus) -> None:
            self._starting.discard(key)
            self._take(status, from_event=False)

        self._hub.ask(messages.Start(repo, variant, revision), started, refused)

    def start_source(self, repo: str) -> None:
        """Get a repository's diffusers checkpoint, to convert it."""
        self._hub.ask(
            messages.StartSource(repo),
            lambda status: self._take(status, from_event=False),
            lambda error: self.refused.emit(repo, "", error),
        )

    def pause(self, download_id: str) -> None:
        self._hub.ask(messages.Pause(download_id), None, self.error_raised.emit)

    def resume(self, download_id: str) -> None:
        """Go on with a paused or failed download, from the last byte."""
        self._hub.ask(messages.Resume(download_id), None, self.error_raised.emit)

    def cancel(self, download_id: str) -> None:
        """Give a download up; what was fetched is deleted."""
        self._hub.ask(messages.Cancel(download_id), None, self.error_raised.emit)

    # -- what the Hub process says ------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if isinstance(event, messages.DownloadMoved):
            self._take(event.status)

    def _on_listed(self, statuses: tuple[DownloadStatus, ...]) -> None:
        for status in statuses:
            if status.state not in _OVER:
                self._take(status, from_event=False)

    def _take(self, status: DownloadStatus, from_event: bool = True) -> None:
        """Note where a download stands.  An answer may come after newer events, never before."""
        before = self.status(status.id)
        if not from_event and (before is not None or status.id in self._over):
            return
        if status.state in _OVER:
            self._over[status.id] = (status.repo, status.variant)
        else:
            self._over.pop(status.id, None)
        if before is None:
            if status.state in _OVER:
                self._say(status)
                return
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows))
            self._row_of[status.id] = len(self._rows)
            self._rows.append(status)
            self.endInsertRows()
        else:
            row = self._row_of[status.id]
            self._rows[row] = status
            self.dataChanged.emit(self.index(row), self.index(row))
        if status.state in _OVER:
            self._remove(status.id)
        self._say(status, before)

    def _say(self, status: DownloadStatus, before: DownloadStatus | None = None) -> None:
        self.changed.emit(status)
        if status.state is DownloadState.DONE:
            self.finished.emit(status)
        failed_before = before is not None and before.state is DownloadState.FAILED
        if status.state is DownloadState.FAILED and not failed_before:
            self.failed.emit(status)
        if status.state in _OVER:
            self._to_use.discard((status.repo, status.variant))
        if self.active or self._was_active:
            self._was_active = self.active
            self.progress_changed.emit(self.active_fraction)

    def _remove(self, download_id: str) -> None:
        row = self._row_of[download_id]
        self.beginRemoveRows(QModelIndex(), row, row)
        del self._rows[row]
        self._row_of = {status.id: k for k, status in enumerate(self._rows)}
        self.endRemoveRows()

    def _on_lost(self, error: SfumatoError, often: bool) -> None:
        """The Hub process died under its downloads: they go on from disk in a new one."""
        for status in [s for s in self._rows if s.state.live]:
            if often:
                self._take(_stopped(status, error))
            else:
                self.resume(status.id)

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        status = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return status.title or status.repo
        if role == Qt.ItemDataRole.UserRole:
            return status
        if role == Qt.ItemDataRole.AccessibleTextRole:
            where = describe.download_state(status, ", ").rstrip(".…")
            return f"{status.title or status.repo}. {where}."
        return None


def _stopped(status: DownloadStatus, error: SfumatoError) -> DownloadStatus:
    return replace(
        status, state=DownloadState.FAILED, bytes_per_second=0.0, seconds_left=0.0, error=error
    )
