"""Filters of the Hub: a button with a pop-over of choices, and a chip for each one in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui import words
from gui.state.hub.types import Attention, Family, ModelKind, SearchQuery
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import FlowLayout, Switch, icon_button, label, without_shortcut
from gui.ui.widgets.icons import icon

FAMILIES = tuple(
    (one, words.short_family(one)) for one in (Family.SD1, Family.SD2, Family.SDXL, Family.SD3)
)
KINDS = (
    (ModelKind.TEXT_TO_IMAGE, "Pictures from words"),
    (ModelKind.CONTROLNET, "ControlNet"),
    (ModelKind.UPSCALER, "Upscaler"),
)
ATTENTIONS = tuple(
    (one, words.ATTENTION[one.value])
    for one in (Attention.ORIGINAL, Attention.SPLIT_EINSUM, Attention.SPLIT_EINSUM_V2)
)
COMPRESSIONS = (("none", "None"), ("palette", "Palette"), ("linear", "Linear"))
_COMPRESSION_CHIPS = {"none": "Uncompressed", "palette": "Palette", "linear": "Linear"}
GB = 1_000_000_000
SIZES = ((0, "Any size"), *((n * GB, f"Up to {n} GB") for n in (1, 2, 4, 8)))
FITS = f"Fits {words.COMPUTER}"
POPOVER_WIDTH = 296


def active_filters(query: SearchQuery) -> list[tuple[str, SearchQuery]]:
    """Each filter in force: its words, and the query without it."""
    found: list[tuple[str, SearchQuery]] = []
    named: tuple[tuple[str, dict[Any, str]], ...] = (
        ("families", dict(FAMILIES)),
        ("kinds", dict(KINDS)),
        ("attentions", dict(ATTENTIONS)),
        ("compressions", _COMPRESSION_CHIPS),
    )
    for name, texts in named:
        chosen: tuple[Any, ...] = getattr(query, name)
        for one in chosen:
            rest = tuple(other for other in chosen if other != one)
            found.append((texts.get(one, str(one)), replace(query, **{name: rest})))
    if query.max_bytes:
        text = f"Up to {words.size(query.max_bytes)}"
        found.append((dict(SIZES).get(query.max_bytes, text), replace(query, max_bytes=0)))
    if query.fits:
        found.append((FITS, replace(query, fits=False)))
    if query.licence:
        found.append((words.licence(query.licence), replace(query, licence="")))
    return found


def without_filters(query: SearchQuery) -> SearchQuery:
    """The same text, author and order, and nothing held back."""
    return SearchQuery(query.text, query.author, query.sort)


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


class FilterPopover(QFrame):
    """Every filter; each change counts at once."""

    changed = Signal(SearchQuery)
    """The `SearchQuery` with the filters as they are now."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("popover")
        self.setAccessibleName("Filters")
        self._query = SearchQuery()
        self.groups = {
            "kinds": ToggleGroup("Kind", KINDS),
            "families": ToggleGroup("Family", FAMILIES),
            "attentions": ToggleGroup("Attention", ATTENTIONS),
            "compressions": ToggleGroup("Compression", COMPRESSIONS),
        }
        self.fits = Switch(FITS)
        self.size_choice = Choice("Largest download")
        for value, text in SIZES:
            self.size_choice.addItem(text, value)
        self.licence = Choice("Licence")
        for tag, text in (("", "Any licence"), *words.LICENCES.items()):
            self.licence.addItem(text, tag)
        self.clear = QPushButton("Clear Filters")
        self.clear.setObjectName("flat")
        self.done = QPushButton("Done")
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(5)
        column.addWidget(self.fits)
        titles = {
            "kinds": "Kind",
            "families": "Family",
            "attentions": "Attention (split einsum: Neural Engine)",
            "compressions": "Compression",
        }
        for name, group in self.groups.items():
            column.addSpacing(4)
            column.addWidget(label(titles[name], "small"))
            column.addWidget(group)
        column.addSpacing(4)
        column.addWidget(label("Download and licence", "small"))
        column.addWidget(self.size_choice)
        column.addWidget(self.licence)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 6, 0, 0)
        foot.addWidget(self.clear)
        foot.addStretch(1)
        foot.addWidget(self.done)
        column.addLayout(foot)
        self.setFixedWidth(POPOVER_WIDTH)

    def _connect(self) -> None:
        for name, group in self.groups.items():
            group.changed.connect(lambda values, name=name: self._change(**{name: values}))
        self.fits.clicked.connect(lambda on: self._change(fits=on))
        self.size_choice.activated.connect(
            lambda _: self._change(max_bytes=self.size_choice.currentData())
        )
        self.licence.activated.connect(lambda _: self._change(licence=self.licence.currentData()))
        self.clear.clicked.connect(lambda: self._replace(without_filters(self._query)))
        self.done.clicked.connect(self.close)

    def set_query(self, query: SearchQuery) -> None:
        """Show the query's filters without saying that the person chose them."""
        self._query = query
        for name, group in self.groups.items():
            group.set_values(getattr(query, name))
        self.fits.setChecked(query.fits)
        self.size_choice.select_data(query.max_bytes)
        self.licence.select_data(query.licence)
        self.clear.setEnabled(bool(active_filters(query)))

    def open_below(self, button: QWidget) -> None:
        """Show it under the button, moved left where the screen ends."""
        layout = self.layout()
        assert layout is not None
        # The wrapped rows make it as high as they need at this width, which adjustSize overlooks.
        self.setFixedHeight(layout.totalHeightForWidth(POPOVER_WIDTH))
        at = button.mapToGlobal(QPoint(0, button.height() + 4))
        room = button.screen().availableGeometry()
        x = min(at.x(), room.right() - self.width() - 8)
        y = min(at.y(), max(room.top(), room.bottom() - self.height() - 8))
        self.move(max(room.left() + 8, x), y)
        self.show()
        self.fits.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape):
            self.close()
        else:
            super().keyPressEvent(event)

    def _change(self, **fields: Any) -> None:
        self._replace(replace(self._query, **fields))

    def _replace(self, query: SearchQuery) -> None:
        self.set_query(query)
        self.changed.emit(query)


