"""Who draws what, with clock and speeds given."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, cast

import pytest

from gui.farm import wire
from gui.farm.board import Board, Doing, Member
from gui.farm.planner import LOADING, Seat, Speeds, Under, Waiting, again, plan
from gui.farm.wire import Unit

MODEL = "0123456789"


def seat(name: str, free_at: float = 0.0, *models: str, loaded: str = MODEL) -> Seat:
    return Seat(name, free_at, free_at <= 0, frozenset(models or (MODEL,)), loaded)


def line(count: int, work: float = 1.0, model: str = MODEL) -> list[Waiting]:
    return [Waiting(Unit("job", k), model, work) for k in range(count)]


def speeds(**paces: float) -> Speeds:
    known = Speeds()
    for name, pace in paces.items():
        known.tell(name, MODEL, pace)
    return known


def test_the_first_in_line_goes_to_the_fastest() -> None:
    known = speeds(slow=4.0, fast=1.0)
    begun = plan(0.0, [seat("slow"), seat("fast")], line(8), known)
    assert dict(begun)[Unit("job", 0)] == "fast"
    assert {who for _, who in begun} == {"slow", "fast"}


def test_a_slow_mac_is_passed_over_for_what_a_fast_one_has_done_earlier() -> None:
    """The last picture: the fast one is busy for another second and needs one more."""
    known = speeds(slow=10.0, fast=1.0)
    assert plan(0.0, [seat("slow"), seat("fast", 1.0)], line(1), known) == []
    assert plan(0.0, [seat("slow"), seat("fast", 20.0)], line(1), known) == [
        (Unit("job", 0), "slow")
    ]


def test_pictures_go_where_their_model_is() -> None:
    known = speeds(one=1.0, other=1.0)
    seats = [seat("one", 0.0, "a", loaded="a"), seat("other", 0.0, "b", loaded="b")]
    waiting = [*line(1, model="b"), Waiting(Unit("k", 0), "a", 1.0)]
    assert dict(plan(0.0, seats, waiting, known)) == {
        Unit("job", 0): "other",
        Unit("k", 0): "one",
    }
    assert plan(0.0, seats, line(1, model="c"), known) == []


def test_a_model_that_is_loaded_is_worth_waiting_for() -> None:
    known = speeds(one=1.0, other=1.0)
    seats = [seat("one", 0.0, MODEL, loaded="another"), seat("other", LOADING / 2)]
    assert plan(0.0, seats, line(1), known) == []
    assert plan(0.0, [seats[0], seat("other", 2 * LOADING)], line(1), known)


def test_who_refused_a_picture_is_not_asked_again() -> None:
    waiting = [Waiting(Unit("job", 0), MODEL, 1.0, frozenset({"other"}))]
    assert plan(0.0, [seat("one"), seat("other")], waiting, speeds(one=1.0, other=9.0)) == [
        (Unit("job", 0), "other")
    ]


def test_what_nobody_has_measured_is_tried() -> None:
    known = speeds(known=5.0)
    begun = plan(0.0, [seat("known"), seat("new")], line(2), known)
    assert {who for _, who in begun} == {"known", "new"}


def test_a_speed_with_another_model_tells_of_this_one() -> None:
    known = speeds(one=1.0, other=1.0)
    known.tell("one", "b", 3.0)
    known.tell("third", "b", 9.0)
    assert known.seconds("third", MODEL, 2.0) == pytest.approx(6.0)


def test_a_measurement_moves_what_is_known() -> None:
    known = speeds(one=1.0)
    known.measured("one", MODEL, 2.0, 6.0)
    assert 1.0 < known.known("one", MODEL) < 3.0
    for _ in range(20):
        known.measured("one", MODEL, 2.0, 6.0)
    assert known.known("one", MODEL) == pytest.approx(3.0, rel=0.01)


def test_what_is_late_is_begun_once_more_by_who_has_done_it_sooner() -> None:
    known = speeds(stuck=1.0, idle=1.0)
    late = Under(Unit("job", 0), "stuck", MODEL, 1.0, ends=30.0, late=29.0)
    free = [seat("idle")]
    assert again(0.0, free, [late], known, {}) == [(Unit("job", 0), "idle")]
    assert again(0.0, [seat("stuck")], [late], known, {}) == []
    in_time = Under(Unit("job", 0), "stuck", MODEL, 1.0, ends=30.0, late=1.0)
    assert again(0.0, free, [in_time], known, {}) == []
    soon = Under(Unit("job", 0), "stuck", MODEL, 1.0, ends=1.2, late=10.0)
    assert again(0.0, free, [soon], known, {}) == []
    refused = {Unit("job", 0): frozenset({"stuck"})}
    assert again(0.0, free, [late], known, refused) == []


@pytest.mark.parametrize(
    "paces", [(1.0,), (1.0, 1.0), (1.0, 2.0), (1.0, 2.0, 3.0, 7.0), (0.5, 5.0)]
)
def test_a_hundred_pictures_take_what_all_macs_together_need(paces: Sequence[float]) -> None:
    """At least 95 % of the sum of their speeds, by a clock of this test's."""
    known = speeds(**{f"mac{k}": pace for k, pace in enumerate(paces)})
    waiting, clock = line(100), 0.0
    until = {f"mac{k}": 0.0 for k in range(len(paces))}
    ends: list[float] = []
    while waiting or ends:
        seats = [
            Seat(name, end, end <= clock, frozenset({MODEL}), MODEL) for name, end in until.items()
        ]
        for unit, who in plan(clock, seats, waiting, known):
            waiting = [each for each in waiting if each.unit != unit]
            until[who] = clock + paces[int(who[3:])]
            heapq.heappush(ends, until[who])
        clock = heapq.heappop(ends)
    best = 100 / sum(1 / pace for pace in paces)
    assert best / max(until.values()) >= 0.95


def test_a_mac_is_given_its_next_picture_a_moment_before_it_has_finished() -> None:
    """And not while nobody knows how far it is."""
    hello = wire.Hello(
        wire.PROTOCOL, "1", "Mac", "", "", True, models=(wire.ModelHere(MODEL, "m"),)
    )
    member = Member("mac", "Mac", hello, cast(Any, object()))
    board = Board("farm")
    member.doing = Doing(Unit("job", 0), 0.0, 0.001, moved=5.0, drawing_since=0.0)
    assert not board.seat(member, 5.0).free
    member.doing.drawing_since = 0.1
    member.doing.told = wire.Drawn(Unit("job", 0), "drawing", 5, 10)
    assert not board.seat(member, 5.0).free  # five more seconds
    member.doing.told = wire.Drawn(Unit("job", 0), "drawing", 9, 10)
    assert board.seat(member, 5.0).free
    member.following = Doing(Unit("job", 1), 5.5, 11.0)
    assert not board.seat(member, 5.0).free
    assert board.seat(member, 5.0).free_at == 11.0
