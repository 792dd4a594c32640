"""The choices of a conversion, in plain language."""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.state.convert import options as choices
from gui.state.convert.state import (
    Attention,
    Compression,
    ConvertRequest,
    ImageSize,
    Lora,
    Machine,
    SourceInfo,
)
from gui.ui.convert.files import FileList
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import Section, Switch, label

LABEL_WIDTH = 92
SIZES_PER_ROW = 4
CONTROL_HEIGHT = 28


class SizesChoice(QWidget):
    """Picture sizes: any number of the usual ones, and others typed in."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._chips: dict[ImageSize, QPushButton] = {}
        self.other = QLineEdit()
        self.other.setPlaceholderText("Others, such as 640x448")
        self.other.setAccessibleName("Other picture sizes")
        self.problem = label("", "warning", wrap=True)
        self.problem.hide()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(6)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._grid)
        column.addWidget(self.other)
        column.addWidget(self.problem)
        self.other.textChanged.connect(lambda _: self._on_change())

    def offer(self, sizes: tuple[ImageSize, ...]) -> None:
        """Show these; the first is chosen."""
        for chip in self._chips.values():
            self._grid.removeWidget(chip)
            chip.deleteLater()
        self._chips = {}
        for number, size in enumerate(sizes):
            chip = QPushButton(f"{size.width} × {size.height}")
            chip.setObjectName("chip")
            chip.setCheckable(True)
            chip.setChecked(number == 0)
            chip.setAccessibleName(f"Pictures of {size.width} by {size.height} pixels")
            chip.toggled.connect(lambda _: self._on_change())
            self._grid.addWidget(chip, number // SIZES_PER_ROW, number % SIZES_PER_ROW)
            self._chips[size] = chip
        self.other.clear()

    def chip(self, size: ImageSize) -> QPushButton:
        return self._chips[size]

    def sizes(self) -> tuple[ImageSize, ...]:
        """What is chosen, empty where what was typed is no size."""
        try:
            typed = choices.parse_sizes(self.other.text())
        except ValueError:
            return ()
        chosen = [size for size, chip in self._chips.items() if chip.isChecked()]
        return tuple(dict.fromkeys([*chosen, *typed]))

    def _on_change(self) -> None:
        problem = ""
        try:
            choices.parse_sizes(self.other.text())
        except ValueError as error:
            problem = str(error)
        if not problem and not self.sizes():
            problem = "Choose at least one picture size."
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.changed.emit()


class ConvertOptions(QWidget):
    """Everything that can be chosen; makes the request."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._info: SourceInfo | None = None
        self._machine: Machine | None = None
        self._taken: frozenset[str] = frozenset()
        self._loading = False
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the model")
        self.attention = Choice("Made for")
        for value, text, _ in choices.ATTENTIONS:
            self.attention.addItem(text, value)
        self.attention_help = label("", "small", wrap=True)
        self.sizes = SizesChoice()
        self.compression = Choice("Compression")
        self.compression_help = label("", "small", wrap=True)
        self.recommend = QPushButton("Use Recommended")
        self.reason = label("", "small", wrap=True)
        self._make_advanced()
        self._lay_out()
        self._fill_compressions()
        self._connect()
        self._on_change()

    def _make_advanced(self) -> None:
        self.target = Choice("Needs macOS")
        for value, text in choices.TARGETS:
            self.target.addItem(text, value)
        self.prediction = Choice("What the model predicts")
        for value, text in choices.PREDICTIONS:
            self.prediction.addItem(text, value)
        self.prediction.setToolTip("Change it only if pictures come out as noise or washed out.")
        self.text = Choice("How much of a prompt it reads")
        for value, text in choices.TEXTS:
            self.text.addItem(text, value)
        self.text.setToolTip("Longer prompts make each step take a little longer, short ones too.")
        self.clip_skip = Switch("Offer clip skip 2")
        self.clip_skip.setToolTip(
            "Many anime models were trained with the text encoder’s layer before the last."
        )
        self.chunked = Switch("Split the UNet into two files")
        self.chunked.setToolTip("For devices with little memory, such as iPhones and iPads.")
        self.batch_one = Switch("Less memory: guidance in two calls per step")
        self.batch_one.setToolTip("Each step takes longer, and needs less memory.")
        self.control_ready = Switch("Also make a UNet that ControlNets can steer")
        self.control_ready.setToolTip("Takes the UNet’s space on the disk once more.")
        self.compiled = Switch("Also compile for Swift apps")
        self.compiled.setVisible(sys.platform == "darwin")
        self.check = Switch("Compare each part with the original")
        self.check.setToolTip("Tells you in decibels how alike they are; takes a little longer.")
        self.check.setChecked(True)
        self.loras = FileList("LoRA", scaled=True)
        self.controlnets = FileList("ControlNet", folders=True)

    def _lay_out(self) -> None:
        recommended = QHBoxLayout()
        recommended.setSpacing(12)
        recommended.addWidget(self.recommend, 0, Qt.AlignmentFlag.AlignTop)
        recommended.addWidget(self.reason, 1)
        form = _form()
        form.addRow(_caption("Name:"), self.name)
        form.addRow(_caption("Suggested:"), recommended)
        form.addRow(_caption("Made for:"), _helped(self.attention, self.attention_help))
        form.addRow(_caption("Picture size:"), self.sizes)
        form.addRow(_caption("Compression:"), _helped(self.compression, self.compression_help))
        more = QWidget()
        inner = _form()
        inner.setContentsMargins(0, 4, 0, 0)
        inner.addRow(_caption("Runs on:"), self.target)
        inner.addRow(_caption("Predicts:"), self.prediction)
        inner.addRow(_caption("Reads:"), self.text)
        inner.addRow(_caption("LoRAs:"), self.loras)
        inner.addRow(_caption("ControlNets:"), self.controlnets)
        for switch in (
            self.clip_skip, self.control_ready, self.batch_one, self.chunked, self.compiled,
            self.check,
        ):  # fmt: skip
            if not switch.isHidden() or switch is not self.compiled:
                inner.addRow("", switch)
        more.setLayout(inner)
        self.advanced = Section("More options", more)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(form)
        column.addWidget(self.advanced)
        column.addStretch(1)

    def _connect(self) -> None:
        self.name.textChanged.connect(lambda _: self._on_change())
        for choice in (
            self.attention, self.compression, self.target, self.prediction, self.text
        ):  # fmt: skip
            choice.currentIndexChanged.connect(lambda _: self._on_change())
        for switch in (
            self.clip_skip,
            self.chunked,
            self.batch_one,
            self.control_ready,
            self.compiled,
            self.check,
        ):
            switch.toggled.connect(lambda _: self._on_change())
        for part in (self.sizes, self.loras, self.controlnets):
            part.changed.connect(self._on_change)
        self.recommend.clicked.connect(self.use_recommended)

    # -- what is on offer -------------------------------------------------------------------------

    def set_source(self, info: SourceInfo) -> None:
        """Offer what suits this source, the recommended choices made."""
        self._loading = True
        self._info = info
        self.name.setText(info.name)
        self.sizes.offer(choices.size_presets(info))
        self._fill_compressions()
        self.prediction.setItemText(0, choices.stated_prediction(info))
        self.prediction.setCurrentIndex(0)
        self._loading = False
        self.use_recommended()

    def set_taken(self, names: frozenset[str]) -> None:
        """Names in the library's folder: a new model gets another."""
        before = self.request()
        self._taken = names
        if before is not None and before != self.request():
            self._on_change()

    def set_machine(self, machine: Machine) -> None:
        self._machine = machine
        if self._info is not None:
            self.use_recommended()

    def use_recommended(self) -> None:
        """Choose what is best for this Mac; sizes and the rest stay."""
        if self._info is None or self._machine is None:
            self._on_change()
            return
        preset = choices.recommended(self._info, self._machine)
        self._loading = True
        self.attention.select_data(preset.attention)
        self.compression.select_data(preset.compression)
        self.target.select_data(preset.target)
        self._loading = False
        self._on_change()

    def _fill_compressions(self) -> None:
        chosen = self.compression.currentData()
        blocked = self.compression.blockSignals(True)
        self.compression.clear()
        for value, text, _ in choices.COMPRESSIONS:
            if self._info is not None:
                size = words.size(choices.compressed_bytes(self._info, value))
                text = f"{text} – about {size}"
            self.compression.addItem(text, value)
        self.compression.select_data(chosen or Compression.NONE)
        self.compression.blockSignals(blocked)

    def _on_change(self) -> None:
        if self._loading:
            return
        attention, compression = self.attention.currentData(), self.compression.currentData()
        self.attention_help.setText(next(h for v, _, h in choices.ATTENTIONS if v == attention))
        self.compression_help.setText(
            next(h for v, _, h in choices.COMPRESSIONS if v == compression)
        )
        self._show_recommendation()
        if self.controlnets.paths():
            self.control_ready.setChecked(True)
        self.control_ready.setEnabled(not self.controlnets.paths())
        self.changed.emit()

    def _show_recommendation(self) -> None:
        known = self._info is not None and self._machine is not None
        self.recommend.setEnabled(False)
        if not known:
            self.reason.setText("Choose a model first.")
            return
        assert self._info is not None and self._machine is not None
        preset = choices.recommended(self._info, self._machine)
        chosen = (
            self.attention.currentData(),
            self.compression.currentData(),
            self.target.currentData(),
        )
        same = chosen == (preset.attention, preset.compression, preset.target)
        self.recommend.setEnabled(not same)
        self.reason.setText(("The recommended choices. " if same else "") + preset.reason)

    # -- the request ------------------------------------------------------------------------------

    def request(self) -> ConvertRequest | None:
        """What was chosen; None until it makes sense.  `output` is a new folder of the library."""
        sizes = self.sizes.sizes()
        name = self.name.text().strip()
        if self._info is None or not sizes or not name:
            return None
        return ConvertRequest(
            source=self._info.path,
            output=str(choices.output_folder(name, self._taken)),
            name=name,
            attention=Attention(self.attention.currentData()),
            sizes=sizes,
            unet_batch=1 if self.batch_one.isChecked() else 2,
            chunked=self.chunked.isChecked(),
            compression=Compression(self.compression.currentData()),
            target=str(self.target.currentData()),
            loras=tuple(Lora(path, scale) for path, scale in self.loras.scaled()),
            controlnets=tuple(self.controlnets.paths()),
            control_ready=self.control_ready.isChecked(),
            prediction_type=str(self.prediction.currentData()),
            compiled=self.compiled.isChecked(),
            check=self.check.isChecked(),
            text_tokens=int(self.text.currentData()),
            clip_skip=2 if self.clip_skip.isChecked() else 1,
        )


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(12)
    form.setVerticalSpacing(12)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _caption(text: str) -> QWidget:
    made = label(text)
    made.setFixedWidth(LABEL_WIDTH)
    made.setFixedHeight(CONTROL_HEIGHT)
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made


def _helped(field: QWidget, help_: QWidget) -> QVBoxLayout:
    """A field with its help below."""
    column = QVBoxLayout()
    column.setSpacing(3)
    column.addWidget(field)
    column.addWidget(help_)
    return column
