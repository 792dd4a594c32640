"""What the banner above the picture says: errors, remarks, and what can be undone."""

from __future__ import annotations

from PySide6.QtCore import QObject

from gui.errors import ErrorKind, SfumatoError
from gui.ui.desks.parts import Parts
from gui.ui.settled import settle_errors
from gui.ui.widgets.banner import Subject


class BannerDesk(QObject):
    """Shows each error and remark of the studio once, and takes it away when it is settled."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._models = parts.models
        studio, banner = parts.studio, parts.canvas.banner
        self._banner = banner
        studio.error_raised.connect(self.show_error)
        studio.job_failed.connect(self._on_job_failed)
        settle_errors(banner, studio)
        banner.retry_asked.connect(studio.retry_failed)
        studio.notice.connect(banner.show_notice)
        studio.undoable.connect(self._on_undoable)
        banner.undo_asked.connect(studio.undo.undo)
        parts.models.unreachable_said.connect(lambda: banner.settle(Subject.NETWORK))
        # At the change itself: what is said of it afterwards, as of a picture that was no picture,
        # must stay.
        studio.draft.changed.connect(lambda _name: banner.settle(Subject.PROMPT))
        parts.canvas.failed.connect(self.show_error)
        parts.prompt.failed.connect(self.show_error)

    def show_error(self, error: SfumatoError) -> None:
        # The Hub's side may say already that there is no connection.
        if error.kind is not ErrorKind.NETWORK or not self._models.says_unreachable:
            self._banner.show_error(error)

    def _on_job_failed(self, error: SfumatoError, can_retry: bool) -> None:
        self._banner.show_error(error, can_retry, Subject.JOB)

    def _on_undoable(self, text: str) -> None:
        self._banner.show_notice(text, can_undo=True)
