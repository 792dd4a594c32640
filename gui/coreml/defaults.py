"""What a request means for one model: every default filled in.

The one home of these rules, for the pipeline that goes by them and for the window that shows them.
Standard library only: the window loads nothing heavy for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gui import words
from gui.coreml import few_steps
from gui.coreml.model import Family
from gui.coreml.sidecar import Sidecar
from gui.errors import SfumatoError
from gui.request import Enlargement, PictureRequest
from gui.scheduler_names import SCHEDULER_NAMES, scheduler_name

FALLBACK_SCHEDULER = SCHEDULER_NAMES[0].name
FALLBACK_STEPS = words.USUAL_STEPS
# diffusers' own defaults: 7.5 in StableDiffusionPipeline, 5.0 in StableDiffusionXLPipeline
FALLBACK_GUIDANCE = 7.5
FALLBACK_GUIDANCE_XL = 5.0
# diffusers' own in StableDiffusionInstructPix2PixPipeline
FALLBACK_IMAGE_GUIDANCE = 1.5
FALLBACK_UPSCALER = "Photographs x4"


def default_scheduler(sidecar: Sidecar) -> str:
    """Name of the model's own scheduler.

    The sidecar's choice, else the one the source model was published with (`_class_name` in its
    scheduler settings), else DPM++ 2M Karras.
    """
    if sidecar.default_scheduler:
        return scheduler_name(sidecar.default_scheduler).name
    config = sidecar.scheduler_config
    try:
        name = scheduler_name(str(config.get("_class_name") or FALLBACK_SCHEDULER)).name
    except SfumatoError:  # a scheduler for other kinds of models
        return FALLBACK_SCHEDULER
    if name == "DPM++ 2M" and config.get("algorithm_type") == "sde-dpmsolver++":
        name = "DPM++ 2M SDE"
    if config.get("use_karras_sigmas"):
        karras = f"{name} Karras"
        return next((s.name for s in SCHEDULER_NAMES if s.name == karras), name)
    return name


def default_steps(sidecar: Sidecar, scheduler: str) -> int:
    """Steps the model asks for, or a number that suits the scheduler."""
    if sidecar.default_steps > 0:
        return sidecar.default_steps
    return few_steps.FEW_STEPS if scheduler in few_steps.SCHEDULERS else FALLBACK_STEPS


def default_guidance_scale(sidecar: Sidecar, scheduler: str) -> float:
    """Guidance scale the model asks for, or its family's."""
    if sidecar.default_guidance_scale > 0:
        return sidecar.default_guidance_scale
    if scheduler in few_steps.SCHEDULERS:
        return few_steps.NO_GUIDANCE
    return FALLBACK_GUIDANCE_XL if sidecar.family is Family.SDXL else FALLBACK_GUIDANCE


def default_upscaler(sidecar: Sidecar) -> str:
    """Name of the upscaler that suits the model's pictures."""
    return sidecar.default_upscaler or FALLBACK_UPSCALER


def with_loras(sidecar: Sidecar, names: Sequence[str]) -> Sidecar:
    """What a model recommends with LoRAs of these names: one that distils it to a few steps says
    how it is used then, as it does in a model that it is fused into."""
    few = few_steps.of_loras(names)
    if few is None:
        return sidecar
    config = {k: v for k, v in sidecar.scheduler_config.items() if k != "use_karras_sigmas"}
    return replace(
        sidecar,
        scheduler_config={**config, **few.scheduler},
        default_scheduler="",
        default_steps=few.steps,
        default_guidance_scale=few.guidance_scale,
    )


def shown_defaults(
    sidecar: Sidecar | None, scheduler: str | None, loras: Sequence[str] = ()
) -> dict[str, int | float | str]:
    """What a field that the model decides will be where nothing is chosen, by the field's name.

    Args:
        sidecar: None: the model is not known yet.
        scheduler: what is chosen; None or a name that does not exist: the model's own.
        loras: names of those that are on.
    """
    side = with_loras(sidecar if sidecar is not None else Sidecar(Family.UNKNOWN), loras)
    try:
        name = scheduler_name(scheduler or default_scheduler(side)).name
    except SfumatoError:
        name = FALLBACK_SCHEDULER
    return {
        "steps": default_steps(side, name),
        "guidance_scale": default_guidance_scale(side, name),
        "image_guidance_scale": FALLBACK_IMAGE_GUIDANCE,
        "enlargement": side.default_enlargement,
        "upscaler": default_upscaler(side),
        "composition": side.default_composition,
    }


def fill_defaults(request: PictureRequest, sidecar: Sidecar) -> PictureRequest:
    """`request` with all that the model decides: scheduler (by its listed name), steps, guidance
    scale, enlargement and composition; and so the requests it branches from.  The upscaler is set
    only where one is used.

    Raises:
        SfumatoError: BAD_REQUEST for a scheduler that does not exist or a value out of range.
    """
    request.validate()
    if (branch := request.branch) is not None:
        branch = replace(branch, earlier=fill_defaults(branch.earlier, sidecar))
        # what began long before cannot begin with another picture
        start, composition = branch.earlier.start_image, branch.earlier.composition
        request = replace(request, branch=branch, start_image=start, composition=composition)
    start = request.start_image
    if start is not None and start.outpaint.outwards and start.strength != 1:
        # of new ground nothing is worth keeping
        request = replace(request, start_image=replace(start, strength=1.0))
    asked = request.scheduler or default_scheduler(sidecar)
    scheduler = scheduler_name(asked).name
    steps = request.steps
    guidance = request.guidance_scale
    enlargement = request.enlargement or sidecar.default_enlargement
    upscaler = request.upscaler or default_upscaler(sidecar)
    return replace(
        request,
        scheduler=scheduler,
        steps=default_steps(sidecar, scheduler) if steps is None else steps,
        guidance_scale=(
            default_guidance_scale(sidecar, scheduler) if guidance is None else float(guidance)
        ),
        enlargement=enlargement,
        upscaler=None if enlargement is Enlargement.OFF else upscaler,
        composition=request.composition or sidecar.default_composition,
    )
