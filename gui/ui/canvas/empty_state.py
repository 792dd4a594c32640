"""The canvas before the first picture: what this model draws, and examples one click away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QRadialGradient, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui import words
from gui.ui.widgets.controls import label, without_shortcut
from gui.ui.widgets.flow_layout import FlowLayout

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry

FIRST_STEP = "Type a prompt on the right and press Generate."
FIRST_STEPS = {
    "instruct": "This model edits pictures: choose one under Start from, type what is to change, "
    "and press Generate.",
    "depth": "This model is led by a depth map: choose one under Depth map, type a prompt, and "
    "press Generate.",
}
"""What to do first where a prompt alone makes no picture, by the kind of the UNet."""
MAX_EXAMPLES = 6
TEXT_WIDTH = 460
MAX_LETTERS = 60
"""Longest example that a button shows whole; authors write prompts of hundreds."""


def chip_text(example: str) -> str:
    """An example on a button: one line, not too long."""
    return without_shortcut(words.shortened(" ".join(example.split()), MAX_LETTERS))


class Mist(QWidget):
    """A figure coming out of the mist: three soft clouds of colour, no outline anywhere."""

    CLOUDS = (
        (0.42, 0.44, 0.42, "#1F8A9B", 150),
        (0.62, 0.56, 0.38, "#D98C5F", 130),
        (0.50, 0.66, 0.32, "#6B6FB5", 110),
    )

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(104, 104))
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        side = self.width()
        for x, y, radius, colour, alpha in self.CLOUDS:
            gradient = QRadialGradient(QPointF(x * side, y * side), radius * side)
            for stop, share in ((0.0, 1.0), (0.35, 0.72), (0.7, 0.22), (1.0, 0.0)):
                shade = QColor(colour)
                shade.setAlpha(round(alpha * share))
                gradient.setColorAt(stop, shade)
            painter.setBrush(gradient)
            painter.drawRect(self.rect())


class EmptyState(QWidget):
    """Invites to type; each example is a button that puts its text into the prompt."""

    example_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.title = label("What should be seen?", "title")
        self.text = label("", "secondary", wrap=True)
        self.text.setMaximumWidth(TEXT_WIDTH)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        for one in (self.title, self.text):
            one.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.chips = QWidget()
        self._examples: tuple[str, ...] | None = None
        self._flow = FlowLayout()
        self.chips.setLayout(self._flow)
        self.chips.setMaximumWidth(TEXT_WIDTH + 100)
        self.chips.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 16, 24, 16)
        layout.setSpacing(10)
        layout.addStretch(2)
        self._mark = Mist()
        layout.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self.title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addLayout(_centred(self.text))
        layout.addSpacing(8)
        layout.addLayout(_centred(self.chips))
        layout.addStretch(3)

    def set_model(self, entry: ModelEntry) -> None:
        """Show the model's own description and examples, or why it cannot be used."""
        self.title.setText("This model can’t be used" if entry.problem else "What should be seen?")
        card = entry.sidecar.card if entry.sidecar is not None else None
        text = entry.problem or (card.description if card is not None else "")
        self.text.setText(text or FIRST_STEPS.get(_kind(entry), FIRST_STEP))
        self._show_examples(() if entry.problem else entry.examples[:MAX_EXAMPLES])
        self._make_room()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """Where not all fits, as in a low window below a notice, the figure gives way."""
        layout = self.layout()
        assert layout is not None
        own = self._mark.height() + layout.spacing()
        needed = layout.totalHeightForWidth(self.width())
        if self._mark.isHidden():
            needed += own
        self._mark.setHidden(needed > self.height())

    def _show_examples(self, examples: tuple[str, ...]) -> None:
        if examples == self._examples:
            return  # one of the chips may have the focus, or the pointer on it
        self._examples = examples
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for example in examples:
            chip = QPushButton(chip_text(example))
            chip.setObjectName("chip")
            chip.setAccessibleName(example)
            chip.setToolTip(
                words.plain_tip(example) if len(example) > MAX_LETTERS else "Make this picture"
            )
            chip.setCursor(Qt.CursorShape.PointingHandCursor)
            chip.clicked.connect(lambda _=False, text=example: self.example_chosen.emit(text))
            self._flow.addWidget(chip)
        self.chips.setVisible(bool(examples))


def _kind(entry: ModelEntry) -> str:
    return str(entry.info.unet_kind) if entry.info is not None else ""


def _centred(widget: QWidget) -> QHBoxLayout:
    """A row that gives the widget its whole width, up to its maximum, in the middle.

    An alignment flag would do the same but ignores that wrapped text grows taller when narrow.
    """
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(widget, 1000)
    row.addStretch(1)
    return row
