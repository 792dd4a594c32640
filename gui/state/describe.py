"""Models, downloads and search results in words: what cards, sheets and the command line show.

Pure functions, no Qt; how figures and terms are written is in `gui.words`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gui import words
from gui.coreml.model import FileFormat
from gui.hub.types import DownloadState, ModelKind

if TYPE_CHECKING:
    from gui.coreml.model import ModelInfo
    from gui.coreml.sidecar import Sidecar
    from gui.hub.types import DownloadStatus, ModelSummary, RepoDetails, Variant

KINDS = {
    ModelKind.CONTROLNET: "ControlNet",
    ModelKind.UPSCALER: "Upscaler",
    ModelKind.LORA: "LoRA",
}


USES = {
    ModelKind.CONTROLNET: "Guides pictures by another one: its edges, depth, a pose",
    ModelKind.UPSCALER: "Enlarges pictures",
}

LONGEST_DESCRIPTION = 160
FROM_WORDS = "Pictures from words"


_KIND_USES = {
    "inpaint": "Painting parts of pictures anew, and beyond their edges",
    "instruct": "Editing a picture as it is told, like “make it winter”",
    "depth": "Pictures from words and a depth map",
}


def good_for(*, starting_picture: bool, controlnets: int = 0, unet_kind: str = "") -> str:
    """What a model that makes pictures from words can be used for."""
    text = f"{FROM_WORDS}, or from a starting picture" if starting_picture else FROM_WORDS
    text = _KIND_USES.get(unet_kind, text)
    return f"{text}; guided by {words.plural(controlnets, 'ControlNet')}" if controlnets else text


def model_rows(
    info: ModelInfo, sidecar: Sidecar | None, memory: int = 0, home: str = ""
) -> list[tuple[str, str]]:
    """Label and value of what a person wants to know of a model on this disk.

    Args:
        memory: bytes it takes while it works; 0: not known.
        home: where it is from, if not from the Hub.
    """
    encoder, width, height = info.has_image_to_image, info.image_width, info.image_height
    what = good_for(
        starting_picture=encoder, controlnets=len(info.controlnets), unet_kind=info.unet_kind
    )
    card = sidecar.card if sidecar is not None else None
    if card is not None and card.description:
        what = f"{what}. {words.shortened(words.plain(card.description), LONGEST_DESCRIPTION)}"
    rows = [("Good for", what)]
    if width:
        others = info.sizes.others() if info.sizes is not None else ""
        rows.append(("Pictures", f"{words.pixels(width, height)} pixels{others and '; '}{others}"))
    steps = sidecar.default_steps if sidecar is not None else 0
    rows.append(("Speed", words.pace(steps, width, height)))
    if memory:
        rows.append(("Memory", f"about {words.memory(memory)} while it works"))
    rows.append(("On disk", words.size(info.size_bytes)))
    source = sidecar.source_repo if sidecar is not None else ""
    known = sidecar is not None and sidecar.tells_source
    if text := source or ". ".join(filter(None, (home, "" if known else words.UNKNOWN_SOURCE))):
        rows.append(("From", text))
    if card is not None and card.licence:
        rows.append(("Licence", words.licence(card.licence)))
    if not encoder:
        rows.append(("Can’t", "Begin with a starting picture"))
    return rows


def technical_rows(info: ModelInfo, sidecar: Sidecar | None) -> list[tuple[str, str]]:
    """Label and value of what experts want to know besides; guessed facts say so."""
    rows = [
        ("Family", words.family(info.family)),
        ("Attention", words.attention(info.attention)),
        ("Compression", words.compression(info.compression)),
        ("Needs macOS", f"{info.minimum_macos} or later" if info.minimum_macos else "Not stated"),
        ("Parts", words.capital(", ".join(map(words.component, info.components)))),
    ]
    if info.controlnets:
        rows.append(("ControlNets", ", ".join(c.name for c in info.controlnets)))
    if sidecar is None:
        return rows

    def note(name: str, value: str) -> str:
        return f"{value} (inferred)" if name in sidecar.inferred else value

    predicts = words.PREDICTIONS.get(sidecar.prediction_type, sidecar.prediction_type)
    rows.append(("Predicts", note("prediction_type", predicts)))
    rows.append(("Latent scale", note("scaling_factor", f"{sidecar.scaling_factor:g}")))
    if sidecar.default_scheduler:
        rows.append(("Scheduler", note("default_scheduler", sidecar.default_scheduler)))
    return rows


def variant_rows(variant: Variant) -> list[tuple[str, str]]:
    """Label and value of what a person wants to know of a variant on the Hub."""
    if variant.kind is ModelKind.LORA:
        return _lora_rows(variant)
    makes = variant.kind is ModelKind.TEXT_TO_IMAGE
    what = good_for(starting_picture=variant.has_encoder, controlnets=len(variant.controlnets))
    rows = [("Good for", what if makes else USES.get(variant.kind, "Other things"))]
    if variant.image_width:
        size = words.pixels(variant.image_width, variant.image_height)
        rows.append(("Pictures", f"{size} pixels"))
    if few := variant.distilled:
        rows.append(("Speed", words.pace(few.steps, variant.image_width, variant.image_height)))
    rows.append(("Download", words.size(variant.download_bytes)))
    rows.append(("On disk", words.size(variant.disk_bytes or variant.download_bytes)))
    if variant.memory_bytes:
        rows.append(("Memory", f"about {words.memory(variant.memory_bytes)}"))
    macos = f"{variant.minimum_macos} or later" if variant.minimum_macos else "Not stated"
    rows.append(("Needs macOS", macos))
    if makes and not variant.has_encoder:
        rows.append(("Can’t", "Begin with a starting picture"))
    if variant.missing:
        rows.append(("Lacks", ", ".join(variant.missing)))
    return rows


def _lora_rows(variant: Variant) -> list[tuple[str, str]]:
    known = variant.family.value != "unknown"
    rows = [("Good for", "Changes what a model makes: a style, a subject or fewer steps")]
    if known or not variant.problems:
        rows.append(("Models", words.family(variant.family) if known else "Not stated"))
    rows.append(("Made of", variant.made_of or "Not known before the download"))
    return [*rows, ("Download", words.size(variant.download_bytes))]


def fitting(variant: Variant, models: Iterable[tuple[str, ModelInfo]]) -> str:
    """Which of the installed models a ControlNet or LoRA is for, in words; empty for others.

    Args:
        models: name and facts of each that can be used.
    """
    if variant.kind not in (ModelKind.CONTROLNET, ModelKind.LORA) or variant.problems:
        return ""
    if variant.family.value == "unknown":
        return "Not known before it is tried"
    kin = [(name, info) for name, info in models if info.family is variant.family]
    if not kin:
        return f"None of your models: it needs one of {words.family(variant.family)}"
    if variant.kind is ModelKind.CONTROLNET:
        ready = [(name, info) for name, info in kin if takes_controls(info)]
        if not ready:
            return "None of your models: it needs one that is ControlNet-ready"
        kin = ready
    names = [name for name, _ in kin]
    more = [words.plural(len(names) - MOST_FITTING, "other")] if len(names) > MOST_FITTING else []
    return words.plain(words.listed([*names[:MOST_FITTING], *more]))


MOST_FITTING = 3
"""Models that are named."""


def takes_controls(info: ModelInfo) -> bool:
    """Whether a model's UNet has places for what a ControlNet says, in either dialect."""
    inputs = [t.name for c in info.components.values() for t in c.inputs]
    return any(name.startswith(("additional_residual_", "down_block_res_")) for name in inputs)


