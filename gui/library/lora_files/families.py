"""The family a LoRA, or any file of tensors, was made for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gui.coreml.model import CONTEXT_FAMILIES, Family
from gui.library.lora_files.kinds import LoraFile, ends, result_shape
from gui.library.safetensors_header import Header, Tensor

_MARKERS: tuple[tuple[str, str], ...] = (
    ("single_stream_modulation.lin", "FLUX.2"),
    ("distilled_guidance_layer.", "Chroma"),
    ("double_blocks.0.img_attn", "FLUX.1"),
    ("single_transformer_blocks.0.attn", "FLUX.1"),
    ("joint_blocks.0.context_block", "Stable Diffusion 3"),
    ("context_embedder.", "Stable Diffusion 3"),
    ("double_stream_blocks.0.block", "HiDream"),
    ("double_layers.0.attn.w2q", "AuraFlow"),
    ("txt_in.individual_token_refiner", "HunyuanVideo"),
    ("blocks.0.default_modulation", "Hunyuan-DiT"),
    ("mlp_t5.0", "Hunyuan-DiT"),
    ("scale_shift_table_a2v", "LTX-2"),
    ("patchify_proj.", "LTX Video"),
    ("cap_embedder.0", "Lumina"),
    ("blocks.0.cross_attn.kv_linear", "PixArt or Sana"),
    ("adaln_single.", "PixArt"),
    ("attn.qkv_x.", "Mochi"),
    ("head.modulation", "Wan"),
    ("clip_txt_mapper.", "Stable Cascade"),
    ("down_blocks.0.0.channelwise", "Stable Cascade"),
    ("down_blocks.1.0.channelwise", "Stable Cascade"),
    ("add_embedding.image_norm", "Kandinsky"),
    ("motion_modules.", "AnimateDiff"),
    (".time_stack.", "Stable Video Diffusion"),
    (".time_mixer.", "Stable Video Diffusion"),
    ("net.blocks.0.self_attn", "Cosmos"),
    ("txt_in.text_norm", "Qwen-Image"),
    ("transformer_blocks.0.attn.add_q_proj", "Stable Diffusion 3"),
    ("edm_mean", "Playground 2.5"),
    ("edm_vpred.sigma_max", "CosXL"),
)
"""Part of a tensor's name, and the family it betrays; the first that fits counts."""

_STATED = ("ss_base_model_version", "modelspec.architecture", "sd_version")


def family_of_names(names: Iterable[str]) -> str:
    """The unsupported family these tensor names belong to; empty if none is recognised."""
    names = list(names)
    for marker, family in _MARKERS:
        if any(marker in name for name in names):
            return family
    return ""


def foreign_family(file: LoraFile) -> str:
    """The family of another make that a LoRA was made for; empty where nothing tells of one."""
    if family := family_of_names(_dotted(file.header.tensors)):
        return family
    plain = known_family(file) is None and "flux" in _stated(file.header)
    return "FLUX.1" if plain else ""


def known_family(file: LoraFile) -> Family | None:
    """The family where it is one of those that can be converted."""
    for stem, change in file.changes.items():
        if "attn2_to_k" in stem.replace(".", "_"):
            shape = result_shape(file.header, change)
            found = CONTEXT_FAMILIES.get(ends(shape[1:])[0]) if len(shape) > 1 else None
            if found is not None:
                return found
    if any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in file.header.tensors):
        return Family.SDXL
    stated = _stated(file.header)
    marks = (("xl", Family.SDXL), ("v2", Family.SD2), ("v1", Family.SD1))
    return next((family for mark, family in marks if mark in stated), None)


def _stated(header: Header) -> str:
    return " ".join(header.metadata.get(key, "") for key in _STATED).lower()


def _dotted(names: Mapping[str, Tensor]) -> list[str]:
    """Names of layers as the markers above spell them, underscores undone."""
    marks = ("double_blocks", "single_blocks", "joint_blocks", "single_transformer_blocks")
    found = list(names)
    for name in names:
        for mark in marks:
            if f"lora_unet_{mark}_" in name:
                rest = name.split(f"{mark}_", 1)[1]
                number, _, layer = rest.partition("_")
                found.append(f"{mark}.{number}.{layer}")
    if any(name.startswith("single_blocks.") for name in found):
        found.append("double_blocks.0.img_attn")
    return found
