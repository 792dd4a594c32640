"""Fetches checkpoints from the Hub so that they can be converted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState, DownloadStatus
from gui.state.background import Background
from gui.state.convert.options import checkpoint_in, fetch_text

if TYPE_CHECKING:
    from gui.state.hub.downloads import DownloadList


SOURCE = "source"
"""`DownloadStatus.variant` of a checkpoint to convert."""


class SourceFetch(QObject):
    """One download of a source at a time, watched on the list of downloads.

    Args:
        background: looks at what has been fetched.
    """

    progressed = Signal(str)
    fetched = Signal(str)
    """Folder or file of a checkpoint that is now on this disk."""
    failed = Signal(SfumatoError)

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self.repo = ""
        """Repository being fetched; empty: none."""
        self._downloads: DownloadList | None = None
        self._origins: dict[str, tuple[str, str]] = {}

    @property
    def available(self) -> bool:
        return self._downloads is not None

    def use(self, downloads: DownloadList) -> None:
        """Fetch by this list from now on."""
        self._downloads = downloads
        downloads.changed.connect(self._on_changed)
        downloads.refused.connect(self._on_refused)

    def fetch(self, repo: str) -> None:
        if self._downloads is not None and not self.repo:
            self.repo = repo
            self._downloads.start_source(repo)

    def let_go(self) -> None:
        """Watch the download no longer: something else is to be converted.  It goes on by itself,
        and what it has fetched is there when it is asked for again."""
        self.repo = ""

    def origin(self, folder: str) -> tuple[str, str]:
        """Repository and revision a folder was fetched from; empty texts: not by us."""
        return self._origins.get(folder, ("", ""))

    def _on_changed(self, status: DownloadStatus) -> None:
        # The repository may offer converted models as well, and one of them be on its way.
        if not self.repo or (status.repo, status.variant) != (self.repo, SOURCE):
            return
        if status.state is DownloadState.DONE:

            def looked(checkpoint: str) -> None:
                self._origins[checkpoint] = (status.repo, status.revision)
                if self.repo == status.repo:  # nothing else has been asked for meanwhile
                    self.repo = ""
                    self.fetched.emit(checkpoint)

            self._background.run(lambda: checkpoint_in(status.folder), looked, self._on_lost)
        elif status.state is DownloadState.CANCELLED:
            self.repo = ""
            message = "The download was cancelled; choose the model again to begin anew."
            self.failed.emit(SfumatoError(ErrorKind.BAD_REQUEST, message))
        elif status.state is DownloadState.FAILED and status.error is not None:
            self.repo = ""
            self.failed.emit(status.error)
        else:
            self.progressed.emit(fetch_text(status))

    def _on_lost(self, error: SfumatoError) -> None:
        self.repo = ""
        self.failed.emit(error)

    def _on_refused(self, repo: str, _variant: str, error: SfumatoError) -> None:
        if self.repo and repo == self.repo:
            self.repo = ""
            self.failed.emit(error)
