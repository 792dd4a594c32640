"""The names of the original code's layout, and the diffusers names they stand for.

Single-file checkpoints name their tensors after the code the networks were trained with: CompVis'
latent-diffusion (Stable Diffusion 1) and Stability's generative-models (2, XL).  The order of the
blocks there is the order of execution, so a network's shape decides every name; nothing is looked
up in tables of known models.  The same names identify the layers of LoRAs.

diffusers renames tensors too (`diffusers.loaders.single_file_utils`, `convert_ldm_…_checkpoint`),
and for the UNets of Stable Diffusion 1, 2 and XL gives the very same names: that is tested.  It is
not what these here are made with, because

- names are needed where a file is only looked at (is anything missing, how large is each part, does
  this LoRA fit), and importing it loads torch and transformers;
- it takes a network's configuration, which it reads from the Hub or from a YAML file beside the
  checkpoint; here the shapes alone tell it, so its functions could follow these and replace only
  the naming;
- it maps a whole state dict one way, and its autoencoder only as tensors in memory, cut to shape on
  the way; LoRAs and bare ControlNets need single names, and the way back;
- it drops `time_embed.cond_proj`, with which latent consistency models take the guidance scale, and
  renames `attn_1.to_q` of some trainers to `to_to_q`.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gui.errors import ErrorKind, SfumatoError

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "time_embed.cond_proj": "time_embedding.cond_proj",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
HEAD_WIDTH = 64
"""Channels of an attention head in Stable Diffusion 2 and XL, and in every CLIP text encoder."""
SD1_HEADS = 8
"""Attention heads of Stable Diffusion 1, at every level."""


class HasShape(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class UNetShape:
    """What decides a UNet's (or ControlNet's) names and configuration."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    """Per level."""
    layers: int
    """ResNets per level on the way down; one more on the way up."""
    depths: tuple[int, ...]
    """Transformer blocks per attention layer, per level; 0: no attention."""
    middle_depth: int
    context: int
    """Width of the text states."""
    linear: bool
    """Transformers begin and end with linear layers instead of 1×1 convolutions."""
    added: int = 0
    """Width of the added conditioning (XL); 0: none."""
    time_cond: int = 0
    """Width of the guidance embedding (latent consistency models); 0: none."""


class Names:
    """A map between beginnings of dotted names; the longest that fits counts.

    Of several names that stand for the same, the way back gives the last.
    """

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._forth = dict(prefixes)
        self._back = {new: old for old, new in prefixes.items()}

    def to_diffusers(self, name: str) -> str | None:
        return _replaced(self._forth, name)

    def to_original(self, name: str) -> str | None:
        return _replaced(self._back, name)


def _replaced(table: Mapping[str, str], name: str) -> str | None:
    head, tail = name, ""
    while head:
        if head in table:
            return table[head] + tail
        head, dot, last = head.rpartition(".")
        tail = f"{dot}{last}{tail}"
    return None


# --- UNet ---------------------------------------------------------------------------------------


def unet_names(shape: UNetShape, *, control: bool = False) -> Names:
    """Names of a UNet, or of a ControlNet."""
    prefixes = dict(_ENDS)
    levels, layers = len(shape.channels), shape.layers
    place = 1
    for level in range(levels):
        for layer in range(layers):
            stem, down = f"input_blocks.{place}", f"down_blocks.{level}"
            prefixes |= _resnet(f"{stem}.0", f"{down}.resnets.{layer}")
            if shape.depths[level]:
                prefixes[f"{stem}.1"] = f"{down}.attentions.{layer}"
            place += 1
        if level < levels - 1:
            prefixes[f"input_blocks.{place}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            place += 1
    prefixes |= _resnet("middle_block.0", "mid_block.resnets.0")
    prefixes |= _resnet("middle_block.2", "mid_block.resnets.1")
    prefixes["middle_block.1"] = "mid_block.attentions.0"
    if control:
        for n in range(place):
            prefixes[f"zero_convs.{n}.0"] = f"controlnet_down_blocks.{n}"
        prefixes["middle_block_out.0"] = "controlnet_mid_block"
        prefixes["input_hint_block.0"] = "controlnet_cond_embedding.conv_in"
        for n in range(6):  # between them an activation each, hence every second place
            prefixes[f"input_hint_block.{2 * n + 2}"] = f"controlnet_cond_embedding.blocks.{n}"
        prefixes["input_hint_block.14"] = "controlnet_cond_embedding.conv_out"
        return Names(prefixes)
    for up, level in enumerate(reversed(range(levels))):
        for layer in range(layers + 1):
            stem = f"output_blocks.{up * (layers + 1) + layer}"
            prefixes |= _resnet(f"{stem}.0", f"up_blocks.{up}.resnets.{layer}")
            if shape.depths[level]:
                prefixes[f"{stem}.1"] = f"up_blocks.{up}.attentions.{layer}"
        if level:
            last = f"output_blocks.{up * (layers + 1) + layers}"
            at = 2 if shape.depths[level] else 1
            prefixes[f"{last}.{at}.conv"] = f"up_blocks.{up}.upsamplers.0.conv"
    return Names(prefixes)


def _resnet(old: str, new: str) -> dict[str, str]:
    return {f"{old}.{a}": f"{new}.{b}" for a, b in _RESNET.items()}


def unet_shape(tensors: Mapping[str, HasShape], what: str) -> UNetShape:
    """Tell a UNet's (or ControlNet's) shape from its tensors by their original names.

    Args:
        what: the file's name, for errors.

    Raises:
        SfumatoError: UNSUPPORTED for a network that is not built evenly, BAD_MODEL where a tensor
            that every such network has is missing or has the wrong rank.
    """
    try:
        return _unet_shape(tensors)
    except _UnevenError as error:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"The UNet in “{what}” is built in a way that cannot be converted from a single file; "
            "convert the model's diffusers folder instead.",
            str(error),
        ) from error
    except (KeyError, IndexError, ValueError) as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The UNet in “{what}” lacks some of its weights or has wrong shapes; download the "
            "file again.",
            repr(error),
        ) from error


class _UnevenError(Exception):
    pass


def _unet_shape(tensors: Mapping[str, HasShape]) -> UNetShape:
    first = tensors["input_blocks.0.0.weight"].shape
    channels: list[int] = []
    depths: list[list[int]] = [[]]
    place = 1
    while True:
        stem = f"input_blocks.{place}"
        if f"{stem}.0.op.weight" in tensors:
            depths.append([])
        elif f"{stem}.0.out_layers.3.weight" in tensors:
            if not depths[-1]:
                channels.append(tensors[f"{stem}.0.out_layers.3.weight"].shape[0])
            depths[-1].append(_depth(tensors, f"{stem}.1"))
        else:
            break
        place += 1
    if len({len(level) for level in depths}) != 1 or not depths[0]:
        raise _UnevenError(f"layers per level: {[len(level) for level in depths]}")
    if any(len(set(level)) != 1 for level in depths):
        raise _UnevenError(f"transformer blocks: {depths}")
    middle = _depth(tensors, "middle_block.1")
    if not middle:
        raise _UnevenError("no attention in the middle")
    out = tensors.get("out.2.weight")
    condition = tensors.get("time_embed.cond_proj.weight")
    added = tensors.get("label_emb.0.0.weight")
    if added is not None and len(added.shape) != 2:
        raise ValueError(f"label_emb {added.shape}")
    key = tensors["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape
    return UNetShape(
        in_channels=first[1],
        out_channels=out.shape[0] if out is not None else first[1],
        channels=tuple(channels),
        layers=len(depths[0]),
        depths=tuple(level[0] for level in depths),
        middle_depth=middle,
        context=key[1],
        linear=len(tensors["middle_block.1.proj_in.weight"].shape) == 2,
        added=added.shape[1] if added is not None else 0,
        time_cond=condition.shape[1] if condition is not None else 0,
    )


def _depth(tensors: Mapping[str, HasShape], stem: str) -> int:
    depth = 0
    while f"{stem}.transformer_blocks.{depth}.attn2.to_k.weight" in tensors:
        depth += 1
    return depth


def shape_of_config(config: Mapping[str, Any]) -> UNetShape | None:
    """The shape of a UNet with this diffusers configuration.

    None for one that the original code could not have built (its layers have no names there).
    """
    try:
        levels = len(config["block_out_channels"])
        layers = config.get("layers_per_block", 2)
        depth = config.get("transformer_layers_per_block", 1)
        per_level = [depth] * levels if isinstance(depth, int) else list(depth)
        attends = ["CrossAttn" in kind for kind in config["down_block_types"]]
        context = config.get("cross_attention_dim", 1280)
        if not isinstance(layers, int) or not all(isinstance(d, int) for d in per_level):
            return None
        return UNetShape(
            in_channels=config.get("in_channels", 4),
            out_channels=config.get("out_channels", 4),
            channels=tuple(config["block_out_channels"]),
            layers=layers,
            depths=tuple(d if a else 0 for d, a in zip(per_level, attends, strict=True)),
            middle_depth=per_level[-1],
            context=context if isinstance(context, int) else max(context),
            linear=bool(config.get("use_linear_projection", False)),
            added=config.get("projection_class_embeddings_input_dim") or 0,
        )
    except (KeyError, TypeError, ValueError):
        return None


def unet_config(shape: UNetShape, *, linear_heads: bool, time_ids: int, pooled: int) -> dict:
    """The diffusers configuration of a UNet of this shape.

    Args:
        linear_heads: heads of `HEAD_WIDTH` channels (Stable Diffusion 2, XL); else `SD1_HEADS`.
        time_ids: numbers of added conditioning, 6 for XL and 5 for its refiner; 0: none.
        pooled: width of the pooled text that is added beside them.
    """
    heads = [max(1, c // HEAD_WIDTH) for c in shape.channels] if linear_heads else SD1_HEADS
    # diffusers reads the middle block's depth from the last level, attention or not
    depths = [d or shape.middle_depth for d in shape.depths]
    if depths[-1] != shape.middle_depth:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "The UNet's middle is built in a way that cannot be converted from a single file; "
            "convert the model's diffusers folder instead.",
            f"depths {shape.depths}, middle {shape.middle_depth}",
        )
    config: dict[str, Any] = {
        "in_channels": shape.in_channels,
        "out_channels": shape.out_channels,
        "block_out_channels": list(shape.channels),
        "layers_per_block": shape.layers,
        "down_block_types": [_kind("Down", d) for d in shape.depths],
        "up_block_types": [_kind("Up", d) for d in reversed(shape.depths)],
        "transformer_layers_per_block": depths,
        "attention_head_dim": heads,  # diffusers' name for the number of heads
        "cross_attention_dim": shape.context,
        "use_linear_projection": shape.linear,
    }
    if shape.time_cond:
        config["time_cond_proj_dim"] = shape.time_cond
    if time_ids:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": (shape.added - pooled) // time_ids,
            "projection_class_embeddings_input_dim": shape.added,
        }
    return config


def _kind(way: str, depth: int) -> str:
    return f"CrossAttn{way}Block2D" if depth else f"{way}Block2D"


# --- VAE ----------------------------------------------------------------------------------------

_VAE_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}


def vae_names(levels: int, layers: int) -> Names:
    """Names of the autoencoder: `levels` resolutions, `layers` ResNets each in the encoder."""
    prefixes = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for half in ("encoder", "decoder"):
        for end in ("conv_in", "conv_out"):
            prefixes[f"{half}.{end}"] = f"{half}.{end}"
        prefixes[f"{half}.norm_out"] = f"{half}.conv_norm_out"
        for n in (1, 2):
            prefixes |= _vae_resnet(f"{half}.mid.block_{n}", f"{half}.mid_block.resnets.{n - 1}")
        for old, new in _VAE_ATTENTION.items():
            place = f"{half}.mid_block.attentions.0.{new}"
            prefixes[f"{half}.mid.attn_1.{new}"] = place  # so written by some trainers
            prefixes[f"{half}.mid.attn_1.{old}"] = place
    for level in range(levels):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{levels - 1 - level}"
        for n in range(layers):
            prefixes |= _vae_resnet(f"encoder.down.{level}.block.{n}", f"{down}.resnets.{n}")
        for n in range(layers + 1):
            prefixes |= _vae_resnet(f"decoder.up.{level}.block.{n}", f"{up}.resnets.{n}")
        prefixes[f"encoder.down.{level}.downsample"] = f"{down}.downsamplers.0"
        prefixes[f"decoder.up.{level}.upsample"] = f"{up}.upsamplers.0"
    return Names(prefixes)


def _vae_resnet(old: str, new: str) -> dict[str, str]:
    return {old: new, f"{old}.nin_shortcut": f"{new}.conv_shortcut"}


def vae_config(tensors: Mapping[str, HasShape], scaling_factor: float, what: str) -> dict[str, Any]:
    """The diffusers configuration of an autoencoder, from its tensors by their original names.

    Raises:
        SfumatoError: BAD_MODEL where a tensor that every such network has is missing.
    """
    try:
        levels = _count(tensors, r"decoder\.up\.(\d+)\.block\.")
        channels = [tensors[f"decoder.up.{n}.block.0.conv2.weight"].shape[0] for n in range(levels)]
        picture = tensors["decoder.conv_out.weight"].shape[0]
        latents = tensors["decoder.conv_in.weight"].shape[1]
    except (KeyError, IndexError) as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The VAE in “{what}” lacks some of its weights; download the file again.",
            repr(error),
        ) from error
    return {
        "in_channels": picture,
        "out_channels": picture,
        "latent_channels": latents,
        "block_out_channels": channels,
        "layers_per_block": _count(tensors, r"decoder\.up\.0\.block\.(\d+)\.") - 1,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "scaling_factor": scaling_factor,
    }


def _count(names: Iterable[str], pattern: str) -> int:
    numbers = [int(m[1]) for m in (re.match(pattern, name) for name in names) if m]
    if not numbers or max(numbers) > 100:
        raise KeyError(pattern)
    return 1 + max(numbers)


# --- text encoders ------------------------------------------------------------------------------

_OPEN_CLIP_ENDS = {
    "token_embedding": "embeddings.token_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final": "final_layer_norm",
}
_OPEN_CLIP_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
FUSED = re.compile(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")
"""OpenCLIP's query, key and value in one tensor, a third of its rows each."""


def open_clip_names(layers: int) -> Names:
    """Names of OpenCLIP's text encoder, but for the fused tensors and the projection."""
    prefixes = dict(_OPEN_CLIP_ENDS)
    for n in range(layers):
        for old, new in _OPEN_CLIP_LAYER.items():
            prefixes[f"transformer.resblocks.{n}.{old}"] = f"encoder.layers.{n}.{new}"
    return Names(prefixes)


def text_layers(names: Iterable[str]) -> int:
    """Number of transformer layers, by either code's names."""
    return _count(names, r"(?:text_model\.)?(?:transformer\.resblocks|encoder\.layers)\.(\d+)\.")
