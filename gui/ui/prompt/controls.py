"""The prompt panel's controls: one row per parameter, made from its description and bound to its
field by name.

A new parameter is one row here.  What control it gets follows from its kind, unless the row says
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any, Protocol, cast

from PySide6.QtCore import QSignalBlocker, Signal, SignalInstance
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from gui.picture_sizes import PictureSizes
from gui.request import MAX_SIDE, MIN_SIDE, Described, described_fields
from gui.start_image import MAX_CROP, MAX_OUTPAINT, Outpaint
from gui.state.draft import DraftState
from gui.ui.prompt.drop_zone import DropZone
from gui.ui.prompt.fields import OtherSeed, SchedulerChoice, SeedRow, TextField
from gui.ui.prompt.loras import LoraList
from gui.ui.prompt.refiner_choice import RefinerChoice
from gui.ui.prompt.size import SideRow
from gui.ui.prompt.styles import StyleChips
from gui.ui.prompt.upscaler import UpscalerChoice
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import LABEL_WIDTH, QuietSpinBox, SliderRow, Switch, label


class RowPlace(Enum):
    """Where in the panel a control stands."""

    TEXTS = auto()
    MAIN = auto()
    VARIATION = auto()
    """Below the seed, where its button “More” shows them."""
    START = auto()
    MASK = auto()
    """Not in the panel: among the options of the canvas's mask tool."""
    FRAME = auto()
    """Likewise of its frame tool."""
    EDITING = auto()
    """Below the starting picture, with models that have a use for it."""
    ADVANCED = auto()


class Bound(Protocol):
    """What a control must have to be bound to a field."""

    edited: SignalInstance

    def set_value(self, value: Any) -> None: ...


@dataclass(frozen=True)
class FieldControl:
    """A control for one field."""

    input: Any
    """What the person uses: a `Bound` widget."""
    row: QWidget
    """What stands in the panel: the control with its label."""


Maker = Callable[[Described], FieldControl]


@dataclass(frozen=True)
class Row:
    """One parameter in the panel."""

    field: str
    place: RowPlace
    make: Maker | None = None
    """None: the control that suits the field's kind."""


class OnOff(Switch):
    """A switch that can be bound."""

    edited = Signal(bool)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.toggled.connect(lambda on: self.edited.emit(on))

    def set_value(self, on: bool) -> None:
        self.setChecked(on)


def options(name: str, title: str = "") -> Choice:
    """A pop-up list of the options a field has; their data are their values."""
    told = described_fields()[name].parameter
    choice = Choice(title or told.label)
    for option in told.options:
        choice.add(option.label, option.value.value, option.help)
    return choice


def beside(title: str, widget: QWidget) -> QWidget:
    """A control with its label before it, in the panel's two columns."""
    name = label(title)
    name.setFixedWidth(LABEL_WIDTH)
    name.setBuddy(widget)
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(8)
    row.addWidget(name)
    row.addWidget(widget, 1)
    return made


def below(title: str, widget: QWidget) -> QWidget:
    """A control below its label, where long names need their room."""
    name = label(title)
    name.setBuddy(widget)
    made = QWidget()
    column = QVBoxLayout(made)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(5)
    column.addWidget(name)
    column.addWidget(widget)
    return made


def text(lines: int) -> Maker:
    """A field of so many lines, its tokens counted."""

    def make(field: Described) -> FieldControl:
        made = TextField(field.parameter, lines)
        return FieldControl(made, made)

    return make


def seed(field: Described) -> FieldControl:
    made = SeedRow(field.parameter)
    return FieldControl(made, made)


def variation_seed(field: Described) -> FieldControl:
    made = OtherSeed(field.parameter)
    return FieldControl(made, made)


_PICTURES = {
    "start_image.path": "starting picture",
    "start_image.mask": "mask",
    "depth_map": "depth map",
}
"""What the pictures that go in are, in sentences."""


def picture(field: Described) -> FieldControl:
    made = DropZone(_PICTURES[field.name])
    return FieldControl(made, beside(field.parameter.label, made))


def scheduler(field: Described) -> FieldControl:
    made = SchedulerChoice(field.parameter.label)
    return FieldControl(made, beside(field.parameter.label, made))


def loras(field: Described) -> FieldControl:
    made = LoraList(field.parameter)
    return FieldControl(made, made)


def side(field: Described) -> FieldControl:
    made = SideRow(field)
    return FieldControl(made, made)


def limit_sides(made: Mapping[str, FieldControl], sizes: PictureSizes | None) -> None:
    """Have width and height take what a model draws; None: it is resized for any."""
    for name in ("width", "height"):
        row = cast("SideRow", made[name].input)
        if sizes is None:
            row.set_limits((MIN_SIDE, MAX_SIDE))
        elif sizes.listed:
            reason = "This model draws a list of sizes: choose one of them above."
            row.set_limits((MIN_SIDE, MAX_SIDE), reason=reason)
        else:
            row.set_limits(sizes.widths if name == "width" else sizes.heights, sizes.step)


def styles(field: Described) -> FieldControl:
    made = StyleChips(field.parameter)
    return FieldControl(made, made)


def side_list(field: Described) -> FieldControl:
    """A short pop-up list with its label before it."""
    choice = options(field.name)
    return FieldControl(choice, beside(field.parameter.label, choice))


