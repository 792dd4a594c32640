"""Small parts of the tools' options: numbers with a name, symbols, a pop-over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from gui.request import described_fields
from gui.state.draft import DraftState
from gui.ui.prompt.controls import bind, usual
from gui.ui.widgets.controls import ElidedLabel, QuietSpinBox, icon_button, label
from gui.ui.widgets.icons import icon

HINT_HEIGHT = 20
SPACE = 8
"""Between the options."""
POPOVER_WIDTH = 330
LABELS_WIDTH = 104


class NumberField(QWidget):
    """A number with its name before it, as narrow as can be.

    Args:
        name: before it, and to VoiceOver.
        low, high: what it may be.
        decimals: digits after the point.
        step: by which keys move it.
        suffix: behind the number: `` px``.
    """

    edited = Signal(object)
    """The value (an int where there are no decimals), changed by the person."""

    def __init__(
        self,
        name: str,
        low: float,
        high: float,
        *,
        decimals: int = 0,
        step: float = 1.0,
        suffix: str = "",
    ) -> None:
        super().__init__()
        self._whole = decimals == 0
        self._setting = False
        self.label = label(name, "small")
        self.box = QuietSpinBox(decimals)
        self.box.setRange(low, high)
        self.box.setSingleStep(step)
        self.box.setSuffix(suffix)
        self.box.setAccessibleName(name)
        self.box.setKeyboardTracking(False)
        self.label.setBuddy(self.box)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        row.addWidget(self.label)
        row.addWidget(self.box)
        self.box.valueChanged.connect(self._on_value)

    def value(self) -> float:
        return self.box.value()

    def set_value(self, value: float) -> None:
        """Show a value, without `edited`."""
        self._setting = True
        self.box.setValue(value)
        self._setting = False

    def set_tool_tip(self, text: str) -> None:
        for widget in (self.label, self.box):
            widget.setToolTip(text)

    def _on_value(self, value: float) -> None:
        if not self._setting:
            self.edited.emit(round(value) if self._whole else value)


def symbol_button(symbol: str, name: str, tip: str = "", *, checkable: bool = False) -> QToolButton:
    """A flat button with a symbol alone; `tip` says more than its name, or its key."""
    button = icon_button(symbol, name, checkable=checkable)
    button.setIcon(icon(symbol, tone="secondary", on_tone="accent"))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip or name)
    button.setProperty("tool", True)
    return button


def group(*widgets: QWidget, spacing: int = 1) -> QWidget:
    """Widgets that stay beside each other where the options are wrapped."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(spacing)
    for widget in widgets:
        row.addWidget(widget)
    return made


class RoomyOptions(QWidget):
    """Options in one row: where there is little room, some go into the pop-over and names are
    short."""

    def __init__(self) -> None:
        super().__init__()
        self.roomy = True
        self._room = 0

    def fit(self, room: int) -> None:
        """So much room there is, in device-independent pixels."""
        self._room = room
        roomy = room >= self.needed_width()
        if roomy != self.roomy:
            self.roomy = roomy
            self.show_room()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and self._room:
            self.fit(self._room)  # what is in it has its looks only now
        return super().event(event)

    def needed_width(self) -> int:
        """Of the row with all there is in it."""
        raise NotImplementedError

    def show_room(self) -> None:
        """Show what there is room for."""
        raise NotImplementedError


def width_of(widgets: Sequence[QWidget], spacing: int) -> int:
    """Of widgets in a row, shown or not."""
    return sum(each.sizeHint().width() for each in widgets) + spacing * (len(widgets) - 1)


def hint_row(hint: ElidedLabel, *beside: QWidget) -> QWidget:
    """A line below the options.  It is there always and of one height: were it to come and go, the
    picture would move under the pointer."""
    made = QWidget()
    made.setFixedHeight(HINT_HEIGHT)
    hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(8)
    row.addWidget(hint, 1)
    for widget in beside:
        row.addWidget(widget)
    return made


def modifier(name: str) -> str:
    """A key that is held, as this system writes it: ``Alt`` or ⌥."""
    keys = QKeySequence(f"{name}+A").toString(QKeySequence.SequenceFormat.NativeText)
    return keys[:-1].rstrip("+")


class Popover(QFrame):
    """What of the options is rarer, below a button.

    Args:
        parent: what it belongs to.
        name: to VoiceOver.
        rows: what stands in it, one below the other.
    """

    def __init__(self, parent: QWidget, name: str, rows: Sequence[QWidget]) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("popover")
        self.setAccessibleName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(9)
        for row in rows:
            column.addWidget(row)
            row.show()  # one that stands in no panel is hidden until it has a place
            for words in row.findChildren(QLabel):
                words.setFixedWidth(LABELS_WIDTH)
        self.setFixedWidth(POPOVER_WIDTH)

    def open_below(self, button: QWidget) -> None:
        """Show it under a button, as far as the screen goes."""
        self.adjustSize()
        at = button.mapToGlobal(QPoint((button.width() - self.width()) // 2, button.height() + 4))
        room = button.screen().availableGeometry()
        x = max(room.left() + 8, min(at.x(), room.right() - self.width() - 8))
        y = max(room.top(), min(at.y(), room.bottom() - self.height() - 8))
        self.move(x, y)
        self.show()
        self.setFocus(Qt.FocusReason.PopupFocusReason)
        self.focusNextChild()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)


def bound_field(draft: DraftState, name: str, suffix: str = "") -> NumberField:
    """A field of the draft as a number with its name."""
    field = described_fields()[name]
    told, bounds = field.parameter, field.range
    assert bounds is not None
    made = NumberField(
        told.label, bounds.low, bounds.high, decimals=told.decimals, step=told.step, suffix=suffix
    )
    made.set_tool_tip(told.help)
    bound: Any = made
    bind(draft, name, bound, draft.value)
    made.set_value(draft.value(name))
    return made


def bound_row(draft: DraftState, name: str) -> QWidget:
    """A field of the draft as a row of a pop-over."""
    made = usual(described_fields()[name])
    bind(draft, name, made.input, draft.value)
    made.input.set_value(draft.value(name))
    return made.row
