"""One component from its source network to a finished, measured package."""

from __future__ import annotations

import ctypes
import gc
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui.convert.networks.components import Arrays, Contract
from gui.convert.package import chunk, parity
from gui.convert.package.compress import compress, compression_of
from gui.convert.package.convert import Credits, convert, describe, save, trace
from gui.convert.types import Compression, Parity, Step

StepTick = Callable[[Step, float], None]
"""(step, fraction of it done); may raise to stop."""


@dataclass(frozen=True)
class Recipe:
    """How to write one component."""

    target: str
    compression: Compression
    """As asked for the model; `compress.compression_of` says what it means for a component."""
    chunked: bool
    keep_whole: bool
    """Of a chunked network also the whole one."""
    evenly: bool
    check: bool
    credits: Credits


def make(
    read: Callable[[], Contract], path: Path, recipe: Recipe, tick: StepTick, label: str
) -> tuple[list[Path], Parity | None]:
    """Convert one component.

    Args:
        read: loads the network; it is held nowhere else, so that it is freed once converted.
        path: of the package to write; its folder exists, it does not.
        tick: told of every step.
        label: of the package in the report.

    Returns:
        The package, or its two halves, or all three, and how the worst of them compares with its
        source.
    """
    tick(Step.READING, 0.0)
    _settle()
    contract = read()
    references: list[Arrays] = []
    if recipe.check:
        tick(Step.READING, 0.3)
        references = parity.expected(contract)  # before the network is rewritten
    files = _write(contract, path, recipe, tick)
    free_memory()
    if not recipe.check:
        return files, None
    tick(Step.CHECKING, 0.0)
    measured = min(
        (
            parity.measure(
                contract,
                network,
                references,
                name=label,
                compression=_form(contract, recipe),
                cancelled=lambda: tick(Step.CHECKING, 0.5),
            )
            for network in _networks(files, recipe)
        ),
        key=lambda measured: measured.psnr,
    )
    free_memory()
    return files, measured


def _networks(files: list[Path], recipe: Recipe) -> list[list[Path]]:
    """Files that are run one after the other: the whole network, its two halves, or both."""
    whole = files[:1] if recipe.chunked and recipe.keep_whole else []
    return [network for network in (whole, files[len(whole) :]) if network]


def _form(contract: Contract, recipe: Recipe) -> Compression:
    return compression_of(contract.kind, recipe.compression, recipe.evenly)


def _write(contract: Contract, path: Path, recipe: Recipe, tick: StepTick) -> list[Path]:
    tick(Step.TRACING, 0.0)
    traced = trace(contract)
    contract.release()
    free_memory()
    model = convert(
        contract, traced, recipe.target, recipe.credits, lambda f: tick(Step.CONVERTING, f)
    )
    del traced
    free_memory()
    form = _form(contract, recipe)
    if not recipe.chunked:
        _finish(model, contract, form, path, recipe, tick)
        return [path]
    scratch = path.with_suffix(".halves")
    whole = scratch / path.name
    scratch.mkdir()
    save(model, whole)
    del model
    free_memory()
    tick(Step.CHUNKING, 0.0)
    halves = chunk.chunk(whole, scratch / "cut")
    free_memory()
    if recipe.keep_whole:
        _finish(chunk.load(whole), contract, form, path, recipe, tick)
        free_memory()
    shutil.rmtree(whole)
    for half, place in zip(halves, chunk.chunk_paths(path), strict=True):
        _finish(chunk.load(half), contract, form, place, recipe, tick)
        free_memory()
    shutil.rmtree(scratch)
    return [*([path] if recipe.keep_whole else []), *chunk.chunk_paths(path)]


def _finish(
    model: Any,
    contract: Contract,
    form: Compression,
    path: Path,
    recipe: Recipe,
    tick: StepTick,
) -> None:
    """Compress, describe and save."""
    compressed = form is not Compression.NONE and not contract.float32
    if compressed:
        model = compress(model, form, lambda f: tick(Step.COMPRESSING, f))
        free_memory()
    describe(model, contract, recipe.credits)
    tick(Step.COMPRESSING if compressed else Step.CONVERTING, 1.0)
    save(model, path)


def _settle() -> None:
    """Have `free_memory` look at networks alone: the half a million objects of the libraries, which
    stay anyway and take it a third of a second each time, are set aside."""
    import coremltools  # noqa: F401 - else it would come after this, with most of them

    gc.collect()
    gc.freeze()


def free_memory() -> None:
    """Give back what the last step has let go of, to the system too."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):
            return  # another C library, which does this by itself


def peak_memory() -> int:
    """Most bytes this process has held at once."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def total_bytes(paths: Sequence[Path]) -> int:
    """Bytes on disk of files and folders; files stored once count once."""
    seen: dict[tuple[int, int], int] = {}
    for path in paths:
        for file in [path, *path.rglob("*")]:
            if file.is_file():
                status = file.stat()
                seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
