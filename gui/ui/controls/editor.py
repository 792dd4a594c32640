"""What is set of one control: its picture, how that is prepared, and how strongly, when and against
what it leads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from gui import words
from gui.control_use import (
    BALANCES,
    PREPROCESSOR_SETTINGS,
    PREPROCESSORS,
    Control,
    ControlBalance,
    Preprocessor,
    PreprocessorSetting,
)
from gui.errors import SfumatoError
from gui.state.controls import ControlPreview, PrepareControl, name_of
from gui.ui.canvas.option_widgets import NumberField, Popover
from gui.ui.controls.well import ControlWell
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import (
    ElidedLabel,
    QuietSlider,
    QuietSpinBox,
    icon_button,
    label,
)
from gui.ui.widgets.flow_layout import FlowLayout
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from gui.state.controls import ControlDesk

MOST_WEIGHT = 2.0
_PERCENT = 100
_LEAST_PART = 1
"""Per cent of the steps in which it leads at least."""
_SLIDER_WIDTH = 84
_CHOICE_WIDTH = 150
_MAC = (Preprocessor.POSE, Preprocessor.SUBJECT)

Preparation = tuple[str, str]
"""Preprocessor, and its network where it is one."""


class ControlEditor(QWidget):
    """One of the draft's controls, in a few lines.

    Args:
        desk: the draft's controls.
    """

    menu_wanted = Signal(QPoint)
    """Where to take a picture from is to be chosen."""
    dropped = Signal(object)
    """A path or pixels."""
    shown = Signal(QImage)
    """What the network will be shown; null while that is not known."""

    def __init__(self, desk: ControlDesk) -> None:
        super().__init__()
        self._desk = desk
        self.place = -1
        """Which control; -1: none."""
        self._wish: PrepareControl | None = None
        self.well = ControlWell()
        self.on = QCheckBox("On")
        self.on.setToolTip("Off: it is kept, and does not lead.")
        self.preparation = Choice("Preparation")
        self.preparation.setFixedWidth(_CHOICE_WIDTH)
        self.settings = {
            each.field: _setting(each)
            for several in PREPROCESSOR_SETTINGS.values()
            for each in several
        }
        self.slider = QuietSlider()
        self.slider.setRange(0, round(MOST_WEIGHT * _PERCENT))
        self.slider.setFixedWidth(_SLIDER_WIDTH)
        self.slider.setAccessibleName("Weight")
        self.weight = QuietSpinBox(2)
        self.weight.setRange(0, MOST_WEIGHT)
        self.weight.setSingleStep(0.05)
        self.weight.setFixedWidth(52)
        self.weight.setAccessibleName("Weight, value")
        for widget in (self.slider, self.weight):
            widget.setToolTip("How strongly it leads; 1 is usual.")
        self.begin, self.end = _part("Leads from", 0, 99), _part("Leads until", 1, _PERCENT)
        self.balance = Choice("Balance")
        self.balance.setFixedWidth(_CHOICE_WIDTH)
        for option in BALANCES:
            self.balance.add(option.label, option.value.value, option.help)
        self.eye = icon_button("eye", "Show it over the picture", checkable=True)
        self.eye.setIcon(icon("eye", tone="secondary", on_tone="accent"))
        self.eye.setChecked(True)
        self.remove = icon_button("trash", "Remove this ControlNet")
        self.more = icon_button("sliders", "Balance and range")
        self.more.setIcon(icon("sliders", tone="secondary"))
        self.more.hide()
        self.popover = Popover(self, "Balance and range", [])
        self.more.clicked.connect(lambda: self.popover.open_below(self.more))
        for button in (self.eye, self.remove, self.more):
            button.setIconSize(QSize(16, 16))
        self.problem = label("", "problem", wrap=True)
        self.caption = ElidedLabel("", "small")
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        upper, lower = FlowLayout(spacing=10, centred=False), FlowLayout(spacing=10, centred=False)
        upper.addWidget(_group("Prepare", self.preparation))
        for number in self.settings.values():
            upper.addWidget(number)
        upper.addWidget(_group("Weight", self.slider, self.weight))
        self._lower = lower
        self._rare = (
            _group("Balance", self.balance),
            _group("Leads from", self.begin, label("to", "small"), self.end, label("%", "small")),
        )
        for group in self._rare:
            lower.addWidget(group)
        foot = QHBoxLayout()
        foot.setSpacing(6)
        for widget, share in (
            (self.on, 0), (self.caption, 1), (self.more, 0), (self.eye, 0), (self.remove, 0),
        ):  # fmt: skip
            foot.addWidget(widget, share)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addLayout(upper)
        column.addLayout(lower)
        column.addWidget(self.problem)
        column.addLayout(foot)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.well, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(column, 1)

    def _connect(self) -> None:
        desk = self._desk
        self.on.toggled.connect(lambda on: desk.switch(self.place, on))
        # queued: the click is over before the editor shows another control
        self.remove.clicked.connect(
            lambda: desk.remove(self.place), Qt.ConnectionType.QueuedConnection
        )
        self.well.menu_wanted.connect(self.menu_wanted)
        self.well.dropped.connect(self.dropped)
        self.well.removed.connect(lambda: desk.set_picture(self.place, ""))
        self.preparation.edited.connect(self._on_preparation)
        for field, number in self.settings.items():
            number.edited.connect(lambda value, field=field: self._on_setting(field, value))
        self.slider.valueChanged.connect(lambda value: self.weight.setValue(value / _PERCENT))
        self.weight.valueChanged.connect(self._on_weight)
        self.begin.valueChanged.connect(self._on_part)
        self.end.valueChanged.connect(self._on_part)
        self.balance.edited.connect(
            lambda value: desk.adjust(self.place, balance=ControlBalance(value))
        )
        desk.previews.made.connect(self._on_made)
        desk.previews.failed.connect(self._on_failed)

    def set_roomy(self, roomy: bool) -> None:
        """Where there is little room, balance and range stand in a pop-over."""
        self.popover.close()
        rare = self.popover.layout()
        assert rare is not None
        for group in self._rare:
            (rare if roomy else self._lower).removeWidget(group)
            (self._lower if roomy else rare).addWidget(group)
            group.show()
        self.more.setVisible(not roomy)

    @property
    def control(self) -> Control:
        return self._desk.controls[self.place]

    @property
    def image(self) -> QImage:
        """What the network will be shown; null while that is not known."""
        return self.well.image

    def show_control(self, place: int) -> None:
        """Show a control as it is now, without changing it."""
        if place != self.place:
            self.place = place
            self._wish = None
            self.well.set_empty()
        control = self.control
        name = name_of(control)
        numbers = (self.on, self.begin, self.end, self.slider, self.weight)
        for widget in numbers:
            widget.blockSignals(True)
        self.on.setChecked(control.on)
        self.begin.setValue(round(control.start * _PERCENT))
        self.end.setValue(round(control.end * _PERCENT))
        self.weight.setValue(control.weight)
        self.slider.setValue(round(control.weight * _PERCENT))
        for widget in numbers:
            widget.blockSignals(False)
        self.balance.set_value(control.balance.value)
        self.on.setAccessibleName(f"Use {name}")
        self.well.setAccessibleName(f"Control picture of {name}")
        self._show_preparations(control)
        problem = self._desk.problem(control)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self._show_picture(control)

    def _show_preparations(self, control: Control) -> None:
        """What can be done here, and what the control says even where it cannot."""
        chosen = (control.preprocessor.value, control.preprocessor_network)
        vision = self._desk.networks.networks.vision
        offered = [
            ((option.value.value, ""), option.label, option.help)
            for option in PREPROCESSORS
            if option.value is not Preprocessor.NETWORK
            and (vision or option.value not in _MAC or option.value is control.preprocessor)
        ]
        for name in self._desk.preprocessor_networks():
            offered.append(((Preprocessor.NETWORK.value, name), name, "A network of your own"))
        if all(data != chosen for data, *_ in offered):
            offered.append((chosen, control.preprocessor_network, "It is not here"))
        choice = self.preparation
        data = [choice.itemData(row) for row in range(choice.count())]
        if data != [each[0] for each in offered]:
            choice.showing = True
            choice.clear()
            for each, text, help_ in offered:
                choice.add(text, each, help_)
            choice.showing = False
        choice.set_value(chosen)
        settable = [each.field for each in PREPROCESSOR_SETTINGS.get(control.preprocessor, ())]
        for field, number in self.settings.items():
            number.set_value(getattr(control.settings, field))
            number.setVisible(field in settable)

    def _show_picture(self, control: Control) -> None:
        wish = self._desk.wish(control)
        if wish is None:
            self._wish = None
            self.well.set_empty()
            self._show_caption()
            self.shown.emit(self.image)
        elif wish != self._wish:
            self._wish = wish
            self.well.set_waiting()
            self._desk.previews.want(id(self), wish)

    def _show_caption(self, *texts: str) -> None:
        found = self._desk.choice(self.control) if self.place >= 0 else None
        remark = found.remark if found is not None and not found.misfit else ""
        self.caption.set_text(*(texts or (remark,)))

    def _on_made(self, whose: object, preview: ControlPreview) -> None:
        if whose != id(self) or preview.wish != self._wish:
            return
        self.well.set_image(preview.image)
        self.eye.setChecked(True)
        name = preview.wish.file.rpartition("/")[2]
        size = f"{words.pixels(*preview.size)} px{', cut around its centre' if preview.cut else ''}"
        self._show_caption(f"{name}  ·  {size}", size)
        self.shown.emit(self.image)

    def _on_failed(self, whose: object, wish: PrepareControl, error: SfumatoError) -> None:
        if whose == id(self) and wish == self._wish:
            self.well.set_failed()
            self.problem.setText(error.message)
            self.problem.show()
            self._show_caption()
            self.shown.emit(self.image)

    def _on_preparation(self, data: Preparation) -> None:
        kind, network = data
        self._desk.set_preprocessor(self.place, Preprocessor(kind), network)

    def _on_setting(self, field: str, value: object) -> None:
        settings = replace(self.control.settings, **{field: value})
        self._desk.adjust(self.place, settings=settings)

    def _on_weight(self, weight: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(weight * _PERCENT))
        self.slider.blockSignals(False)
        self._desk.adjust(self.place, weight=round(weight, 2))

    def _on_part(self, _value: float) -> None:
        """Both ends; the one that was moved pushes the other along."""
        begin, end = round(self.begin.value()), round(self.end.value())
        if end - begin < _LEAST_PART:
            moved_end = self.sender() is self.end
            begin, end = (end - _LEAST_PART, end) if moved_end else (begin, begin + _LEAST_PART)
        self._desk.adjust(self.place, start=begin / _PERCENT, end=end / _PERCENT)


def _setting(told: PreprocessorSetting) -> NumberField:
    bounds = told.range
    made = NumberField(
        told.label,
        bounds.low,
        bounds.high,
        decimals=told.decimals,
        step=told.step,
        suffix=told.suffix,
    )
    made.set_tool_tip(told.help)
    made.hide()
    return made


def _part(name: str, low: int, high: int) -> QuietSpinBox:
    """A number in per cent of the steps."""
    made = QuietSpinBox(0)
    made.setRange(low, high)
    made.setSingleStep(5)
    made.setKeyboardTracking(False)
    made.setFixedWidth(44)
    made.setAccessibleName(f"{name}, per cent of the steps")
    made.setToolTip("The part of the steps in which it leads.")
    return made


def _group(title: str, *widgets: QWidget) -> QWidget:
    """Controls with their label before them, which stay together."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    name = label(title, "small")
    name.setBuddy(widgets[0])
    for widget in (name, *widgets):
        row.addWidget(widget)
    return made
