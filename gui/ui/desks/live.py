"""Live in the window: its switches, its picture on the canvas, and Keep."""

from __future__ import annotations

from PySide6.QtCore import QObject, QSize, Signal

from gui.request import PictureRequest
from gui.ui.canvas.live_sign import LiveSign
from gui.ui.desks.parts import Parts


class LiveDesk(QObject):
    """Shows what Live makes where the person looks: on the canvas, or beside the picture that is
    looked at or worked on there."""

    keep_wanted = Signal()

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = studio = parts.studio
        self._live = live = studio.live
        self._canvas = canvas = parts.canvas
        self._prompt = parts.prompt
        self._action = parts.actions.live
        self._was_on = False
        self._shown: PictureRequest | None = None
        self.sign = LiveSign(canvas.stack)
        self.sign.keep_wanted.connect(self.keep_wanted)
        self._action.toggled.connect(live.switch)
        self._prompt.live.toggled.connect(live.switch)
        live.switched.connect(self._on_switched)
        live.changed.connect(self._show)
        studio.activity_changed.connect(lambda _activity: self._show())
        canvas.tools.changed.connect(lambda _tool: self._show())
        canvas.following_changed.connect(lambda _on: self._show())
        canvas.browsing_changed.connect(lambda _on: self._show())
        canvas.covered_changed.connect(lambda _on: self._show())

    def _on_switched(self, on: bool) -> None:
        self._action.setChecked(on)
        self._prompt.live.setChecked(on)
        self._canvas.announce("Live is on" if on else "Live is off")

    def _show(self) -> None:
        live, canvas = self._live, self._canvas
        was_on, self._was_on = self._was_on, live.on
        if not live.on and not was_on:
            return
        # A tool needs the picture it works on under it.
        at_work = canvas.tools.in_hand.works_on_picture and canvas.underlying is not None
        free = not self._studio.activity.busy
        image = live.image if live.on and free else None
        new = image is not None and live.request is not self._shown
        self._shown = live.request if image is not None else None
        canvas.set_frame(None if at_work else image, self._size())
        if new and not at_work:
            canvas.follow()
        self.sign.show_state(live.phase, None if canvas.shows_frame else image)
        self.sign.setVisible(live.on and free and not canvas.browsing and canvas.cover is None)

    def _size(self) -> QSize | None:
        """Steps are shown as large as the finished picture."""
        return QSize(*self._live.size) if self._live.size is not None else None
