"""What a scheduler does with jobs that bring about a defect of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gui import __version__
from gui.farm import dispatcher, wire
from gui.farm.board import Board, Member
from gui.farm.dispatcher import MAX_TRIES, Dispatcher
from gui.farm.planner import Speeds
from gui.farm.wire import Unit
from gui.process.messages import Event
from gui.request import PictureRequest

HELLO = wire.Hello(
    wire.PROTOCOL, __version__, "Mini", "", "", True, models=(wire.ModelHere("m", "Model"),)
)
BAD_WORK = 666.0


class Heard:
    """What is said to a member."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, event: Event, *, droppable: bool = False) -> None:
        self.events.append(event)

    def abort(self) -> None: ...

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def farm() -> tuple[Dispatcher, Member, Heard]:
    heard = Heard()
    board = Board("Studio")
    member = board.members["1"] = Member("1", "Mini", HELLO, heard)
    desk = Dispatcher(board)
    desk.welcome(member, HELLO)
    return desk, member, heard


def job(name: str, prompt: str, work: float) -> wire.WantedJob:
    return wire.WantedJob(name, PictureRequest(prompt, ""), "m", "Model", 1, (0,), work)


def test_a_job_that_cannot_be_given_out_is_said_tried_and_set_aside_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = Speeds.seconds

    def failing(self: Speeds, seat: str, model: str, work: float) -> float:
        if work == BAD_WORK:
            raise RuntimeError("a defect")
        return seconds(self, seat, model, work)

    monkeypatch.setattr(Speeds, "seconds", failing)

    async def go() -> None:
        desk, member, heard = farm()
        jobs = (job("bad", "a cursed fox", BAD_WORK), job("good", "a fox", 1.0))
        desk.take(member, wire.Jobs(("bad", "good"), jobs))
        desk.give_out(0.0)
        assert [draw.unit for draw in heard.of(wire.Draw)] == [Unit("good", 0)]
        assert desk.board.state().remarks == (
            "“a cursed fox” could not be given out; it is tried again.",
        )
        desk.take(member, wire.Finished(Unit("good", 0), 1, "0" * 64, 1.0))
        for _ in range(20):  # at every tick: it rests between tries
            desk.give_out(0.5)
        assert heard.of(wire.Failed) == []
        for k in range(1, MAX_TRIES):
            desk.give_out(10.0 * k)
        (failed,) = heard.of(wire.Failed)
        assert failed.job == "bad"
        assert "tried 3 times to give this request to a Mac" in failed.error.message
        assert "retry it" in failed.error.message
        assert "a defect" in failed.error.detail
        assert desk.board.state().remarks == ()
        assert "bad" not in desk.board.jobs
        # Retried once the defect is gone, it is like any other.
        desk.take(member, wire.Got(Unit("good", 0)))
        desk.take(member, wire.Jobs(("bad",), (job("bad", "a cursed fox", 1.0),)))
        desk.give_out(100.0)
        assert heard.of(wire.Draw)[-1].unit == Unit("bad", 0)

    asyncio.run(go())


def test_a_defect_that_is_no_jobs_is_told_and_no_job_pays_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: object) -> Any:
        raise RuntimeError("a defect")

    async def go() -> None:
        desk, member, heard = farm()
        desk.take(member, wire.Jobs(("good",), (job("good", "a fox", 1.0),)))
        with monkeypatch.context() as broken:
            broken.setattr(dispatcher, "plan", failing)
            for k in range(2 * MAX_TRIES):
                desk.give_out(10.0 * k)
        (remark,) = desk.board.state().remarks
        assert "can give out nothing at present" in remark
        assert "quit Sfumato on the Mac that started the farm" in remark
        assert heard.of(wire.Failed) == []
        desk.give_out(1000.0)
        assert desk.board.state().remarks == ()
        assert len(heard.of(wire.Draw)) == 1

    asyncio.run(go())


def test_what_a_member_lacks_is_offered_and_brought_by_itself_only_as_far_as_it_says() -> None:
    network = wire.Network("lora", "Ink", "s" * 64, 500)
    wanted = wire.WantedJob(
        "j", PictureRequest("x", ""), "m", "Model", 1000, (0,), 1.0, networks=(network,)
    )

    async def go() -> None:
        desk, asks, _said = farm()
        hello = replace(HELLO, name="Own", draws=False, networks=(network,))
        asks.hello = hello
        heard = Heard()
        mini = desk.board.members["2"] = Member("2", "Mini", HELLO, heard)
        desk.welcome(mini, HELLO)
        desk.take(asks, wire.Jobs(("j",), (wanted,)))
        (offer,) = desk.board.offers()
        assert (offer.member, offer.kind, offer.model_name) == ("2", "lora", "Ink")
        assert (offer.bytes, offer.source) == (500, "1")
        for brings, fetched in ((0, 0), (499, 0), (500, 1)):
            desk.take(mini, wire.Stock(HELLO.models, (), brings))
            desk.bringing.by_itself()
            assert len(heard.of(wire.FetchModel)) == fetched
        (event,) = heard.of(wire.FetchModel)
        assert (event.kind, event.source, event.by_itself) == ("lora", "1", True)
        desk.bringing.by_itself()
        assert len(heard.of(wire.FetchModel)) == 1
        # It comes, and the picture is drawn there.
        desk.take(mini, wire.Received(network.sha256, 250, 500))
        assert desk.board.offers()[0].done == 250
        desk.take(mini, wire.Stock(HELLO.models, (network,), 500))
        assert desk.board.offers() == []
        desk.give_out(0.0)
        assert [draw.unit for draw in heard.of(wire.Draw)] == [Unit("j", 0)]

    asyncio.run(go())


def test_another_network_of_the_name_is_told_and_nothing_is_copied_over_it() -> None:
    wanted = wire.WantedJob(
        "j", PictureRequest("x", ""), "m", "Model", 1000, (0,), 1.0,
        networks=(wire.Network("control", "Canny", "s" * 64, 500),),
    )  # fmt: skip

    async def go() -> None:
        desk, mini, _ = farm()
        desk.take(mini, wire.Stock(HELLO.models, (wire.Network("control", "canny", "t" * 64),)))
        desk.take(mini, wire.Jobs(("j",), (wanted,)))
        assert desk.board.offers() == []
        assert any(
            "Mini has another ControlNet called “Canny”" in remark and "rename it there" in remark
            for remark in desk.board.state().remarks
        )

    asyncio.run(go())
