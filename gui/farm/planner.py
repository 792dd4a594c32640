"""Who draws which picture: the one with whom it will be finished first.

Pure: times are given.  Pictures are taken in the order in which they wait; each goes where it ends
soonest, counted from when that Mac will be free, so a slow Mac is passed over where a fast one will
have done it earlier.  That is the earliest-finish-time rule of list scheduling (Topcuoglu,
Hariri and Wu, “Performance-effective and low-complexity task scheduling for heterogeneous
computing”, 2002).  What is late is begun a second time by who has nothing else to do.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gui.farm.wire import Unit

LOADING = 8.0
"""Seconds for a model to be loaded, as long as nobody has measured it."""
_NEWEST = 0.4
"""Share of the newest measurement in what is known of a speed."""
_LOOK = 4
"""So many pictures for each seat are placed, in thought, while some seat is free."""
_GAIN = 0.75
"""A second beginning has to promise the picture in this part of the time that is left."""
_LATE = 3.0
"""Seconds that a picture must have taken longer than expected before that is thought of."""


@dataclass(frozen=True)
class Seat:
    """A member that draws."""

    id: str
    free_at: float
    """When it will have finished what it draws; now or earlier: it is free."""
    free: bool
    models: frozenset[str]
    """Hashes."""
    loaded: str = ""
    """The model in its memory."""


@dataclass(frozen=True)
class Waiting:
    """A picture that waits."""

    unit: Unit
    model: str
    work: float
    seats: frozenset[str] | None = None
    """Who may draw it; None: whoever has the model."""


@dataclass(frozen=True)
class Under:
    """A picture that is drawn."""

    unit: Unit
    seat: str
    model: str
    work: float
    ends: float
    """When it will be finished, as it looks now."""
    late: float
    """Seconds by which that is later than was expected at its beginning."""


class Speeds:
    """What is known of how fast everybody is."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], float] = {}
        self._loading: dict[tuple[str, str], float] = {}

    def tell(self, seat: str, model: str, pace: float) -> None:
        """What a member says it measured itself: seconds for one unit of work."""
        if pace > 0:
            self._paces.setdefault((seat, model), pace)

    def measured(self, seat: str, model: str, work: float, seconds: float) -> None:
        """A picture took so long."""
        if work <= 0 or seconds <= 0:
            return
        pace, before = seconds / work, self._paces.get((seat, model))
        if before is not None:
            pace = _NEWEST * pace + (1 - _NEWEST) * before
        self._paces[seat, model] = pace

    def loaded(self, seat: str, model: str, seconds: float) -> None:
        """A model took so long to be loaded."""
        self._loading[seat, model] = seconds

    def loading(self, seat: str, model: str) -> float:
        return self._loading.get((seat, model), LOADING)

    def known(self, seat: str, model: str) -> float:
        """Seconds for one unit of work, as measured; 0 where that was never done."""
        return self._paces.get((seat, model), 0.0)

    def seconds(self, seat: str, model: str, work: float) -> float:
        """How long a picture will take there: as measured with that model; else as the member is
        beside others with other models; else as the fastest one has it, so that it is tried."""
        return work * (self.known(seat, model) or self._guessed(seat, model))

    def _guessed(self, seat: str, model: str) -> float:
        best: dict[str, float] = {}
        for (_, each), pace in self._paces.items():
            best[each] = min(pace, best.get(each, pace))
        if not best:
            return 1e-6
        own = [pace / best[m] for (s, m), pace in self._paces.items() if s == seat]
        factor = statistics.median(own) if own else 1.0
        return factor * best.get(model, statistics.median(best.values()))


def plan(
    now: float, seats: Sequence[Seat], waiting: Iterable[Waiting], speeds: Speeds
) -> list[tuple[Unit, str]]:
    """What is to be begun now.

    Args:
        waiting: in the order in which they are to be begun.

    Returns:
        Pictures with the seats that draw them, at most one a seat.
    """
    until = {seat.id: max(now, seat.free_at) for seat in seats}
    loaded = {seat.id: seat.loaded for seat in seats}
    free = {seat.id for seat in seats if seat.free}
    begun: list[tuple[Unit, str]] = []
    for number, each in enumerate(waiting):
        if not free or number >= _LOOK * len(seats) + 16:
            break
        best: tuple[float, bool, str] | None = None
        for seat in seats:
            if each.model not in seat.models or (
                each.seats is not None and seat.id not in each.seats
            ):
                continue
            load = 0.0 if loaded[seat.id] == each.model else speeds.loading(seat.id, each.model)
            end = until[seat.id] + load + speeds.seconds(seat.id, each.model, each.work)
            # Of two that are alike the one that has the model loaded, then the one that is free.
            rank = (end, seat.id not in free, seat.id)
            best = rank if best is None else min(best, rank)
        if best is None:
            continue
        end, _, chosen = best
        if chosen in free:
            free.discard(chosen)
            begun.append((each.unit, chosen))
        until[chosen], loaded[chosen] = end, each.model
    return begun


def again(
    now: float,
    seats: Sequence[Seat],
    under: Iterable[Under],
    speeds: Speeds,
    may: Mapping[Unit, frozenset[str] | None],
) -> list[tuple[Unit, str]]:
    """What is to be begun a second time, as it is late where it is drawn; for seats that are left
    free by `plan`.

    Args:
        under: one entry for each picture that one seat alone draws.
        may: who may draw it, as `Waiting.seats`.
    """
    begun: list[tuple[Unit, str]] = []
    free = [seat for seat in seats if seat.free]
    for each in sorted(under, key=lambda u: -u.ends):
        if each.late < _LATE:
            continue
        best: tuple[float, str] | None = None
        for seat in free:
            allowed = may.get(each.unit)
            fits = each.model in seat.models and (allowed is None or seat.id in allowed)
            if not fits or seat.id == each.seat:
                continue
            load = 0.0 if seat.loaded == each.model else speeds.loading(seat.id, each.model)
            end = now + load + speeds.seconds(seat.id, each.model, each.work)
            best = (end, seat.id) if best is None else min(best, (end, seat.id))
        if best is not None and best[0] - now < _GAIN * (each.ends - now):
            begun.append((each.unit, best[1]))
            free = [seat for seat in free if seat.id != best[1]]
    return begun
