"""What the desktop notices of a running job: Dock progress, no sleep, a word when it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication

if TYPE_CHECKING:
    from gui.mac import MacServices
    from gui.state.studio import Activity, Studio

WORTH_TELLING_SECONDS = 10.0
"""A job shorter than this is still being watched; no notification for it."""


class Presence(QObject):
    """Binds a studio's activity to the desktop's services.

    Args:
        studio: whose activity is followed.
        services: the desktop; tests give a stand-in.
    """

    def __init__(self, studio: Studio, services: MacServices) -> None:
        super().__init__(studio)
        self._services = services
        self._busy_since: float | None = None
        studio.activity_changed.connect(self._on_activity)
        studio.picture_finished.connect(self._on_picture)

    def _on_activity(self, activity: Activity) -> None:
        if activity.busy and self._busy_since is None:
            self._busy_since = time.monotonic()
            self._services.begin_activity("Making a picture")
        elif not activity.busy and self._busy_since is not None:
            self._busy_since = None
            self._services.end_activity()
            self._services.set_progress(None)
        if activity.busy and activity.steps:
            done = activity.picture_index * activity.steps + activity.step
            self._services.set_progress(done / (activity.steps * activity.count))

    def _on_picture(self, picture: Any) -> None:
        if self._busy_since is None or _is_in_front():
            return
        if time.monotonic() - self._busy_since >= WORTH_TELLING_SECONDS:
            self._services.notify("The picture is finished", picture.record.request.prompt)


def _is_in_front() -> bool:
    return QGuiApplication.applicationState() == Qt.ApplicationState.ApplicationActive
