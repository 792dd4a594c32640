"""The picture's size: the usual ratios as a list, and each side as a number."""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import Signal

from gui.request import MAX_SIDE, MIN_SIDE, Described
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import SliderRow

STEP = 64
_RATIOS = ((1, 1), (4, 3), (3, 2), (16, 9), (3, 4), (2, 3), (9, 16))
Size = tuple[int, int]


def usual_sizes(native: Size) -> list[tuple[Size, str]]:
    """Sizes of the usual ratios with about as many pixels as a model's own, and what each is."""
    area = native[0] * native[1]
    found: dict[Size, str] = {native: "The model’s own size"}
    for wide, high in _RATIOS:
        width = math.sqrt(area * wide / high)
        size = (snapped(width), snapped(width * high / wide))
        found.setdefault(size, f"{wide} : {high}")
    return list(found.items())


def snapped(pixels: float) -> int:
    """The nearest length that a side may have."""
    return min(MAX_SIDE, max(MIN_SIDE, round(pixels / STEP) * STEP))


class SizeChoice(Choice):
    """The model's own size and those of the usual ratios; any other where the sides make one."""

    sized = Signal(int, int)
    """The person chose this width and height."""

    def __init__(self) -> None:
        super().__init__("Picture size")
        self._native: Size = (0, 0)
        self.edited.connect(lambda size: self.sized.emit(*size))

    def set_model(self, native: Size, reason: str) -> None:
        """Offer the sizes that suit a model.

        Args:
            native: its own; (0, 0) while it is not known.
            reason: why it makes no others; empty: it does.
        """
        self._native = native
        self.showing = True
        self.clear()
        for size, below in usual_sizes(native) if min(native) > 0 and not reason else []:
            self.add(words_of(size), size, below)
        if not self.count():
            self.add(words_of(native) if min(native) > 0 else "–", native, reason)
        self.showing = False
        self.setEnabled(min(native) > 0 and not reason)
        self.setToolTip(reason)

    def show_size(self, size: Size) -> None:
        """Show a size; one that is not in the list joins it."""
        size = (size[0] or self._native[0], size[1] or self._native[1])
        if min(size) > 0 and self.index_of(size) < 0:
            self.showing = True
            self.add(words_of(size), size, "As the sides are set")
            self.showing = False
        self.set_value(size)


def words_of(size: Size) -> str:
    return f"{size[0]} × {size[1]}"


class SideRow(SliderRow):
    """One side in pixels, by steps of 64."""

    def __init__(self, field: Described) -> None:
        told = field.parameter
        assert field.range is not None
        super().__init__(told.label, *told.useful, limit=field.range.high, step=told.step)
        self.spin.setMinimum(field.range.low)
        self.spin.setKeyboardTracking(False)
        self.slider.setSingleStep(STEP)
        self.slider.setPageStep(2 * STEP)
        self.set_tool_tip(told.help)

    def set_value(self, value: Any) -> None:
        super().set_value(value or self.slider.minimum())

    def _on_spin(self, value: float) -> None:
        side = snapped(value)
        if side != value:
            self.spin.setValue(side)
            return
        super()._on_spin(side)
