"""What names and sizes suggest of a model whose small files were not read.

Parameter counts are those of the published checkpoints: UNets of Stable Diffusion 1 (859.5 M), 2
(865.9 M), XL base (2567 M) and XL refiner (2310 M); CLIP ViT-L (123.1 M), OpenCLIP ViT-H without
its last layer (340.4 M), and its 49,408 token embeddings of 768 or 1024, which compression leaves
alone (Apple's converter skips `gather`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from gui import words
from gui.coreml.model import Attention, ComponentKind, Family, FileFormat
from gui.coreml.names import VARIANT_FOLDERS
from gui.hub.types import ModelKind

K = ComponentKind

UNET_PARAMETERS = {
    Family.SD1: 859.5e6,
    Family.SD2: 865.9e6,
    Family.SDXL: 2567e6,
    Family.SDXL_REFINER: 2310e6,
}
_ENCODER = {Family.SD1: (123.1e6, 49408 * 768), Family.SD2: (340.4e6, 49408 * 1024)}
"""Parameters of the text encoder, and those of them that are embeddings."""

_WIDTHS = (4.0, 2.0, 1.0, 0.75, 0.5)
"""Bytes per weight that published conversions use: float32, float16, 8, 6 and 4 bits."""

CLOSE = 0.08
"""Two sizes that differ by less are taken for the same; headers and biases make up 1 to 3 %."""

# Names


def names_of(repo: str, variant: str) -> tuple[str, ...]:
    """What a model is called by its folders (or its archive) and its repository, the nearest name
    first.

    Args:
        repo: ``owner/name``.
        variant: `Variant.id`.
    """
    folder, _, model = variant.partition("#")
    parts = folder.removesuffix(".zip").split("/")
    parts = [p for p in parts if p.lower() not in VARIANT_FOLDERS and p != "."]
    return tuple(filter(None, (model, *reversed(parts), repo)))


def attention(name: str) -> Attention:
    """From the words of a path; UNKNOWN where there are none."""
    text = _words(name)
    if re.search(r"\bsplit einsum v2\b|\bse v2\b|\bse2\b|\bsplit einsum2\b", text):
        return Attention.SPLIT_EINSUM_V2
    if re.search(r"\bsplit einsum\b|\bsplit\b|\bse\b|\bane\b", text):
        return Attention.SPLIT_EINSUM
    if re.search(r"\boriginal\b|\borig\b", text):
        return Attention.ORIGINAL
    return Attention.UNKNOWN


def compression(name: str) -> str:
    """As `gui.coreml.survey.Survey.compression` words it; empty where the name says nothing."""
    text = _words(name)
    if match := re.search(r"\b([1-8]) ?bits?\b(?! per)", text):
        return words.palette(int(match.group(1)))
    if match := re.search(r"\b([2-8]) (\d{1,2}) bit (?:mixed)?pal", text):
        return words.palette(float(f"{match.group(1)}.{match.group(2)}"), mixed=True)
    if re.search(r"\bmixed ?palett\w*|\bmbp\b|\bmixed bit\b", text):
        return "mixed palette"
    return "palette" if re.search(r"\bpalett\w+", text) else ""


def file_format(name: str) -> FileFormat:
    """Archives are made for the Swift apps, so they hold compiled models unless they say not."""
    packages = re.search(r"\bpackages?\b|\bmlpackages?\b", _words(name))
    return FileFormat.PACKAGE if packages else FileFormat.COMPILED


def family(name: str) -> Family:
    """From the words of a name.

    A bare number is the version of somebody's own model, which for all its 2.0 is most likely made
    of Stable Diffusion 1; only beside Stable Diffusion's name does it tell the family.
    """
    text = _words(name)
    if re.search(
        r"\bsd ?3(?: ?5)?\b|\bstable diffusion 3\b|\bdiffusion 3 (?:5|medium|large)\b", text
    ):
        return Family.SD3
    if re.search(r"\brefiner\b", text) and not re.search(r"\bbase\b|\bwith refiner\b", text):
        return Family.SDXL_REFINER
    if re.search(r"\bsdxl\w*|\b[a-z]*xl(?: ?v?\d+)?\b|\bpony\b|\billustrious\b", text):
        return Family.SDXL
    stem = r"\b(?:sd|stable ?diffusion|core ?ml)"
    if re.search(rf"{stem} ?v?2(?: ?[01])?\b|\b2(?: [01])? base\b|\bv2(?: [01])? base\b", text):
        return Family.SD2
    if re.search(rf"{stem} ?v?1(?: ?[45])?\b|\bv?1 [45]\b", text):
        return Family.SD1
    return Family.UNKNOWN


def kind(name: str) -> ModelKind | None:
    """None where a name speaks of neither ControlNets nor upscaling."""
    text = _words(name)
    if re.search(r"upscal|esrgan|super ?res|swin ?ir|waifu2x|\bx[248]\b", text):
        return ModelKind.UPSCALER
    return ModelKind.CONTROLNET if re.search(r"control ?net|t2i ?adapter", text) else None


def controlnet_ready(name: str) -> bool:
    """The community's ``_cn`` marks models whose UNet takes a ControlNet's residuals."""
    return re.search(r"\bcn\b|\bcontrolled ?unet\b", _words(name)) is not None


def _words(name: str) -> str:
    """Lower case, with a space for whatever separates words."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()


