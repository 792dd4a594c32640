"""Infer what neither the files nor a sidecar state: the family's usual settings.

Constants are those the published diffusers models are configured with (`scheduler_config.json`,
`vae/config.json`, `tokenizer_config.json`, `model_index.json` of CompVis/stable-diffusion-v1-4,
stabilityai/stable-diffusion-2-1 and stabilityai/stable-diffusion-xl-base-1.0).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gui.coreml.model import ComponentKind, Family, ModelInfo
from gui.coreml.sidecar import Sidecar

V_PREDICTION_LATENT = 96
"""SD 2.x was trained for v-prediction at 768 pixels, and for epsilon at 512."""

_SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
}
_SCHEDULER_XL: dict[str, Any] = {**_SCHEDULER, "timestep_spacing": "leading"}

CONSISTENCY_GUIDANCE = 8.5
"""Guidance scale that diffusers' LatentConsistencyModelPipeline tells a distilled UNet."""

_END = 49407
"""CLIP's end-of-text token; SD1 pads with it, SD2 and SDXL's second encoder with ``!`` (0)."""


def infer_sidecar(info: ModelInfo) -> Sidecar:
    """The usual settings of the model's family.

    Every field that a wrong guess would spoil pictures by is named in `inferred`.  An unknown
    family gets SD1's settings.  `preview` stays None: the pipeline knows the published maps and
    fits one where there is none.
    """
    family = info.family
    values: dict[str, Any] = {"family": family}
    if family in (Family.SDXL, Family.SDXL_REFINER):
        values |= {
            "scaling_factor": 0.13025,
            "scheduler_config": dict(_SCHEDULER_XL),
            "pad_token_ids": (_END, 0) if family is Family.SDXL else (0,),
            "force_zeros_for_empty_prompt": family is Family.SDXL,
        }
    elif family is Family.SD3:
        values |= {
            "prediction_type": "flow_prediction",
            "scaling_factor": 1.5305,
            "shift_factor": 0.0609,
            "scheduler_config": {"num_train_timesteps": 1000, "shift": 3.0},
            "pad_token_ids": (_END, 0),
        }
    else:
        square = info.latent_height == info.latent_width == V_PREDICTION_LATENT
        values |= {
            "prediction_type": ("v_prediction" if family is Family.SD2 and square else "epsilon"),
            "scaling_factor": 0.18215,
            "scheduler_config": dict(_SCHEDULER),
            "pad_token_ids": (0,) if family is Family.SD2 else (_END,),
        }
    if _is_consistency_distilled(info):
        values["scheduler_config"]["_class_name"] = "LCMScheduler"
        values["default_guidance_scale"] = CONSISTENCY_GUIDANCE
    defaults = {"prediction_type": "epsilon", "force_zeros_for_empty_prompt": False}
    return Sidecar(**{"name": info.name, **defaults, **values}, inferred=_INFERABLE)


def _is_consistency_distilled(info: ModelInfo) -> bool:
    """Whether the UNet takes the guidance scale as an input, as latent consistency models do."""
    unet = info.components.get(ComponentKind.UNET)
    return unet is not None and unet.input("timestep_cond") is not None


_INFERABLE = (
    "family",
    "prediction_type",
    "scaling_factor",
    "scheduler_config",
    "pad_token_ids",
    "force_zeros_for_empty_prompt",
)


def complete(info: ModelInfo, stated: Sidecar | None, fields: frozenset[str]) -> Sidecar:
    """A sidecar in which everything is set.

    Args:
        info: the model.
        stated: its `sfumato.json`, or None if there is none.
        fields: names of the fields that the file states.
    """
    if stated is None:
        return infer_sidecar(info)
    guess = infer_sidecar(dataclasses.replace(info, family=stated.family))
    empty: tuple[Any, ...] = ((), {})  # "the family's", as if left out
    missing = tuple(n for n in _INFERABLE if n not in fields or getattr(stated, n) in empty)
    values: dict[str, Any] = {name: getattr(guess, name) for name in missing}
    if not stated.default_guidance_scale:
        values["default_guidance_scale"] = guess.default_guidance_scale
    if not stated.name:
        values["name"] = info.name
    inferred = tuple(dict.fromkeys((*stated.inferred, *missing)))
    return dataclasses.replace(stated, **values, inferred=inferred)
