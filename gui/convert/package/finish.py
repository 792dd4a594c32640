"""What turns finished components into finished models: shared files, sidecar, report."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gui import records
from gui.convert import tasks
from gui.convert.checkpoint import lora
from gui.convert.journal import ConversionJournal
from gui.convert.package.component import total_bytes
from gui.convert.types import REPORT, ConvertReport, ConvertRequest
from gui.coreml import sidecar
from gui.coreml.few_steps import FewSteps, few_steps
from gui.coreml.model import Family
from gui.coreml.sidecar import CHECKPOINT_SHA256, Sidecar
from gui.versions import versions

WORTH_LINKING = 65_536
"""Bytes from which equal files are stored once."""

_LIBRARIES = ("coremltools", "torch", "diffusers", "transformers")

_SCHEDULERS = {
    Family.SD1: "PNDM",
    Family.SD2: "DDIM",
    Family.SDXL: "Euler",
    Family.SDXL_REFINER: "Euler",
}
"""The schedulers that the families were published with."""


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_disk(folder: Path) -> None:
    """Wait until a folder's files, and its own entries, have reached the disk."""
    for path in (*(p for p in folder.rglob("*") if p.is_file()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some file systems cannot sync folders
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def link_equal(root: Path, known: Mapping[str, str], fresh: Mapping[str, str]) -> None:
    """Store files of `fresh` that equal one of `known` once, by hard links.

    Args:
        root: of the paths.
        known: SHA-256 by relative path.
        fresh: likewise.
    """
    by_hash = {digest: name for name, digest in known.items() if name not in fresh}
    for name, digest in fresh.items():
        twin, path = by_hash.get(digest), root / name
        if twin is None:
            by_hash[digest] = name
        elif path.stat().st_size >= WORTH_LINKING:
            _link(root / twin, path)


def _link(source: Path, place: Path) -> None:
    """Make `place` the same file as `source`; a copy where the disk cannot do that."""
    temporary = place.with_name(f".{place.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        if not place.exists():
            shutil.copyfile(source, place)
        return
    temporary.replace(place)


def share(root: Path, planned: list[tasks.Task], journal: ConversionJournal) -> list[Path]:
    """Put what does not depend on the size into every size's folder; returns the folders."""
    names = list(dict.fromkeys(task.folder for task in planned))
    for task in planned:
        if not task.shared:
            continue
        for relative in journal.done[task.key].files:
            inner = Path(relative).relative_to(task.folder) if task.folder else Path(relative)
            for name in names:
                place = root / name / inner
                if name != task.folder and not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _link(root / relative, place)
    return [root / name for name in names]


def write(
    root: Path,
    folders: list[Path],
    request: ConvertRequest,
    source: Any,
    journal: ConversionJournal,
    planned: list[tasks.Task],
) -> ConvertReport:
    """Write every model's `sfumato.json`; returns the report, time and memory still open."""
    hashes: dict[str, str] = {}
    for task in planned:
        hashes |= journal.done[task.key].files
    shared = {
        name.removeprefix(f"{task.folder}/" if task.folder else "")
        for task in planned
        if task.shared
        for name in journal.done[task.key].files
    }
    by_inner = {inner: digest for name, digest in hashes.items() for inner in (_inner(name),)}
    for folder in folders:
        prefix = "" if folder == root else f"{folder.name}/"
        own = {
            name.removeprefix(prefix): digest
            for name, digest in hashes.items()
            if name.startswith(prefix)
        }
        own |= {name: by_inner[name] for name in shared if prefix}
        sidecar.write(folder, _sidecar(request, source, dict(sorted(own.items()))))
    parities = tuple(p for t in planned if (p := journal.done[t.key].parity) is not None)
    warnings = [p.warning for p in parities if p.warning]
    if not request.check:
        warnings.append("The packages were not compared with their source, as asked.")
    warnings += _left_out(request, source)
    final = Path(request.output)
    return ConvertReport(
        request=request,
        source=source.info,
        folders=tuple(str(final / f.relative_to(root)) for f in folders),
        parities=parities,
        seconds=0.0,
        peak_memory_bytes=0,
        disk_bytes=total_bytes([root]),
        versions=versions(*_LIBRARIES),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _left_out(request: ConvertRequest, source: Any) -> list[str]:
    """What of the LoRAs had no place in the model."""
    return [
        note
        for entry in request.loras
        for note in lora.check_fit(entry.path, source.checkpoint, entry.scale)
    ]


def _inner(name: str) -> str:
    """A path from the package on, whatever folder the package lies in."""
    parts = Path(name).parts
    start = next((i for i, part in enumerate(parts) if part.endswith(".mlpackage")), 0)
    return Path(*parts[start:]).as_posix()


def write_report(
    root: Path, report: ConvertReport, seconds: float, peak_memory: int
) -> ConvertReport:
    """Write `conversion.json`; returns the report complete."""
    report = dataclasses.replace(report, seconds=round(seconds, 1), peak_memory_bytes=peak_memory)
    text = records.dumps(report, indent=1, ascii_only=False)
    (root / REPORT).write_text(text + "\n", encoding="utf-8")
    return report


def _sidecar(request: ConvertRequest, source: Any, hashes: dict[str, str]) -> Sidecar:
    info = source.info
    config = {k: v for k, v in source.scheduler_config().items() if k != "_diffusers_version"}
    xl = info.family in (Family.SDXL, Family.SDXL_REFINER)
    steps, guidance = 25, 5.0 if xl else 7.5
    if few := _distilled(request, source, config):
        config |= few.scheduler
        steps, guidance = few.steps, few.guidance_scale
    scheduler = "" if config.get("_class_name") else _SCHEDULERS.get(info.family, "")
    return Sidecar(
        family=info.family,
        prediction_type=info.prediction_type,
        scaling_factor=float(source.scaling_factor),
        shift_factor=float(getattr(source, "shift_factor", 0.0) or 0.0),
        scheduler_config=config,
        default_scheduler=scheduler,
        default_steps=steps,
        default_guidance_scale=guidance,
        pad_token_ids=tuple(source.pad_token_ids),
        force_zeros_for_empty_prompt=bool(source.force_zeros_for_empty_prompt),
        name=request.name or request.source_repo.rpartition("/")[2] or info.name,
        source_repo=request.source_repo,
        source_revision=request.source_revision,
        hashes=hashes,
        extra={"conversion": _options(request)},
    )


def _distilled(request: ConvertRequest, source: Any, config: dict[str, Any]) -> FewSteps | None:
    """How the model is used where it, or a LoRA fused into it, was distilled to a few steps."""
    for entry in request.loras:
        if few := lora.few_steps_of(entry):
            return few
    info = source.info
    return few_steps(
        (info.name, request.source_repo),
        # those of a single file are the family's, not its own
        None if info.single_file else config,
        takes_guidance=source.takes_guidance,
    )


def checkpoint_hash(request: ConvertRequest) -> dict[str, str]:
    """The source's SHA-256 under `CHECKPOINT_SHA256`, whose beginning web UIs write into pictures
    as the model's hash.  Nothing for what they would call another model: a folder, or one that
    LoRAs were fused into."""
    source = Path(request.source)
    if request.loras or not source.is_file():
        return {}
    status = source.stat()
    return {CHECKPOINT_SHA256: _hash_of(source, status.st_size, status.st_mtime_ns)}


@cache
def _hash_of(path: Path, _size: int, _modified: int) -> str:
    """Once for all sizes of a model: a checkpoint has gigabytes."""
    return sha256(path)


def _options(request: ConvertRequest) -> dict[str, Any]:
    """How the model was made; without paths of this machine."""
    return {
        **checkpoint_hash(request),
        "attention": request.attention.value,
        "compression": request.compression.value,
        "unet_batch": request.unet_batch,
        "chunked": request.chunked,
        "target": request.target,
        "loras": [{"name": Path(x.path).stem, "scale": x.scale} for x in request.loras],
        "controlnets": [tasks.plain_name(c) for c in request.controlnets],
        "control_ready": request.control_ready or bool(request.controlnets),
        "text_tokens": request.text_tokens,
        "clip_skip": request.clip_skip,
        "versions": versions(*_LIBRARIES),
    }