class FilterChips(QWidget):
    """The filters in force, each a button that takes it away."""

    changed = Signal(SearchQuery)

    def __init__(self) -> None:
        super().__init__()
        self._flow = FlowLayout(5, centred=False)
        self.setLayout(self._flow)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.hide()

    def chips(self) -> list[QPushButton]:
        items = (self._flow.itemAt(k) for k in range(self._flow.count()))
        return [w for item in items if item and isinstance(w := item.widget(), QPushButton)]

    def set_query(self, query: SearchQuery) -> None:
        pressed = next((k for k, chip in enumerate(self.chips()) if chip.hasFocus()), -1)
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        filters = active_filters(query)
        for text, rest in filters:
            self._flow.addWidget(self._chip(text, f"Remove the filter {text}", rest))
        if len(filters) > 1:
            self._flow.addWidget(self._chip("Clear", "Clear filters", without_filters(query)))
        self.setVisible(bool(filters))
        self.updateGeometry()
        chips = self.chips()
        if pressed >= 0 and chips:  # the next one is where the pressed one was
            there = chips[min(pressed, len(chips) - 1)]
            there.show()
            there.setFocus(Qt.FocusReason.OtherFocusReason)

    def _chip(self, text: str, name: str, query: SearchQuery) -> QPushButton:
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


class FilterButton(QWidget):
    """Opens the pop-over; says by number and colour that filters are in force."""

    changed = Signal(SearchQuery)

    def __init__(self) -> None:
        super().__init__()
        self.button = icon_button("filter", "Filters")
        self.popover = FilterPopover(self)
        self.popover.changed.connect(self.changed)
        self.button.clicked.connect(lambda: self.popover.open_below(self.button))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)

    def set_query(self, query: SearchQuery) -> None:
        number = len(active_filters(query))
        self.popover.set_query(query)
        self.button.setIcon(icon("filter", tone="accent" if number else "text"))
        self.button.setProperty("active", bool(number))
        name = f"Filters, {number} in force" if number else "Filters"
        self.button.setAccessibleName(name)
        self.button.setToolTip(name)
        self.button.style().unpolish(self.button)
        self.button.style().polish(self.button)
