"""The picture's size: the usual ratios as a list, what each takes, and the sides as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from gui import words
from gui.picture_sizes import PictureSizes
from gui.request import MAX_SIDE, MIN_SIDE, Described
from gui.ui.widgets.choice import HELP_ROLE, Choice
from gui.ui.widgets.controls import LABEL_WIDTH, SliderRow, label

STEP = 64
_NEAR = range(-4, 5)
"""Steps that a side may be off."""
_RATIOS = ((1, 1), (4, 3), (3, 2), (16, 9), (3, 4), (2, 3), (9, 16))
Size = tuple[int, int]


def every_size(native: Size) -> PictureSizes:
    """The sizes of a model that is resized for them."""
    sides = (MIN_SIDE, MAX_SIDE)
    return PictureSizes(native, (), sides, sides, STEP)


def usual_sizes(native: Size, sizes: PictureSizes | None = None) -> list[tuple[Size, str]]:
    """Sizes of the usual ratios with about as many pixels as a model's own, and what each is; a
    ratio that the model's steps of pixels miss is left out.

    Args:
        sizes: those that the model draws; None: it is resized for any.  Where they are a list, all
            of them are usual.
    """
    found: dict[Size, str] = {native: "The model’s own size"}
    if sizes is not None and sizes.listed:
        for size in sizes.every():
            ratio = next((r for r in _RATIOS if is_of_shape(size, r)), None)
            found.setdefault(size, f"{ratio[0]} : {ratio[1]}" if ratio else "")
        return list(found.items())
    for ratio in _RATIOS:
        size = of_shape(native, ratio, sizes)
        if is_of_shape(size, ratio):
            found.setdefault(size, f"{ratio[0]} : {ratio[1]}")
    return list(found.items())


def of_shape(native: Size, shape: Size, sizes: PictureSizes | None = None) -> Size:
    """The size that is nearest to a shape, with about as many pixels as a model's own; to be some
    more or fewer counts a third as much as to be another shape.

    Args:
        sizes: as for `usual_sizes`.
    """
    area, ratio = native[0] * native[1], shape[0] / shape[1]
    sizes = sizes or every_size(native)

    def missed(size: Size) -> float:
        pixels = math.log(size[0] * size[1] / area)
        return abs(math.log(size[0] / size[1] / ratio)) + 0.3 * abs(pixels)

    if sizes.listed:
        return min(sizes.every(), key=missed)
    step = sizes.step
    widths = {snapped(math.sqrt(area * ratio) + k * step, sizes.widths, step) for k in _NEAR}
    heights = {snapped(math.sqrt(area / ratio) + k * step, sizes.heights, step) for k in _NEAR}
    return min(((w, h) for w in sorted(widths) for h in sorted(heights)), key=missed)


def is_of_shape(size: Size, shape: Size) -> bool:
    """Whether a size is a shape's within a sixteenth."""
    return abs(math.log(size[0] * shape[1] / (size[1] * shape[0]))) < 1 / 16


def snapped(pixels: float, limits: Size = (MIN_SIDE, MAX_SIDE), step: int = STEP) -> int:
    """The nearest length that a side may have."""
    return min(limits[1], max(limits[0], round(pixels / step) * step))


