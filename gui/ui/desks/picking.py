"""Pictures that go in, chosen from the person's own: starting, depth and control pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.ui.desks.parts import Parts

if TYPE_CHECKING:
    from gui.ui.pictures.picker import PicturePicker
    from gui.ui.prompt.drop_zone import DropZone


class PickingDesk(QObject):
    """Opens the sheet for whoever wants a picture."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._desk = parts.studio.controls
        self.sheet: PicturePicker | None = None
        for name in ("start_image.path", "start_image.mask", "depth_map"):
            zone: DropZone = parts.prompt.controls[name].input
            zone.gallery_wanted.connect(lambda zone=zone: self._pick(zone.kind, zone.set_path))

    def pick_control(self, place: int) -> None:
        """Have one of the person's own lead by the control at this place."""
        self._pick("control picture", lambda path: self._desk.set_picture(place, path))

    def _pick(self, kind: str, then: Callable[[str], object]) -> None:
        from gui.ui.pictures.picker import pick  # not before it is wanted

        self.sheet = pick(self._parts.studio, kind, self._parts.main_window, then)
        self.sheet.finished.connect(self._forget)

    def _forget(self, _result: int) -> None:
        self.sheet = None
