"""What a farm adds to its members, and how soon it is itself again after a death.

The members are real processes with the real engine process in each; the pipeline is a stand-in
that sleeps, of unlike speed, so that four of them fit on two cores: it is the farm that is
measured.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from gui.request import PictureRequest
from tests.support.farm import Mac, free_port, until

PICTURES = 100
STEPS = 10
SLOWNESS = (1.0, 1.0, 2.0, 4.0)
"""How long each member sleeps, in `STEP`s."""
STEP = 0.08
"""Seconds."""
SLOW_STEP = 0.5
MEMBERS = (1, 2, 4)
STANDIN = "tests.bench.bench_farm:backend"


def backend() -> Any:
    """The stand-in, which takes as long for a step as its Mac is slow."""
    import os

    from tests.engine import standins

    slow = float(os.environ["SFUMATO_SLOWNESS"])
    real = standins.time.sleep

    class Time:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def sleep(seconds: float) -> None:
            real(seconds * slow)

    standins.time = Time  # type: ignore[assignment]
    return standins.backend()


def run() -> list[dict[str, Any]]:
    alone = _alone()
    rows = [_efficiency(count, alone) for count in MEMBERS]
    return [*rows, *_recovery()]


def _farm(stack: contextlib.ExitStack, slowness: tuple[float, ...]) -> list[Mac]:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sfumato-farm-")))
    macs = [
        Mac(home / f"mac{k}", f"Mac {k}", STANDIN, SFUMATO_SLOWNESS=str(slow))
        for k, slow in enumerate(slowness)
    ]
    for mac in macs:
        stack.callback(mac.kill)
    code = macs[0].start(free_port())
    for mac in macs[1:]:
        mac.join(code)
        code.write_text(macs[0].cli("farm", "invite").stdout)
    until(lambda: len(macs[0].status()["seats"]) == len(macs))
    # Every engine is up, and its speed known.
    macs[0].wait(macs[0].ask(_request(2 * len(macs)))[0])
    return macs


def _request(count: int) -> PictureRequest:
    return PictureRequest(f"steps={STEPS} sleep={STEP}", "", seed=1, count=count)


def _alone(pictures: int = 16) -> float:
    """Seconds that one picture takes beside its steps where one Mac draws its queue by itself."""
    with tempfile.TemporaryDirectory(prefix="sfumato-farm-") as folder:
        mac = Mac(Path(folder), "Alone", STANDIN, SFUMATO_SLOWNESS="1")
        (job_id,) = mac.ask(_request(pictures))
        mac.cli("queue", "run", "--quiet")
        times = [Path(path).stat().st_mtime for path in mac.job(job_id).pictures]
    return (times[-1] - times[0]) / (pictures - 1) - STEPS * STEP


def _efficiency(members: int, alone: float) -> dict[str, Any]:
    """Pictures a second beside the sum of what each member makes alone.

    Args:
        alone: as `_alone`.
    """
    with contextlib.ExitStack() as stack:
        first = _farm(stack, SLOWNESS[:members])[0]
        begun = time.monotonic()
        (job,) = first.wait(*first.ask(_request(PICTURES)), patience=300.0)
        taken = time.monotonic() - begun
        assert len(set(job.pictures)) == PICTURES
    best = PICTURES / sum(1 / (STEPS * STEP * slow + alone) for slow in SLOWNESS[:members])
    return {
        "what": f"farm of {members}: {PICTURES} pictures, share of its members’ sum",
        "value": 100 * best / taken,
        "unit": "%",
        "note": f"{taken:.1f} s, {best:.1f} s at best; sleeping stand-ins",
    }


def _recovery() -> list[dict[str, Any]]:
    """From a SIGKILL to the first picture of whoever was waited for."""
    with contextlib.ExitStack() as stack:
        first, second = _farm(stack, (1.0, 1.0))
        port = _port(first)
        # Longer than it takes to ask who draws what.
        slow = PictureRequest(f"steps={STEPS} sleep={SLOW_STEP}", "", seed=1, count=6)
        (job_id,) = first.ask(slow)
        unit = until(lambda: first.seat("Mac 1")["unit"])
        killed = time.monotonic()
        assert len(first.job(job_id).pictures) <= unit["number"]
        second.kill()
        until(lambda: len(first.job(job_id).pictures) > unit["number"])
        worker = time.monotonic() - killed
        first.wait(job_id)
        second.join()
        job_id = first.ask(_request(400))[0]
        until(lambda: first.seat("Mac 1")["pictures"] >= 2)
        there = len(first.job(job_id).pictures)
        killed = time.monotonic()
        first.kill()
        first.start(port)
        back = time.monotonic() - killed
        until(lambda: len(first.job(job_id).pictures) > there)
        scheduler = time.monotonic() - killed
    return [
        {"what": "farm: a member is killed, its picture is there", "value": worker, "unit": "s",
         "note": f"of which {STEPS * SLOW_STEP:.0f} s to draw it, after the one under way"},
        {"what": "farm: the scheduler’s Mac is killed, the next picture", "value": scheduler,
         "unit": "s", "note": f"of which {back:.1f} s for its process to be up again"},
    ]  # fmt: skip


def _port(mac: Mac) -> int:
    import json

    return int(json.loads((mac.home / "data/Farm/farm.json").read_text())["port"])
