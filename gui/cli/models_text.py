"""What `sfumato models` prints for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gui import paths, words
from gui.hub.types import (
    DownloadState,
    DownloadStatus,
    InstalledModel,
    ModelSummary,
    Orphan,
    RepoDetails,
    Variant,
)
from gui.names import repository_page
from gui.state import describe


def result_line(model: ModelSummary) -> str:
    """One search result."""
    kind = "" if model.kind == "text-to-image" else f"{model.kind}  "
    family = words.short_family(model.family) if model.family != "unknown" else "–"
    gated = "  terms to accept" if model.gated else ""
    return words.plain(
        f"{model.id:<58} {family:<8} {model.likes:>6} likes {model.downloads:>8} downloads"
        f"  {model.updated[:10]}  {kind}{model.licence}{gated}".rstrip()
    )


def details_lines(found: RepoDetails) -> Iterator[str]:
    """A repository with its variants."""
    return map(words.plain, _details_lines(found))


def _details_lines(found: RepoDetails) -> Iterator[str]:
    summary = found.summary
    yield f"{summary.id}  ({found.revision[:12]})"
    if found.description:
        yield f"  {found.description}"
    facts = [
        words.plural(summary.likes, "like"),
        words.plural(summary.downloads, "download"),
        f"updated {words.day(summary.updated)}" if summary.updated else "",
        f"licence {words.licence(summary.licence)}" if summary.licence else "",
        f"made from {found.base_model}" if found.base_model else "",
    ]
    yield "  " + ", ".join(f for f in facts if f)
    if found.triggers:
        yield f"  words it was taught: {', '.join(found.triggers)}"
    if summary.gated:
        yield f"  terms to accept at {repository_page(summary.id)}"
    for variant in found.variants:
        yield ""
        yield from _variant_lines(variant)
    if not found.variants:
        yield "  nothing to download"
    for note in found.notes:
        yield f"  note: {note}"


def _variant_lines(variant: Variant) -> Iterator[str]:
    star = "★" if variant.recommended else " "
    yield f"{star} {variant.id}"
    yield f"    {variant.title}"
    size = f"{words.size(variant.download_bytes)} to download"
    if variant.disk_bytes and variant.disk_bytes != variant.download_bytes:
        size += f", {words.size(variant.disk_bytes)} on disk"
    if variant.memory_bytes:
        size += f", about {words.memory(variant.memory_bytes)} of memory"
    yield f"    {size}"
    pixels = words.pixels(variant.image_width, variant.image_height)
    has = [
        describe.variant_steps(variant),
        "image to image" if variant.has_encoder else "",
        "safety checker" if variant.has_safety_checker else "",
        words.CONTROLNET_READY if variant.controlnet_ready else "",
        f"{pixels} pixels" if variant.image_width else "",
        f"macOS {variant.minimum_macos} or later" if variant.minimum_macos else "",
    ]
    if any(has):
        yield "    " + ", ".join(h for h in has if h)
    if variant.missing:
        yield "    lacks " + ", ".join(variant.missing)
    yield f"    {words.LEVELS[variant.verdict.level]}. {'  '.join(variant.verdict.reasons)}"


def download_text(status: DownloadStatus) -> str:
    """Where a download stands: ``1.20 GB of 4.27 GB, 12.0 MB/s, 5 min left``."""
    if status.state is DownloadState.WAITING:
        why = status.error.what.rstrip(".") if status.error else "no answer"
        return f"{why}; trying again in {words.duration(status.retry_in)}"
    return describe.download_state(status, ", ")


def installed_line(model: InstalledModel, update: str) -> str:
    """One installed model."""
    name = f"{model.repo}  {model.variant}" if model.repo else _place(Path(model.folder))
    if model.kind in describe.KINDS:
        name = f"{describe.KINDS[model.kind]}  {name}"
    newer = f"  update available ({update[:12]})" if update else ""
    size = words.size(model.bytes)
    return words.plain(f"{name:<70} {size:>9}  {model.folder}{newer}")


def _place(folder: Path) -> str:
    """A model's name by where it lies: one of several sizes is called by its folder's too."""
    try:
        return folder.relative_to(paths.models_dir()).as_posix()
    except ValueError:
        return folder.name


def unfinished_line(status: DownloadStatus) -> str:
    """One download that can go on, or is under way in another process."""
    name = f"{status.repo}  {status.variant}"
    state = "being downloaded" if status.state.live else "unfinished"
    if status.state is DownloadState.QUEUED:
        state = "waiting to be downloaded"
    return words.plain(f"{name:<70} {state}: {describe.download_amount(status)}")


def conversion_line(title: str, size: int, folder: str) -> str:
    """One conversion that has not ended."""
    name = f"{title}  unfinished conversion"
    return words.plain(f"{name:<70} {words.size(size):>9}  {folder}")


def checkpoint_line(source: Orphan) -> str:
    """One checkpoint kept for conversion."""
    name = f"{source.repo}  checkpoint kept for conversion"
    return words.plain(f"{name:<70} {words.size(source.bytes):>9}  {source.path}")
