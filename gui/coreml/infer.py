"""Infer what neither the files nor a sidecar state: the family's usual settings.

Constants are those the published diffusers models are configured with (`scheduler_config.json`,
`vae/config.json`, `tokenizer_config.json`, `model_index.json` of CompVis/stable-diffusion-v1-4,
stabilityai/stable-diffusion-2-1 and stabilityai/stable-diffusion-xl-base-1.0).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gui.coreml import fit
from gui.coreml.few_steps import FewSteps, few_steps
from gui.coreml.model import ComponentKind, Family, ModelInfo
from gui.coreml.names import VARIANT_FOLDERS
from gui.coreml.prediction import KnownBy, Prediction, prediction_of
from gui.coreml.sidecar import Sidecar

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

_END = 49407
"""CLIP's end-of-text token; SD1 pads with it, SD2 and SDXL's second encoder with ``!`` (0)."""


def infer_sidecar(info: ModelInfo, stated: Sidecar | None = None) -> Sidecar:
    """The usual settings of the model's family, or of the way it was distilled.

    Every field that a wrong guess would spoil pictures by is named in `inferred`.  An unknown
    family gets SD1's settings.  `preview` stays None: the pipeline knows the published maps and
    fits one where there is none.

    Args:
        info: the model.
        stated: its `sfumato.json`, for the names in it.
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
        values |= {
            "scaling_factor": 0.18215,
            "scheduler_config": dict(_SCHEDULER),
            "pad_token_ids": (0,) if family is Family.SD2 else (_END,),
        }
    if few := distilled(info, stated):
        values["scheduler_config"] |= few.scheduler
        values["default_steps"] = few.steps
        values["default_guidance_scale"] = few.guidance_scale
    values |= _stated_in_files(info, values["scheduler_config"])
    prediction = info.prediction_type
    if info.prediction_known_by in ("", KnownBy.FAMILY, KnownBy.SIZE):  # the family may be another
        prediction = _prediction(info, stated, frozenset()).kind
    defaults = {"prediction_type": prediction, "force_zeros_for_empty_prompt": False}
    return Sidecar(**{"name": info.name, **defaults, **values}, inferred=_INFERABLE)


def _stated_in_files(info: ModelInfo, config: dict[str, Any]) -> dict[str, Any]:
    """Settings in the files' own metadata, as Guernika's converter writes them."""
    found: dict[str, Any] = {}
    decoder = info.components.get(ComponentKind.VAE_DECODER)
    scale = _number(decoder.metadata.get("scaling_factor", "")) if decoder else None
    if scale:
        found["scaling_factor"] = scale
    unet = fit.denoiser(info.components)
    metadata = unet.metadata if unet else {}
    spacing = metadata.get("timestep_spacing", "")
    if spacing in ("leading", "trailing", "linspace"):
        config = {**config, "timestep_spacing": spacing}
    offset = _number(metadata.get("steps_offset", ""))
    if offset in (0, 1):
        config = {**config, "steps_offset": int(offset)}
    if (alpha := metadata.get("set_alpha_to_one", "").lower()) in ("true", "false"):
        config = {**config, "set_alpha_to_one": alpha == "true"}
    return {**found, "scheduler_config": config}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 100 else None


def distilled(info: ModelInfo, stated: Sidecar | None) -> FewSteps | None:
    """How the model is used where it was distilled to a few steps."""
    kinds = (ComponentKind.UNET, ComponentKind.CONTROL_UNET)
    unet = next((info.components[k] for k in kinds if k in info.components), None)
    if unet is None:
        return None
    return few_steps(
        names_of(info, stated),
        stated.scheduler_config if stated is not None else None,
        takes_guidance=unet.input("timestep_cond") is not None,
    )


def names_of(info: ModelInfo, stated: Sidecar | None) -> tuple[str, ...]:
    """What the model and its source are called, the most telling name first."""
    found = [stated.source_repo, stated.name] if stated is not None else []
    found += [c.metadata.get("versionString", "") for c in info.components.values()]
    place = info.folder
    found += [info.name, place.name]
    while place.name.lower() in VARIANT_FOLDERS and place.parent != place:
        place = place.parent
        found.append(place.name)
    return tuple(dict.fromkeys(filter(None, found)))


def with_inferences(
    info: ModelInfo, stated: Sidecar | None, fields: frozenset[str] = frozenset()
) -> ModelInfo:
    """The model with what its UNet predicts, and notes on what was inferred.

    Args:
        info: the model.
        stated: its `sfumato.json`, or None if there is none.
        fields: names of the fields that the file states.
    """
    unet = fit.denoiser(info.components)
    if unet is None or unet.kind is ComponentKind.MMDIT:
        return info
    prediction = _prediction(info, stated, fields)
    notes = [prediction.note]
    if (few := distilled(info, stated)) and "default_steps" not in fields:
        notes.append(few.note)
    return dataclasses.replace(
        info,
        prediction_type=prediction.kind,
        prediction_known_by=prediction.known_by.value,
        notes=tuple(dict.fromkeys((*info.notes, *filter(None, notes)))),
    )


def _prediction(info: ModelInfo, stated: Sidecar | None, fields: frozenset[str]) -> Prediction:
    if (
        stated is not None
        and "prediction_type" in fields
        and "prediction_type" not in stated.inferred
    ):
        return Prediction(stated.prediction_type, KnownBy.STATED)
    return prediction_of(
        fit.denoiser(info.components),
        info.components.values(),
        names_of(info, stated),
        info.family,
        (info.latent_height, info.latent_width),
    )


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
    guess = infer_sidecar(dataclasses.replace(info, family=stated.family), stated)
    empty: tuple[Any, ...] = ((), {})  # "the family's", as if left out
    missing = tuple(n for n in _INFERABLE if n not in fields or getattr(stated, n) in empty)
    values: dict[str, Any] = {name: getattr(guess, name) for name in missing}
    if not stated.default_guidance_scale:
        values["default_guidance_scale"] = guess.default_guidance_scale
    if not stated.default_steps and (few := distilled(info, stated)):
        values["default_steps"] = few.steps
        config = values.get("scheduler_config", stated.scheduler_config)
        values["scheduler_config"] = {**config, **few.scheduler}
    if not stated.name:
        values["name"] = info.name
    inferred = tuple(dict.fromkeys((*stated.inferred, *missing)))
    return dataclasses.replace(stated, **values, inferred=inferred)
