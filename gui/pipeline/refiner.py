"""Stable Diffusion XL's refiner: a UNet of its own that makes the last steps.

It reads the second text encoder alone, and is told how beautiful the picture shall be: 6, and 2.5
of what to avoid, as its paper and diffusers have it (Podell et al., "SDXL", 2.5).  It takes over at
diffusers' point (`denoising_start`): where the timestep falls below its share of the schedule.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from gui import words
from gui.coreml.flexible import matched
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import (
    ComponentInfo,
    ComponentKind,
    Family,
    ModelInfo,
    chunks_of_text,
)
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.files import expanded
from gui.pipeline.networks import Resting
from gui.pipeline.prompts import PhasedUNet, Prompts, guidance
from gui.pipeline.text import TextEncoders, make_tokenizers
from gui.pipeline.unet import GuidedUNet
from gui.request import OWN_REFINER, PictureRequest

SCORE, SCORE_TO_AVOID = 6.0, 2.5
_SHARE_OF_MEMORY = 0.6
"""Of the machine's, that two UNets may take between them."""

K = ComponentKind


class Refiner:
    """One refiner, loaded when the first step needs it.

    Args:
        model: what holds it.
        sidecar: of that model.
        resting: gives one of its networks, to be loaded when it is run.
    """

    def __init__(
        self, model: ModelInfo, sidecar: Sidecar, resting: Callable[[ComponentInfo], Resting]
    ) -> None:
        self.model = model
        self._sidecar = sidecar
        self._component = model.components[K.REFINER]
        self.unet = resting(self._component)
        self._resting = resting
        self._text: tuple[Resting, TextEncoders] | None = None

    @property
    def size_bytes(self) -> int:
        return self._component.size_bytes

    def phases(
        self,
        request: PictureRequest,
        steps: int,
        guided: bool,
        image_size: tuple[int, int],
        check: Callable[[], None],
    ) -> PhasedUNet:
        """The refiner under a request's prompts."""
        text = self._encoders()
        most = chunks_of_text(self.unet.inputs.get("encoder_hidden_states"), text.length)
        prompts = Prompts(text, request, steps, most)
        _, scale = guidance(request, not guided)
        made: list[tuple[int, GuidedUNet]] = []
        for phase in prompts.encode(guided, False, check):
            negative = phase.negative
            rows = (
                [(replace(side, score=SCORE), weight) for side, weight in phase.positive],
                replace(negative, score=SCORE_TO_AVOID) if negative is not None else None,
            )
            unet = GuidedUNet(self.unet, *rows, scale, image_size, request.guidance_rescale)
            made.append((phase.until, unet))
        return PhasedUNet(made)

    def _encoders(self) -> TextEncoders:
        if self._text is None:
            network = self._resting(self.model.components[K.TEXT_ENCODER_2])
            folders = (self.model.folder, *self.model.components[K.TEXT_ENCODER_2].files)
            pads = (self._sidecar.pad_token_ids or (0,))[-1:]  # the second encoder's
            tokenizers = make_tokenizers(folders, replace(self._sidecar, pad_token_ids=pads), 1)
            self._text = network, TextEncoders([network], tokenizers)
        return self._text[1]

    def close(self) -> None:
        self.unet.close()
        if self._text is not None:
            self._text[0].close()
            self._text = None


class RefinedUNet(PhasedUNet):
    """A model's UNet for the first steps, a refiner's for the last.

    Args:
        base, refiner: both under their prompts.
        switch_at: share of the schedule at which the refiner takes over.
        train_steps: timesteps of the schedule.
    """

    def __init__(
        self, base: PhasedUNet, refiner: PhasedUNet, switch_at: float, train_steps: int
    ) -> None:
        self._base = base
        self._refiner = refiner
        self._cutoff = round(train_steps * (1 - switch_at))

    def begin_step(self, step: int) -> None:
        self._base.begin_step(step)
        self._refiner.begin_step(step)

    def show(self, shown: Tensor | None) -> None:
        self._base.show(shown)

    def __call__(
        self, sample: Tensor, timestep: float, check: Callable[[], None] = lambda: None
    ) -> Tensor:
        unet = self._base if timestep >= self._cutoff else self._refiner
        return unet(sample, timestep, check)


def find_refiner(name: str, base: ModelInfo) -> tuple[ModelInfo, Sidecar]:
    """The model that holds the refiner a request names, without loading it.

    Args:
        name: its folder, or `OWN_REFINER`.
        base: the model that makes the first steps.

    Raises:
        SfumatoError: UNSUPPORTED, BAD_REQUEST or BAD_MODEL where it cannot go on from that model.
    """
    if base.family is not Family.SDXL:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "A refiner goes on from Stable Diffusion XL alone; turn the refiner off, or choose an "
            "XL model.",
        )
    model = base if name == OWN_REFINER else inspect_model(expanded(name))
    component = model.components.get(K.REFINER)
    if component is None or K.TEXT_ENCODER_2 not in model.components:
        if name == OWN_REFINER:
            what = "The model has no refiner of its own; convert one along, or name another model."
        else:
            what = f"“{model.name}” is no Stable Diffusion XL refiner; choose one, or turn it off."
        raise SfumatoError(ErrorKind.BAD_REQUEST, what, "\n".join(model.problems))
    unet = base.components.get(K.UNET)
    component = matched(component, unet) if unet is not None else component
    model = replace(model, components={**model.components, K.REFINER: component})
    sample = component.input("sample")
    size = sample.shape[1:] if sample is not None else ()
    wanted = (base.latent_channels, base.latent_height, base.latent_width)
    if any(has not in (None, needs) for has, needs in zip(size, wanted, strict=False)):
        height, width = (8 * (n or 0) for n in size[1:3])
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The refiner is made for {words.pixels(width, height)} pixels, and the model draws "
            f"{words.pixels(base.image_width, base.image_height)}; choose a refiner of that size, "
            "or turn it off.",
        )
    return model, load_sidecar(model)


def is_short_of_memory(bytes_of_unets: Sequence[int]) -> bool:
    """Whether two UNets at once are too much for this machine."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return False
    return sum(bytes_of_unets) > _SHARE_OF_MEMORY * memory
