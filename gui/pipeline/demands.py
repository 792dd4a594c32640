"""What a model needs of a request beside words, and what it has no use for."""

from __future__ import annotations

from dataclasses import replace

from gui.coreml.defaults import FALLBACK_IMAGE_GUIDANCE
from gui.coreml.model import ComponentKind, ModelInfo, UNetKind
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRequest


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
