"""The canvas's tools in the window: mask and frame of the picture on show, and their commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Signal
from PySide6.QtGui import QImage

from gui.start_image import InpaintArea
from gui.state.canvas.frame import FrameState
from gui.state.canvas.mask import MaskState
from gui.state.draft import BRANCH
from gui.ui.canvas.frame_options import FrameOptions
from gui.ui.canvas.frame_tool import FrameTool
from gui.ui.canvas.mask_options import MaskOptions
from gui.ui.canvas.mask_tool import MaskTool
from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry
    from gui.state.pictures.types import IndexedPicture

NO_ENCODER = (
    "This model draws from words alone, since it has no VAE encoder; choose another model to "
    "{deed}."
)
BRANCHES = "A branch begins as its picture did; remove the branch to {deed}."
_MORE_OF_MASKS = ("start_image.masked_content", "start_image.inpaint_area")


class ToolsDesk(QObject):
    """Gives the canvas its tools, and ties them to the draft and to the picture on show."""

    picture_wanted = Signal(object)
    """This `IndexedPicture` is to be on the canvas."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = studio = parts.studio
        self._canvas = canvas = parts.canvas
        self.mask = MaskState(studio.draft, studio.undo, studio.library.with_origin, self)
        self.mask_tool = MaskTool(self.mask)
        self.mask.area_for = self._area_for
        rows = [parts.prompt.controls[name].row for name in _MORE_OF_MASKS]
        self.mask_options = MaskOptions(self.mask_tool, studio.draft, rows)
        self.mask_tool.set_options(self.mask_options)
        self.frame = FrameState(studio.draft, studio.undo, self)
        self.frame.area_for = self._area_for
        self.frame_tool = FrameTool(self.frame)
        sides = parts.prompt.controls["start_image.outpaint"].row
        self.frame_options = FrameOptions(self.frame_tool, studio.draft, sides)
        self.frame_tool.set_options(self.frame_options)
        for tool in (self.mask_tool, self.frame_tool):
            canvas.tools.add(tool)
            tool.began.connect(canvas.stay)
        self.frame_tool.said.connect(canvas.announce)
        self.mask.failed.connect(studio.error_raised)
        studio.live.overlay = self.mask.as_painted
        studio.live.switched.connect(self.mask.follow)
        self.mask.sketched.connect(studio.live.look)
        self.mask_options.go_on_wanted.connect(self._go_on)
        canvas.pixels_shown.connect(self._on_pixels)
        canvas.picture_shown.connect(self._on_shown)
        studio.model_selected.connect(self._on_model)
        studio.model_read.connect(self._on_model)
        studio.draft.changed.connect(self._on_draft)
        a = parts.actions
        connect_commands(
            (a.invert_mask, self.mask_tool.invert),
            (a.clear_mask, self.mask_tool.clear),
        )
        a.show_mask.triggered.connect(self.mask_tool.set_shown)
        self.mask_tool.brush_changed.connect(lambda: a.show_mask.setChecked(self.mask_tool.shown))
        self._actions = a
        canvas.tools.changed.connect(lambda _: self._show_commands())
        self._on_model(studio.model)
        self._show_commands()

    # -- what is on show ------------------------------------------------------------------------

    def _on_pixels(self, path: str, image: QImage) -> None:
        for tool in (self.mask_tool, self.frame_tool):
            tool.look(path, image.size())

    def _on_shown(self, path: str) -> None:
        if path != self._canvas.view.path():
            for tool in (self.mask_tool, self.frame_tool):
                tool.look("", QSize())
        self._show_commands()

    def _show_commands(self) -> None:
        a, tools = self._actions, self._canvas.tools
        on = tools.in_hand is self.mask_tool and not tools.reason(self.mask_tool)
        for action in (a.invert_mask, a.clear_mask, a.show_mask):
            action.setEnabled(on)

    def _on_model(self, entry: ModelEntry) -> None:
        cannot = entry.info is not None and not entry.has_encoder
        branches = self._studio.draft.draft.request.branch is not None
        for tool, deed in ((self.mask_tool, "paint a mask"), (self.frame_tool, "widen the frame")):
            told = NO_ENCODER if cannot else BRANCHES if branches else ""
            tool.set_reason(told.format(deed=deed))
        self._show_commands()

    def _on_draft(self, name: str) -> None:
        if name == BRANCH:
            self._on_model(self._studio.model)

    def _area_for(self, size: QSize) -> InpaintArea | None:
        """A picture that the model does not draw in this size is kept in it: only the part that is
        painted anew is drawn, and put back."""
        info, request = self._studio.model.info, self._studio.draft.draft.request
        if info is None:
            return None
        drawn = QSize(request.width or info.image_width, request.height or info.image_height)
        return None if drawn == size else InpaintArea.MASKED

    # -- commands -------------------------------------------------------------------------------

    def edit_with_mask(self, picture: IndexedPicture | None) -> None:
        """Put a picture on the canvas, and the mask tool in hand."""
        if picture is not None:
            self.picture_wanted.emit(picture)
            self._canvas.tools.take_by_key(self.mask_tool.key)

    def _go_on(self) -> None:
        self.mask.go_on()

    def close_down(self) -> None:
        """Have the draft name what is painted."""
        self.mask.settle()
        self.mask_tool.close()
        self.mask.close()
