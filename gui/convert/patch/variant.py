"""A finished model with LoRAs in its weights, of another picture size or with a clip skip, as a
model of its own.

The new folder is made beside its place under a hidden name, synced, and renamed: whenever the
process is killed, nothing half made is ever listed, and the original is only read.  Weight files
share their bytes with the original's where the disk can.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui import __version__, words
from gui.convert.checkpoint.lora import check_scale, few_steps_of
from gui.convert.patch.clip_skip import check_layers, with_clip_skip
from gui.convert.patch.cloning import clone_file, link_or_clone, sync_tree
from gui.convert.patch.resizing import check_size, resized_files
from gui.convert.patch.weights import (
    Addition,
    Base,
    Networks,
    Written,
    add_loras,
    additions,
    read_networks,
    touched_files,
)
from gui.convert.patch.work import work_folder
from gui.convert.types import ImageSize, Lora
from gui.coreml import sidecar as sidecars
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.model import ComponentKind, ModelInfo
from gui.coreml.names import VARIANT_FOLDERS, is_hidden
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError, disk_error, unusable
from gui.records import Record

_MODEL = "model"

Tick = Callable[[float], None]


@dataclass(frozen=True)
class PatchReport(Record):
    """What was made."""

    folder: str
    layers: tuple[int, ...] = ()
    """Changed by each LoRA."""
    written_bytes: int = 0
    """Of weights; the rest shares its bytes with the original where the disk can."""
    seconds: float = 0.0
    repacked: int = 0
    """Compressed tensors that were changed and compressed again."""
    noise_db: float | None = None
    """How far below the weights the noise lies that this added, at worst."""
    notes: tuple[str, ...] = ()


def make_variant(
    source: Path,
    output: Path,
    loras: Sequence[Lora] = (),
    size: ImageSize | None = None,
    *,
    clip_skip: int = 1,
    name: str = "",
    base: Base | None = None,
    linked: bool = False,
    tick: Tick = lambda fraction: None,
) -> PatchReport:
    """Make a model folder.

    Args:
        source: a model's folder.
        output: the folder to make; must not exist.
        loras: added to the weights, in their order.
        size: of its pictures; None: as before.
        clip_skip: up to which layer from the end its text encoders shall give their states, as web
            UIs count; 1: as before.
        name: of the model; empty: its old one, and what was done.
        base: see `add_loras`.
        linked: files that stay as they are may be second names of the original's, where the disk
            cannot share bytes: for folders that only this program uses.
        tick: told the fraction done; may raise to stop.

    Raises:
        SfumatoError: BAD_REQUEST, BAD_MODEL or UNSUPPORTED with one sentence on why it cannot be;
            STORAGE where the folder cannot be written.
    """
    started = time.monotonic()
    info = inspect_model(source)
    if info.problems:
        raise unusable(info.problems[0], "\n".join(info.problems))
    for lora in loras:
        check_scale(lora.scale)
        check_scale(lora.scale_of("text_encoder"))
    if size is not None:
        check_size(size)
        if (size.width, size.height) == (info.image_width, info.image_height):
            size = None
        elif info.sizes is not None:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{info.name}” draws pictures of several sizes as it is; choose the size when you "
                "make the picture.",
                info.sizes.told(),
            )
    if os.path.lexists(output):
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"“{output.name}” is there already; choose another name, or move it.",
            str(output),
        )
    if clip_skip > 1:
        check_layers(clip_skip)
    plan = _planned(info, loras, size, base is not None, clip_skip)
    tick(0.05)
    try:
        with work_folder(output.parent) as work:
            model = work / _MODEL
            written = _write(info, model, plan, base, linked, lambda f: tick(0.05 + 0.85 * f))
            sidecars.write(model, _sidecar(info, loras, size, name, clip_skip))
            tick(0.95)
            sync_tree(model)
            os.rename(model, output)  # noqa: PTH104 - fails where something is there by now
    except OSError as error:
        raise disk_error(error, f"“{name or output.name}” could not be written") from error
    return PatchReport(
        folder=str(output),
        layers=tuple(addition.found.placed for addition in plan.added),
        written_bytes=written.bytes,
        seconds=round(time.monotonic() - started, 2),
        repacked=written.repacked,
        noise_db=round(written.worst_noise, 1) if written.repacked else None,
        notes=(*plan.notes, *written.notes),
    )


@dataclass(frozen=True)
class _Plan:
    networks: Networks | None
    added: tuple[Addition, ...]
    replaced: dict[Path, bytes]
    """New contents of files."""
    left_out: frozenset[Path]
    """ControlNets that cannot be resized."""
    notes: tuple[str, ...]


def _planned(
    info: ModelInfo, loras: Sequence[Lora], size: ImageSize | None, checked: bool, clip_skip: int
) -> _Plan:
    """What is to be done.

    Args:
        checked: the weights are held against those of the checkpoint.
    """
    notes: list[str] = []
    networks, added = None, ()
    if loras:
        networks = read_networks(info)
        added = additions(loras, networks.target)
        notes += [note for addition in added for note in addition.found.notes()]
        if not checked and not load_sidecar(info).tells_source:
            notes.append(words.UNKNOWN_SOURCE)
        if networks.by_order:
            notes.append(
                "Some of the model’s layers have lost their names and were told by their order and "
                "shapes."
            )
        notes += [
            f"With “{Path(lora.path).name}”: {few.note}"
            for lora in loras
            if (few := few_steps_of(lora))
        ]
    replaced: dict[Path, bytes] = {}
    left_out: set[Path] = set()
    if clip_skip > 1:
        for kind in (ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2):
            if kind in info.components:
                replaced |= with_clip_skip(info.components[kind], clip_skip)
    if size is not None:
        old = ImageSize(info.image_width, info.image_height)
        for component in info.components.values():
            replaced |= resized_files(component, old, size)
        for controlnet in info.controlnets:
            try:
                replaced |= resized_files(controlnet, old, size)
            except SfumatoError as error:
                left_out |= set(controlnet.files)
                notes.append(f"The ControlNet “{controlnet.name}” is left out: {error.message}")
    return _Plan(networks, added, replaced, frozenset(left_out), tuple(notes))


# --- writing --------------------------------------------------------------------------------------


def _write(
    info: ModelInfo, model: Path, plan: _Plan, base: Base | None, linked: bool, tick: Tick
) -> Written:
    copies: dict[Path, Path] = {}
    touched = touched_files(plan.networks, plan.added) if plan.networks else set()
    model.mkdir()
    for path in _entries(info.folder):
        if path in plan.left_out:
            continue
        inside = model / path.name
        if path.is_dir():
            _copy_folder(path, inside, plan, touched, linked, copies)
        else:
            shutil.copyfile(path, inside)
    if plan.networks is None:
        return Written()
    return add_loras(plan.networks, plan.added, copies.__getitem__, base=base, tick=tick)


def _entries(folder: Path) -> list[Path]:
    """What belongs to a model: its networks, its tokenizer, its texts; not other variants of it."""
    return sorted(
        path
        for path in folder.iterdir()
        if not is_hidden(path.name)
        and path.name != sidecars.FILE_NAME
        and not (path.name.lower() in VARIANT_FOLDERS and path.is_dir())
    )


def _copy_folder(
    source: Path,
    target: Path,
    plan: _Plan,
    touched: set[Path],
    linked: bool,
    copies: dict[Path, Path],
) -> None:
    """Copy a folder; files that change are written anew, or are copies that may be written to.

    Links are followed: a model that stands alone has none.
    """
    target.mkdir()
    for path in sorted(source.iterdir()):
        inside = target / path.name
        if path in plan.left_out or path.name == ".DS_Store":
            continue
        if path.is_dir():
            _copy_folder(path, inside, plan, touched, linked, copies)
        elif path in plan.replaced:
            inside.write_bytes(plan.replaced[path])
        elif any(model in path.parents for model in touched) and path.suffix == ".bin":
            clone_file(path, inside)
            copies[path] = inside
        elif linked and path.suffix == ".bin":
            link_or_clone(path, inside)
        else:
            clone_file(path, inside)


# --- what the model says of itself ----------------------------------------------------------------


def _sidecar(
    info: ModelInfo, loras: Sequence[Lora], size: ImageSize | None, name: str, clip_skip: int
) -> Sidecar:
    stated = load_sidecar(info)
    done: dict[str, Any] = {
        "model": stated.name or info.name,
        "model_hash": model_hash(info),
        "loras": [
            {
                "name": Path(lora.path).stem,
                "sha256": file_hash(Path(lora.path)),
                "scale": lora.scale,
                "text_scale": lora.scale_of("text_encoder"),
            }
            for lora in loras
        ],
        "size": [size.width, size.height] if size else None,
        **({"clip_skip": clip_skip} if clip_skip > 1 else {}),
        "sfumato": __version__,
    }
    settings: dict[str, Any] = {}
    for lora in loras:
        if few := few_steps_of(lora):
            settings = {
                "scheduler_config": {**stated.scheduler_config, **few.scheduler},
                "default_scheduler": "",
                "default_steps": few.steps,
                "default_guidance_scale": few.guidance_scale,
            }
            break
    parts = [stated.name or info.name]
    parts += [f"{Path(lora.path).stem} {lora.scale:g}" for lora in loras]
    parts += [f"{size.width} × {size.height}"] if size else []
    parts += [f"clip skip {clip_skip}"] if clip_skip > 1 else []
    return dataclasses.replace(
        stated,
        **settings,
        name=name or " + ".join(parts),
        hashes={},
        extra={**stated.extra, sidecars.PATCH: done},
    )


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
