"""Model facts in words: what cards and details show.  Pure functions, no Qt."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gui.errors import ErrorKind

if TYPE_CHECKING:
    from gui.coreml.model import ModelInfo
    from gui.coreml.sidecar import Sidecar
    from gui.hub.types import DownloadStatus, RepoDetails
    from gui.state.hub.catalogue_rows import CatalogueRow

FAMILIES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "Stable Diffusion XL",
    "sdxl-refiner": "SDXL refiner",
    "sd3": "Stable Diffusion 3",
    "unknown": "Unknown family",
}

SHORT_FAMILIES = {
    "sd1": "SD 1",
    "sd2": "SD 2",
    "sdxl": "SDXL",
    "sdxl-refiner": "SDXL refiner",
    "sd3": "SD 3",
    "unknown": "Unknown",
}

ATTENTION = {
    "original": "Original",
    "split_einsum": "Split einsum",
    "split_einsum_v2": "Split einsum v2",
}

COMPONENTS = {
    "text_encoder": "Text encoder",
    "text_encoder_2": "Second text encoder",
    "text_encoder_t5": "T5 text encoder",
    "unet": "UNet",
    "control-unet": "UNet for ControlNet",
    "refiner": "Refiner UNet",
    "mmdit": "Transformer",
    "vae_decoder": "Image decoder",
    "vae_encoder": "Image encoder",
    "safety_checker": "Safety checker",
    "controlnet": "ControlNet",
}

_LEVELS = {
    "good": "Runs well on this machine",
    "fair": "Runs on this machine, with limits",
    "no": "Will not run on this machine",
}

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

_ADVICE = {
    ErrorKind.BAD_REQUEST: "Change the setting and try again.",
    ErrorKind.BAD_MODEL: "Choose another model, or get this one again.",
    ErrorKind.UNSUPPORTED: "Choose another model or another compute unit.",
    ErrorKind.BAD_IMAGE: "Choose another starting picture, for example a PNG or JPEG.",
    ErrorKind.STORAGE: "Free some space or choose another pictures folder in Settings.",
    ErrorKind.MEMORY: "Close other programs, or choose a smaller model.",
    ErrorKind.NETWORK: "Check the connection and try again.",
    ErrorKind.ACCESS: "Open the model's page on the Hub, accept its terms and sign in here.",
    ErrorKind.NOT_FOUND: "Look for another model.",
    ErrorKind.ENGINE: "The engine has been started again; try once more.",
    ErrorKind.INTERNAL: "Try again; if it stays, copy the details into a report.",
}


def advice(kind: ErrorKind) -> str:
    """What a person can do about an error of this kind, in one sentence."""
    return _ADVICE.get(kind, _ADVICE[ErrorKind.INTERNAL])


def bytes_text(size: int) -> str:
    """A file size as Finder writes it, in decimal units: ``1.98 GB``."""
    if size < 1000:
        return "1 byte" if size == 1 else f"{size} bytes"
    value = float(size)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            digits = 0 if value >= 100 or unit == "KB" else 1 if value >= 10 or unit == "MB" else 2
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def memory_text(size: int) -> str:
    """An amount of memory as Macs are sold with it, in units of 2³⁰ bytes: ``4.1 GB``."""
    return f"{size / 2**30:.1f} GB"


def size_text(info: ModelInfo) -> str:
    """Size of the model's pictures, width first: ``512 × 768``."""
    return f"{info.image_width} × {info.image_height}"


def family_text(info: ModelInfo) -> str:
    return FAMILIES.get(info.family.value, FAMILIES["unknown"])


def compression_text(info: ModelInfo) -> str:
    return info.compression or "Uncompressed"


def duration_text(seconds: float) -> str:
    """A span of time to read at a glance: ``8 s``, ``2 min 5 s``, ``1 h 4 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def speed_text(seconds_per_step: float) -> str:
    """Speed the way that keeps the number above one: ``2.4 s/step`` or ``3.1 steps/s``."""
    if seconds_per_step <= 0:
        return ""
    if seconds_per_step >= 1:
        return f"{seconds_per_step:.1f} s/step"
    return f"{1 / seconds_per_step:.1f} steps/s"


def detail_rows(info: ModelInfo, sidecar: Sidecar | None) -> list[tuple[str, str]]:
    """Label and value of every fact the details pane shows; guessed ones say so."""
    rows = [
        ("Family", family_text(info)),
        ("Picture size", f"{size_text(info)} px"),
        ("Attention", ATTENTION.get(info.attention.value, "Unknown")),
        ("Compression", compression_text(info)),
        ("On disk", bytes_text(info.size_bytes)),
        ("Needs macOS", f"{info.minimum_macos} or later" if info.minimum_macos else "Not stated"),
        ("Parts", ", ".join(COMPONENTS.get(k.value, k.value) for k in info.components)),
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


def day_text(iso: str) -> str:
    """A day to read, ``3 May`` or ``3 May 2024`` when it is another year's; empty for nonsense."""
    try:
        then = datetime.fromisoformat(iso).astimezone()
    except ValueError:
        return ""
    day = f"{then.day} {_MONTHS[then.month - 1]}"
    return day if then.year == datetime.now().astimezone().year else f"{day} {then.year}"


def download_text(status: DownloadStatus) -> str:
    """Where a download stands, as a sentence to be read aloud."""
    amount = f"{bytes_text(min(status.bytes_done, status.bytes_total))} of"
    amount += f" {bytes_text(status.bytes_total)}"
    match status.state.value:
        case "queued":
            return "Waiting for its turn."
        case "fetching":
            left = status.seconds_left
            return f"{amount}, {duration_text(left)} left." if left > 0 else f"{amount}."
        case "waiting":
            return f"No connection, trying again. {amount}."
        case "paused":
            return f"{'Interrupted' if status.interrupted else 'Paused'} at {amount}."
        case "unpacking":
            return "Unpacking."
        case "verifying":
            return "Checking the files."
        case "failed":
            return status.error.message if status.error else "The download failed."
        case "done":
            return "Installed."
    return "Cancelled."


def catalogue_sentence(row: CatalogueRow) -> str:
    """All a result card shows, to be read aloud."""
    summary = row.summary
    parts = [f"{summary.name} by {summary.author}"]
    if summary.family.value != "unknown":
        parts.append(FAMILIES[summary.family.value])
    if row.details is not None and (best := row.details.recommended) is not None:
        parts.append(f"{bytes_text(best.download_bytes)} to download")
    elif summary.total_bytes:
        parts.append(f"{bytes_text(summary.total_bytes)} in all")
    likes, downloads = _count(summary.likes, "like"), _count(summary.downloads, "download")
    parts.append(f"{likes}, {downloads}")
    if day := day_text(summary.updated):
        parts.append(f"Updated {day}")
    if summary.gated:
        parts.append("Its terms must be accepted first")
    if row.installed:
        parts.append("Installed")
    if row.details is not None and (level := best_level(row.details)):
        parts.append(_LEVELS[level])
    if row.download is not None:
        parts.append(download_text(row.download).removesuffix("."))
    if row.problem:
        parts.append(row.problem.removesuffix("."))
    return ". ".join(parts) + "."


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def best_level(details: RepoDetails) -> str:
    """The best verdict among a repository's variants: ``good``, ``fair`` or ``no``; empty where
    there is nothing to download."""
    found = {variant.verdict.level.value for variant in details.variants}
    return next((level for level in _LEVELS if level in found), "")
