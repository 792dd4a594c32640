"""Tiny checkpoints converted by the product, once for all who look at the result."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui.convert.types import Compression, ConvertReport, ConvertRequest, ImageSize, Progress
from gui.coreml.model import Attention
from gui.coreml.model import ComponentKind as K
from tests.support.built import built
from tests.support.tiny_checkpoints import kept_folder, save_controlnet


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


def request(source: Path, output: Path, **options: Any) -> ConvertRequest:
    """A request with the tests' defaults: 64 × 64 pixels, the source's repository named."""
    base = {"sizes": (ImageSize(64, 64),), "source_repo": "acme/tiny"}
    return ConvertRequest(source=str(source), output=str(output), **{**base, **options})


def converted(
    name: str, kind: str, *, controlnet: bool = False, source: Path | None = None, **options: Any
) -> Converted:
    """Convert, or find what an earlier run left.

    Args:
        name: in the cache; must differ whenever the other arguments do.
        controlnet: also convert the kind's ControlNet.
        source: another checkpoint than the kind's folder.
    """
    from gui.convert.job import run

    events: list[Progress] = []

    def build(whole: Path) -> None:
        wanted = dict(options)
        control = whole.with_name("tiny-edges")
        if controlnet:
            wanted["controlnets"] = (str(save_controlnet(kind, control)),)
        whole.mkdir()
        asked = request(source or kept_folder(kind), whole / "model", **wanted)
        run(asked, events.append, lambda: False)
        shutil.rmtree(control, ignore_errors=True)

    place = built(name, build, __file__)
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
