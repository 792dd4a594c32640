"""Filters of the gallery: what can be held back, in words and in a pop-over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from PySide6.QtCore import QDate
from PySide6.QtWidgets import QDateEdit, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from gui import words
from gui.state.pictures.types import Choices, PictureFilter, PictureKind
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import Switch, label
from gui.ui.widgets.filtering import POPOVER_WIDTH, Popover

FAVOURITES = "Favourites"
KINDS = ((PictureKind.MADE, "Made here"), (PictureKind.IMPORTED, "From elsewhere"))
PERIODS = (
    (-1, "Any time"),
    (0, "Today"),
    (6, "Last 7 days"),
    (29, "Last 30 days"),
    (364, "Last 365 days"),
)
"""Days before today, and their name."""
CHOSEN_DAYS = "chosen"
"""Data of the choice that shows two dates."""


def active_filters(wanted: PictureFilter) -> list[tuple[str, PictureFilter]]:
    """Each filter in force: its words, and the filter without it."""
    found: list[tuple[str, PictureFilter]] = []
    if wanted.favourites:
        found.append((FAVOURITES, replace(wanted, favourites=False)))
    if wanted.kind is not None:
        found.append((dict(KINDS)[wanted.kind], replace(wanted, kind=None)))
    if wanted.model:
        found.append((wanted.model, replace(wanted, model="")))
    if wanted.scheduler:
        found.append((wanted.scheduler, replace(wanted, scheduler="")))
    if wanted.size is not None:
        found.append((words.pixels(*wanted.size), replace(wanted, size=None)))
    if wanted.tag:
        found.append((f"#{wanted.tag}", replace(wanted, tag="")))
    if wanted.since is not None or wanted.until is not None:
        found.append((_days(wanted.since, wanted.until), replace(wanted, since=None, until=None)))
    return found


def without_filters(wanted: PictureFilter) -> PictureFilter:
    """The same text, and nothing held back."""
    return PictureFilter(wanted.text)


def _days(since: date | None, until: date | None) -> str:
    today = date.today()
    if until is None and since is not None:
        named = dict(PERIODS).get((today - since).days)
        return named or f"Since {words.date_of(since)}"
    if since is None and until is not None:
        return f"Until {words.date_of(until)}"
    assert since is not None and until is not None
    return (
        words.date_of(since)
        if since == until
        else (f"{words.date_of(since)} – {words.date_of(until)}")
    )


class PictureFilters(Popover):
    """Every filter of a `PictureFilter`."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._query = PictureFilter()
        self.favourites = Switch(FAVOURITES)
        self.kind = Choice("Kind")
        self.kind.addItem("All pictures", None)
        for kind, text in KINDS:
            self.kind.addItem(text, kind)
        self.model_choice = Choice("Model")
        self.scheduler = Choice("Scheduler")
        self.size_choice = Choice("Size")
        self.tag = Choice("Tag")
        self.period = Choice("Date")
        for days, text in PERIODS:
            self.period.addItem(text, days)
        self.period.addItem("Chosen days…", CHOSEN_DAYS)
        self.since, self.until = QDateEdit(), QDateEdit()
        self.days = QWidget()
        self.clear = QPushButton("Clear Filters")
        self.clear.setObjectName("flat")
        self.done = QPushButton("Done")
        self.set_choices(Choices())
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(10)
        column.addWidget(self.favourites)
        grid = QGridLayout()
        grid.setVerticalSpacing(7)
        grid.setHorizontalSpacing(10)
        grid.setColumnStretch(1, 1)
        rows = (
            ("Kind", self.kind), ("Model", self.model_choice), ("Scheduler", self.scheduler),
            ("Size", self.size_choice), ("Tag", self.tag), ("Date", self.period),
        )  # fmt: skip
        for number, (text, choice) in enumerate(rows):
            grid.addWidget(label(text, "small"), number, 0)
            grid.addWidget(choice, number, 1)
        column.addLayout(grid)
        dates = QHBoxLayout(self.days)
        dates.setContentsMargins(0, 0, 0, 0)
        for name, edit in (("From", self.since), ("To", self.until)):
            edit.setCalendarPopup(True)
            edit.setAccessibleName(f"{name} this day")
            edit.setDate(QDate.currentDate())
            dates.addWidget(label(name, "small"))
            dates.addWidget(edit, 1)
        self.days.hide()
        column.addWidget(self.days)
        foot = QHBoxLayout()
        foot.addWidget(self.clear)
        foot.addStretch(1)
        foot.addWidget(self.done)
        column.addLayout(foot)
        self.setFixedWidth(POPOVER_WIDTH)

    def _connect(self) -> None:
        self.favourites.clicked.connect(lambda on: self._change(favourites=on))
        self.kind.activated.connect(lambda _: self._change(kind=_kind(self.kind.currentData())))
        self.size_choice.activated.connect(
            lambda _: self._change(size=_size(self.size_choice.currentData()))
        )
        for choice, name in (
            (self.model_choice, "model"),
            (self.scheduler, "scheduler"),
            (self.tag, "tag"),
        ):
            choice.activated.connect(
                lambda _, c=choice, name=name: self._change(**{name: c.currentData()})
            )
        self.period.activated.connect(lambda _: self._on_period())
        self.since.dateChanged.connect(lambda _: self._on_days(self.since))
        self.until.dateChanged.connect(lambda _: self._on_days(self.until))
        self.clear.clicked.connect(lambda: self._replace(without_filters(self._query)))
        self.done.clicked.connect(self.close)

    def set_choices(self, choices: Choices) -> None:
        """What there is to choose from, with its number of pictures."""
        named = (
            (self.model_choice, "Any model", "", [(m, m, n) for m, n in choices.models]),
            (self.scheduler, "Any scheduler", "", [(s, s, n) for s, n in choices.schedulers]),
            (self.size_choice, "Any size", None,
             [(s, words.pixels(*s), n) for s, n in choices.sizes]),
            (self.tag, "Any tag", "", [(t, f"#{t}", n) for t, n in choices.tags]),
        )  # fmt: skip
        for choice, all_, nothing, entries in named:
            choice.clear()
            choice.addItem(all_, nothing)
            for data, text, number in entries:
                choice.addItem(f"{text} ({words.count(number)})", data)
        self.set_query(self._query)

    def set_query(self, query: PictureFilter) -> None:
        self._query = query
        self.favourites.setChecked(query.favourites)
        for choice, value in (
            (self.kind, query.kind),
            (self.model_choice, query.model),
            (self.scheduler, query.scheduler),
            (self.size_choice, query.size),
            (self.tag, query.tag),
        ):
            choice.set_value(value)
        self._show_period(query.since, query.until)
        self.clear.setEnabled(bool(active_filters(query)))

    def _show_period(self, since: date | None, until: date | None) -> None:
        past = (date.today() - since).days if since is not None else -1
        named = until is None and past in dict(PERIODS)
        self.period.set_value(past if named else CHOSEN_DAYS)
        if not named:
            for edit, day in ((self.since, since), (self.until, until)):
                blocked = edit.blockSignals(True)
                shown = day or date.today()
                edit.setDate(QDate(shown.year, shown.month, shown.day))
                edit.blockSignals(blocked)
        self._show_days(not named)

    def _show_days(self, shown: bool) -> None:
        self.days.setVisible(shown)
        if self.isVisible():
            self.fit_height()

    def _on_period(self) -> None:
        days = self.period.currentData()
        if days == CHOSEN_DAYS:
            self._on_days(self.until)
        else:
            since = None if days < 0 else date.today() - timedelta(days=days)
            self._change(since=since, until=None)

    def _on_days(self, edited: QDateEdit) -> None:
        """The day that was set stays; the other gives way where it is on the wrong side."""
        since, until = (_as_date(edit.date()) for edit in (self.since, self.until))
        if since > until and edited is self.since:
            until = since
        self._change(since=min(since, until), until=until)

    def _change(self, **fields: Any) -> None:
        self._replace(replace(self._query, **fields))

    def _replace(self, query: PictureFilter) -> None:
        self.set_query(query)
        self.changed.emit(query)


def _kind(data: str | None) -> PictureKind | None:
    """Qt keeps an enum as its text."""
    return PictureKind(data) if data else None


def _size(data: Sequence[int] | None) -> tuple[int, int] | None:
    """Qt keeps a pair as a list."""
    return (data[0], data[1]) if data else None


def _as_date(day: QDate) -> date:
    return date(day.year(), day.month(), day.day())
