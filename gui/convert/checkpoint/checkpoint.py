"""A source as read from headers and configurations: its networks, and what its family implies.

`diffusers_folder` and `single_file`, beside this, make these.  Standard library only.

Constants are those the published diffusers models are configured with (`scheduler_config.json`,
`vae/config.json`, `tokenizer_config.json`, `model_index.json` of CompVis/stable-diffusion-v1-4,
stabilityai/stable-diffusion-2-1(-base), -xl-base-1.0 and -xl-refiner-1.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui import words
from gui.convert.checkpoint.unsupported import LATENTS, SHOWN
from gui.convert.checkpoint.weights import Part
from gui.convert.types import ImageSize, SourceInfo
from gui.coreml.model import CONTEXT_FAMILIES, ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError

K = ComponentKind

PREDICTIONS = ("epsilon", "v_prediction", "sample")
"""What a UNet may predict, by diffusers' names."""

VAE_SCALE = 8
"""Pixels per latent along each side, in every family."""

NEEDED = {
    Family.SD1: ("text_encoder", "unet", "vae"),
    Family.SD2: ("text_encoder", "unet", "vae"),
    Family.SDXL: ("text_encoder", "text_encoder_2", "unet", "vae"),
    Family.SDXL_REFINER: ("text_encoder_2", "unet", "vae"),
}
"""Parts without which no picture can be made."""

CLIP_VOCABULARY = 49408
_END_OF_TEXT = 49407
_PADS = {
    Family.SD1: {"text_encoder": _END_OF_TEXT},
    Family.SD2: {"text_encoder": 0},  # the exclamation mark
    Family.SDXL: {"text_encoder": _END_OF_TEXT, "text_encoder_2": 0},
    Family.SDXL_REFINER: {"text_encoder_2": 0},
}
_BETAS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}


@dataclass(frozen=True)
class Checkpoint:
    info: SourceInfo
    parts: Mapping[str, Part]
    """By name: text_encoder, text_encoder_2, unet, vae, safety_checker."""
    scheduler_config: Mapping[str, Any]
    """diffusers' settings, `_class_name` and `prediction_type` among them."""
    pad_token_ids: tuple[int, ...]
    """Of the text encoders there are, in order."""
    force_zeros_for_empty_prompt: bool


def family_name(family: Family) -> str:
    """A family within a sentence."""
    name = words.family(family)
    return f"the {name}" if family is Family.SDXL_REFINER else name


def default_pad(family: Family, part: str) -> int:
    """Token that fills up the text of this encoder."""
    return _PADS[family].get(part, _END_OF_TEXT)


def default_scheduler(family: Family, prediction_type: str) -> dict[str, Any]:
    """Scheduler settings of the family's published models."""
    values = {**_BETAS, "prediction_type": prediction_type}
    if family in (Family.SDXL, Family.SDXL_REFINER):
        return {"_class_name": "EulerDiscreteScheduler", **values, "timestep_spacing": "leading"}
    if family is Family.SD2 and prediction_type == "v_prediction":
        return {"_class_name": "DDIMScheduler", **values}
    return {"_class_name": "PNDMScheduler", **values, "skip_prk_steps": True}


def default_size(family: Family, prediction_type: str) -> int:
    """Side of the pictures the family was trained on, pixels."""
    if family in (Family.SDXL, Family.SDXL_REFINER):
        return 1024
    return 768 if family is Family.SD2 and prediction_type == "v_prediction" else 512


def components(parts: Mapping[str, Part], family: Family) -> tuple[ComponentKind, ...]:
    """Core ML components that these parts make."""
    denoiser = K.REFINER if family is Family.SDXL_REFINER else K.UNET
    made = {
        "text_encoder": (K.TEXT_ENCODER,),
        "text_encoder_2": (K.TEXT_ENCODER_2,),
        "unet": (denoiser,),
        "vae": (K.VAE_DECODER, K.VAE_ENCODER),
        "safety_checker": (K.SAFETY_CHECKER,),
    }
    return tuple(kind for name, kinds in made.items() if name in parts for kind in kinds)


def family_of_unet(context: int, *, added: bool, linear: bool, two_encoders: bool) -> Family:
    """The family of a UNet.

    The width of the text states decides where it is a published one; else the structure does:
    added conditioning means XL (the refiner has one text encoder only), transformers that begin
    with a linear layer mean Stable Diffusion 2.
    """
    known = CONTEXT_FAMILIES.get(context)
    if known is not None and added == (known in (Family.SDXL, Family.SDXL_REFINER)):
        return known
    if added:
        return Family.SDXL if two_encoders else Family.SDXL_REFINER
    return Family.SD2 if linear else Family.SD1


def check_parts(parts: Mapping[str, Part], family: Family, name: str, context: int) -> None:
    """Raise unless everything a picture needs is there and fits together.

    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED.
    """
    missing = [words.component(p) for p in NEEDED[family] if p not in parts]
    if missing:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{name}” has no {' and no '.join(missing)}, without which {family_name(family)} "
            "makes no pictures; choose a complete checkpoint or the model's diffusers folder.",
            f"has {', '.join(parts)}",
        )
    widths = [int(p.config["hidden_size"]) for n, p in parts.items() if n.startswith("text_")]
    if sum(widths) != context:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The text encoder and the UNet of “{name}” do not belong together; choose another "
            "copy of the model.",
            f"text states {widths}, UNet takes {context}",
        )
    for part in parts.values():
        vocabulary = part.config.get("vocab_size", CLIP_VOCABULARY)
        if part.name.startswith("text_") and vocabulary < CLIP_VOCABULARY:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"The {part.title} of “{name}” has a vocabulary of its own, which Sfumato cannot "
                "use; choose a model with the usual CLIP text encoder.",
                f"{vocabulary} tokens",
            )
    levels = len(parts["vae"].config["block_out_channels"])
    if 2 ** (levels - 1) != VAE_SCALE:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"The VAE of “{name}” does not scale pictures by {VAE_SCALE}, as Stable Diffusion "
            "does, and cannot be converted; choose another model.",
            f"{levels} levels",
        )


def make_info(
    path: Path,
    name: str,
    parts: Mapping[str, Part],
    family: Family,
    prediction_type: str,
    size: int | ImageSize,
    notes: list[str],
) -> SourceInfo:
    """The description of a source; sizes and counts are summed from the parts."""
    what = SHOWN.get(parts["unet"].config.get("in_channels", LATENTS), "")
    files = {place.file for part in parts.values() for place in part.tensors.values()}
    return SourceInfo(
        path=str(path),
        name=name,
        single_file=path.is_file(),
        family=family,
        prediction_type=prediction_type,
        components=components(parts, family),
        size=size if isinstance(size, ImageSize) else ImageSize(size, size),
        parameters=sum(part.parameters for part in parts.values()),
        unet_parameters=parts["unet"].parameters,
        bytes=sum(file.stat().st_size for file in files),
        notes=(what, *notes) if what else tuple(notes),
    )
