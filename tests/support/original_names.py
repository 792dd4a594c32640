"""The original code's names for the tensors of diffusers' and transformers' networks.

The way back is the product's business (`gui.convert.checkpoint.original_layout`); this is written
apart from it, and held against diffusers' own reading of the layout by a test.
"""

from __future__ import annotations

import re
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}


def original_names(config: Any, names: Any) -> dict[str, str]:
    """Original name of each UNet or ControlNet tensor, by its diffusers name."""
    per_level = config["layers_per_block"] + 1
    attends = [bool(re.match("CrossAttn", kind)) for kind in config["down_block_types"]][::-1]
    found = {}
    for name in names:
        module, _, leaf = name.rpartition(".")
        found[name] = f"{_original_module(module, per_level, attends)}.{leaf}"
    return found


def _original_module(module: str, per_level: int, up_attends: list[bool]) -> str:
    if module in _ENDS:
        return _ENDS[module]
    head, *rest = module.split(".")
    if head == "controlnet_down_blocks":
        return f"zero_convs.{rest[0]}.0"
    if head == "controlnet_cond_embedding":
        return f"input_hint_block.{2 * int(rest[1]) + 2}"
    if head == "mid_block":
        place = 1 if rest[0] == "attentions" else 2 * int(rest[1])
        inner = rest[2:] if rest[0] == "attentions" else [_RESNET[rest[2]]]
        return ".".join(["middle_block", str(place), *inner])
    level, part, number, *inner = rest
    if head == "down_blocks":
        if part == "downsamplers":
            return f"input_blocks.{(int(level) + 1) * per_level}.0.op"
        place = 1 + int(level) * per_level + int(number)
        stem = "input_blocks"
    else:
        if part == "upsamplers":
            last = (int(level) + 1) * per_level - 1
            return f"output_blocks.{last}.{2 if up_attends[int(level)] else 1}.conv"
        place = int(level) * per_level + int(number)
        stem = "output_blocks"
    if part == "resnets":
        return f"{stem}.{place}.0.{_RESNET[inner[0]]}"
    return ".".join([stem, str(place), "1", *inner])


def original_vae_name(name: str, levels: int) -> tuple[str, bool]:
    """The original name, and whether it is a weight of attention (a 1×1 convolution there)."""
    name = name.replace("conv_norm_out", "norm_out")
    attention = "attentions" in name
    if attention:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        renames = ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v")
        for new, old in (*renames, ("to_out.0", "proj_out")):
            name = name.replace(new, old)
        return name, name.endswith("weight") and ".norm." not in name
    name = re.sub(
        r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name
    ).replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", name)
    name = re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name
    )
    return name, False


def openai_text(prefix: str, encoder: Any) -> Tensors:
    names = {
        k: k if k.startswith("text_model.") else f"text_model.{k}" for k in encoder.state_dict()
    }
    return {prefix + names[k]: v for k, v in encoder.state_dict().items()}


def open_clip_text(prefix: str, encoder: Any, *, extra_layer: bool) -> Tensors:
    """A CLIP text encoder in OpenCLIP's names: fused q, k, v; transposed projection.

    Args:
        extra_layer: append a last layer, which diffusers' version of SD2 leaves out.
    """
    state = {k.removeprefix("text_model."): v for k, v in encoder.state_dict().items()}
    found: Tensors = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    width = found["positional_embedding"].shape[1]
    found["text_projection"] = (
        state["text_projection.weight"].T if "text_projection.weight" in state else torch.eye(width)
    )
    renames = {
        "self_attn.out_proj": "attn.out_proj",
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    layers = encoder.config.num_hidden_layers
    for layer in range(layers):
        old, new = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for leaf in ("weight", "bias"):
            parts = [state[f"{old}self_attn.{x}_proj.{leaf}"] for x in "qkv"]
            found[f"{new}attn.in_proj_{leaf}"] = torch.cat(parts)
            for a, b in renames.items():
                found[f"{new}{b}.{leaf}"] = state[f"{old}{a}.{leaf}"]
    if extra_layer:
        last, new = f"transformer.resblocks.{layers - 1}.", f"transformer.resblocks.{layers}."
        copies = {k: 0.5 * v for k, v in found.items() if k.startswith(last)}
        found |= {new + k.removeprefix(last): v for k, v in copies.items()}
    return {prefix + k: v for k, v in found.items()}
