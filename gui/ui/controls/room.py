"""Everything about control pictures in the main window: the canvas's tool and the commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.ui.controls.bar import ControlBar
from gui.ui.controls.tool import ControlTool
from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture


class ControlRoom(QObject):
    """Puts the tool on the canvas and ties it to the window.

    Args:
        shown: the picture on show; None: none is.
    """

    hub_wanted = Signal()
    """ControlNets are to be looked for on the Hub."""
    model_wanted = Signal()
    """A model that takes them is to be looked for there."""

    def __init__(self, parts: Parts, shown: Callable[[], IndexedPicture | None]) -> None:
        super().__init__(parts.window)
        self._canvas = canvas = parts.canvas
        self._shown = shown
        self._seen = ""
        self.bar = ControlBar(parts.studio.controls, self._path)
        self.tool = ControlTool(self.bar)
        canvas.tools.add(self.tool)
        self.bar.failed.connect(parts.studio.error_raised)
        self.bar.hub_wanted.connect(self.hub_wanted)
        self.bar.model_wanted.connect(self.model_wanted)
        canvas.picture_shown.connect(self._on_shown)
        connect_commands((parts.actions.use_as_control, self.use_shown))

    def use_shown(self) -> None:
        """Have the picture on show lead the next one."""
        if path := self._path():
            self._canvas.tools.take(self.tool)
            self.bar.use_picture(path)

    def close_down(self) -> None:
        """Wait for what is being written."""
        self.bar.close_down()

    def _on_shown(self, path: str) -> None:
        """Another picture is on show: nothing hides it."""
        if path and path != self._seen:
            self._seen = path
            self.bar.editor.eye.setChecked(False)

    def _path(self) -> str:
        picture = self._shown()
        return picture.path if picture is not None else ""
