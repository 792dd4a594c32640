"""Read a single-file checkpoint in the original layout: family, configuration and weights' places.

Everything is told from the names and shapes in the header; no configuration file is needed, none
is downloaded.  No torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gui.convert.checkpoint import checkpoint as base
from gui.convert.checkpoint import original_layout as original
from gui.convert.checkpoint import unsupported
from gui.convert.checkpoint.checkpoint import Checkpoint
from gui.convert.checkpoint.weights import Part, Stored, stored
from gui.convert.types import ImageSize
from gui.coreml import prediction as predictions
from gui.coreml.few_steps import few_steps
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.families import family_of_names
from gui.library.safetensors_header import Header, read_header

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
_CLIP_PREFIXES = {
    "cond_stage_model.transformer.": "text_encoder",
    "conditioner.embedders.0.transformer.": "text_encoder",
}
"""OpenAI's CLIP, by transformers' names."""
_OPEN_CLIP_PREFIXES = {
    "cond_stage_model.model.": "text_encoder",
    "conditioner.embedders.1.model.": "text_encoder_2",
    "conditioner.embedders.0.model.": "text_encoder_2",
}
"""OpenCLIP, by its own names.  The last is the refiner's, or Stable Diffusion 2's in a file of the
code that came after its own (sd_turbo)."""

SD2_WIDTH, SD2_LAYERS = 1024, 23
"""Stable Diffusion 2 reads the states before the last of OpenCLIP's 24 layers; diffusers, and the
files it writes, leave that layer out."""

SD2_BASE_STEP = 875000
"""`global_step` in Stable Diffusion 2.0's 512-pixel checkpoint, which predicts epsilon."""

SD2_VELOCITY_SIGN = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
"""What `gui.coreml.prediction` tells a prediction type from."""

_CONFIG = "unet_config"
_LONGEST_CONFIG = 100_000
_PARAMETERIZATION = re.compile(r"^\s*parameterization\s*:\s*[\"']?(\w+)", re.MULTILINE)


def read_single_file(path: Path) -> Checkpoint:
    """Read the checkpoint's header.

    Raises:
        SfumatoError: one sentence on what is wrong or not supported.
    """
    header = read_header(path)
    every = stored(header)
    unet = _under(every, UNET_PREFIX)
    if "input_blocks.0.0.weight" not in unet:
        raise _no_checkpoint(path, header)
    if family := family_of_names(every):
        raise unsupported.unsupported(family, str(path))
    unsupported.refuse_channels(_in_channels(unet, path), str(path))
    shape = original.unet_shape(unet, path.name)
    begins = {name.partition(".")[0] for name in every}
    if shape.added and "cond_stage_model" in begins and "conditioner" not in begins:
        raise unsupported.unsupported("Stable unCLIP", str(path))
    family = base.family_of_unet(
        shape.context,
        added=bool(shape.added),
        linear=shape.linear,
        two_encoders=any(name.startswith("conditioner.embedders.1.") for name in every),
    )
    parts = _text_encoders(every, family, path)
    parts["unet"] = _unet(unet, shape, family, parts, path)
    if vae := _vae(every, family, path):
        parts["vae"] = vae
    base.check_parts(parts, family, path.name, shape.context)
    return _checkpoint(header, parts, family)


def _under(every: Mapping[str, Stored], prefix: str) -> dict[str, Stored]:
    return {n.removeprefix(prefix): t for n, t in every.items() if n.startswith(prefix)}


def _in_channels(unet: Mapping[str, Stored], path: Path) -> int:
    shape = unet["input_blocks.0.0.weight"].shape
    if len(shape) != 4:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The UNet in “{path.name}” has weights of the wrong shape; download the file again.",
            f"input_blocks.0.0.weight: {list(shape)}",
        )
    return shape[1]


# --- networks -----------------------------------------------------------------------------------


def _unet(
    unet: Mapping[str, Stored],
    shape: original.UNetShape,
    family: Family,
    parts: Mapping[str, Part],
    path: Path,
) -> Part:
    time_ids = {Family.SDXL: 6, Family.SDXL_REFINER: 5}.get(family, 0)
    second = parts.get("text_encoder_2")
    pooled = int(second.config["projection_dim"]) if second else 1280
    config = original.unet_config(
        shape, linear_heads=family is not Family.SD1, time_ids=time_ids, pooled=pooled
    )
    names = original.unet_names(shape)
    return Part("unet", "UNet2DConditionModel", config, renamed(unet, names), str(path))


def renamed(tensors: Mapping[str, Stored], names: original.Names) -> dict[str, Stored]:
    """By diffusers' names; what has none (training's leftovers) is left out."""
    found = {names.to_diffusers(name): place for name, place in tensors.items()}
    return {name: place for name, place in found.items() if name is not None}