class SizeChoice(Choice):
    """The model's own size, those of the usual ratios and that of the starting picture; any other
    where the sides make one."""

    sized = Signal(int, int)
    """The person chose this width and height."""
    opening = Signal()
    """The list is about to show."""

    def __init__(self) -> None:
        super().__init__("Picture size")
        self._native: Size = (0, 0)
        self._allowed: PictureSizes | None = None
        self._reason = ""
        self._picture: Size = (0, 0)
        self._shown: Size = (0, 0)
        self._tell: Callable[[Size], str] = lambda _size: ""
        self.edited.connect(lambda size: self.sized.emit(*size))

    def set_tell(self, tell: Callable[[Size], str]) -> None:
        """Take a function that says in a few words what pictures of a size take."""
        self._tell = tell

    def set_model(self, native: Size, reason: str, sizes: PictureSizes | None = None) -> None:
        """Offer the sizes that suit a model.

        Args:
            native: its own; (0, 0) while it is not known.
            reason: why it makes no others; empty: it does.
            sizes: those that it draws; None: it is resized for others.
        """
        self._native, self._reason, self._allowed = native, reason, sizes
        self._fill()
        self.setEnabled(min(native) > 0 and not reason)
        self.setToolTip(reason)

    def set_picture(self, size: Size) -> None:
        """Offer the starting picture's shape; (0, 0): there is none."""
        self._picture = size
        self._fill()

    def _fill(self) -> None:
        native = self._native
        self.showing = True
        self.clear()
        for size, below in self._sizes() if min(native) > 0 and not self._reason else []:
            self.add(words_of(size), size, below)
        if not self.count():
            self.add(words_of(native) if min(native) > 0 else "–", native, self._reason)
        self.showing = False
        self.tell_again()
        self.show_size(self._shown)

    def _sizes(self) -> list[tuple[Size, str]]:
        found = dict(usual_sizes(self._native, self._allowed))
        if min(self._picture) > 0:
            size = of_shape(self._native, self._picture, self._allowed)
            is_like = is_of_shape(size, self._picture)
            like = "as the picture" if is_like else "nearest to the picture"
            known = found.pop(size, "")
            told = f"{known}, {like}" if known else words.capital(like)
            rest = list(found.items())
            place = 0 if size == self._native else 1
            return [*rest[:place], (size, told), *rest[place:]]
        return list(found.items())

    def tell_again(self) -> None:
        """Say anew what each size takes."""
        for row in range(self.count()):
            size = self.itemData(row)
            takes = self._tell(size) if size is not None and not self._reason else ""
            what = self.itemData(row, _WHAT)
            if what is None:  # told for the first time
                what = self.itemData(row, HELP_ROLE) or ""
            self.setItemData(row, what, _WHAT)
            self.describe(row, " · ".join(filter(None, (what, takes))))

    def show_size(self, size: Size) -> None:
        """Show a size; one that is not in the list joins it."""
        self._shown = size
        size = (size[0] or self._native[0], size[1] or self._native[1])
        if min(size) > 0 and self.index_of(size) < 0:
            self.showing = True
            self.add(words_of(size), size, "As the sides are set")
            self.showing = False
            self.tell_again()
        self.set_value(size)

    def showPopup(self) -> None:
        self.opening.emit()
        self.tell_again()
        super().showPopup()


_WHAT = Qt.ItemDataRole.UserRole + 8
"""What a size is, without what it takes."""


class EnlargedSize(QWidget):
    """What size comes out where the picture is enlarged; hidden where it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.text = label("", "small", wrap=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(LABEL_WIDTH + 8, 0, 0, 2)  # in line with the list of sizes
        row.addWidget(self.text)
        self.hide()

    def show_size(self, size: Size, factor: int) -> None:
        """Say it.

        Args:
            size: that the model draws; (0, 0) while it is not known.
            factor: 1: the picture is not enlarged.
        """
        on = factor > 1 and min(size) > 0
        if on:
            self.text.setText(f"Enlarged to {words_of((size[0] * factor, size[1] * factor))}")
        self.setVisible(on)


def words_of(size: Size) -> str:
    return words.pixels(*size)


class SideRow(SliderRow):
    """One side in pixels, by the model's steps: 64 of most."""

    def __init__(self, field: Described) -> None:
        told = field.parameter
        assert field.range is not None
        super().__init__(told.label, *told.useful, limit=field.range.high, step=told.step)
        self._step = STEP
        self._help = told.help
        self._useful = told.useful
        self.spin.setMinimum(field.range.low)
        self.spin.setKeyboardTracking(False)
        self.set_limits((MIN_SIDE, MAX_SIDE))

    def set_limits(self, limits: Size, step: int = STEP, reason: str = "") -> None:
        """Take no other lengths.

        Args:
            limits: least and most.
            step: they are multiples of it.
            reason: why the side is not chosen by itself; empty: it is.
        """
        self._step, self._limits, (low, high) = step, limits, limits
        self._setting = True  # what does not fit is not changed, but told when it is used
        useful = (max(low, min(self._useful[0], high)), min(high, max(self._useful[1], low)))
        self.slider.setRange(*(round(side) for side in useful))
        self.spin.setSingleStep(step)
        self.slider.setSingleStep(step)
        self.slider.setPageStep(2 * step)
        self._setting = False
        self.setEnabled(not reason)
        self.set_tool_tip(reason or self._help)

    def set_value(self, value: Any) -> None:
        super().set_value(value or self.slider.minimum())

    def _on_spin(self, value: float) -> None:
        side = value if self._setting else snapped(value, self._limits, self._step)
        if side != value:
            self.spin.setValue(side)
            return
        super()._on_spin(side)
