"""The denoising loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gui.pipeline.schedulers import Scheduler, alphas_at
from gui.pipeline.vae import overflow


@torch.no_grad()
def denoise(
    latents: Tensor,
    timesteps: Tensor,
    scheduler: Scheduler,
    step_settings: dict[str, Any],
    predict: Callable[[Tensor, float], Tensor],
    prediction_type: str,
    on_call: Callable[[int, Callable[[], Tensor]], None],
    before: Callable[[Tensor, Any], Tensor] = lambda latents, _timestep: latents,
) -> Tensor:
    """Turn noise into the latents of a picture.

    Args:
        latents: noise, or a noisy start, float32 [1, channels, h, w], in the scheduler's scale.
        timesteps: the part of `scheduler.timesteps` to run (image-to-image skips the first ones).
        scheduler: takes one step from a prediction; second-order ones take two calls per step.
        step_settings: keyword arguments for `scheduler.step`, its source of noise among them.
        predict: UNet with guidance, (scaled latents, timestep) → prediction.  May raise to stop.
        prediction_type: what the prediction is: ``epsilon``, ``v_prediction`` or ``sample``.
        on_call: told after each call, with its index and a function that computes the predicted
            picture's latents (x₀) from it.
        before: the latents that a call begins with, given those there are and its timestep.

    Returns:
        Latents [1, channels, h, w] in the sampler's scale.

    Raises:
        SfumatoError: UNSUPPORTED where the numbers overflow.
    """
    alphas = alphas_at(scheduler, timesteps)
    for index, (timestep, alpha) in enumerate(zip(timesteps, alphas, strict=True)):
        latents = before(latents, timestep)
        sample = scheduler.scale_model_input(latents, timestep)
        prediction = predict(sample, float(timestep))
        latents = scheduler.step(prediction, timestep, latents, **step_settings)[0]
        if not torch.isfinite(latents).all():
            raise overflow("unet")
        on_call(index, _x0_later(sample, prediction, alpha, prediction_type))
    return latents.float()


def predicted_x0(sample: Tensor, prediction: Tensor, alpha: float, prediction_type: str) -> Tensor:
    """The finished latents as the network sees them now.

    The UNet's input is x = √ᾱ·x₀ + √(1−ᾱ)·ε whichever scheduler is used, so x₀ follows from the
    prediction: (x − √(1−ᾱ)·ε)/√ᾱ, or √ᾱ·x − √(1−ᾱ)·v (Salimans and Ho, "Progressive
    distillation", appendix D).
    """
    signal, noise = alpha**0.5, (1 - alpha) ** 0.5
    if prediction_type == "v_prediction":
        return signal * sample - noise * prediction
    if prediction_type == "sample":
        return prediction
    return (sample - noise * prediction) / signal


def _x0_later(
    sample: Tensor, prediction: Tensor, alpha: float, prediction_type: str
) -> Callable[[], Tensor]:
    return lambda: predicted_x0(sample, prediction, alpha, prediction_type)