def _vae(every: Mapping[str, Stored], family: Family, path: Path) -> Part | None:
    tensors = _under(every, VAE_PREFIX) or _under(every, "vae.")
    if not tensors:
        return None
    xl = family in (Family.SDXL, Family.SDXL_REFINER)
    return original_vae(tensors, 0.13025 if xl else 0.18215, path)


def original_vae(tensors: Mapping[str, Stored], scaling_factor: float, path: Path) -> Part:
    """A VAE by its original names.

    Raises:
        SfumatoError: BAD_MODEL where a tensor that every such network has is missing.
    """
    config = original.vae_config(tensors, scaling_factor, path.name)
    names = original.vae_names(len(config["block_out_channels"]), config["layers_per_block"])
    return Part("vae", "AutoencoderKL", config, renamed(tensors, names), str(path))


def _text_encoders(every: Mapping[str, Stored], family: Family, path: Path) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    if family in (Family.SDXL, Family.SDXL_REFINER):  # a merge may have kept some of another family
        every = {n: t for n, t in every.items() if not n.startswith("cond_stage_model.")}
    try:
        for prefix, name in _CLIP_PREFIXES.items():
            if tensors := _under(every, prefix):
                parts[name] = _clip(name, tensors, family, path)
        for prefix, name in _OPEN_CLIP_PREFIXES.items():
            if tensors := _under(every, prefix):
                name = "text_encoder" if family is Family.SD2 else name
                parts[name] = _open_clip(name, tensors, family, path)
    except (KeyError, IndexError, ValueError) as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The text encoder in “{path.name}” lacks some of its weights or has wrong shapes; "
            "download the file again.",
            repr(error),
        ) from error
    return dict(sorted(parts.items()))


def _clip(name: str, tensors: Mapping[str, Stored], family: Family, path: Path) -> Part:
    tensors = {n.removeprefix("text_model."): t for n, t in tensors.items()}
    embedding = tensors["embeddings.token_embedding.weight"].shape
    config = _clip_config(
        embedding,
        tensors["embeddings.position_embedding.weight"].shape[0],
        tensors["encoder.layers.0.mlp.fc1.weight"].shape[0],
        _layers_read(original.text_layers(tensors), embedding[1], family),
    )
    # Stable Diffusion 2's is OpenCLIP, whatever its names
    config["hidden_act"] = "gelu" if family is Family.SD2 else "quick_gelu"
    return Part(name, "CLIPTextModel", config, tensors, str(path))


def _open_clip(name: str, tensors: Mapping[str, Stored], family: Family, path: Path) -> Part:
    embedding = tensors["token_embedding.weight"].shape
    layers = _layers_read(original.text_layers(tensors), embedding[1], family)
    config = _clip_config(
        embedding,
        tensors["positional_embedding"].shape[0],
        tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        layers,
    )
    config["hidden_act"] = "gelu"
    names = original.open_clip_names(layers)
    found = renamed(tensors, names)
    for key, place in tensors.items():
        if (match := original.FUSED.match(key)) and int(match[1]) < layers:
            found |= _split(place, int(match[1]), match[2])
    if name == "text_encoder":
        return Part(name, "CLIPTextModel", config, found, str(path))
    place = tensors.get("text_projection.weight")  # as diffusers' script for single files writes it
    if place is None:
        place = replace(tensors["text_projection"], transpose=True)
    config["projection_dim"] = place.shape[0]
    found["text_projection.weight"] = place
    return Part(name, "CLIPTextModelWithProjection", config, found, str(path))


def _layers_read(layers: int, width: int, family: Family) -> int:
    """How many of a text encoder's layers the UNet's text states pass through."""
    published = width == SD2_WIDTH and layers == SD2_LAYERS
    return layers - 1 if family is Family.SD2 and not published else layers


def _split(place: Stored, layer: int, leaf: str) -> dict[str, Stored]:
    """OpenCLIP's fused rows as query, key and value."""
    third = place.stored_shape[0] // 3
    return {
        f"encoder.layers.{layer}.self_attn.{what}_proj.{leaf}": replace(
            place, rows=(n * third, (n + 1) * third)
        )
        for n, what in enumerate("qkv")
    }


def _clip_config(
    embedding: tuple[int, ...], positions: int, inner: int, layers: int
) -> dict[str, Any]:
    words, width = embedding
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // original.HEAD_WIDTH),
        "max_position_embeddings": positions,
        "projection_dim": width,
        "layer_norm_eps": 1e-5,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 1,
    }


# --- what the file says of itself ---------------------------------------------------------------


