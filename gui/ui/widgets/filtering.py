"""What every list that can be filtered has: a pop-over of filters, its button, and chips.

A query is any value; what its filters are is told by a function, `Active`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from gui import words
from gui.ui.widgets.controls import icon_button, without_shortcut
from gui.ui.widgets.flow_layout import FlowLayout
from gui.ui.widgets.icons import icon

Active = Callable[[Any], list[tuple[str, Any]]]
"""Each filter in force of a query: its words, and the query without it."""

POPOVER_WIDTH = 296


class ToggleGroup(QWidget):
    """Buttons that can each be on or off; none on means any."""

    changed = Signal(tuple)

    def __init__(self, name: str, choices: Sequence[tuple[Any, str]]) -> None:
        super().__init__()
        self.buttons: dict[Any, QPushButton] = {}
        flow = FlowLayout(6, centred=False)
        self.setLayout(flow)
        for value, text in choices:
            button = QPushButton(text)
            button.setObjectName("toggle")
            button.setCheckable(True)
            button.setAccessibleName(f"{name}: {text}")
            button.clicked.connect(lambda *_: self.changed.emit(self.values()))
            self.buttons[value] = button
            flow.addWidget(button)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)

    def values(self) -> tuple[Any, ...]:
        return tuple(value for value, button in self.buttons.items() if button.isChecked())

    def set_values(self, values: Sequence[Any]) -> None:
        for value, button in self.buttons.items():
            button.setChecked(value in values)


class Popover(QFrame):
    """Every filter of a query; each change counts at once.  Return and Escape close it."""

    changed = Signal(object)
    """The query with the filters as they are now."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("popover")
        self.setAccessibleName("Filters")

    def set_query(self, query: Any) -> None:
        """Show the query's filters without saying that the person chose them."""
        raise NotImplementedError

    def open_below(self, button: QWidget) -> None:
        """Show it under the button, moved left where the screen ends."""
        self.fit_height()
        at = button.mapToGlobal(QPoint(0, button.height() + 4))
        room = button.screen().availableGeometry()
        x = min(at.x(), room.right() - self.width() - 8)
        y = min(at.y(), max(room.top(), room.bottom() - self.height() - 8))
        self.move(max(room.left() + 8, x), y)
        self.show()
        self.focusNextChild()

    def fit_height(self) -> None:
        """As high as its contents: wrapped rows have another height at every width, which
        `adjustSize` overlooks."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        wraps = layout.hasHeightForWidth()
        wrapped = layout.totalHeightForWidth(POPOVER_WIDTH) if wraps else 0
        self.setFixedHeight(max(wrapped, layout.totalSizeHint().height()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape):
            self.close()
        else:
            super().keyPressEvent(event)


P = TypeVar("P", bound=Popover)


class FilterChips(QWidget):
    """The filters in force, each a button that takes it away.

    Args:
        active: each filter in force of a query: its words, and the query without it.
        without: the query with nothing held back.
    """

    changed = Signal(object)
    """The query that is left."""

    def __init__(self, active: Active, without: Callable[[Any], Any]) -> None:
        super().__init__()
        self._active = active
        self._without = without
        self._flow = FlowLayout(5, centred=False)
        self.setLayout(self._flow)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.hide()

    def chips(self) -> list[QPushButton]:
        items = (self._flow.itemAt(k) for k in range(self._flow.count()))
        return [w for item in items if item and isinstance(w := item.widget(), QPushButton)]

    def set_query(self, query: Any) -> None:
        pressed = next((k for k, chip in enumerate(self.chips()) if chip.hasFocus()), -1)
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        filters = self._active(query)
        for text, rest in filters:
            self._flow.addWidget(self._chip(text, f"Remove the filter {text}", rest))
        if len(filters) > 1:
            self._flow.addWidget(self._chip("Clear", "Clear filters", self._without(query)))
        self.setVisible(bool(filters))
        self.updateGeometry()
        chips = self.chips()
        if pressed >= 0 and chips:  # the next one is where the pressed one was
            there = chips[min(pressed, len(chips) - 1)]
            there.show()
            there.setFocus(Qt.FocusReason.OtherFocusReason)

    def _chip(self, text: str, name: str, query: Any) -> QPushButton:
        chip = QPushButton(without_shortcut(text))
        chip.setAccessibleName(name)
        chip.setToolTip(words.plain_tip(name))
        if name != "Clear filters":
            chip.setIcon(icon("close", tone="secondary"))
            chip.setIconSize(chip.iconSize() * 0.75)
            chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        chip.setObjectName("filterChip")
        # Queued: the click is over before the chip it came from goes away.
        chip.clicked.connect(
            lambda *_: self.changed.emit(query), Qt.ConnectionType.QueuedConnection
        )
        return chip


class FilterButton(QWidget, Generic[P]):
    """Opens a pop-over; says by number and colour that filters are in force.

    Args:
        popover: makes it, for this button.
        active: as for `FilterChips`.
    """

    changed = Signal(object)

    def __init__(self, popover: Callable[[QWidget], P], active: Active) -> None:
        super().__init__()
        self._active = active
        self.button = icon_button("filter", "Filters")
        self.popover: P = popover(self)
        self.popover.changed.connect(self.changed)
        self.button.clicked.connect(lambda: self.popover.open_below(self.button))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)

    def set_query(self, query: Any) -> None:
        number = len(self._active(query))
        self.popover.set_query(query)
        self.button.setIcon(icon("filter", tone="accent" if number else "text"))
        self.button.setProperty("active", bool(number))
        name = f"Filters, {number} in force" if number else "Filters"
        self.button.setAccessibleName(name)
        self.button.setToolTip(name)
        self.button.style().unpolish(self.button)
        self.button.style().polish(self.button)
