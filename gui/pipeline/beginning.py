"""What a picture begins with, what stays of a starting picture on the way, and what a network is
shown of it beside the latents.

Random numbers are drawn in the order of the program whose pictures are reproduced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gui.coreml.model import ModelInfo, UNetKind
from gui.pipeline.course import Stage, varied
from gui.pipeline.ground import Ground, prepare
from gui.pipeline.schedulers import Scheduler
from gui.pipeline.vae import EncodedImage
from gui.request import PictureRequest

_GREY = np.float32(0.5)
"""Of no picture: the middle of what encoders take."""


@dataclass(frozen=True)
class Start:
    """A starting picture as the networks see it.

    Args:
        ground: its pixels; None: there is none, and an inpainting network is shown an empty one.
        image: encoded.
        without: the picture with grey where it is painted anew; inpainting networks alone see it.
        repaint: 1 where latents are painted anew, else 0: [1, 1, h, w]; None: all of them are.
    """

    ground: Ground | None
    image: EncodedImage | None
    without: EncodedImage | None = None
    repaint: Tensor | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences the person should know."""
        return self.ground.notes if self.ground is not None else ()

    def previewer(self) -> Callable[[np.ndarray], np.ndarray]:
        """Puts previews, uint8 [h, w, 3], where the finished picture will lie: into the old one,
        where a part of that stays."""
        small = self.ground.shrunk() if self.ground is not None else None
        return small.finished if small is not None else lambda preview: preview

    def finished(self, pixels: np.ndarray) -> np.ndarray:
        """The finished picture, uint8 [height, width, 3], from what the model has painted."""
        return self.ground.finished(pixels) if self.ground is not None else pixels


def lay_ground(request: PictureRequest, model: ModelInfo) -> Ground | None:
    """The starting picture at the size that a model takes; of a branched request, that with which
    it all began.

    Raises:
        SfumatoError: as `prepare`.
    """
    start = request.lineage()[0].start_image
    if start is None:
        return None
    return prepare(start, model.image_width, model.image_height)


def encoded(
    ground: Ground | None, model: ModelInfo, encode: Callable[[np.ndarray], EncodedImage]
) -> Start | None:
    """What a model's networks see of a starting picture; None where they see none.

    Args:
        encode: runs the encoder on float32 [height, width, 3] in 0…1.
    """
    shows_rest = model.unet_kind is UNetKind.INPAINT
    if ground is None:
        if not shows_rest:
            return None
        size = (model.image_height, model.image_width, 3)
        return Start(None, None, encode(np.full(size, _GREY)))
    without = None
    if shows_rest:
        hidden = True if ground.repaint is None else ground.repaint[..., None]
        without = encode(np.where(hidden, _GREY, ground.picture))
    repaint = latent_mask(ground, model.latent_height, model.latent_width)
    return Start(ground, encode(ground.picture), without, repaint)


@dataclass(frozen=True)
class Kept:
    """What stays of a starting picture while the rest is painted: before every call, its latents at
    that call's noise level are put in place of what has become of them, and at the end they
    themselves (diffusers' inpainting with ordinary networks; Avrahami et al., "Blended diffusion",
    algorithm 2, in latents)."""

    original: Tensor
    noise: Tensor
    repaint: Tensor

    def before(self, latents: Tensor, scheduler: Scheduler, timestep: Any) -> Tensor:
        """Latents as they go on at a call, in the scheduler's scale."""
        at = torch.as_tensor(timestep).reshape(1)
        return self.mixed(latents, scheduler.add_noise(self.original, self.noise, at))

    def finished(self, latents: Tensor) -> Tensor:
        """Latents without noise."""
        return self.mixed(latents, self.original)

    def mixed(self, latents: Tensor, original: Tensor) -> Tensor:
        return (1 - self.repaint) * original + self.repaint * latents


@dataclass(frozen=True)
class Beginning:
    """Of one picture."""

    latents: Tensor
    """[1, channels, h, w], in the scale of the first scheduler."""
    kept: Kept | None = None
    shown: Tensor | None = None
    """What the network is shown beside the latents, [1, more channels, h, w]; None: nothing of the
    starting picture."""


def latent_mask(ground: Ground, height: int, width: int) -> Tensor | None:
    """A ground's mask over latents of that size, [1, 1, height, width]: what holds some of it is
    painted anew."""
    if ground.repaint is None:
        return None
    mask = torch.from_numpy(ground.repaint).float()[None, None]
    return torch.nn.functional.adaptive_max_pool2d(mask, (height, width))


def begin(stage: Stage, start: Start | None, shape: Sequence[int], kind: UNetKind) -> Beginning:
    """What a picture begins with.

    Args:
        stage: the first of its way.
        shape: of the latents.
        kind: of the network that paints it.
    """
    noise, leg, request = stage.noise, stage.legs[0], stage.turn.request
    image = start.image if start is not None else None
    ground = start.ground if start is not None else None
    repaint = start.repaint if start is not None else None
    blends = repaint is not None and kind is not UNetKind.INPAINT
    alone = kind is UNetKind.INSTRUCT or _begins_alone(stage, start)
    sampled = image if blends or not alone else None
    sample: Tensor | None = None
    if sampled is not None and noise.encoder_sample_first:
        sample = sampled.sample(noise)
        # the other seed's noise is what it would begin with itself
        drawn = varied(request, noise.normal(shape), sampled.sample)
    else:
        drawn = varied(request, noise.normal(shape))
        sample = sampled.sample(noise) if sampled is not None else None
    shown = _shown(stage, start, kind)
    if sample is not None and not leg.steps:  # the picture as the model's autoencoder sees it
        assert image is not None
        return Beginning(image.mean, shown=shown)
    if alone or sample is None:
        latents = drawn * leg.scheduler.init_noise_sigma
    else:
        latents = leg.scheduler.add_noise(sample, drawn, leg.timesteps[:1])
        if ground is not None and ground.from_noise and repaint is not None:
            bare = leg.scheduler.add_noise(torch.zeros_like(drawn), drawn, leg.timesteps[:1])
            full = bare / (1 - leg.alpha) ** 0.5  # of the variance that latents have there
            latents = (1 - repaint) * latents + repaint * full
    if not blends or sample is None or repaint is None:
        return Beginning(latents, shown=shown)
    return Beginning(latents, Kept(sample, drawn, repaint), shown)


def _begins_alone(stage: Stage, start: Start | None) -> bool:
    """Whether nothing of the picture is to be seen where it is painted anew, so that it begins with
    noise alone, as diffusers' inpainting does at full strength."""
    picture = stage.turn.request.start_image
    if start is None or start.ground is None or picture is None:
        return True
    return start.repaint is not None and picture.strength == 1 and not start.ground.filled


def _shown(stage: Stage, start: Start | None, kind: UNetKind) -> Tensor | None:
    if kind is UNetKind.INSTRUCT and start is not None and start.image is not None:
        return start.image.unscaled_mean
    noise = stage.noise
    if kind is UNetKind.INPAINT and start is not None and start.without is not None:
        without = start.without.sample(noise)
        repaint = start.repaint
        if repaint is None:
            repaint = torch.ones(1, 1, *without.shape[2:])
        return torch.cat([repaint, without], 1)
    if noise.encoder_sample_first and start is not None and start.repaint is not None:
        assert start.image is not None
        start.image.sample(noise)  # of the masked picture, which diffusers encodes for nothing
    return None
