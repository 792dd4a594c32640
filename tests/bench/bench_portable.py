"""The portable runtime beside the same networks run by diffusers on torch.

Each side is a process of its own: ours with the environment that the engine gets, theirs with what
a plain program has.  They take turns.  On one thread their CPU times are compared, so that another
load on the machine hits both alike; on two the clock, as a person sees it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gui.process.child import environment_of_child
from tests.bench.networks import NETWORKS, package

BUDGET = 0.67
WITHIN_MINUTES = ("starter", "small", "middle", "original", "split", "vae")
_OURS_ALONE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")
_SECONDS = 15.0
"""For the turns of one network on so many threads, unless that is fewer than `_FEWEST`."""
_FEWEST, _MOST = 3, 25
_REST = 0.02
"""Until the other side's threads sleep: they look for work for some milliseconds."""


class Side:
    """A process that runs a network when it is told to."""

    def __init__(self, side: str, name: str, threads: int) -> None:
        plain = {k: v for k, v in os.environ.items() if k not in _OURS_ALONE}
        plain.pop("OMP_NUM_THREADS", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.side", side, name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment_of_child(plain, tokens=False) if side == "ours" else plain,
        )
        self.load = self._answer()["load"]

    def run(self) -> dict[str, float]:
        """Seconds of one step, by the clock (``wall``) and of the processors (``cpu``)."""
        return self._ask("run")

    def result(self) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.npy"
            self._ask(f"keep {file}")
            return np.load(file)

    def close(self) -> None:
        self._process.communicate()

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, order: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a side of the comparison ended with {self._process.wait()}")
        return json.loads(line)


def compare(name: str) -> list[dict[str, Any]]:
    """Both rows of a network."""
    package(name)  # outside of what is timed
    return [
        _row(name, 1, "cpu", "one thread, CPU time"),
        _row(name, 2, "wall", "two threads, by the clock"),
    ]


def _row(name: str, threads: int, clock: str, told: str) -> dict[str, Any]:
    pairs: list[tuple[float, float]] = []
    with Side("ours", name, threads) as ours, Side("theirs", name, threads) as theirs:
        end = time.monotonic() + _SECONDS
        while len(pairs) < _FEWEST or (len(pairs) < _MOST and time.monotonic() < end):
            one = ours.run()[clock]
            time.sleep(_REST)
            pairs.append((one, theirs.run()[clock]))
            time.sleep(_REST)
        want, got = theirs.result(), ours.result()
    error = float(np.mean((got - want) ** 2))
    decibels = 10 * np.log10(float(np.abs(want).max()) ** 2 / error)
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "name": f"portable runtime ÷ diffusers, {NETWORKS[name].title}, {told}",
        "value": round(statistics.median(a / b for a, b in pairs), 3),
        "unit": "×",
        "budget": BUDGET,
        "note": f"{mine:.3g} s against {other:.3g} s, {len(pairs)} turns, {decibels:.0f} dB, "
        f"load {ours.load:.1f} s",
    }


def run() -> list[dict[str, Any]]:
    """Two figures for each network but the one of full size."""
    return rows_of(WITHIN_MINUTES)


def rows_of(names: Sequence[str]) -> list[dict[str, Any]]:
    """Two figures for each of these networks."""
    return [row for name in names for row in compare(name)]


if __name__ == "__main__":
    for row in rows_of(sys.argv[1:] or WITHIN_MINUTES):
        print(f"{row['value']:7.3f} {row['unit']}  {row['name']}  ({row['note']})", flush=True)