def _checkpoint(header: Header, parts: dict[str, Part], family: Family) -> Checkpoint:
    notes: list[str] = []
    shown = parts["unet"].config["in_channels"] != unsupported.LATENTS
    prediction = _prediction_type(header, family, shown, notes)
    scheduler = base.default_scheduler(family, prediction)
    if "ztsnr" in header.tensors:  # trained with a last step of pure noise
        scheduler |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    few = few_steps(
        (header.path.stem, header.metadata.get("modelspec.title", "")),
        takes_guidance=bool(parts["unet"].config.get("time_cond_proj_dim")),
    )
    if few is not None:
        scheduler |= few.scheduler
        notes.append(few.note)
    size = _stated_size(header) or base.default_size(family, prediction)
    if any(name.startswith("model_ema.") for name in header.tensors):
        notes.append("The file also holds averaged training weights, which are not used.")
    return Checkpoint(
        info=base.make_info(header.path, header.path.stem, parts, family, prediction, size, notes),
        parts=parts,
        scheduler_config=scheduler,
        pad_token_ids=tuple(base.default_pad(family, p) for p in parts if p.startswith("text_")),
        force_zeros_for_empty_prompt=family is Family.SDXL,
    )


def _prediction_type(header: Header, family: Family, shown: bool, notes: list[str]) -> str:
    """As the file states, or by the family's rule; a guess is noted.

    Args:
        shown: whether the UNet is shown a picture, a mask or a depth map; Stability AI trained
            those of Stable Diffusion 2 to predict noise.
    """
    if "v_pred" in header.tensors:
        return predictions.VELOCITY
    if kind := predictions.stated(header.metadata) or predictions.spelled(
        _stated_beside(header.path)
    ):
        return kind
    for name in (header.path.stem, header.metadata.get("modelspec.title", "")):
        if kind := predictions.by_name(name, family):  # merging drops the tensor that says so
            notes.append(predictions.assumed(kind, "by its name"))
            return kind
    if shown or family is not Family.SD2 or header.scalar("global_step") == SD2_BASE_STEP:
        return predictions.EPSILON
    if kind := predictions.by_weights(header.numbers(SD2_VELOCITY_SIGN)):
        notes.append(predictions.assumed(kind, "by its weights"))
        return kind
    notes.append(
        predictions.assumed(predictions.VELOCITY, "as for most of Stable Diffusion 2 at 768 pixels")
    )
    return predictions.VELOCITY


def _stated_beside(path: Path) -> str:
    """What the original code's configuration says, where one lies beside the checkpoint.

    Other programs need it there, by the same name, for every checkpoint that predicts velocity.
    """
    place = path.with_suffix(".yaml")
    try:
        if not place.is_file():
            return ""
        with place.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST_CONFIG)
    except OSError:  # the checkpoint itself can be read
        return ""
    if _CONFIG not in text:
        return ""  # of something else
    match = _PARAMETERIZATION.search(text)
    return match[1] if match else "eps"  # the code's default


def _stated_size(header: Header) -> ImageSize | None:
    text = header.metadata.get("modelspec.resolution", "")
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(text) < 12):
        return None
    size = ImageSize(int(width), int(height))
    fits = all(64 <= side <= 2048 and side % 64 == 0 for side in (size.width, size.height))
    return size if fits else None


# --- files that are something else --------------------------------------------------------------


def _no_checkpoint(path: Path, header: Header) -> SfumatoError:
    """Say what a file without a UNet in the original layout is."""
    names = header.tensors
    if any(".lora_" in n or "lora_unet_" in n or ".lora." in n for n in names):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{path.name}” is a LoRA, which changes a model but is none; choose the checkpoint, "
            "and add the LoRA to it.",
            str(path),
        )
    if any(n.startswith(("control_model.", "zero_convs.", "controlnet_")) for n in names):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{path.name}” is a ControlNet, which guides a model but is none; choose the "
            "checkpoint, and add the ControlNet to it.",
            str(path),
        )
    if family := family_of_names(names):
        return unsupported.unsupported(family, str(path))
    part = _lone_part(names)
    if part:
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{path.name}” holds a {part} only; choose a complete checkpoint or the model's "
            "diffusers folder.",
            str(path),
        )
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"“{path.name}” is no model that Sfumato knows; choose a checkpoint of "
        f"{unsupported.CONVERTED}.",
        f"{path}: {', '.join(list(names)[:5])}",
    )


def _lone_part(names: Mapping[str, object]) -> str:
    starts = {
        "UNet": ("input_blocks.", "diffusion_model.input_blocks.", "down_blocks.", "unet."),
        "VAE": ("decoder.up.", "decoder.up_blocks.", VAE_PREFIX, "vae."),
        "text encoder": ("text_model.", "transformer.resblocks.", "cond_stage_model."),
    }
    for part, begin in starts.items():
        if any(name.startswith(begin) for name in names):
            return part
    return ""