def variant_technical_rows(variant: Variant) -> list[tuple[str, str]]:
    """Label and value of what experts want to know of a variant besides."""
    if variant.kind is ModelKind.LORA:
        return []
    kind = "Compiled" if variant.format is FileFormat.COMPILED else "Packages"
    rows = [
        *([("Made for", steps)] if (steps := variant_steps(variant)) else []),
        ("Attention", variant_attention(variant)),
        ("Compression", words.capital(variant.compression) or "None known"),
        ("Format", f"{kind}, in an archive" if variant.archive else kind),
    ]
    has = (
        (variant.has_safety_checker, "safety checker"),
        (variant.controlnet_ready, words.CONTROLNET_READY),
        (variant.chunked, "UNet in two parts"),
    )
    if text := ", ".join(word for there, word in has if there):
        rows.append(("Has", words.capital(text)))
    return rows


def repository_kind(summary: ModelSummary) -> str:
    """Family, or what else the repository is for; empty when neither is known."""
    if summary.kind is ModelKind.LORA and summary.family.value != "unknown":
        return f"{words.short_family(summary.family)} LoRA"
    if summary.kind in KINDS:
        return KINDS[summary.kind]
    return "" if summary.family.value == "unknown" else words.short_family(summary.family)


def variant_attention(variant: Variant) -> str:
    if variant.attention.value == "unknown":
        return "Not known before the download"
    name = words.attention(variant.attention)
    return name if variant.attention_known else f"{name} (by its name)"


def variant_steps(variant: Variant) -> str:
    """``4 steps, LCM``; empty for what is not known to be distilled."""
    if variant.distilled is None:
        return ""
    text = words.few_steps(variant.distilled.steps, variant.distilled.method)
    return f"{text} (by its name)" if variant.distilled.is_guess else text


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
    return between.join(_state_parts(status))


def shorter_download_states(status: DownloadStatus) -> tuple[str, ...]:
    """The same for narrow places, the longest first: what matters least is left out."""
    parts = _state_parts(status)
    if status.state is DownloadState.FETCHING and len(parts) > 2:
        parts = [parts[0], parts[-1]]  # how fast it is can be told from how long it takes
    return tuple(
        words.capital(" · ".join(parts[first:])) for first in range(len(parts)) if parts[first:]
    )


def _state_parts(status: DownloadStatus) -> list[str]:
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
    return [part for part in parts if part]


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
