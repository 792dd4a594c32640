"""What the desktop notices of a running job, conversion or download: Dock progress, no sleep, a
word when it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication

if TYPE_CHECKING:
    from gui.errors import SfumatoError
    from gui.hub.types import DownloadStatus
    from gui.mac import MacServices
    from gui.state.activity import Activity
    from gui.state.convert.state import ConvertReport, ConvertState, ConvertStatus
    from gui.state.hub.downloads import DownloadList
    from gui.state.studio import Studio

WORTH_TELLING_SECONDS = 10.0
"""A job shorter than this is still being watched; no notification for it."""


class Presence(QObject):
    """Binds a studio's activity to the desktop's services.

    A picture in the making has the Dock's progress bar to itself; otherwise a conversion has it,
    and then downloads.

    Args:
        studio: whose activity is followed.
        services: the desktop; tests give a stand-in.
        downloads: whose progress is followed too.
        convert: likewise.
    """

    def __init__(
        self,
        studio: Studio,
        services: MacServices,
        downloads: DownloadList | None = None,
        convert: ConvertState | None = None,
    ) -> None:
        super().__init__(studio)
        self._services = services
        self._busy_since: float | None = None
        self._downloaded: float | None = None
        self._converted: float | None = None
        self._awake = False
        studio.activity_changed.connect(self._on_activity)
        studio.picture_finished.connect(self._on_picture)
        if convert is not None:
            convert.status_changed.connect(self._on_convert)
            convert.finished.connect(self._on_converted)
            convert.failed.connect(self._on_convert_failed)
        if downloads is not None:
            downloads.progress_changed.connect(self._on_downloads)
            downloads.finished.connect(self._on_downloaded)
            downloads.failed.connect(self._on_download_failed)

    def _on_activity(self, activity: Activity) -> None:
        if activity.busy and self._busy_since is None:
            self._busy_since = time.monotonic()
            self._keep_awake("Making a picture")
        elif not activity.busy and self._busy_since is not None:
            self._busy_since = None
            self._let_sleep()
            self._show_quiet_progress()
        if activity.busy and activity.steps:
            done = activity.picture_index * activity.steps + activity.step
            self._services.set_progress(done / (activity.steps * activity.count))

    def _on_picture(self, picture: Any) -> None:
        if self._busy_since is None or _is_in_front():
            return
        if time.monotonic() - self._busy_since >= WORTH_TELLING_SECONDS:
            self._services.notify("The picture is finished", picture.record.request.prompt)

    def _on_downloads(self, fraction: float | None) -> None:
        self._downloaded = fraction
        if fraction is not None:
            self._keep_awake("Downloading a model")
        else:
            self._let_sleep()
        self._show_quiet_progress()

    def _on_convert(self, status: ConvertStatus) -> None:
        self._converted = status.fraction if status.busy else None
        if status.busy:
            self._keep_awake("Converting a model")
        else:
            self._let_sleep()
        self._show_quiet_progress()

    def _quiet(self) -> bool:
        """Whether something goes on that is no picture."""
        return self._downloaded is not None or self._converted is not None

    def _show_quiet_progress(self) -> None:
        if self._busy_since is None:
            quiet = self._downloaded if self._converted is None else self._converted
            self._services.set_progress(quiet)

    def _on_converted(self, report: ConvertReport) -> None:
        if not _is_in_front():
            self._services.notify("The model is ready", report.request.name or report.source.name)

    def _on_convert_failed(self, error: SfumatoError) -> None:
        if not _is_in_front():
            self._services.notify("The conversion has stopped", error.message)

    def _on_downloaded(self, status: DownloadStatus) -> None:
        if not _is_in_front():
            self._services.notify("The download is finished", status.title or status.repo)

    def _on_download_failed(self, status: DownloadStatus) -> None:
        if not _is_in_front():
            problem = status.error.message if status.error else status.title or status.repo
            self._services.notify("The download has stopped", problem)

    def _keep_awake(self, reason: str) -> None:
        if not self._awake:
            self._awake = True
            self._services.begin_activity(reason)

    def _let_sleep(self) -> None:
        """Unless something else still goes on."""
        if self._awake and self._busy_since is None and not self._quiet():
            self._awake = False
            self._services.end_activity()


def _is_in_front() -> bool:
    return QGuiApplication.applicationState() == Qt.ApplicationState.ApplicationActive
