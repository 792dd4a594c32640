"""Seeded LoRAs for the tiny checkpoints, in the spellings that trainers write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests.support.original_names import Tensors, original_names
from tests.support.tiny_checkpoints import pipeline, plain


def lora_factors(kind: str, *, rank: int = 4, conv: bool = True, seed: int = 7) -> dict[str, Any]:
    """Low-rank factors (down, up) by part and diffusers module name.

    Covers attention, feed-forward and, with `conv`, convolutions of the UNet, and attention and
    feed-forward of the text encoders.
    """
    pipe = pipeline(kind)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = {}
    for part in ("unet", "text_encoder", "text_encoder_2"):
        network = getattr(pipe, part, None)
        if network is None:
            continue
        for name, layer in network.named_modules():
            if not _wants_lora(name, layer, conv):
                continue
            shape = layer.weight.shape
            down = torch.randn(rank, *shape[1:], generator=generator) * 0.2
            up = torch.randn(shape[0], rank, *(1,) * (len(shape) - 2), generator=generator) * 0.2
            found[f"{part}.{name}"] = (down, up)
    return found


def _wants_lora(name: str, layer: nn.Module, conv: bool) -> bool:
    if isinstance(layer, nn.Linear):
        ends = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
        return name.endswith((*ends, "q_proj", "v_proj", "out_proj", "fc1", "fc2", "proj_in"))
    if not isinstance(layer, nn.Conv2d):
        return False
    return name.endswith("proj_in") or (conv and name.endswith(("conv1", "conv_shortcut")))


def save_lora(
    kind: str,
    path: Path,
    *,
    naming: str = "peft",
    alpha: float | None = None,
    factors: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a LoRA.

    Args:
        naming: ``peft`` (diffusers), ``kohya`` (underscores, `alpha` tensors; SDXL's UNet by its
            original names, as that trainer writes them).
        alpha: None: none stated, which means the rank.
    """
    factors = lora_factors(kind) if factors is None else factors
    tensors: Tensors = {}
    extra = dict(metadata or {})
    for name, (down, up) in factors.items():
        if naming == "peft":
            tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = down, up
            continue
        stem = _kohya_stem(kind, name)
        tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = down, up
        if alpha is not None:
            tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
    if naming == "peft" and alpha is not None:
        extra["lora_adapter_metadata"] = json.dumps(_peft_settings(factors, alpha))
    save_file(plain(tensors), path, metadata=extra or None)
    return path


def _peft_settings(factors: dict[str, Any], alpha: float) -> dict[str, Any]:
    """What diffusers writes into a LoRA's metadata: peft's configuration of each part."""
    rank = next(iter(factors.values()))[0].shape[0]
    settings: dict[str, Any] = {}
    for name in factors:
        part, _, module = name.partition(".")
        settings |= {f"{part}.r": rank, f"{part}.lora_alpha": alpha}
        settings.setdefault(f"{part}.target_modules", []).append(module)
    return settings


def _kohya_stem(kind: str, name: str) -> str:
    part, _, module = name.partition(".")
    if part == "unet":
        if kind.startswith("sdxl"):
            config = pipeline(kind).unet.config
            module = original_names(config, [f"{module}.weight"])[f"{module}.weight"]
            module = module.removesuffix(".weight")
        return "lora_unet_" + module.replace(".", "_")
    module = module if module.startswith("text_model.") else f"text_model.{module}"
    prefix = "lora_te_"
    if kind.startswith("sdxl"):
        prefix = "lora_te1_" if part == "text_encoder" else "lora_te2_"
    return prefix + module.replace(".", "_")