# Sizes


def family_by_sizes(weights: Mapping[ComponentKind, int], hinted: Family) -> Family:
    """From bytes of weights per network.

    A second text encoder means XL, a transformer SD3.  SD1 and SD2 differ in the text encoder
    only, and only as far as its compression is known: every published storage width is tried that
    compresses it no more than the UNet (converters compress the UNet, or both).  The family is
    believed if all that fit agree, or if the name agrees with one.
    """
    if K.MMDIT in weights or K.TEXT_ENCODER_T5 in weights:
        return Family.SD3
    if K.REFINER in weights and K.UNET not in weights:
        return Family.SDXL_REFINER
    encoder = weights.get(K.TEXT_ENCODER, 0)
    unet = weights.get(K.UNET, 0) or weights.get(K.CONTROL_UNET, 0)
    if K.TEXT_ENCODER_2 in weights:
        small = any(_near(unet, UNET_PARAMETERS[Family.SDXL_REFINER] * w) for w in _WIDTHS)
        return Family.SDXL_REFINER if small and not encoder else Family.SDXL
    fitting = {
        family
        for family, (parameters, embeddings) in _ENCODER.items()
        for width in _WIDTHS
        if _near(encoder, (parameters - embeddings) * width + embeddings * max(width, 2.0))
        and _plausible(unet, family)
        and width > (1 - CLOSE) * unet / UNET_PARAMETERS[family]
    }
    if len(fitting) == 1:
        return fitting.pop()
    if hinted in fitting or (not fitting and _plausible(unet, hinted)):
        return hinted
    return Family.UNKNOWN


def _plausible(unet: int, family: Family) -> bool:
    """Whether a UNet of a family can have so many bytes: 1 to 32 bits per weight."""
    parameters = UNET_PARAMETERS.get(family)
    return parameters is not None and 0.12 * parameters < unet < 4.2 * parameters


def _near(size: float, expected: float) -> bool:
    return size > 0 and abs(math.log(size / expected)) < CLOSE


def compression_by_size(unet: int, family: Family) -> str | None:
    """Storage form from bytes per weight; None where the family or the size is odd."""
    parameters = UNET_PARAMETERS.get(family)
    if not parameters or not unet:
        return None
    width = unet / parameters
    if _near(width, 2.0) or _near(width, 4.0):
        return ""
    for bits in (8, 6, 4):
        if _near(width, bits / 8):
            return words.palette(bits)
    return words.palette(8 * width, mixed=True) if 0.12 < width < 1.0 else None


def bits(compression: str) -> float:
    """Average bits per weight that a storage form stands for; 16 for none or an unknown one."""
    numbers = re.findall(r"(\d+(?:\.\d+)?)[ -]bits?", compression)
    return float(numbers[0]) if numbers else 16.0
