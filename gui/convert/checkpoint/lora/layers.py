"""Layers of a model by every spelling that LoRAs have for them.

diffusers' and peft's names are dotted, kohya's have underscores, and both occur with the names of
the original code (Stability's for XL).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gui.convert.checkpoint import original_layout as original
from gui.convert.checkpoint.checkpoint import Checkpoint
from gui.convert.checkpoint.lora.peft_settings import PREFIX
from gui.convert.checkpoint.weights import Part, canonical
from gui.coreml.model import Family

_FLAT_PREFIXES = {
    "lora_unet_": ("unet",),
    "lycoris_": ("unet",),
    "lora_te1_": ("text_encoder",),
    "lora_te2_": ("text_encoder_2",),
    "lora_te_": ("text_encoder", "text_encoder_2"),
}
_DOTTED_PREFIXES = {
    "unet.": ("unet",),
    "model.diffusion_model.": ("unet",),
    "diffusion_model.": ("unet",),
    "text_encoder_2.": ("text_encoder_2",),
    "text_encoder.": ("text_encoder",),
    "text_encoders.clip_l.transformer.": ("text_encoder",),
    "text_encoders.clip_g.transformer.": ("text_encoder_2",),
    "": ("unet", "text_encoder"),
}
_WRAPPERS = ("unet.", "text_encoder_2.", "text_encoder.")
"""Beginnings that some programs write twice."""
_BARE = re.compile(
    r"(down_blocks|mid_block|up_blocks|input_blocks|middle_block|output_blocks|time_embed|conv_in"
    r"|conv_out|text_model|encoder\.layers|transformer\.resblocks)[._]"
)
"""Beginnings of layers' names that stand without a part's."""


@dataclass(frozen=True)
class Layers:
    """The layers of one network."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of every parameter, by canonical name."""
    spellings: Mapping[str, str]
    """A layer's canonical name by every dotted spelling, and by every one with underscores."""


@dataclass(frozen=True)
class Target:
    """What a LoRA is laid beside: a checkpoint, or a finished model."""

    family: Family
    parts: Mapping[str, Layers]
    """By name: unet, text_encoder, text_encoder_2."""

    def place(self, stem: str) -> tuple[str, str] | None:
        """The part and layer that a file's name for a layer means."""
        stem = unwrapped(stem)
        for prefixes in (_FLAT_PREFIXES, _DOTTED_PREFIXES):
            for prefix, parts in prefixes.items():
                if not stem.startswith(prefix):
                    continue
                for part in parts:
                    table = self.parts.get(part)
                    layer = table and table.spellings.get(stem.removeprefix(prefix))
                    if layer:
                        return part, layer
        return None


def target_of(checkpoint: Checkpoint) -> Target:
    """A checkpoint's layers."""
    return Target(
        checkpoint.info.family,
        {name: _layers_of(part) for name, part in checkpoint.parts.items()},
    )


def _layers_of(part: Part) -> Layers:
    shapes = {canonical(name): place.shape for name, place in part.tensors.items()}
    shape = original.shape_of_config(part.config) if part.name == "unet" else None
    return make_layers(part.name, shapes, shape)


def make_layers(
    part: str, shapes: Mapping[str, tuple[int, ...]], shape: original.UNetShape | None
) -> Layers:
    """The layers that have these parameters.

    Args:
        part: unet, text_encoder, text_encoder_2 …
        shapes: by canonical name.
        shape: of a UNet that the original code could have built.
    """
    original_names = original.unet_names(shape) if shape else None
    spellings: dict[str, str] = {}
    for layer in dict.fromkeys(n.rpartition(".")[0] for n in shapes if n.endswith(_PARAMETERS)):
        names = [layer]
        if part.startswith("text_"):
            names.append(f"text_model.{layer}")
        if original_names and (old := original_names.to_original(layer)):
            names.append(old)
        for name in names:
            spellings[name] = layer
            spellings[name.replace(".", "_")] = layer
    return Layers(shapes, spellings)


_PARAMETERS = (".weight", ".bias")


def unwrapped(stem: str) -> str:
    """A layer's name without what peft, or saving twice, put before it."""
    stem = stem.replace(PREFIX, "", 1)
    for wrapper in _WRAPPERS:
        while stem.startswith(2 * wrapper):
            stem = stem.removeprefix(wrapper)
    return stem


def is_spelled(stem: str) -> bool:
    """Whether a layer's name is one of the known spellings, and so means what the model lacks."""
    starts = (*_FLAT_PREFIXES, *filter(None, _DOTTED_PREFIXES))
    plain = unwrapped(stem)
    return plain.startswith(starts) or _BARE.match(plain) is not None
