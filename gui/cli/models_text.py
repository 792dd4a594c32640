"""What `sfumato models` prints for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gui import paths
from gui.hub.types import (
    DownloadState,
    DownloadStatus,
    InstalledModel,
    Level,
    ModelSummary,
    Orphan,
    RepoDetails,
    Variant,
)
from gui.state import describe

_LEVELS = {Level.GOOD: "runs well", Level.FAIR: "runs", Level.NO: "does not run"}


def result_line(model: ModelSummary) -> str:
    """One search result."""
    kind = "" if model.kind == "text-to-image" else f"{model.kind}  "
    family = describe.SHORT_FAMILIES[model.family] if model.family != "unknown" else "–"
    gated = "  terms to accept" if model.gated else ""
    return plain(
        f"{model.id:<58} {family:<8} {model.likes:>6} likes {model.downloads:>8} downloads"
        f"  {model.updated[:10]}  {kind}{model.licence}{gated}".rstrip()
    )


def details_lines(found: RepoDetails) -> Iterator[str]:
    """A repository with its variants."""
    return map(plain, _details_lines(found))


def _details_lines(found: RepoDetails) -> Iterator[str]:
    summary = found.summary
    yield f"{summary.id}  ({found.revision[:12]})"
    if found.description:
        yield f"  {found.description}"
    facts = [
        f"{summary.likes} likes",
        f"{summary.downloads} downloads",
        f"updated {summary.updated[:10]}" if summary.updated else "",
        f"licence {summary.licence}" if summary.licence else "",
        f"made from {found.base_model}" if found.base_model else "",
    ]
    yield "  " + ", ".join(f for f in facts if f)
    if summary.gated:
        yield f"  terms to accept at https://huggingface.co/{summary.id}"
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
    size = f"{describe.bytes_text(variant.download_bytes)} to download"
    if variant.disk_bytes and variant.disk_bytes != variant.download_bytes:
        size += f", {describe.bytes_text(variant.disk_bytes)} on disk"
    if variant.memory_bytes:
        size += f", about {describe.memory_text(variant.memory_bytes)} of memory"
    yield f"    {size}"
    has = [
        "image to image" if variant.has_encoder else "",
        "safety checker" if variant.has_safety_checker else "",
        "takes ControlNets" if variant.controlnet_ready else "",
        f"{variant.image_width} × {variant.image_height} pixels" if variant.image_width else "",
        f"macOS {variant.minimum_macos} or newer" if variant.minimum_macos else "",
    ]
    if any(has):
        yield "    " + ", ".join(h for h in has if h)
    if variant.missing:
        yield "    lacks " + ", ".join(variant.missing)
    yield f"    {_LEVELS[variant.verdict.level]}: {'  '.join(variant.verdict.reasons)}"


def download_text(status: DownloadStatus) -> str:
    """Where a download stands: ``1.2 GB of 4.3 GB, 12 MB/s, 5 min left``."""
    if status.state is DownloadState.QUEUED:
        return "waiting"
    if status.state is DownloadState.WAITING:
        why = status.error.message.partition(";")[0].rstrip(".") if status.error else "no answer"
        return f"{why}; trying again in {describe.duration_text(status.retry_in)}"
    if status.state is DownloadState.UNPACKING:
        return "unpacking"
    if status.state is DownloadState.VERIFYING:
        return "checking"
    done, total = describe.bytes_text(status.bytes_done), describe.bytes_text(status.bytes_total)
    parts = [f"{done} of {total}"]
    if status.bytes_per_second:
        parts.append(f"{describe.bytes_text(int(status.bytes_per_second))}/s")
    if status.seconds_left:
        parts.append(f"{describe.duration_text(status.seconds_left)} left")
    return ", ".join(parts)


def installed_line(model: InstalledModel, update: str) -> str:
    """One installed model."""
    name = f"{model.repo}  {model.variant}" if model.repo else _place(Path(model.folder))
    newer = f"  update available ({update[:12]})" if update else ""
    size = describe.bytes_text(model.bytes)
    return plain(f"{name:<70} {size:>9}  {model.folder}{newer}")


def _place(folder: Path) -> str:
    """A model's name by where it lies: one of several sizes is called by its folder's too."""
    try:
        return folder.relative_to(paths.models_dir()).as_posix()
    except ValueError:
        return folder.name


def unfinished_line(status: DownloadStatus) -> str:
    """One download that can go on, or is under way in another process."""
    done, total = describe.bytes_text(status.bytes_done), describe.bytes_text(status.bytes_total)
    name = f"{status.repo}  {status.variant}"
    state = "being downloaded" if status.state.live else "unfinished"
    if status.state is DownloadState.QUEUED:
        state = "waiting to be downloaded"
    return plain(f"{name:<70} {state}: {done} of {total}")


def conversion_line(title: str, size: int, folder: str) -> str:
    """One conversion that has not ended."""
    name = f"{title}  unfinished conversion"
    return plain(f"{name:<70} {describe.bytes_text(size):>9}  {folder}")


def checkpoint_line(source: Orphan) -> str:
    """One checkpoint kept for conversion."""
    name = f"{source.repo}  checkpoint kept for conversion"
    return plain(f"{name:<70} {describe.bytes_text(source.bytes):>9}  {source.path}")


def plain(text: str) -> str:
    """Without characters that would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
