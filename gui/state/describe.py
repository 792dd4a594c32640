"""Models, downloads and search results in words: what cards, sheets and the command line show.

Pure functions, no Qt; how figures and terms are written is in `gui.words`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui import words
from gui.hub.types import DownloadState, ModelKind

if TYPE_CHECKING:
    from gui.coreml.model import ModelInfo
    from gui.coreml.sidecar import Sidecar
    from gui.hub.types import DownloadStatus, ModelSummary, RepoDetails, Variant

KINDS = {ModelKind.CONTROLNET: "ControlNet", ModelKind.UPSCALER: "Upscaler"}


def detail_rows(info: ModelInfo, sidecar: Sidecar | None) -> list[tuple[str, str]]:
    """Label and value of every fact the details pane shows; guessed ones say so."""
    rows = [
        ("Family", words.family(info.family)),
        ("Picture size", f"{words.pixels(info.image_width, info.image_height)} px"),
        ("Attention", words.attention(info.attention)),
        ("Compression", words.compression(info.compression)),
        ("On disk", words.size(info.size_bytes)),
        ("Needs macOS", f"{info.minimum_macos} or later" if info.minimum_macos else "Not stated"),
        ("Parts", words.capital(", ".join(map(words.component, info.components)))),
    ]
    if info.controlnets:
        rows.append(("ControlNets", ", ".join(c.name for c in info.controlnets)))
    if sidecar is None:
        return rows

    def note(name: str, value: str) -> str:
        return f"{value} (inferred)" if name in sidecar.inferred else value

    rows.append(("Prediction", note("prediction_type", sidecar.prediction_type)))
    rows.append(("Latent scale", note("scaling_factor", f"{sidecar.scaling_factor:g}")))
    if sidecar.default_scheduler:
        rows.append(("Scheduler", note("default_scheduler", sidecar.default_scheduler)))
    if sidecar.source_repo:
        rows.append(("Source", sidecar.source_repo))
    if sidecar.card.licence:
        rows.append(("Licence", sidecar.card.licence))
    return rows


def repository_kind(summary: ModelSummary) -> str:
    """Family, or what else the repository is for; empty when neither is known."""
    if summary.kind in KINDS:
        return KINDS[summary.kind]
    return "" if summary.family.value == "unknown" else words.short_family(summary.family)


def variant_attention(variant: Variant) -> str:
    if variant.attention.value == "unknown":
        return "Not known before the download"
    name = words.attention(variant.attention)
    return name if variant.attention_known else f"{name} (by its name)"


# Downloads


def download_share(status: DownloadStatus) -> float:
    """How much is there, 0 … 1."""
    if status.state is DownloadState.DONE:
        return 1.0
    return min(1.0, status.bytes_done / status.bytes_total) if status.bytes_total else 0.0


def download_amount(status: DownloadStatus) -> str:
    """``312 MB of 1.60 GB``"""
    return words.progress(status.bytes_done, status.bytes_total)


def download_state(status: DownloadStatus, between: str = " · ") -> str:
    """Where a download stands, in a few words.

    Args:
        between: what parts the figures.
    """
    match status.state:
        case DownloadState.FETCHING:
            parts = [download_amount(status)]
            if status.bytes_per_second > 0:
                parts.append(words.rate(status.bytes_per_second))
            parts.append(words.left(status.seconds_left))
        case DownloadState.QUEUED:
            parts = ["Waiting for its turn", words.size(status.bytes_total)]
        case DownloadState.PAUSED:
            parts = ["Interrupted" if status.interrupted else "Paused", download_amount(status)]
        case DownloadState.WAITING:
            wait = f" in {words.duration(status.retry_in)}" if status.retry_in else ""
            why = status.error.what.rstrip(".") if status.error is not None else "No answer"
            parts = [why, f"tries again{wait}"]
        case DownloadState.UNPACKING:
            parts = ["Unpacking…"]
        case DownloadState.VERIFYING:
            parts = ["Checking the files…"]
        case DownloadState.DONE:
            parts = ["Installed", words.size(status.bytes_total)]
        case DownloadState.FAILED:
            parts = [status.error.message if status.error else "The download failed."]
        case _:
            parts = ["Cancelled"]
    return between.join(part for part in parts if part)


def short_download_state(status: DownloadStatus) -> str:
    """The same in one or two words, for a card."""
    match status.state:
        case DownloadState.QUEUED:
            return "Waiting"
        case DownloadState.PAUSED:
            return "Interrupted" if status.interrupted else "Paused"
        case DownloadState.WAITING:
            return "Trying again"
        case DownloadState.UNPACKING:
            return "Unpacking"
        case DownloadState.VERIFYING:
            return "Checking"
        case DownloadState.FAILED:
            return "Failed"
        case _:
            return words.percent(download_share(status))


# Search results


def best_level(details: RepoDetails) -> str:
    """The best verdict among a repository's variants: ``good``, ``fair`` or ``no``; empty where
    there is nothing to download."""
    found = {variant.verdict.level.value for variant in details.variants}
    return next((level for level in words.LEVELS if level in found), "")
