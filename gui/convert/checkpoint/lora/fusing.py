"""Fuse LoRAs into a checkpoint's networks before they are converted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.convert.checkpoint.checkpoint import Checkpoint
from gui.convert.checkpoint.diffusers_folder import name_of as published_name
from gui.convert.checkpoint.lora.deltas import Adder
from gui.convert.checkpoint.lora.layers import target_of
from gui.convert.checkpoint.lora.matching import match
from gui.convert.checkpoint.reading import read_checkpoint
from gui.convert.checkpoint.weights import canonical
from gui.convert.types import Lora, SourceInfo
from gui.coreml.few_steps import FewSteps, few_steps
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.kinds import read_lora

if TYPE_CHECKING:
    from torch import nn

MAX_SCALE = 10.0

_PLAIN_NAMES = ("pytorch_lora_weights", "adapter_model")
"""Files that are called like this are told apart by their folders only."""


def check(path: Path | str, info: SourceInfo, scale: float = 1.0) -> tuple[str, ...]:
    """See that a LoRA fits a source; reads headers only.

    Returns:
        Notes, one sentence each.

    Raises:
        SfumatoError: one sentence on why it cannot be fused.
    """
    return check_fit(path, read_checkpoint(info.path), scale)


def check_fit(path: Path | str, checkpoint: Checkpoint, scale: float = 1.0) -> tuple[str, ...]:
    """`check`, for a source that has been read already."""
    check_scale(scale)
    few = few_steps_of(Lora(str(path), scale))
    notes = match(read_lora(Path(path)), target_of(checkpoint)).notes()
    return (*notes, f"With “{Path(path).name}”: {few.note}") if few else notes


def check_scale(scale: float) -> None:
    """Raises SfumatoError: BAD_REQUEST for a weight that makes no sense."""
    if not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The scale of a LoRA must be from {-MAX_SCALE:g} to {MAX_SCALE:g}, not {scale}.",
        )


def few_steps_of(entry: Lora) -> FewSteps | None:
    """How a model is used once this LoRA is fused in, where it distils to a few steps (LCM-LoRA,
    Hyper-SD, DMD2 …); told by its title and its name."""
    path = Path(entry.path)
    if entry.scale <= 0:
        return None
    metadata = read_lora(path).header.metadata
    titles = [metadata.get(key, "") for key in ("modelspec.title", "ss_output_name")]
    names = [path.stem] if path.stem not in _PLAIN_NAMES else [published_name(path.parent)]
    return few_steps((*titles, *names))


def fuse(
    network: nn.Module, part: str, loras: Sequence[Lora], checkpoint: Checkpoint
) -> tuple[int, ...]:
    """Add LoRAs to a network's weights, in their order.

    Args:
        network: float32; changed.
        part: which network it is: unet, text_encoder, text_encoder_2 …
        checkpoint: where the network came from.

    Returns:
        How many layers each LoRA changed.

    Raises:
        SfumatoError: as `read_lora` and `match`.
    """
    import torch

    modules: dict[str, Any] = {canonical(name): m for name, m in network.named_modules()}
    target = target_of(checkpoint)
    counts = []
    for lora in loras:
        found = match(read_lora(Path(lora.path)), target)
        adder = Adder(found.file.header, lora.scale_of(part))
        for layer, change in found.layers.get(part, {}).items():
            module = modules[layer]
            module.weight.data = torch.from_numpy(adder.weight(change, module.weight.data.numpy()))
            if getattr(module, "bias", None) is not None:
                module.bias.data = torch.from_numpy(adder.bias(change, module.bias.data.numpy()))
        counts.append(len(found.layers.get(part, {})))
    return tuple(counts)
