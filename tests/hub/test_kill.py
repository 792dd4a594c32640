"""Killed again and again in mid-download: nothing is lost, and hardly a byte comes twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gui.library.models.folders import model_folders
from tests.support.download_zygote import CHUNK
from tests.support.hub_downloads import contents, expected, random_bytes, variant_of
from tests.support.hub_repo import Repo

KILLS = 25
CONNECTIONS = 4
SPEED = 120_000
"""Bytes per second and connection; the server sends a twentieth of it at a time."""


class Zygote:
    """See `tests.support.download_zygote`."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.download_zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.tell(json.dumps(task))

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def zygote() -> Iterator[Any]:
    made: list[Zygote] = []

    def make(**task: Any) -> Zygote:
        made.append(Zygote(task))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_killed_at_random_points_every_byte_arrives_and_few_come_twice(
    hub_server, zygote, home: Path
):
    files = {
        "packages/Unet.mlpackage/weights/weight.bin": random_bytes(9_500_003, 1),
        "packages/Unet.mlpackage/model.mlmodel": random_bytes(300_000, 2),
        "packages/VAE.mlpackage/weights/weight.bin": random_bytes(900_000, 3),
    }
    files |= {f"packages/VAE.mlpackage/{k}.json": f"[{k}]".encode() for k in range(30)}
    repo = Repo("ada/fog", files)
    server = hub_server([repo], send_buffer=65536)
    fault = server.fault("*", bytes_per_second=SPEED)
    models = home / "data" / "Models"
    one = zygote(
        repo=repo.id,
        revision=repo.sha,
        variant=variant_of(repo, "packages").to_json(),
        endpoint=server.endpoint,
        connections=CONNECTIONS,
    )
    chance = random.Random(20)
    killed = 0
    while killed < KILLS:
        one.tell("go")
        child = one.read()
        begun = server.sent()
        while server.sent() == begun:  # let it get to the bytes before the dice are cast
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.25))
        os.kill(child, signal.SIGKILL)
        assert one.read() == -signal.SIGKILL, "the kill came too late to prove anything"
        killed += 1
        assert list(model_folders(models)) == [], "half a model is offered"
    server.faults.remove(fault)
    one.tell("go")
    one.read()
    assert one.read() == 0

    (folder,) = list(model_folders(models))
    assert contents(folder) == expected(repo, "packages")
    time.sleep(0.1)  # the server may still be failing to write to the dead
    twice = server.sent() - sum(len(data) for data in files.values())
    in_flight = SPEED // 20
    assert twice <= killed * CONNECTIONS * (CHUNK + in_flight)
    print(f"{twice / killed / CONNECTIONS:.0f} bytes twice per kill and connection")
