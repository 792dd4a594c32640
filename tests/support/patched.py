"""Tiny models, and the same checkpoints converted with LoRAs or at other sizes: what a patched
model must equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gui.convert.types import ImageSize, Lora
from gui.coreml.model import Attention
from gui.coreml.model import ComponentKind as K
from tests.support.built import built
from tests.support.converted import Converted, converted, everything, xl
from tests.support.tiny_loras import lora_factors, save_lora

MODELS: dict[str, dict[str, Any]] = {
    "sd1": {"kind": "sd1-safety"},
    "chunked": {"kind": "sd1-safety", "chunked": True},
    "xl": {"kind": "sdxl", "attention": Attention.ORIGINAL},
}
"""Both layouts of attention, whole and in two."""

_TEXT = (K.TEXT_ENCODER, K.TEXT_ENCODER_2)
_ALL = (*_TEXT, K.UNET, K.VAE_DECODER, K.VAE_ENCODER)


def model(name: str) -> Converted:
    """A finished model of `MODELS`, 64 × 64 pixels."""
    shared = {"sd1": everything, "xl": xl}
    if name in shared:
        return shared[name]()
    return variant_of(f"patch-{name}", name)


def variant_of(place: str, name: str, **more: Any) -> Converted:
    """A model of `MODELS` converted with other options.

    Args:
        place: in the cache.
    """
    options = {**MODELS[name], "check": False, **more}
    kind = options.pop("kind")
    kinds = options.pop("components", _ALL)
    if not kind.startswith("sdxl"):
        kinds = tuple(k for k in kinds if k is not K.TEXT_ENCODER_2)
    return converted(place, kind, components=kinds, **options)


def lora_file(kind: str, *, conv: bool = True) -> Path:
    """A LoRA for a kind of checkpoint, kohya's names, rank 4, alpha 2."""

    def build(path: Path) -> None:
        save_lora(kind, path, naming="kohya", alpha=2.0, factors=lora_factors(kind, conv=conv))

    return built(f"lora-{kind}-{conv:d}.safetensors", build, __file__)


def with_lora(name: str) -> Converted:
    """The model converted with its kind's LoRA at 0.7."""
    loras = (Lora(str(lora_file(MODELS[name]["kind"])), 0.7),)
    return variant_of(f"patch-{name}-lora", name, components=(*_TEXT, K.UNET), loras=loras)


def at_size(name: str, width: int, height: int) -> Converted:
    """The model's networks that know of the size, converted at another one."""
    kinds = (K.UNET, K.VAE_DECODER, *(() if name == "xl" else (K.VAE_ENCODER,)))
    return variant_of(
        f"patch-{name}-{width}x{height}", name, components=kinds, sizes=(ImageSize(width, height),)
    )
