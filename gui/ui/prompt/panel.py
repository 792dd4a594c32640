"""The right column: everything that decides a picture, and the button that makes it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRegularExpression, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QRegularExpressionValidator
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui.state.draft import MAX_GUIDANCE, MAX_SEED, MAX_STEPS, Draft, random_seed
from gui.state.tokens import TokenCounter
from gui.ui.prompt.advanced import AdvancedOptions
from gui.ui.prompt.drop_zone import DropZone
from gui.ui.prompt.known_words import KnownWords
from gui.ui.widgets.controls import (
    LABEL_WIDTH,
    Choice,
    PromptEdit,
    Section,
    SliderRow,
    icon_button,
    label,
)
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from gui.state.models import ModelEntry

FALLBACK_STEPS = 25
FALLBACK_GUIDANCE = 7.5
SAVE_PAUSE_MS = 400


class TextField(QWidget):
    """A prompt with its title and the tokens it takes: ``12 / 75``."""

    def __init__(self, title: str, placeholder: str, lines: int) -> None:
        super().__init__()
        self.edit = PromptEdit(title, placeholder, lines)
        self.count_label = label("", "small")
        heading = label(title, "heading")
        heading.setBuddy(self.edit)
        row = QHBoxLayout()
        row.addWidget(heading)
        row.addStretch(1)
        row.addWidget(self.count_label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.edit)
        self._counter = TokenCounter(self)
        self._counter.counted.connect(self._on_counted)
        self.edit.textChanged.connect(self._on_text)

    def text(self) -> str:
        return self.edit.toPlainText()

    def _on_text(self) -> None:
        if self.text().strip():
            self._counter.set_text(self.text())
        else:
            self._counter.set_text("")
            self.count_label.clear()

    def _on_counted(self, count: Any) -> None:
        if not self.text().strip():
            return
        name = "small" if count.fits else "warning"
        self.count_label.setText(f"{count.n} / {count.limit}")
        cut = " ".join(count.cut_text.split())
        tip = "Tokens of this text, and how many the model reads."
        self.count_label.setToolTip(tip if count.fits else f"The model will not read: “{cut}”")
        self.count_label.setAccessibleName(f"{count.n} of {count.limit} tokens")
        if self.count_label.objectName() != name:
            self.count_label.setObjectName(name)
            self.count_label.style().polish(self.count_label)


class SeedRow(QWidget):
    """The seed, a die that draws a new one, and a lock that keeps it from run to run."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.field = QLineEdit()
        self.field.setAccessibleName("Seed")
        self.field.setValidator(
            QRegularExpressionValidator(QRegularExpression(r"\d{1,10}"), self.field)
        )
        self.dice = icon_button("dice", "New random seed")
        self.lock = icon_button("lock-open", "Keep this seed", on="lock", checkable=True)
        name = label("Seed")
        name.setFixedWidth(LABEL_WIDTH)
        name.setBuddy(self.field)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(name)
        row.addSpacing(4)
        row.addWidget(self.field, 1)
        row.addWidget(self.dice)
        row.addWidget(self.lock)
        self.dice.clicked.connect(self.roll)
        self.field.textEdited.connect(self._on_typed)
        self.field.editingFinished.connect(self._tidy)
        self.lock.toggled.connect(self._on_lock)

    def value(self) -> int:
        """The seed; a number beyond the largest seed counts as the largest."""
        text = self.field.text()
        return min(int(text), MAX_SEED) if text else 0

    def set_value(self, seed: int) -> None:
        self.field.setText(str(seed))

    def roll(self) -> None:
        """Draw a new seed."""
        self.set_value(random_seed())
        self.changed.emit()

    def _on_typed(self) -> None:
        # Somebody who types a seed wants that one.
        self.lock.setChecked(True)
        self.changed.emit()

    def _tidy(self) -> None:
        self.set_value(self.value())

    def _on_lock(self, locked: bool) -> None:
        tip = "Draw a new seed for every picture" if locked else "Keep this seed"
        self.lock.setToolTip(tip)
        self.lock.setAccessibleName("Keep this seed")
        self.changed.emit()


