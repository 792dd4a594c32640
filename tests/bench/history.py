"""Earlier runs on this machine, and what has become worse since.

One file of JSON lines for each machine, in `.bench/`, which git does not know.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RUNS = 9
"""So many of the last runs are compared with."""
FEWEST = 3
"""With fewer nothing can be said of their noise."""
BUSY = 0.5
"""Load for each core above which figures say more of the machine than of us."""
LEAST_SHARE = 0.10
LEAST = {"ms": 2.0, "×": 0.03, "MiB": 3.0, "KiB": 1.0, "s": 0.2}
"""Changes that are noise whatever the runs say: a share, and amounts by unit."""
SPREADS = 4.0
"""So many of the runs' own usual deviations are noise."""
_MORE_IS_BETTER = re.compile(r"a second|/s$")


def file_for(machine: Mapping[str, Any], folder: Path) -> Path:
    """The history of a machine: by system, processor and number of cores."""
    text = f"{machine['system']} {machine['cpu']} {machine['cores']} cores"
    return folder / f"{re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')}.jsonl"


def read(file: Path) -> list[dict[str, Any]]:
    """Runs, the oldest first; lines that cannot be read are passed over."""
    return list(_runs(file))


def _runs(file: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            run = json.loads(line)
        except ValueError:
            continue
        if isinstance(run, dict) and isinstance(run.get("rows"), dict):
            yield run


def add(
    file: Path, machine: Mapping[str, Any], results: Sequence[Mapping[str, Any]], root: Path
) -> None:
    """Put a run behind the others."""
    rows = {row["name"]: row["value"] for result in results for row in result["rows"]}
    if not rows:
        return
    run = {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "commit": _commit(root),
        "load": machine.get("load_before"),
        "cores": machine.get("cores"),
        "seconds": {result["bench"]: result["seconds"] for result in results},
        "rows": rows,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(run, ensure_ascii=False) + "\n")


def worse(
    results: Sequence[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Figures that are worse than the median of earlier runs by more than noise: name, and how."""
    quiet = [run for run in earlier if not is_busy(run)] or list(earlier)
    found: list[tuple[str, str]] = []
    for result in results:
        for row in result["rows"]:
            before = [run["rows"][row["name"]] for run in quiet if row["name"] in run["rows"]]
            told = _worse(row, [float(value) for value in before[-RUNS:]])
            if told:
                found.append((row["name"], told))
    return found


def is_busy(run: Mapping[str, Any]) -> bool:
    load, cores = run.get("load", run.get("load_before")), run.get("cores")
    return bool(load and cores and load / cores > BUSY)


def _worse(row: Mapping[str, Any], before: list[float]) -> str:
    if len(before) < FEWEST:
        return ""
    usual = statistics.median(before)
    spread = 1.4826 * statistics.median([abs(value - usual) for value in before])
    noise = max(LEAST_SHARE * abs(usual), SPREADS * spread, LEAST.get(row["unit"], 0.0))
    change = row["value"] - usual
    if _MORE_IS_BETTER.search(row["unit"]):
        change = -change
    if change <= noise:
        return ""
    unit = f" {row['unit']}" if row["unit"] else ""
    share = f", {100 * abs(row['value'] - usual) / abs(usual):.0f}%" if usual else ""
    runs = f"median of {len(before)}"
    return f"{usual:.4g} → {row['value']:.4g}{unit}{share} ({runs}, noise {noise:.3g})"


def _commit(root: Path) -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()
