"""The Hub's figures in words: counts, dates, verdicts, progress.  Pure functions, no Qt."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gui.state import describe
from gui.state.hub.types import Attention, DownloadState, Level, ModelKind

if TYPE_CHECKING:
    from gui.state.hub.types import DownloadStatus, ModelSummary, Variant

MACHINE = "this Mac" if sys.platform == "darwin" else "this computer"

LEVEL_WORDS = {
    Level.GOOD: f"Runs well on {MACHINE}",
    Level.FAIR: f"Runs on {MACHINE} with limits",
    Level.NO: f"Won’t run on {MACHINE}",
}
LEVEL_ICONS = {Level.GOOD: "good", Level.FAIR: "fair", Level.NO: "no"}
LEVEL_TONES = {Level.GOOD: "good", Level.FAIR: "warning", Level.NO: "secondary"}

KINDS = {ModelKind.CONTROLNET: "ControlNet", ModelKind.UPSCALER: "Upscaler"}

LICENCES = (
    ("creativeml-openrail-m", "CreativeML OpenRAIL-M"),
    ("openrail++", "OpenRAIL++-M"),
    ("openrail", "OpenRAIL"),
    ("apache-2.0", "Apache 2.0"),
    ("mit", "MIT"),
)
_LICENCE_NAMES = dict(LICENCES)


def count_text(number: int) -> str:
    """A count in at most four characters: ``987``, ``1.2k``, ``12.3k``, ``123k``, ``4.5M``."""
    value = float(max(0, number))
    if value < 1000:
        return str(int(value))
    for unit in ("k", "M", "G"):
        value /= 1000
        if value < 999.5 or unit == "G":
            break
    text = f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
    return text.removesuffix(".0") + unit


def when_text(moment: str, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 moment was: ``today``, ``3 days ago``; empty when not readable."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    days = ((now or datetime.now(UTC)) - then).days
    if days < 1:
        return "today"
    if days < 2:
        return "yesterday"
    for unit, length, until in (("day", 1, 14), ("week", 7, 61), ("month", 30.44, 700)):
        if days < until:
            return _ago(int(days / length), unit)
    return _ago(round(days / 365.25), "year")


def short_when_text(moment: str, now: datetime | None = None) -> str:
    """The same with units cut short, for narrow places: ``3 mo ago``."""
    text = when_text(moment, now)
    for unit, short in (("week", "wk"), ("month", "mo"), ("year", "yr")):
        text = text.replace(f"{unit}s ", f"{short} ").replace(f"{unit} ", f"{short} ")
    return text


def short_name(name: str) -> str:
    """A repository's name without the “coreml” that nearly all of them begin with."""
    for start in ("coreml-", "coreml_", "core-ml-"):
        if name.lower().startswith(start) and len(name) > len(start):
            return name[len(start) :]
    return name


def _ago(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'} ago"


def plural(number: int, one: str, many: str = "") -> str:
    """``1 file``, ``3 files``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def kind_text(summary: ModelSummary) -> str:
    """Family, or what else the repository is for; empty when neither is known."""
    if summary.kind in KINDS:
        return KINDS[summary.kind]
    if summary.family.value == "unknown":
        return ""
    return describe.SHORT_FAMILIES[summary.family.value]


def licence_text(tag: str) -> str:
    return _LICENCE_NAMES.get(tag, "Other licence" if tag in ("other", "unknown") else tag)


def attention_text(variant: Variant) -> str:
    if variant.attention is Attention.UNKNOWN:
        return "Not known before the download"
    name = describe.ATTENTION[variant.attention.value]
    return name if variant.attention_known else f"{name} (by its name)"


def level_text(level: Level, reasons: tuple[str, ...]) -> str:
    """Verdict and weightiest reason in one line."""
    return f"{LEVEL_WORDS[level]}. {reasons[0]}" if reasons else LEVEL_WORDS[level]


# Downloads


def share(status: DownloadStatus) -> float:
    """How much is there, 0 … 1."""
    if status.state is DownloadState.DONE:
        return 1.0
    return min(1.0, status.bytes_done / status.bytes_total) if status.bytes_total else 0.0


def amount_text(status: DownloadStatus) -> str:
    """``312 MB of 1.60 GB``"""
    done = describe.bytes_text(min(status.bytes_done, status.bytes_total))
    return f"{done} of {describe.bytes_text(status.bytes_total)}"


def state_text(status: DownloadStatus) -> str:
    """Where a download stands, in a few words."""
    match status.state:
        case DownloadState.FETCHING:
            parts = [amount_text(status)]
            if status.bytes_per_second > 0:
                parts.append(f"{describe.bytes_text(round(status.bytes_per_second))}/s")
            if status.seconds_left > 0:
                parts.append(f"{describe.duration_text(status.seconds_left)} left")
            return " · ".join(parts)
        case DownloadState.QUEUED:
            return f"Waiting for its turn · {describe.bytes_text(status.bytes_total)}"
        case DownloadState.PAUSED:
            word = "Interrupted" if status.interrupted else "Paused"
            return f"{word} · {amount_text(status)}"
        case DownloadState.WAITING:
            wait = f" in {describe.duration_text(status.retry_in)}" if status.retry_in else ""
            return f"No connection · tries again{wait}"
        case DownloadState.UNPACKING:
            return "Unpacking…"
        case DownloadState.VERIFYING:
            return "Checking the files…"
        case DownloadState.DONE:
            return f"Installed · {describe.bytes_text(status.bytes_total)}"
        case DownloadState.FAILED:
            return status.error.message if status.error else "The download failed."
        case _:
            return "Cancelled"


def short_state(status: DownloadStatus) -> str:
    """The same in one or two words, for a card."""
    match status.state:
        case DownloadState.QUEUED:
            return "Waiting"
        case DownloadState.PAUSED:
            return "Interrupted" if status.interrupted else "Paused"
        case DownloadState.WAITING:
            return "No connection"
        case DownloadState.UNPACKING:
            return "Unpacking"
        case DownloadState.VERIFYING:
            return "Checking"
        case DownloadState.FAILED:
            return "Failed"
        case _:
            return f"{share(status):.0%}"
