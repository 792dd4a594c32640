"""The performance budget, line by line: what is promised, which figures show it, who is beside it.

A line without figures of its own in a run says which bench has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One promise."""

    what: str
    benches: tuple[str, ...]
    rows: str
    """A pattern that the names of its figures begin with."""
    peer: str
    """Who does the same, and how it is compared."""
    instead: str = ""
    """Where no bench has figures of it: how to come by them."""


LINES = (
    Line(
        "first paint of the window",
        ("window",),
        "first paint",
        "a bare PySide6 window, started by turns",
    ),
    Line(
        "worst window stall",
        ("heartbeat", "heartbeat_pictures", "stall", "hub", "convert_stall"),
        "(window held up|worst window stall|slowest frame)",
        "a frame at 60 Hz is 16.7 ms; no peer publishes its own",
    ),
    Line(
        "the pipeline’s own time per step",
        ("pipeline",),
        "pipeline's own time",
        "guidance and diffusers' scheduler in a bare loop",
    ),
    Line(
        "a scheduler is imported",
        ("pipeline",),
        "import of a scheduler",
        "diffusers' own import of it",
    ),
    Line(
        "portable runtime",
        ("portable", "portable_full"),
        "portable runtime",
        "the same network in diffusers on torch, same threads, each in a process of its own",
    ),
    Line(
        "another size without conversion",
        ("sizes",),
        "",
        "the same network converted at that size (coremltools, minutes)",
    ),
    Line(
        "a LoRA on a model of full size ≤ 3 s, a new size ≤ 2 s",
        (),
        "",
        "web UIs patch a LoRA at every load; Core ML's peers convert anew, minutes",
        "`time sfumato generate --lora …`, less the time without, with such a model",
    ),
    Line("mask stroke to pixels", ("mask",), "mask stroke", "a frame at 60 Hz is 16.7 ms"),
    Line("preview to pixels", ("window",), "preview to pixels", "a frame at 60 Hz is 16.7 ms"),
    Line(
        "100,000 pictures: open, scroll, search",
        ("gallery",),
        "gallery: (command|worst|a word|all)",
        "peers' galleries hold every picture at full size (Mochi Diffusion)",
    ),
    Line(
        "memory of the window",
        ("window", "gallery"),
        "(window process|gallery: window process)",
        "Mochi Diffusion states about 150 MB with the Neural Engine, its engine included",
    ),
    Line(
        "a download, verified",
        ("download",),
        "download time",
        "huggingface_hub's snapshot_download, which verifies nothing",
    ),
    Line(
        "make test, cold, two cores ≤ 8 min",
        (),
        "",
        "none",
        "`time make test`",
    ),
    Line(
        "conversion",
        ("convert",),
        "",
        "Apple's torch2coreml on the same checkpoint",
    ),
)


def summary(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """What, worst figure, budget, verdict and peer of each line; figures that are not there say how
    to get them."""
    return [_summed(line, list(_rows(line, results)), results) for line in LINES]


def _rows(line: Line, results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        if result["bench"] in line.benches:
            yield from (row for row in result["rows"] if re.match(line.rows, row["name"]))


def _summed(
    line: Line, rows: list[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    ran = {result["bench"] for result in results}
    if line.instead:
        return (line.what, "–", "–", "", f"{line.peer}; here: {line.instead}")
    missing = [bench for bench in line.benches if bench not in ran]
    bound = [row for row in rows if row["budget"] is not None]
    if not bound:
        told = f"make bench ONLY={missing[0]}" if missing else "no figure"
        return (line.what, "–", "–", told, line.peer)
    worst = max(bound, key=_share)
    over = sum(row["within_budget"] is False for row in bound)
    unit = f" {worst['unit']}" if worst["unit"] else ""
    verdict = f"{over} of {len(bound)} OVER" if over else f"ok ({len(bound)})"
    return (
        line.what,
        f"{worst['value']:.4g}{unit}",
        f"{float(worst['budget']):g}{unit}",
        verdict,
        line.peer,
    )


def _share(row: Mapping[str, Any]) -> float:
    """How much of its budget a figure takes."""
    budget = float(row["budget"])
    return row["value"] / budget if budget else row["value"]
