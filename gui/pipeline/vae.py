"""Between latents and pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gui.coreml.runtime import LoadedModel
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.noise import NoiseSource
from gui.pipeline.tensors import output
from gui.pipeline.vae_tiles import PIXELS, in_tiles

# AutoencoderKL's bounds on the log-variance
LOG_VARIANCE_RANGE = (-30.0, 20.0)


def decode(
    decoder: LoadedModel,
    latents: Tensor,
    sidecar: Sidecar,
    sparing: bool = False,
    check: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Latents [1, channels, h, w], in the sampler's scale, to an image float32 [H, W, 3] in 0…1.

    In tiles, where the decoder takes no more at once, or the whole would be too large.

    Args:
        sparing: memory is short.
        check: called before every tile; may raise to stop.

    Raises:
        SfumatoError: UNSUPPORTED where the decoder overflows.
    """
    z = (latents / sidecar.scaling_factor + sidecar.shift_factor).numpy()
    name = _sole_name(decoder)

    def run(part: np.ndarray) -> np.ndarray:
        check()
        image = output(decoder({name: part}), "image")
        if not np.isfinite(image).all():
            raise overflow("vae_decoder")
        return image

    image = in_tiles(z, decoder.inputs[name], PIXELS, run, sparing=sparing)
    return (image[0].transpose(1, 2, 0) / 2 + 0.5).clip(0, 1)


def to_pixels(image: np.ndarray) -> np.ndarray:
    """0…1 to uint8, rounded as diffusers rounds."""
    return (image * 255).round().astype(np.uint8)


class EncodedImage:
    """A starting picture as the encoder sees it: a normal distribution over latents.

    Args:
        moments: the encoder's output [1, 2·channels, h, w]: means, then log-variances; or
            [1, channels, h, w] from a conversion that returns latents themselves.
        sidecar: gives scale and shift.
        latent_shape: [1, channels, h, w], as the UNet takes them.
    """

    def __init__(
        self, moments: np.ndarray, sidecar: Sidecar, latent_shape: tuple[int, ...]
    ) -> None:
        tensor = torch.from_numpy(moments)
        self._scale = sidecar.scaling_factor
        self._shift = sidecar.shift_factor
        channels = latent_shape[1]
        fits = tensor.ndim == 4 and tensor.shape[1] in (channels, 2 * channels)
        if not fits or tensor.shape[2:] != latent_shape[2:]:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                "The model's VAE encoder does not belong to its UNet: their sizes differ; "
                "choose another model.",
                f"encoder {tuple(tensor.shape)}, UNet {latent_shape}",
            )
        self._mean = tensor[:, :channels]
        self._deviation = None
        if tensor.shape[1] == 2 * channels:
            log_variance = tensor[:, channels:].clamp(*LOG_VARIANCE_RANGE)
            self._deviation = (log_variance / 2).exp()

    @property
    def mean(self) -> Tensor:
        """The most likely latents, in the sampler's scale."""
        return (self._mean - self._shift) * self._scale

    @property
    def unscaled_mean(self) -> Tensor:
        """The most likely latents as the encoder gives them."""
        return self._mean

    def sample(self, noise: NoiseSource) -> Tensor:
        """Latents drawn from the distribution, in the sampler's scale."""
        if self._deviation is None:
            return self.mean
        drawn = self._mean + self._deviation * noise.normal(self._mean.shape)
        return (drawn - self._shift) * self._scale


def encode(
    encoder: LoadedModel,
    image: np.ndarray,
    sidecar: Sidecar,
    latent_shape: tuple[int, ...],
    sparing: bool = False,
    check: Callable[[], None] = lambda: None,
) -> EncodedImage:
    """Run the encoder on an image, float32 [H, W, 3] in 0…1; in tiles as `decode`.

    Raises:
        SfumatoError: BAD_MODEL where encoder and UNet do not fit; UNSUPPORTED on overflow.
    """
    x = np.ascontiguousarray((image * 2 - 1).transpose(2, 0, 1)[None], np.float32)
    name = _sole_name(encoder)

    def run(part: np.ndarray) -> np.ndarray:
        check()
        moments = output(encoder({name: part}), "latent")
        if not np.isfinite(moments).all():
            raise overflow("vae_encoder")
        return moments

    moments = in_tiles(x, encoder.inputs[name], 1, run, sparing=sparing)
    return EncodedImage(moments, sidecar, latent_shape)


def overflow(component: str) -> SfumatoError:
    """The error for numbers that left float16's range: the picture would be black."""
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        "The model's numbers went out of range on these compute units, and the picture would be "
        "black; try other compute units or another variant of the model.",
        f"{component}: not a number",
    )


def _sole_name(model: LoadedModel) -> str:
    return next(iter(model.inputs))
