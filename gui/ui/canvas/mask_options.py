"""What is set of the mask tool: brush, feather and strength at hand, the rest in a pop-over."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from gui.state.draft import DraftState
from gui.state.pictures.images import PICTURES_FILTER, is_picture_name
from gui.ui.canvas.mask_tool import LEAST, MOST, MaskTool, Mode
from gui.ui.canvas.option_widgets import (
    HINT_HEIGHT,
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
from gui.ui.widgets.controls import ElidedLabel, SliderRow
from gui.ui.widgets.dropped import local_files
from gui.ui.widgets.flow_layout import FlowLayout
from gui.ui.widgets.icons import icon

PAINT = "Paint over what should be made anew."
KEYS = "[ and ] change the size, X takes the eraser, a drag with the space bar moves the picture."
SHORT_KEYS = "[ ] size, X eraser, space bar moves the picture"
SHORT_ANOTHER = "Another try begins with the picture before."
ANOTHER = "Made from the picture before; another try begins there again."
_MODES = (
    (
        Mode.BRUSH,
        "brush",
        "Brush",
        "Brush: mask what you paint over (X changes to the eraser). "
        "By keys: the arrows move it, with {shift} they paint, and so does Return",
    ),
    (Mode.ERASER, "eraser", "Eraser", "Eraser: take off the mask; with {alt} the brush does too"),
    (Mode.LASSO, "lasso", "Lasso", "Lasso: mask what you draw a line around; {alt} takes it out"),
)


class MaskOptions(RoomyOptions):
    """Args:
    tool: whose options these are.
    draft: has strength and feather.
    rows: of the draft's other fields, which stand in the pop-over.
    """

    go_on_wanted = Signal()
    """The picture on show is to be the one that is painted on."""

    def __init__(self, tool: MaskTool, draft: DraftState, rows: Sequence[QWidget]) -> None:
        super().__init__()
        self._tool = tool
        self._draft = draft
        alt, shift = modifier("Alt"), modifier("Shift")
        self.modes = {
            mode: symbol_button(symbol, name, tip.format(alt=alt, shift=shift), checkable=True)
            for mode, symbol, name, tip in _MODES
        }
        self.brush_size = NumberField("Size", LEAST, MOST, suffix=" px")
        self.brush_size.box.setFixedWidth(74)
        self.brush_size.set_tool_tip(f"The brush’s diameter ([ and ], or {alt} and the wheel)")
        self.feather = bound_field(draft, "start_image.mask_feather", " px")
        self.strength = bound_field(draft, "start_image.strength")
        self.invert = symbol_button("invert", "Invert Mask")
        self.clear = symbol_button("clear-mask", "Clear Mask")
        self.eye = symbol_button("eye", "Show Mask", checkable=True)
        self.eye.setIcon(icon("eye-off", on="eye", tone="secondary", on_tone="accent"))
        self.before = symbol_button(
            "before-after", "Picture Before", "The picture before (hold \\)", checkable=True
        )
        self.more = symbol_button("sliders", "More of the Mask")
        self.hint = ElidedLabel("", "small")
        self.go_on = QPushButton("Go On from This One")
        self.go_on.setObjectName("link")
        self.popover = Popover(self, "More of the Mask", self._rare(rows))
        self._lay_out()
        self._connect()
        self.setAcceptDrops(True)
        self.show_state()

    def _rare(self, rows: Sequence[QWidget]) -> list[QWidget]:
        self.hardness = SliderRow("Hardness", 0, 100, step=10)
        self.hardness.set_tool_tip("How far the brush is full, in percent (⇧[ and ⇧])")
        self.everything = QPushButton("Mask Everything")
        self.from_file = QPushButton("From File…")
        self.from_file.setToolTip("Mask what is white in a picture; it can be dropped here, too")
        self.transparency = QPushButton("From Transparency")
        self.transparency.setToolTip("Mask what is transparent in this picture")
        first, second = (
            group(self.everything, spacing=8),
            group(self.from_file, self.transparency, spacing=8),
        )
        # at hand where there is room for them
        self.rare_feather = bound_row(self._draft, "start_image.mask_feather")
        self.rare_strength = bound_row(self._draft, "start_image.strength")
        return [self.hardness, self.rare_feather, self.rare_strength, *rows, first, second]

    def needed_width(self) -> int:
        # the size's name counts where it is not shown, too
        name = 0 if self.roomy else self.brush_size.label.sizeHint().width()
        return width_of(self._row, SPACE) + self.before.sizeHint().width() + name

    def show_room(self) -> None:
        for at_hand, rare in (
            (self.feather, self.rare_feather), (self.strength, self.rare_strength),
        ):  # fmt: skip
            at_hand.setVisible(self.roomy)
            rare.setVisible(not self.roomy)
        self.brush_size.label.setVisible(self.roomy)

    def _lay_out(self) -> None:
        self._row = (
            group(*self.modes.values()),
            self.brush_size,
            self.feather,
            self.strength,
            group(self.invert, self.clear, self.eye, self.before, self.more),
        )
        flow = FlowLayout(SPACE)
        for one in self._row:
            flow.addWidget(one)
        self.go_on.setFixedHeight(HINT_HEIGHT)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(flow)
        column.addWidget(hint_row(self.hint, self.go_on))
        self.show_room()  # not before they have a parent: they would be windows

    def _connect(self) -> None:
        tool = self._tool
        for mode, button in self.modes.items():
            button.clicked.connect(lambda _=False, mode=mode: self._choose(mode))
        self.brush_size.edited.connect(tool.set_size)
        self.hardness.edited.connect(lambda percent: tool.set_hardness(percent / 100))
        self.invert.clicked.connect(tool.invert)
        self.clear.clicked.connect(tool.clear)
        self.everything.clicked.connect(tool.fill)
        self.eye.clicked.connect(lambda: tool.set_shown(self.eye.isChecked()))
        self.before.clicked.connect(lambda: tool.set_before(self.before.isChecked()))
        self.more.clicked.connect(lambda: self.popover.open_below(self.more))
        self.from_file.clicked.connect(self.choose_file)
        self.transparency.clicked.connect(tool.mask.take_transparency)
        self.go_on.clicked.connect(self.go_on_wanted)
        for button in (self.everything, self.from_file, self.transparency):
            button.clicked.connect(self.popover.close)
        tool.brush_changed.connect(self.show_state)
        tool.before_changed.connect(self.before.setChecked)
        tool.changed.connect(self.show_state)

    def _choose(self, mode: Mode) -> None:
        self._tool.set_mode(mode)
        self.show_state()  # the button that is down stays down

    def choose_file(self) -> None:
        """Open the file dialog for a mask."""
        path, _ = QFileDialog.getOpenFileName(self, "Choose a Mask", "", PICTURES_FILTER)
        if path:
            self._tool.mask.take_file(path)

    def show_state(self) -> None:
        """Show what the tool is set to, and what of it has a use now."""
        tool = self._tool
        for mode, button in self.modes.items():
            button.setChecked(mode is tool.mode)
        self.brush_size.set_value(round(tool.size))
        self.brush_size.setEnabled(tool.mode is not Mode.LASSO)
        self.hardness.set_value(round(tool.hardness * 100))
        self.eye.setChecked(tool.shown)
        image = tool.mask.image
        another = bool(tool.mask.before)
        self.clear.setEnabled(image is not None)
        self.before.setVisible(another)
        self.go_on.setVisible(another)
        if another:
            self.hint.set_text(ANOTHER, SHORT_ANOTHER)
        elif image is None:
            self.hint.set_text(PAINT)
        else:
            self.hint.set_text(KEYS, SHORT_KEYS)

    # -- a mask that is dropped -----------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        files = local_files(event.mimeData())
        if files and is_picture_name(files[0]):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        event.accept()
        self._tool.mask.take_file(local_files(event.mimeData())[0])
