"""Whether a model can be used, what it needs of a request beside words, and what has no effect."""

from __future__ import annotations

from dataclasses import replace

from gui.coreml.defaults import FALLBACK_IMAGE_GUIDANCE
from gui.coreml.model import ComponentKind, Family, ModelInfo, UNetKind
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError, unusable
from gui.request import Composition, PictureRequest
from gui.syntax.compel import swaps
from gui.syntax.compose import MAX_SIDES, sides_of
from gui.syntax.types import PromptSyntax

_UNETS = ComponentKind.UNET, ComponentKind.CONTROL_UNET
SUPPORTED_FAMILIES = {Family.SD1, Family.SD2, Family.SDXL, Family.UNKNOWN}


def check_usable(model: ModelInfo, sidecar: Sidecar) -> None:
    """
    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED where no picture can be made with a model.
    """
    if model.problems:
        raise unusable(model.problems[0], "\n".join(model.problems))
    have = model.components
    if (
        not {model.family, sidecar.family} <= SUPPORTED_FAMILIES
        or ComponentKind.MMDIT in have
        or sidecar.prediction_type == "flow_prediction"
    ):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This kind of model cannot be run yet; choose one of Stable Diffusion 1, 2 or XL.",
            f"families {model.family}, {sidecar.family}; predicts {sidecar.prediction_type}",
        )
    if not have.keys() & {ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2}:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model has no text encoder; choose another, or get this one again.",
        )
    if not have.keys() & {ComponentKind.UNET, ComponentKind.CONTROL_UNET}:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, "The model has no UNet; choose another, or get this one again."
        )
    decoder = have.get(ComponentKind.VAE_DECODER)
    if decoder is None:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model has no VAE decoder; choose another, or get this one again.",
        )
    latent = (1, model.latent_channels, model.latent_height, model.latent_width)
    z = decoder.inputs[0].shape if decoder.inputs else ()
    channels, sides = z[1:2], zip(z[2:], latent[2:], strict=False)
    # a smaller one decodes in tiles
    if channels not in ((None,), latent[1:2]) or any(has and has > needs for has, needs in sides):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model's UNet and VAE decoder do not belong together: their sizes differ; "
            "choose another model.",
            f"decoder {z}, UNet {latent}",
        )


def with_model(request: PictureRequest, model: ModelInfo) -> PictureRequest:
    """A request that a model can do, with what the model decides of pictures that go in.

    Raises:
        SfumatoError: UNSUPPORTED, BAD_REQUEST where it lacks what the model needs.
    """
    kind = model.unet_kind
    start = request.lineage()[0].start_image
    needs_encoder = start is not None or kind in (UNetKind.INPAINT, UNetKind.INSTRUCT)
    if needs_encoder and ComponentKind.VAE_ENCODER not in model.components:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This model has no VAE encoder, so it cannot start from a picture; remove the "
            "picture, or choose another model."
            if start is not None
            else "This model has no VAE encoder, without which it cannot paint on anything; choose "
            "another model.",
        )
    if kind is UNetKind.INSTRUCT:
        if start is None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "This model edits pictures as it is told; choose a starting picture for it.",
            )
        return request.mapped(_edited)
    if kind is UNetKind.DEPTH and not all(each.depth_map for each in request.lineage()):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "This model is led by a depth map; choose one, or another model.",
        )
    return request


def _edited(request: PictureRequest) -> PictureRequest:
    """As a model edits that is shown the picture at every step: from noise, and so through all
    steps."""
    start, scale = request.start_image, request.image_guidance_scale
    assert start is not None
    return replace(
        request,
        start_image=replace(start, strength=1.0),
        image_guidance_scale=FALLBACK_IMAGE_GUIDANCE if scale is None else scale,
    )


def without_effect(request: PictureRequest, model: ModelInfo) -> list[str]:
    """Sentences about what was asked for and cannot have an effect with this model."""
    found: list[str] = []
    if request.depth_map and model.unet_kind is not UNetKind.DEPTH:
        found.append("The depth map had no effect: this is no depth model.")
    if request.image_guidance_scale is not None and model.unet_kind is not UNetKind.INSTRUCT:
        found.append("The image guidance had no effect: this model does not edit pictures.")
    return found


def check_prompt(request: PictureRequest, model: ModelInfo) -> None:
    """
    Raises:
        SfumatoError: BAD_REQUEST for a prompt that asks for what this model's network cannot do, or
            that is composed of too many.
    """
    for each in request.lineage():
        prompts, syntax = (each.prompt, each.negative_prompt), each.prompt_syntax
        if syntax is PromptSyntax.COMPEL and any(map(swaps, prompts)):
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "“.swap()” reaches into the UNet’s attention, which Core ML’s models do not allow; "
                "set “Prompt marks” to those of web UIs and write [cat:dog:0.4] instead.",
            )
        sides = len(sides_of(each.prompt, syntax))
        if sides == 1:
            continue
        if sides > MAX_SIDES:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"The prompt is composed of {sides} by AND, and the network runs for each at every "
                f"step; keep at most {MAX_SIDES}.",
            )
        unets = [model.components[k] for k in _UNETS if k in model.components]
        if model.unet_kind is UNetKind.INSTRUCT:
            what = "edits a picture as one prompt tells it"
        elif any(unet.input("timestep_cond") for unet in unets):
            what = "is distilled to follow one prompt"
        else:
            continue
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"This model {what}, so it cannot compose several; write a comma in place of AND.",
        )


def check_detail(request: PictureRequest, model: ModelInfo, sidecar: Sidecar) -> None:
    """
    Raises:
        SfumatoError: UNSUPPORTED where this model cannot paint detail, BAD_REQUEST where a
            ControlNet leads, which knows the whole picture only.
    """
    if not request.detail_strength:
        return
    plain = model.unet_kind is UNetKind.STANDARD
    if not plain or ComponentKind.VAE_ENCODER not in model.components:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This model cannot paint detail into pictures that are there; choose another model, or "
            "set Detail to 0.",
        )
    if sidecar.default_composition is Composition.VARIED:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This model draws its subject into every picture, and would into every piece of one; "
            "choose another model to refine pictures with, or set Detail to 0.",
        )
    if request.leading:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "Detail is painted piece by piece, where no ControlNet can lead; set Detail to 0, or "
            "turn the ControlNet off.",
        )
