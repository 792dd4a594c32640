"""A farm whose scheduler is away, and Macs that go: real processes on the loopback."""

from __future__ import annotations

from collections.abc import Callable

from gui.farm.config import meanwhile
from gui.library.picture_record import read_record
from gui.request import PictureRequest
from tests.support.farm import Mac, free_port, until
from tests.support.wire_cut import Wire

SOON = "0.1"
"""Of the time that a farm waits before it takes somebody for gone."""


def seeds(mac: Mac, *job_ids: str) -> list[int]:
    """Of a Mac's pictures, by job and number."""
    records = [read_record(p) for p in mac.pictures()]
    found = {(r.job, r.request.seed) for r in records if r}
    assert len(found) == len(records), "a picture twice"
    return [seed for job in job_ids for name, seed in sorted(found) if name == job]


def held(*macs: Mac) -> list[str]:
    """Finished pictures that nobody has fetched."""
    return [p.name for mac in macs for p in (mac.home / "data/Farm/Held").glob("*.png")]


def test_each_goes_on_while_the_scheduler_is_away_until_it_is_removed(
    mac: Callable[..., Mac],
) -> None:
    """The scheduler's Mac sleeps, then the wire is cut; nothing is lost or made twice."""
    first = mac("First", SFUMATO_FARM_PATIENCE=SOON)
    second = mac("Second", SFUMATO_FARM_PATIENCE=SOON)
    port = free_port()
    code = first.start(port)
    with Wire(port) as wire:
        second.join(code, f"127.0.0.1:{wire.port}")
        away = [(lambda: first.sleep(True), lambda: first.sleep(False)), (wire.cut, wire.mend)]
        for k, (go, come_back) in enumerate(away):
            links, alone = (second.said().count(said) for said in ("connected.", meanwhile(True)))
            request = PictureRequest("steps=3 sleep=0.1", "", seed=100 * k, count=4)
            theirs, ours = first.ask(request)[0], second.ask(request)[0]
            until(lambda ours=ours: second.job(ours).status == "running")
            go()
            second.wait(ours)
            until(lambda alone=alone: second.said().count(meanwhile(True)) > alone)
            assert seeds(second, ours) == request.seeds()
            if not k:
                refused = second.cli("farm", "status")
                assert refused.returncode == 1
                assert "cannot be reached; see that the Mac that started it is" in refused.stderr
                assert meanwhile(True) in refused.stderr
            come_back()
            until(lambda links=links: second.said().count("connected.") > links)
            first.wait(theirs)
            assert seeds(first, theirs) == request.seeds()
            until(lambda: not held(first, second))
        assert len(first.pictures()) == len(second.pictures()) == 8
        removed_is_handed_back_and_on_its_own(first, second)
        stopped_keeps_its_place(first, port)


def removed_is_handed_back_and_on_its_own(first: Mac, second: Mac) -> None:
    """What it draws for others is handed back, what it asked for is its own again."""
    slow = PictureRequest("steps=4000 sleep=0.05", "", seed=1)
    jobs = first.ask(slow, slow)
    first.wait(*jobs, status="running")
    (ours,) = second.ask(PictureRequest("steps=2", "", seed=2))
    for who, whom, why in (
        (second, "First", "was started on another Mac; remove it there"),
        (first, "Third", "No Mac of the farm is called “Third”"),
        (first, "first", "The farm was started on this Mac"),
    ):
        assert why in who.cli("farm", "remove", whom).stderr
    removed = first.cli("farm", "remove", "second")
    assert removed.returncode == 0
    assert "“Second” is in the farm no more" in removed.stderr
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert "has removed this Mac" in second.log.read_text()
    assert "make a new join code" in second.log.read_text()
    status = first.status()
    assert [seat["name"] for seat in status["seats"]] == ["First"]
    assert status["waiting"] == 1
    # Its key opens nothing any more, and its queue is nobody's but its own.
    assert "in no farm" in second.cli("farm", "status").stderr
    assert second.cli("queue", "run", "--quiet").returncode == 0
    assert second.job(ours).status == "done"
    for job in jobs:
        first.stop_job(job)


def stopped_keeps_its_place(first: Mac, port: int) -> None:
    assert first.cli("farm", "stop").returncode == 0
    assert first.process is not None
    assert first.process.wait(30) == 0
    assert "stopped; what is left stays in this Mac’s queue" in first.log.read_text()
    first.start(port)
    assert [seat["name"] for seat in first.status()["seats"]] == ["First"]
