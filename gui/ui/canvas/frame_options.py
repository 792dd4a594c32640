"""What is set of the frame tool: width, height and proportions of the whole, the seam's feather."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.start_image import Outpaint
from gui.state.canvas.frame import RATIOS, STEP, with_length, with_ratio
from gui.state.draft import DraftState
from gui.ui.canvas.frame_tool import FrameTool
from gui.ui.canvas.option_widgets import (
    NumberField,
    Popover,
    bound_field,
    group,
    hint_row,
    modifier,
    symbol_button,
)
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import ElidedLabel
from gui.ui.widgets.flow_layout import FlowLayout

HINT = "Drag an edge outwards, or press an arrow key; what is new is painted."
SHORT_HINT = "Drag an edge outwards, or press an arrow key."
SHORT_MORE = "With {alt} both sides move; from inside, the frame."
MORE = "With {alt} both sides move, with {command} without steps; from inside, the frame is moved."


class FrameOptions(QWidget):
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
        self.ratio.setFixedWidth(118)
        self.ratio.setToolTip("The smallest frame around the picture with these proportions")
        self.feather = bound_field(draft, "start_image.mask_feather", " px")
        self.reset = symbol_button("reset", "Back to the Picture’s Own Frame")
        self.more = symbol_button("sliders", "Each Side")
        self.popover = Popover(self, "Each Side", [sides])
        self.hint = ElidedLabel(HINT, "small")
        self._lay_out()
        self.width_field.edited.connect(lambda wanted: self._set_length(True, wanted))
        self.height_field.edited.connect(lambda wanted: self._set_length(False, wanted))
        self.ratio.edited.connect(self._set_ratio)
        self.reset.clicked.connect(lambda: tool.set(Outpaint(), "Reset Frame"))
        self.more.clicked.connect(lambda: self.popover.open_below(self.more))
        tool.moved.connect(self.show_state)
        self.show_state()

    def _lay_out(self) -> None:
        flow = FlowLayout(8)
        for one in (
            self.width_field,
            self.height_field,
            self.ratio,
            self.feather,
            group(self.reset, self.more),
        ):
            flow.addWidget(one)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(flow)
        column.addWidget(hint_row(self.hint))

    def _set_length(self, across: bool, wanted: int) -> None:
        state = self._tool.state
        self._tool.set(with_length(state.size, state.frame, across, wanted))
        self.show_state()  # a wish beyond what is possible stays out of the field

    def _set_ratio(self, ratio: str) -> None:
        if ratio:
            width, height = map(int, ratio.split(":"))
            self._tool.set(with_ratio(self._tool.state.size, width, height), "Set Proportions")
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
