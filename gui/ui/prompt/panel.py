"""The right column: everything that decides a picture, and the button that makes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.request import Composition
from gui.state.draft import BRANCH, Draft, DraftState
from gui.state.model_entry import default_values, scheduler_with
from gui.state.prompts.library import PromptLibrary
from gui.state.prompts.types import around
from gui.state.size_outlook import SizeOutlook
from gui.state.undo import UndoStack
from gui.ui.prompt import controls
from gui.ui.prompt.branch_bar import BranchBar
from gui.ui.prompt.controls import RowPlace
from gui.ui.prompt.drop_zone import DropZone
from gui.ui.prompt.field_undo import FieldUndo
from gui.ui.prompt.fields import SchedulerChoice, SeedRow, TextField
from gui.ui.prompt.known_words import KnownWords
from gui.ui.prompt.loras import LoraList
from gui.ui.prompt.presets import PresetsButton
from gui.ui.prompt.prompts_popover import PromptsPopover
from gui.ui.prompt.size import EnlargedSize, Size, SizeChoice
from gui.ui.prompt.start_edits import StartEdits
from gui.ui.prompt.styles import StyleChips, StylesPopover
from gui.ui.widgets.controls import Section, Switch, icon_button, label
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry

_LOW = 640
"""Pixels of height below which the prompt gives up two of its lines."""


_FOR_KINDS = {"image_guidance_scale": "instruct", "depth_map": "depth"}
"""Controls that only models with such a UNet have a use for."""


class PromptPanel(QFrame):
    """Shows and edits a draft; knows the model only as far as it bounds the controls.

    Args:
        state: the draft, to whose fields the controls are bound.
        undo: what was done in the window.
        prompts: what is kept of prompts.
        made: `controls.make_controls`; beforehand, as it takes as long as all the rest.
    """

    generate_requested = Signal()
    failed = Signal(SfumatoError)
    panel_wanted = Signal()
    """Something is to be shown at one of its controls, and it is hidden."""

    def __init__(
        self,
        state: DraftState,
        undo: UndoStack,
        prompts: PromptLibrary,
        made: dict[str, controls.FieldControl],
    ) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._state = state
        self._prompts = prompts
        self._entry: ModelEntry | None = None
        self._no_start = ""
        self._refiners: list[ModelEntry] = []
        self._defaults = default_values(None, state.draft.request.scheduler)
        self.controls = made
        # Those of which more is known here than that they show a value.
        self.prompt = cast("TextField", self.controls["prompt"].input)
        self.negative = cast("TextField", self.controls["negative_prompt"].input)
        self.styles = cast("StyleChips", self.controls["styles"].input)
        self.loras = cast("LoraList", self.controls["loras"].input)
        self.scheduler = cast("SchedulerChoice", self.controls["scheduler"].input)
        self.seed = cast("SeedRow", self.controls["seed"].input)
        self.start = cast("DropZone", self.controls["start_image.path"].input)
        pictures = ("start_image.path", "start_image.mask", "depth_map")
        self._zones = [cast("DropZone", self.controls[name].input) for name in pictures]
        self.strength = self.controls["start_image.strength"].row
        self.safety = cast("Switch", self.controls["safety_checker"].input)
        self.field_undo = FieldUndo(undo, (self.prompt, self.negative))
        self._make_others()
        self._lay_out()
        for control in self.controls.values():
            if control.row.parent() is None:  # shown elsewhere, as by a tool; it goes with this
                control.row.setParent(self)
                control.row.hide()
        self._connect()
        self._show_all()
        for name in _FOR_KINDS:
            self.controls[name].row.hide()

    # -- construction -------------------------------------------------------------------------

    def _make_others(self) -> None:
        self.known_words = KnownWords(self.prompt.edit)
        up, down = (
            QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
            for keys in ("Alt+Up", "Alt+Down")
        )
        tip = f"Earlier and saved prompts ({up} and {down} in the field step through them)"
        self.history = icon_button("history", tip)
        self.history.setAccessibleName("Earlier and saved prompts")
        self.prompt.add_to_heading(self.history)
        self.variation = self._variation()
        self.branch = BranchBar()
        self.start_edits = StartEdits(self._state)
        self.presets = PresetsButton(self._prompts.presets)
        self._popover: PromptsPopover | None = None
        self._styles_popover: StylesPopover | None = None
        self.lora_note = label(words.UNKNOWN_SOURCE, "small", wrap=True)
        self.lora_note.hide()
        self.size_choice = SizeChoice()
        self.size_outlook = SizeOutlook(self)
        self.size_choice.set_tell(self._told_of_size)
        self.enlarged_size = EnlargedSize()
        self.safety_note = label("This model has no safety checker.", "small", wrap=True)
        self.reset = QPushButton("Reset to Model’s Defaults")
        self.reset.setObjectName("flat")
        self.reset.setIcon(icon("reset", tone="accent"))
        self.generate = QPushButton("Generate")
        self.generate.setObjectName("primary")
        self.generate.setAccessibleName("Generate")
        keys = QKeySequence("Ctrl+Return").toString(QKeySequence.SequenceFormat.NativeText)
        self.generate.setToolTip(f"Make the picture ({keys})")
        self.live = Switch("Live")
        keys = QKeySequence("Ctrl+Alt+L").toString(QKeySequence.SequenceFormat.NativeText)
        self.live.setToolTip(f"The picture follows what is set here ({keys})")

    def _rows_at(self, place: RowPlace) -> list[QWidget]:
        return [self.controls[row.field].row for row in controls.ROWS if row.place is place]

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        column.setContentsMargins(16, 14, 16, 16)
        column.setSpacing(10)
        column.addWidget(self.branch)
        for row in self._rows_at(RowPlace.TEXTS):
            column.addWidget(row)
            if row is self.prompt:
                column.addWidget(self.known_words)
            elif row is self.loras:
                column.addWidget(self.lora_note)
        settings = QHBoxLayout()
        settings.addWidget(label("Settings", "heading"))
        settings.addStretch(1)
        settings.addWidget(self.presets)
        column.addLayout(settings)
        for row in self._rows_at(RowPlace.MAIN):
            column.addWidget(row)
            if row is self.seed:
                column.addWidget(self.variation)
        for row in self._rows_at(RowPlace.START):
            column.addWidget(row)
            if row is self.controls["start_image.path"].row:
                column.addWidget(self.start_edits)
        for row in self._rows_at(RowPlace.EDITING):
            column.addWidget(row)
        column.addWidget(controls.beside("Size", self.size_choice))
        column.addWidget(self.enlarged_size)
        self.advanced_section = Section("Advanced", self._advanced())
        column.addWidget(self.advanced_section)
        foot_row = QHBoxLayout()
        foot_row.setContentsMargins(-8, 0, 0, 0)  # the flat button's text in line with the rest
        foot_row.addWidget(self.reset)
        foot_row.addStretch(1)
        column.addLayout(foot_row)
        column.addStretch(1)
        scrolled = QWidget()
        scrolled.setObjectName("scrolled")
        scrolled.setLayout(column)
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroller.setWidget(scrolled)
        separator = QFrame()
        separator.setObjectName("separator")
        foot = QHBoxLayout()
        foot.setContentsMargins(16, 12, 16, 14)
        foot.setSpacing(14)
        foot.addWidget(self.generate, 1)
        foot.addWidget(self.live)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.scroller, 1)
        outer.addWidget(separator)
        outer.addLayout(foot)

    def _variation(self) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for row in self._rows_at(RowPlace.VARIATION):
            column.addWidget(row)
        content.hide()
        return content

    def _advanced(self) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for row in self._rows_at(RowPlace.ADVANCED):
            column.addWidget(row)
        column.addWidget(self.safety_note)
        return content

    def _connect(self) -> None:
        self.generate.clicked.connect(self.generate_requested)
        self.history.clicked.connect(self.show_prompts)
        self.seed.more.toggled.connect(self.variation.setVisible)
        self.presets.reset_wanted.connect(self.reset_to_defaults)
        self.styles.wanted.connect(self.show_styles)
        self.prompt.edit.stepped.connect(self._prompts.walk.step)
        self.reset.clicked.connect(self.reset_to_defaults)
        for zone in self._zones:
            zone.failed.connect(self.failed)
        self.loras.failed.connect(self.failed)
        self.loras.words_wanted.connect(self._add_words)
        self.size_choice.sized.connect(self._set_size)
        self.size_choice.opening.connect(self.size_outlook.refresh)
        self.size_outlook.changed.connect(self.size_choice.tell_again)
        self.start.sized.connect(lambda *size: self.size_choice.set_picture(size))
        self.advanced_section.toggled.connect(self._on_advanced)
        for name, control in self.controls.items():
            controls.bind(self._state, name, control.input, self._shown)
        self._state.changed.connect(self._on_changed)
        self.branch.removed.connect(
            lambda: self._state.replace(self.draft().with_value(BRANCH, None), "Remove Branch")
        )

    # -- the draft ----------------------------------------------------------------------------

    def draft(self) -> Draft:
        """What the controls say now."""
        return self._state.draft

    def _shown(self, name: str) -> Any:
        """What the control of a field shows: what was chosen, else what the model will use."""
        value = self._state.value(name)
        return self._defaults.get(name) if value is None else value

    def _show_all(self) -> None:
        for name, control in self.controls.items():
            control.input.set_value(self._shown(name))
        self._show_styles()
        self._show_reading()
        self._show_refiners()
        self._on_changed("seed")
        self._show_variation()
        self._on_changed(BRANCH)
        self._update_strength()

    def _on_changed(self, name: str) -> None:
        draft = self._state.draft
        self.presets.set_at_recommendation(draft == draft.without_choices())
        if name == "styles":
            self._show_styles()
        elif name == "loras":
            self._show_lora_note()
            self._show_defaults()
        elif name == "seed":
            self.seed.set_last(self._state.draft.request.seed or None)
        elif name == "variation_strength":
            self._show_variation()
        elif name == BRANCH:
            self.branch.set_branch(draft.request.branch)
            self._show_start()
        elif name == "start_image.path":
            self._update_strength()
        elif name in ("width", "height", "enlargement"):
            self._show_size()
        elif name == "compute_unit" and self._entry is not None:
            self.size_outlook.set_model(self._entry, draft.request.compute_unit)
        elif name == "scheduler":
            self._show_defaults()
        elif name == "refiner":
            self._show_refiners()
        elif name in ("prompt_syntax", "clip_skip"):
            self._show_reading()

    def use_example(self, text: str) -> None:
        """Put an example in place of the prompt."""
        self._state.replace(self._state.draft.with_value("prompt", text), "Use Example")

    @property
    def popover(self) -> PromptsPopover:
        """Earlier and saved prompts; made when it is first wanted."""
        if self._popover is None:
            self._popover = PromptsPopover(self._prompts, self.prompt.edit)
        return self._popover

    def show_prompts(self) -> None:
        """Earlier and saved prompts, to choose from."""
        self.panel_wanted.emit()
        self.scroller.ensureWidgetVisible(self.history)
        self.popover.open_below(self.history)

    @property
    def styles_popover(self) -> StylesPopover:
        """Every style; made when it is first wanted."""
        if self._styles_popover is None:
            self._styles_popover = StylesPopover(self._prompts.styles, self.styles)
            self._styles_popover.sheet_wanted.connect(self.show_styles_sheet)
        return self._styles_popover

    def show_styles(self) -> None:
        """Every style, to be put on and taken off."""
        self.panel_wanted.emit()
        self.scroller.ensureWidgetVisible(self.styles.add)
        self.styles_popover.open_below(self.styles.add)

    def show_styles_sheet(self) -> None:
        """The styles, to be edited."""
        from gui.ui.prompt.styles_sheet import StylesSheet

        sheet = StylesSheet(self._prompts.styles, self.window())
        sheet.finished.connect(sheet.deleteLater)
        self.styles_sheet = sheet
        sheet.show()

    def reset_to_defaults(self) -> None:
        """What the model can decide, as the model recommends."""
        self._state.replace(self._state.draft.without_choices(), "Reset to Model’s Defaults")

    def use_plain_model(self) -> None:
        """Neither LoRAs nor another size than the model's own."""
        self._state.replace(self._state.draft.for_plain_model(), "Use Model As It Is")

    def forget_edits(self) -> None:
        """What the text fields hold now is their beginning: undo goes no further back."""
        for control in self.controls.values():
            if isinstance(control.input, TextField):
                control.input.edit.document().clearUndoRedoStacks()

    def close_down(self) -> None:
        """Wait for the workers that read files for the panel."""
        self.known_words.close_down()
        self.loras.close_down()
        self.size_outlook.close()
        for zone in self._zones:
            zone.close_down()

    def focus_prompt(self) -> None:
        self.prompt.edit.setFocus()
        self.prompt.edit.selectAll()

    def ask_for_prompt(self) -> None:
        """Say, where it is to be typed, that there is no prompt yet."""
        self.prompt.edit.setFocus()
        self.prompt.remark("Type what should be seen")
        self.scroller.ensureWidgetVisible(self.prompt)

    def set_busy(self, busy: bool, editing: bool = False, live: bool = False) -> None:
        """While a job runs, the button puts the next one in line; while a waiting one is edited,
        it saves that; while Live is on, it keeps what is shown."""
        plain = "Keep" if live else "Generate"
        text = "Save Request" if editing else "Add to Queue" if busy else plain
        if sys.platform == "darwin":
            text += "   ⌘↩"
        self.generate.setText(text)

    # -- the model ----------------------------------------------------------------------------

    def set_model(self, entry: ModelEntry) -> None:
        """Bound the controls by what the model can do; untouched values move to its defaults."""
        self.known_words.set_model(entry)
        self.presets.set_model(entry.request_folder, entry.name)
        info, sidecar = entry.info, entry.sidecar
        if sidecar is not None:
            self._entry = entry
            self._show_reading()
            self._show_refiners()
        self._show_defaults()
        self._show_lora_note()
        self.size_outlook.set_model(entry, self._state.draft.request.compute_unit)
        native = (info.image_width, info.image_height) if info is not None else (0, 0)
        self.size_choice.set_model(native, entry.fixed_size, entry.sizes)
        controls.limit_sides(self.controls, entry.sizes)
        self._show_size()
        self._no_start = ""
        if info is not None and not entry.has_encoder:
            self._no_start = "This model has no VAE encoder."
        self._show_start()
        kind = info.unet_kind if info is not None else ""
        for name, needed in _FOR_KINDS.items():
            self.controls[name].row.setVisible(kind == needed)
        self.safety.setVisible(entry.has_safety_checker)
        self.safety_note.setVisible(not entry.has_safety_checker)
        self.generate.setEnabled(not entry.problem)

    # -- reactions ----------------------------------------------------------------------------

    def _show_defaults(self) -> None:
        """Untouched values are what the model will use, which its scheduler has a part in."""
        request = self._state.draft.request
        self.scheduler.set_default(scheduler_with(self._entry, request.loras))
        self._defaults = default_values(self._entry, request.scheduler, request.loras)
        for name in self._defaults:
            self.controls[name].input.set_value(self._shown(name))
        varied = self._shown("composition") == Composition.VARIED
        by_model = self._defaults.get("composition") == Composition.VARIED
        self.controls["composition"].row.setVisible(varied or by_model)
        self.controls["detail_strength"].row.setVisible(not by_model)

    def _set_size(self, width: int, height: int) -> None:
        """Both sides at once; the model's own are left to it."""
        own = (self._defaults.get("width"), self._defaults.get("height"))
        chosen = (None, None) if (width, height) == own else (width, height)
        draft = self._state.draft.with_value("width", chosen[0]).with_value("height", chosen[1])
        self._state.put(draft)

    def _show_size(self) -> None:
        request = self._state.draft.request
        self.size_choice.show_size((request.width or 0, request.height or 0))
        sides = (self._shown("width") or 0, self._shown("height") or 0)
        self.enlarged_size.show_size(
            sides, request.enlargement.factor if request.enlargement else 1
        )

    def _told_of_size(self, size: Size) -> str:
        """What pictures of a size take, with the other settings as they are."""
        steps, scheduler = self._shown("steps"), self._shown("scheduler")
        return self.size_outlook.told(size, int(steps or 0), str(scheduler or ""))

    def _add_words(self, text: str) -> None:
        """Put a LoRA's trigger words behind the prompt, unless they are there."""
        prompt = self._state.draft.request.prompt
        if text.casefold() not in prompt.casefold():
            self._state.set("prompt", f"{prompt.rstrip(' ,')}, {text}" if prompt.strip() else text)

    def _show_lora_note(self) -> None:
        """Where a LoRA is used, and nobody knows what the model was made from."""
        sidecar = self._entry.sidecar if self._entry is not None else None
        unknown = sidecar is not None and not sidecar.tells_source
        used = any(use.on for use in self._state.draft.request.loras)
        self.lora_note.setVisible(unknown and used)

    def _show_variation(self) -> None:
        """What has an effect is seen."""
        if self._state.draft.request.variation_strength > 0:
            self.seed.more.setChecked(True)

    def _show_styles(self) -> None:
        """What the model reads is counted with the styles around it."""
        on = self._state.draft.request.styles
        self.prompt.set_around(lambda text: around(text, on))
        self.negative.set_around(lambda text: around(text, on, negative=True))

    def _show_reading(self) -> None:
        """Tokens and words are told as the prompts are read."""
        syntax = self._state.draft.request.prompt_syntax
        info = self._entry.info if self._entry is not None else None
        chunks = info.text_chunks if info is not None else 1
        for field in (self.prompt, self.negative):
            field.set_reading(syntax, chunks)
        offered = info is not None and info.may_skip_layers
        asked = self._state.draft.request.clip_skip > 1
        self.controls["clip_skip"].row.setVisible(offered or asked)
        self.known_words.set_syntax(syntax)

    def set_refiners(self, entries: Iterable[ModelEntry]) -> None:
        """Offer the refiners among these models."""
        refiners = [entry for entry in entries if entry.holds_refiner]
        if refiners != self._refiners:
            self._refiners = refiners
            self._show_refiners()

    def _show_refiners(self) -> None:
        entry, request = self._entry, self._state.draft.request
        own = entry is not None and entry.holds_refiner
        mine = entry.folder if entry is not None else None
        others = [(e.name, str(e.folder)) for e in self._refiners if e.folder != mine]
        choice = self.controls["refiner"]
        choice.input.offer(own=own, others=others)
        takes = entry is not None and entry.takes_refiner and bool(own or others)
        choice.row.setVisible(takes or bool(request.refiner))
        self.controls["refiner_switch_at"].row.setVisible(bool(request.refiner))

    def _show_start(self) -> None:
        """Whether a starting picture can be used."""
        branch = self._state.draft.request.branch
        reason = self._no_start or ("A branch begins as its picture did." if branch else "")
        self.start.set_unavailable(reason)
        self._update_strength()

    def _update_strength(self) -> None:
        info = self._entry.info if self._entry is not None else None
        edits = info is not None and info.unet_kind == "instruct"  # which begins with noise
        shown = self.start.available and bool(self.start.path()) and not edits
        self.strength.setVisible(shown)

    def _on_advanced(self, is_open: bool) -> None:
        if is_open:  # once it has its place
            QTimer.singleShot(0, lambda: self.scroller.ensureWidgetVisible(self.advanced_section))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.prompt.edit.set_lines(3 if self.height() < _LOW else 5)