class PromptPanel(QFrame):
    """Shows and edits a `Draft`; knows the model only as far as it bounds the controls."""

    generate_requested = Signal()
    draft_changed = Signal()
    """Some time after the last change, to be saved."""
    failed = Signal(object)

    def __init__(self, schedulers: tuple[Any, ...]) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._defaults = (FALLBACK_STEPS, FALLBACK_GUIDANCE)
        self._own_steps = False
        self._own_guidance = False
        self._default_scheduler = ""
        self._make_controls(schedulers)
        self._lay_out()
        self._connect()

    # -- construction -------------------------------------------------------------------------

    def _make_controls(self, schedulers: tuple[Any, ...]) -> None:
        self.prompt = TextField("Prompt", "What should be seen?", 5)
        self.known_words = KnownWords(self.prompt.edit)
        self.negative = TextField("Negative prompt", "What should not be seen?", 2)
        self.steps = SliderRow("Steps", 1, 60, limit=MAX_STEPS)
        self.steps.set_tool_tip("More steps take longer and settle detail; 20 to 30 are usual.")
        self.guidance = SliderRow("Guidance", 0, 20, limit=MAX_GUIDANCE, decimals=1)
        self.guidance.set_tool_tip(
            "How closely the picture follows the prompt. At 1 or less each step is twice as fast."
        )
        self.count = SliderRow("Pictures", 1, 12, limit=100)
        self.count.set_tool_tip("Picture 2 is made from the next seed, and so on.")
        self.seed = SeedRow()
        self.scheduler = Choice("Scheduler")
        self.scheduler.addItem("Model’s default", None)
        for known in schedulers:
            self.scheduler.addItem(known.name, known.name)
            tip = known.description
            self.scheduler.setItemData(self.scheduler.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.size_label = label("", "secondary")
        self.start = DropZone()
        self.strength = SliderRow("Strength", 0, 1, decimals=2)
        self.strength.set_tool_tip("How much is dreamt anew: 0 keeps the picture, 1 ignores it.")
        self.advanced = AdvancedOptions()
        self.reset = QPushButton("Reset to Model’s Defaults")
        self.reset.setObjectName("flat")
        self.reset.setIcon(icon("reset", tone="accent"))
        self.generate = QPushButton("Generate")
        self.generate.setObjectName("primary")
        self.generate.setAccessibleName("Generate")
        keys = QKeySequence("Ctrl+Return").toString(QKeySequence.SequenceFormat.NativeText)
        self.generate.setToolTip(f"Make the picture ({keys})")
        self._save_timer = QTimer(self)
        self._save_timer.setSingleShot(True)
        self._save_timer.setInterval(SAVE_PAUSE_MS)

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        column.setContentsMargins(16, 14, 16, 16)
        column.setSpacing(10)
        column.addWidget(self.prompt)
        column.addWidget(self.known_words)
        column.addSpacing(4)
        column.addWidget(self.negative)
        column.addSpacing(8)
        column.addWidget(self.steps)
        column.addWidget(self.guidance)
        column.addLayout(_row("Scheduler", self.scheduler))
        column.addWidget(self.seed)
        column.addWidget(self.count)
        column.addLayout(_row("Size", self.size_label))
        column.addSpacing(8)
        column.addWidget(label("Start from a picture", "heading"))
        column.addWidget(self.start)
        column.addWidget(self.strength)
        column.addSpacing(4)
        self.advanced_section = Section("Advanced", self.advanced)
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
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(scrolled)
        separator = QFrame()
        separator.setObjectName("separator")
        foot = QVBoxLayout()
        foot.setContentsMargins(16, 12, 16, 14)
        foot.addWidget(self.generate)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(scroll, 1)
        outer.addWidget(separator)
        outer.addLayout(foot)

    def _connect(self) -> None:
        self.generate.clicked.connect(self.generate_requested)
        self.reset.clicked.connect(self.reset_to_defaults)
        self.steps.edited.connect(self._on_steps_edited)
        self.guidance.edited.connect(self._on_guidance_edited)
        self.start.path_changed.connect(self._on_start)
        self.start.failed.connect(self.failed)
        self._save_timer.timeout.connect(self.draft_changed)
        for signal in (
            self.prompt.edit.textChanged,
            self.negative.edit.textChanged,
            self.steps.value_changed,
            self.guidance.value_changed,
            self.count.value_changed,
            self.strength.value_changed,
            self.scheduler.currentIndexChanged,
            self.seed.changed,
            self.advanced.changed,
            self.start.path_changed,
        ):
            signal.connect(lambda *_: self._save_timer.start())

    # -- the draft ----------------------------------------------------------------------------

    def draft(self) -> Draft:
        """What the controls say now."""
        return Draft(
            prompt=self.prompt.text(),
            negative_prompt=self.negative.text(),
            steps=round(self.steps.value()) if self._own_steps else None,
            guidance_scale=self.guidance.value() if self._own_guidance else None,
            scheduler=self.scheduler.currentData(),
            seed=self.seed.value(),
            seed_locked=self.seed.lock.isChecked(),
            count=round(self.count.value()),
            strength=self.strength.value(),
            start_image=self.start.path(),
            random_source=self.advanced.random_source.currentData(),
            compute_unit=self.advanced.compute_unit.currentData(),
            safety_checker=self.advanced.safety.isChecked(),
        )

    def set_draft(self, draft: Draft) -> None:
        """Show a draft.  A starting picture that is gone is reported and left out."""
        self.prompt.edit.setPlainText(draft.prompt)
        self.negative.edit.setPlainText(draft.negative_prompt)
        self._own_steps = draft.steps is not None
        self._own_guidance = draft.guidance_scale is not None
        self._show_numbers(draft.steps, draft.guidance_scale)
        self.scheduler.select_data(draft.scheduler)
        self.seed.set_value(draft.seed)
        self.seed.lock.setChecked(draft.seed_locked)
        self.count.set_value(draft.count)
        self.strength.set_value(draft.strength)
        self.start.set_path(draft.start_image)
        self.advanced.random_source.select_data(draft.random_source)
        self.advanced.compute_unit.select_data(draft.compute_unit)
        self.advanced.safety.setChecked(draft.safety_checker)
        self._update_strength()

    def use_settings(self, draft: Draft) -> None:
        """Take a finished picture's settings; the compute unit stays as the person has it."""
        self.set_draft(replace(draft, compute_unit=self.draft().compute_unit))

    def reset_to_defaults(self) -> None:
        """Steps, guidance scale and scheduler as the model recommends."""
        self._own_steps = self._own_guidance = False
        self._show_numbers(None, None)
        self.scheduler.setCurrentIndex(0)
        self._save_timer.start()

    def focus_prompt(self) -> None:
        self.prompt.edit.setFocus()
        self.prompt.edit.selectAll()

    def set_busy(self, busy: bool) -> None:
        """While a job runs, the button puts the next one in line."""
        text = "Add to Queue" if busy else "Generate"
        if sys.platform == "darwin":
            text += "   ⌘↩"
        self.generate.setText(text)

    # -- the model ----------------------------------------------------------------------------

    def set_model(self, entry: ModelEntry) -> None:
        """Bound the controls by what the model can do; untouched values move to its defaults."""
        self.known_words.set_model(entry)
        info, sidecar = entry.info, entry.sidecar
        if sidecar is not None:
            steps = sidecar.default_steps or FALLBACK_STEPS
            guidance = sidecar.default_guidance_scale or FALLBACK_GUIDANCE
            self._defaults = (steps, guidance)
            self._default_scheduler = sidecar.default_scheduler
        self._show_numbers(
            round(self.steps.value()) if self._own_steps else None,
            self.guidance.value() if self._own_guidance else None,
        )
        named = self._default_scheduler
        self.scheduler.setItemText(0, f"{named} – default" if named else "Model’s default")
        size = "–"
        if info is not None and info.image_width > 0:
            size = f"{info.image_width} × {info.image_height}, set by the model"
        self.size_label.setText(size)
        reason = ""
        if info is not None and not entry.has_encoder:
            reason = "This model has no VAE encoder."
        self.start.set_unavailable(reason)
        self._update_strength()
        self.advanced.set_has_safety_checker(entry.has_safety_checker)
        self.generate.setEnabled(not entry.problem)

    def _show_numbers(self, steps: int | None, guidance: float | None) -> None:
        self.steps.set_value(self._defaults[0] if steps is None else steps)
        self.guidance.set_value(self._defaults[1] if guidance is None else guidance)

    # -- reactions ----------------------------------------------------------------------------

    def _on_steps_edited(self) -> None:
        self._own_steps = True

    def _on_guidance_edited(self) -> None:
        self._own_guidance = True

    def _on_start(self) -> None:
        self._update_strength()

    def _update_strength(self) -> None:
        can = self.start.available and bool(self.start.path())
        self.strength.setVisible(can)


def _row(text: str, widget: QWidget) -> QHBoxLayout:
    name: QLabel = label(text)
    name.setFixedWidth(LABEL_WIDTH)
    name.setBuddy(widget)
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addWidget(name)
    row.addWidget(widget, 1)
    return row
