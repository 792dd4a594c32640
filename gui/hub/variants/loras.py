"""LoRAs that a repository offers: each `.safetensors` file, judged by its header.

The header is read by ranges and laid before the same reader that judges files on disk, as the
beginning of an empty file of the right length, which takes no room.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gui import words
from gui.coreml import fit
from gui.coreml.model import Family
from gui.errors import SfumatoError
from gui.hub.types import ModelKind, ModelSummary, RemoteFile, RepoTree, Variant
from gui.hub.variants.descriptions import THREADS
from gui.hub.variants.probe import MAX_READ, Budget, Probe, ProbeLimit
from gui.library import loras

if TYPE_CHECKING:
    from gui.library.lora_files.kinds import LoraFile

MAX_LOOKED_AT = 24
"""Files of a repository whose headers are read."""
MAX_LISTED = 200

_FIRST = 128 << 10
"""Bytes that are read at once: most headers, or the first half."""
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_NETWORKS = ("unet", "vae", "transformer", "text_encoder", "text_encoder_2", "safety_checker")
"""Folders of a checkpoint's networks."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")
_CALLED = re.compile(r"(?:^|[/_.-])(?:lora|locon|loha|lokr|dora|adapter_model)", re.IGNORECASE)
_SETTINGS = "adapter_config.json"

ONLY_PICKLES = (
    "This repository offers its LoRA only as pickle files, which can run programs when opened; "
    "look for one with .safetensors files."
)


@dataclass(frozen=True)
class _Read:
    """What a header says: the file, or why it cannot be used; neither: it was not read."""

    file: LoraFile | None = None
    problem: str = ""


def is_about_loras(tree: RepoTree, summary: ModelSummary) -> bool:
    """Whether a repository without Core ML models is to be looked through for LoRAs."""
    return summary.kind is ModelKind.LORA or any(_CALLED.search(f.path) for f in _files(tree))


def find_loras(
    tree: RepoTree, summary: ModelSummary, probe: Probe | None = None
) -> tuple[tuple[Variant, ...], tuple[str, ...]]:
    """Every LoRA that can be had from a repository, unjudged, and what to know besides.

    Args:
        tree: all files of the repository.
        summary: what its card says.
        probe: reads small stretches of them; None: names must do.
    """
    files = _files(tree)
    if not files:
        pickled = any(f.path.lower().endswith(_PICKLES) for f in tree.files)
        return (), (ONLY_PICKLES if pickled else "This repository holds no LoRA.",)
    notes: list[str] = []
    if len(files) > MAX_LISTED:
        notes.append(f"Only the first {MAX_LISTED} of {len(files)} are listed.")
        files = files[:MAX_LISTED]
    read: dict[str, _Read] = {}
    if probe is not None:
        try:
            read = _read(files[:MAX_LOOKED_AT], Budget(probe, 2 * MAX_LOOKED_AT))
        except SfumatoError as error:
            notes.append(f"The files could not be looked into, so names had to do. {error.message}")
    variants = [_variant(tree, f, summary, read.get(f.path, _Read())) for f in files]
    return tuple(variants), tuple(map(fit.plain, notes))


def _files(tree: RepoTree) -> list[RemoteFile]:
    found = []
    for file in tree.files:
        folder = file.path.rpartition("/")[0].rpartition("/")[2]
        if (
            file.path.lower().endswith(loras.ENDING)
            and folder not in _NETWORKS
            and not _SHARD.search(file.path)
        ):
            found.append(file)
    return sorted(found, key=lambda file: (file.path.count("/"), file.path.casefold()))


def _read(files: Iterable[RemoteFile], probe: Probe) -> dict[str, _Read]:
    with (
        tempfile.TemporaryDirectory(prefix="sfumato-") as scratch,
        ThreadPoolExecutor(THREADS, "lora") as pool,
    ):
        tasks = {
            file.path: pool.submit(_read_one, file, probe, Path(scratch) / str(number))
            for number, file in enumerate(files)
        }
        return {path: task.result() for path, task in tasks.items()}


def _read_one(file: RemoteFile, probe: Probe, folder: Path) -> _Read:
    """
    Raises:
        SfumatoError: what `probe` raises; it is no fault of the file's.
    """
    from gui.library.lora_files.kinds import read_lora

    try:
        header = _header(file, probe)
    except ProbeLimit:
        return _Read()
    folder.mkdir()
    stand_in = folder / PurePosixPath(file.path).name
    try:
        with stand_in.open("wb") as writer:
            writer.write(header)
            writer.truncate(file.size)
        return _Read(read_lora(stand_in))
    except SfumatoError as error:
        return _Read(problem=error.message)
    except OSError:  # no room for it, or a name that this disk does not take
        return _Read()
    finally:
        stand_in.unlink(missing_ok=True)


def _header(file: RemoteFile, probe: Probe) -> bytes:
    """A file's beginning, up to the end of its header; less where it is no safetensors file."""
    first = probe.read(file, 0, min(file.size, _FIRST)) if file.size else b""
    end = 8 + int.from_bytes(first[:8], "little")
    if not len(first) < end <= file.size:
        return first
    if end - len(first) > MAX_READ:
        raise ProbeLimit
    return first + probe.read(file, len(first), end - len(first))


def _variant(tree: RepoTree, file: RemoteFile, summary: ModelSummary, read: _Read) -> Variant:
    path = PurePosixPath(file.path)
    folder = file.path.rpartition("/")[0]
    family, problem, made_of = summary.family, read.problem, ""
    if read.file is not None:
        known, foreign = _families(read.file)
        made_of = _made_of(read.file)
        if foreign or known is Family.SD3:
            name = foreign or words.family(Family.SD3)
            problem = f"This is a LoRA for {name}, and Sfumato has no models of that family."
        family = known or Family.UNKNOWN if foreign or known else summary.family
    beside = f"{folder}/{_SETTINGS}" if folder else _SETTINGS
    settings = [f for f in tree.files if f.path == beside and path.stem == "adapter_model"]
    files = (file, *settings)
    size = sum(f.size for f in files)
    base = words.short_family(family) if family is not Family.UNKNOWN else ""
    stem = path.stem if path.stem not in loras.GENERIC else summary.name
    return Variant(
        id=file.path,
        title=fit.plain(" · ".join(filter(None, (stem, base, made_of)))),
        files=files,
        folder=folder,
        family=family,
        kind=ModelKind.LORA,
        made_of=made_of,
        download_bytes=size,
        disk_bytes=size,
        problems=(fit.plain(problem),) if problem else (),
    )


def _families(file: LoraFile) -> tuple[Family | None, str]:
    from gui.library.lora_files.families import foreign_family, known_family

    foreign = foreign_family(file)
    return (None if foreign else known_family(file)), foreign


def _made_of(file: LoraFile) -> str:
    """``LoRA of rank 32``"""
    from gui.library.lora_files.kinds import rank_of

    ranks = {rank_of(file.header, change) for change in file.changes.values()} - {None}
    numbers = sorted(rank for rank in ranks if rank is not None)
    kinds = " and ".join(file.kinds()[:2])
    if not numbers:
        return kinds
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{kinds} of rank {span}"
