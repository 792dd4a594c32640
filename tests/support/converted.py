"""Tiny checkpoints converted by the product, kept per machine until it or the libraries change."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gui.convert
from gui.convert.types import Compression, ConvertReport, ConvertRequest, ImageSize, Progress
from gui.coreml.model import Attention
from gui.coreml.model import ComponentKind as K
from tests.support.tiny_checkpoints import save_controlnet, save_folder

_PRODUCT = Path(gui.convert.__file__).parent
_SUPPORT = Path(__file__).parent
_LIBRARIES = ("torch", "coremltools", "diffusers", "transformers")


@dataclass(frozen=True)
class Converted:
    """A finished conversion; treat its folder as read-only."""

    folder: Path
    """The output folder."""
    kind: str
    report: ConvertReport
    events: tuple[Progress, ...] = ()
    """What it told while it ran; empty when it was found in the cache."""

    def psnr(self) -> dict[str, float]:
        """Decibels by file name without Apple's prefix."""
        return {p.name.rpartition("_version_")[2]: p.psnr for p in self.report.parities}


@cache
def cache_root() -> Path:
    """Folder of finished conversions; its name changes with whatever they depend on."""
    digest = hashlib.sha256()
    support = [_SUPPORT / name for name in ("tiny_checkpoints.py", "tiny_networks.py")]
    for file in (*sorted(_PRODUCT.rglob("*.py")), *support, Path(__file__)):
        digest.update(file.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}".encode())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sfumato-tests" / f"converted-{digest.hexdigest()[:16]}"


def convert(
    kind: str,
    output: Path,
    source: Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    **options: Any,
) -> ConvertReport:
    """Convert a tiny checkpoint now; `source` is written first where it does not exist."""
    from gui.convert.job import run

    if not source.exists():
        save_folder(kind, source)
    return run(request(source, output, **options), on_progress, cancelled)


def request(source: Path, output: Path, **options: Any) -> ConvertRequest:
    """A request with the tests' defaults: 64 × 64 pixels, the source's repository named."""
    base = {"sizes": (ImageSize(64, 64),), "source_repo": "acme/tiny"}
    return ConvertRequest(source=str(source), output=str(output), **{**base, **options})


def converted(
    name: str, kind: str, *, controlnet: bool = False, source: Path | None = None, **options: Any
) -> Converted:
    """Convert, or find what an earlier run left.  Safe under concurrent runs.

    Args:
        name: in the cache; must differ whenever the other arguments do.
        controlnet: also convert the kind's ControlNet.
        source: another checkpoint than the kind's folder.
    """
    root = cache_root()
    place = root / name
    events: list[Progress] = []
    if not (place / "model").is_dir():
        root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
        try:
            if controlnet:
                control = save_controlnet(kind, scratch / "tiny-edges")
                options["controlnets"] = (str(control),)
            whole = scratch / name
            whole.mkdir()
            convert(
                kind, whole / "model", source or scratch / "checkpoint", events.append, **options
            )
            try:
                whole.rename(place)
            except OSError:
                if not place.is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    import json

    text = (place / "model" / "conversion.json").read_text(encoding="utf-8")
    report = ConvertReport.from_json(json.loads(text))
    return Converted(place / "model", kind, report, tuple(events))


# Conversions that more than one module looks at.


def everything() -> Converted:
    """A Stable Diffusion 1 model with all it can have, SPLIT_EINSUM."""
    return converted("sd1", "sd1-safety", controlnet=True)


def xl() -> Converted:
    """An XL model without its VAE encoder, ORIGINAL."""
    kinds = (K.TEXT_ENCODER, K.TEXT_ENCODER_2, K.UNET, K.VAE_DECODER)
    return converted("sdxl", "sdxl", attention=Attention.ORIGINAL, components=kinds)


def chunks() -> Converted:
    """A UNet in two chunks with palettes of 6 bits."""
    return converted(
        "chunks",
        "sd1-safety",
        chunked=True,
        compression=Compression.PALETTE_6,
        components=(K.UNET,),
    )
