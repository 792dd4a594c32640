"""Run the benches, each in a process of its own: print the budget line by line with who is beside
it, every figure, and what has become worse since the last runs on this machine.

Without names all benches run but those of many minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gui.coreml.processor import this_processor
from tests.bench import budget, history

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COLUMNS = ("what", "value", "budget", "", "note")
LINES = ("budget line", "worst figure", "budget", "", "beside it")
LONG_SECONDS = 60
"""A bench that takes longer is told of at the end."""

SLOW = frozenset({"convert", "portable_full", "sizes"})
"""Benches of many minutes: they run only when named."""

# Runs in the child.  The rows come back in a file, so that a bench may print what it likes.
_CHILD = """
import importlib, json, sys
rows = importlib.import_module(sys.argv[1]).run()
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(rows, file)
"""


def benches(folder: Path = HERE) -> list[str]:
    """Names of the benches there are."""
    return sorted(path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py"))


def measure(name: str, package: str = "tests.bench", root: Path = ROOT) -> dict[str, Any]:
    """Run one bench in a fresh process.

    Returns:
        ``bench``, ``seconds``, ``rows``, and ``error`` (empty when all went well).
    """
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as folder:
        result = Path(folder) / "rows.json"
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, f"{package}.bench_{name}", str(result)],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        seconds = time.monotonic() - started
        rows, error = [], ""
        try:
            rows = [_checked(row) for row in json.loads(result.read_text(encoding="utf-8"))]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            error = f"status {done.returncode}; {problem!r}\n{done.stdout[-4000:]}"
    return {"bench": name, "seconds": round(seconds, 1), "rows": rows, "error": error}


def _checked(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with exactly the agreed fields, and whether it is within its budget."""
    budget = row["budget"]
    value = float(row["value"])
    within = None if budget is None else value <= float(budget)
    checked = {key: row[key] for key in ("name", "unit", "budget", "note")}
    return {**checked, "value": value, "within_budget": within}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The rows as aligned text."""
    lines: list[tuple[str, ...]] = [COLUMNS]
    for result in results:
        for row in result["rows"]:
            unit = f" {row['unit']}" if row["unit"] else ""
            budget = "–" if row["budget"] is None else f"{float(row['budget']):g}{unit}"
            verdict = {None: "", True: "ok", False: "OVER"}[row["within_budget"]]
            lines.append((row["name"], f"{row['value']:.4g}{unit}", budget, verdict, row["note"]))
        if result["error"]:
            lines.append((result["bench"], "–", "–", "FAILED", "see below"))
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": this_processor().name or platform.processor(),
        "cores": os.cpu_count(),
        "load_before": load,
        "python": platform.python_version(),
    }


def _tell_of_history(
    about: Mapping[str, Any], results: Sequence[Mapping[str, Any]], file: Path
) -> None:
    """Say what has become worse, and remember this run."""
    earlier = history.read(file)
    history.add(file, about, results, ROOT)
    if history.is_busy(about):
        print("\nThe machine does other things as well: figures by the clock say little.")
    if len(earlier) < history.FEWEST:
        print(f"\nRuns before this one on this machine: {len(earlier)}; too few to compare with.")
        return
    found = history.worse(results, earlier)
    print("\nWorse than before:" if found else "\nNothing is worse than in the runs before.")
    if found:
        print(aligned([("  " + name, how) for name, how in found]))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every bench ran, within its budget or not; 1 when one could not be measured."""
    known = benches()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument(
        "--history", type=Path, default=ROOT / ".bench", help="folder of earlier runs by machine"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(known):
        parser.error(f"no bench named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    about = machine()
    results = []
    for name in options.names or [n for n in known if n not in SLOW]:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        results.append(measure(name))
    print(aligned([LINES, *budget.summary(results)]))
    print()
    print(table(results))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": about, "benches": results}
    options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    _tell_of_history(about, results, history.file_for(about, options.history))
    print(f"\nload before: {about['load_before']}; written to {options.output}")
    long = [r for r in results if r["seconds"] > LONG_SECONDS]
    if long:
        print("took long: " + ", ".join(f"{r['bench']} {r['seconds']:.0f} s" for r in long))
    failed = [result for result in results if result["error"]]
    for result in failed:
        print(f"\n{result['bench']} FAILED: {result['error']}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