class FrameSides(QWidget):
    """By how much each side of the frame is moved outwards, or below zero inwards, in pixels."""

    edited = Signal(object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.sides = {side: QuietSpinBox(0) for side in ("left", "right", "top", "bottom")}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(8)
        for place, (side, box) in enumerate(self.sides.items()):
            box.setRange(-MAX_CROP, MAX_OUTPAINT)
            box.setSingleStep(64)
            box.setAccessibleName(f"{name}, {side}")
            box.valueChanged.connect(lambda _: self.edited.emit(self.value()))
            row, column = divmod(place, 2)
            grid.addWidget(label(side.capitalize()), row, 2 * column)
            grid.addWidget(box, row, 2 * column + 1)

    def value(self) -> Outpaint:
        return Outpaint(**{side: int(box.value()) for side, box in self.sides.items()})

    def set_value(self, value: Outpaint | None) -> None:
        with QSignalBlocker(self):
            for side, box in self.sides.items():
                box.setValue(getattr(value or Outpaint(), side))


def frame(field: Described) -> FieldControl:
    made = FrameSides(field.parameter.label)
    made.setToolTip(field.parameter.help)
    return FieldControl(made, below(field.parameter.label, made))


def refiner(field: Described) -> FieldControl:
    made = RefinerChoice(field.parameter.label)
    return FieldControl(made, beside(field.parameter.label, made))


def upscaler(field: Described) -> FieldControl:
    made = UpscalerChoice(field.parameter.label)
    return FieldControl(made, below(field.parameter.label, made))


def usual(field: Described) -> FieldControl:
    """The control that suits a field's kind: a switch, a pop-up list or a slider with a number."""
    told = field.parameter
    if told.options:
        choice = options(field.name)
        return FieldControl(choice, below(told.label, choice))
    if field.kind is bool:
        switch = OnOff(told.label)
        switch.setToolTip(told.help)
        return FieldControl(switch, switch)
    assert field.range is not None, f"{field.name}: a number without a range"
    slider = SliderRow(
        told.label, *told.useful, limit=field.range.high, decimals=told.decimals, step=told.step
    )
    slider.set_tool_tip(told.help)
    return FieldControl(slider, slider)


ROWS = (
    Row("prompt", RowPlace.TEXTS, text(lines=5)),
    Row("styles", RowPlace.TEXTS, styles),
    Row("negative_prompt", RowPlace.TEXTS, text(lines=2)),
    Row("loras", RowPlace.TEXTS, loras),
    Row("steps", RowPlace.MAIN),
    Row("guidance_scale", RowPlace.MAIN),
    Row("scheduler", RowPlace.MAIN, scheduler),
    Row("seed", RowPlace.MAIN, seed),
    Row("variation_strength", RowPlace.VARIATION),
    Row("variation_seed", RowPlace.VARIATION, variation_seed),
    Row("count", RowPlace.MAIN),
    Row("enlargement", RowPlace.MAIN, side_list),
    Row("start_image.path", RowPlace.START, picture),
    Row("start_image.strength", RowPlace.START),
    Row("start_image.mask", RowPlace.MASK, picture),
    Row("start_image.mask_feather", RowPlace.MASK),
    Row("start_image.mask_inverted", RowPlace.MASK),
    Row("start_image.masked_content", RowPlace.MASK, side_list),
    Row("start_image.inpaint_area", RowPlace.MASK, side_list),
    Row("start_image.outpaint", RowPlace.FRAME, frame),
    Row("image_guidance_scale", RowPlace.EDITING),
    Row("depth_map", RowPlace.EDITING, picture),
    Row("width", RowPlace.ADVANCED, side),
    Row("height", RowPlace.ADVANCED, side),
    Row("prompt_syntax", RowPlace.ADVANCED),
    Row("clip_skip", RowPlace.ADVANCED),
    Row("refiner", RowPlace.ADVANCED, refiner),
    Row("refiner_switch_at", RowPlace.ADVANCED),
    Row("tiling", RowPlace.ADVANCED, side_list),
    Row("guidance_rescale", RowPlace.ADVANCED),
    Row("upscaler", RowPlace.ADVANCED, upscaler),
    Row("detail_strength", RowPlace.ADVANCED),
    Row("composition", RowPlace.ADVANCED),
    Row("compute_unit", RowPlace.ADVANCED),
    Row("random_source", RowPlace.ADVANCED),
    Row("safety_checker", RowPlace.ADVANCED),
)
"""In the order they stand in the panel."""


def make_controls() -> dict[str, FieldControl]:
    """A control for every row, by its field's name."""
    fields = described_fields()
    return {row.field: (row.make or usual)(fields[row.field]) for row in ROWS}


def bind(state: DraftState, name: str, control: Bound, shown: Callable[[str], Any]) -> None:
    """Keep a control and a field of the draft at one value.

    Args:
        state: the draft.
        name: the field.
        control: shows it and changes it.
        shown: what a control shows for a field: its value, or the model's where it has none.
    """

    def on_changed(changed: str) -> None:
        if changed == name:
            control.set_value(shown(name))

    def on_edited(value: object) -> None:
        # Qt hands the values of enums back as mere text.
        state.set(name, kind(value) if issubclass(kind, StrEnum) else value)

    kind = described_fields()[name].kind
    state.changed.connect(on_changed)
    control.edited.connect(on_edited)
