"""What is set of the frame tool: width, height and proportions of the whole, the seam's feather."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.start_image import Outpaint
from gui.state.canvas.frame import RATIOS, STEP, cropped_to, with_length, with_ratio
from gui.state.draft import DraftState
from gui.ui.canvas.frame_tool import FrameTool
from gui.ui.canvas.option_widgets import (
    SPACE,
    NumberField,
    Popover,
    RoomyOptions,
    bound_field,
    bound_row,
    group,
    hint_row,
    modifier,
    symbol_button,
    width_of,
)
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import ElidedLabel
from gui.ui.widgets.flow_layout import FlowLayout

HINT = "Drag an edge outwards, where what is new is painted, or inwards, which crops."
SHORT_HINT = "Drag an edge out to paint on, or in to crop."
SHORT_MORE = "With {alt} both sides move; from inside, the frame."
MORE = "With {alt} both sides move, with {command} without steps; from inside, the frame is moved."


class FrameOptions(RoomyOptions):
    """Args:
    tool: whose options these are.
    draft: has the feather.
    sides: of the draft's frame, one by one; stands in a pop-over.
    """

    def __init__(self, tool: FrameTool, draft: DraftState, sides: QWidget) -> None:
        super().__init__()
        self._tool = tool
        self.width_field = NumberField("Width", 1, 8192, step=STEP)
        self.height_field = NumberField("Height", 1, 8192, step=STEP)
        self.ratio = Choice("Proportions")
        self.ratio.add("Proportions", "")
        for width, height in RATIOS:
            self.ratio.add(f"{width} : {height}", f"{width}:{height}")
        self.ratio.add_heading("Inside the picture")
        for width, height in RATIOS:
            self.ratio.add(f"{width} : {height} crop", f"{width}:{height}:crop")
        self.ratio.setFixedWidth(118)
        self.ratio.setToolTip(
            "The smallest frame around the picture with these proportions, or the largest in it"
        )
        self.feather = bound_field(draft, "start_image.mask_feather", " px")
        self.reset = symbol_button("reset", "Back to the Picture’s Own Frame")
        self.more = symbol_button("sliders", "Each Side")
        # at hand where there is room for it
        self.rare_feather = bound_row(draft, "start_image.mask_feather")
        self.popover = Popover(self, "Each Side", [sides, self.rare_feather])
        self.hint = ElidedLabel(HINT, "small")
        self._lay_out()
        self.width_field.edited.connect(lambda wanted: self._set_length(True, wanted))
        self.height_field.edited.connect(lambda wanted: self._set_length(False, wanted))
        self.ratio.edited.connect(self._set_ratio)
        self.reset.clicked.connect(lambda: tool.set(Outpaint(), "Reset Frame"))
        self.more.clicked.connect(lambda: self.popover.open_below(self.more))
        tool.moved.connect(self.show_state)
        self.show_state()

    def needed_width(self) -> int:
        short = 0 if self.roomy else self._saved
        return width_of(self._row, SPACE) + short

    def show_room(self) -> None:
        saved = 0
        for field, name in ((self.width_field, "Width"), (self.height_field, "Height")):
            field.label.setText(name if self.roomy else name[0])
            metrics = field.label.fontMetrics()
            saved += metrics.horizontalAdvance(name) - metrics.horizontalAdvance(name[0])
            field.set_tool_tip("" if self.roomy else name)
        self._saved = saved  # by short names
        self.feather.setVisible(self.roomy)
        self.rare_feather.setVisible(not self.roomy)

    def _lay_out(self) -> None:
        self._row = (
            self.width_field,
            self.height_field,
            self.ratio,
            self.feather,
            group(self.reset, self.more),
        )
        flow = FlowLayout(SPACE)
        for one in self._row:
            flow.addWidget(one)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(flow)
        column.addWidget(hint_row(self.hint))
        self.show_room()  # not before they have a parent: they would be windows

    def _set_length(self, across: bool, wanted: int) -> None:
        state = self._tool.state
        self._tool.set(with_length(state.size, state.frame, across, wanted))
        self.show_state()  # a wish beyond what is possible stays out of the field

    def _set_ratio(self, ratio: str) -> None:
        if ratio:
            width, height, *crops = ratio.split(":")
            fit = cropped_to if crops else with_ratio
            made = fit(self._tool.state.size, int(width), int(height))
            self._tool.set(made, "Crop" if crops else "Set Proportions")
            self.ratio.select_data("")  # it is a command: dragged on, the frame is of none of them

    def show_state(self) -> None:
        """Show how large the whole is."""
        tool = self._tool
        self.width_field.set_value(tool.size.width())
        self.height_field.set_value(tool.size.height())
        self.reset.setEnabled(bool(tool.frame))
        if tool.frame:
            alt, command = modifier("Alt"), modifier("Ctrl")
            self.hint.set_text(MORE.format(alt=alt, command=command), SHORT_MORE.format(alt=alt))
        else:
            self.hint.set_text(HINT, SHORT_HINT)
