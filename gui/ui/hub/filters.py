"""Filters of the Hub: what can be held back, in words and in a pop-over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from gui import words
from gui.state.hub.types import Attention, Family, ModelKind, SearchQuery
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import Switch, label
from gui.ui.widgets.filtering import POPOVER_WIDTH, Popover, ToggleGroup

FAMILIES = tuple(
    (one, words.short_family(one)) for one in (Family.SD1, Family.SD2, Family.SDXL, Family.SD3)
)
KINDS = (
    (ModelKind.TEXT_TO_IMAGE, "Pictures from words"),
    (ModelKind.CONTROLNET, "ControlNet"),
    (ModelKind.LORA, "LoRA"),
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


class FilterPopover(Popover):
    """Every filter of a `SearchQuery`."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
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
        self.titles = {name: label(text, "small") for name, text in titles.items()}
        for name, group in self.groups.items():
            column.addSpacing(4)
            column.addWidget(self.titles[name])
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
        for name in ("attentions", "compressions"):  # LoRAs have neither
            shown = query.kinds != (ModelKind.LORA,)
            self.groups[name].setVisible(shown)
            self.titles[name].setVisible(shown)

    def open_below(self, button: QWidget) -> None:
        super().open_below(button)
        self.fits.setFocus()

    def _change(self, **fields: Any) -> None:
        self._replace(replace(self._query, **fields))

    def _replace(self, query: SearchQuery) -> None:
        self.set_query(query)
        self.changed.emit(query)
