"""How diffusers spells what we call by user-known names, written from its documentation
(docs/source/en/api/schedulers/overview.md) and independent of our table."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

DIFFUSERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM++ 2M SDE Karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "DPM++ 3M SDE Karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "use_karras_sigmas": True},
    ),
    "DPM++ 3M SDE": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
    ),
    "DPM++ 2S Karras": ("DPMSolverSinglestepScheduler", {"use_karras_sigmas": True}),
    "DPM++ 2S": ("DPMSolverSinglestepScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler Karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "UniPC Karras": ("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "DEIS": ("DEISMultistepScheduler", {}),
    "DEIS Karras": ("DEISMultistepScheduler", {"use_karras_sigmas": True}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "Heun Karras": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    "DPM2": ("KDPM2DiscreteScheduler", {}),
    "DPM2 Karras": ("KDPM2DiscreteScheduler", {"use_karras_sigmas": True}),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}),
    "DPM2 a Karras": ("KDPM2AncestralDiscreteScheduler", {"use_karras_sigmas": True}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "LMS Karras": ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
    "SA-Solver": ("SASolverScheduler", {}),
    "DDIM": ("DDIMScheduler", {}),
    "PNDM": ("PNDMScheduler", {"skip_prk_steps": True}),
    "DDPM": ("DDPMScheduler", {}),
    "LCM": ("LCMScheduler", {}),
    "TCD": ("TCDScheduler", {}),
}
"""All but DPM++ SDE, whose class needs an unmaintained library: see `sample_dpmpp_sde`."""

# What Stable Diffusion's own scheduler_config.json files say.
STABLE_DIFFUSION = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "clip_sample": False,
    "set_alpha_to_one": False,
}


def diffusers_scheduler(name: str, **settings: Any) -> Any:
    """diffusers' own scheduler for a user-known name."""
    class_name, extra = DIFFUSERS[name]
    # By its own module: where the product loaded diffusers first, without scipy, the package has a
    # stand-in for it that makes nothing.
    home = "diffusers.schedulers.scheduling_lms_discrete" if "LMS" in class_name else "diffusers"
    cls = getattr(importlib.import_module(home), class_name)
    return cls.from_config({**STABLE_DIFFUSION, **settings}, **extra)


def extra_step_arguments(name: str) -> dict[str, Any]:
    """diffusers' pipelines pass η = 0 unless told; TCD's own default, which we keep, is 0.3."""
    return {"eta": 0.3} if name == "TCD" else {}


def sample_dpmpp_sde(
    denoise: Callable[[Tensor, float], Tensor],
    x: Tensor,
    sigmas: np.ndarray,
    draw: Callable[[], Tensor],
) -> Tensor:
    """DPM-Solver++ (stochastic, second order in one step, r = ½) as Katherine Crowson published it
    (k-diffusion, `sample_dpmpp_sde`, η = 1).

    Args:
        denoise: (x, σ) → predicted x₀, for x = x₀ + σ·ε.
        x: starting point, at σ = sigmas[0].
        sigmas: descending, ending in 0.
        draw: standard normal noise like x; the two stretches of a step are drawn in order, and the
            whole step's noise is made of both.
    """
    for sigma, sigma_next in itertools.pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            x = x + (x - x0) / sigma * (sigma_next - sigma)
            continue
        t, t_next = -np.log(sigma), -np.log(sigma_next)
        middle = t + (t_next - t) / 2
        sigma_middle = np.exp(-middle)
        first, second = draw(), draw()
        # to the middle
        down, up = ancestral(sigma, sigma_middle)
        s = -np.log(down)
        x2 = np.exp(-s) / np.exp(-t) * x - np.expm1(t - s) * x0 + up * first
        x0_middle = denoise(x2, sigma_middle)
        # to the end, with the middle's prediction (weight 1 / 2r = 1)
        down, up = ancestral(sigma, sigma_next)
        s = -np.log(down)
        near, far = (sigma - sigma_middle) ** 0.5, (sigma_middle - sigma_next) ** 0.5
        whole = (near * first + far * second) / (sigma - sigma_next) ** 0.5
        x = np.exp(-s) / np.exp(-t) * x - np.expm1(t - s) * x0_middle + up * whole
    return x


def ancestral(sigma_from: float, sigma_to: float) -> tuple[float, float]:
    """Noise level to step down to, and how much noise to add, to arrive at `sigma_to`."""
    up = min(sigma_to, (sigma_to**2 * (sigma_from**2 - sigma_to**2) / sigma_from**2) ** 0.5)
    return (sigma_to**2 - up**2) ** 0.5, up


def sigmas_of(timesteps: np.ndarray) -> np.ndarray:
    """σ at (fractional) timesteps of Stable Diffusion's training schedule."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alphas = np.cumprod(1 - betas)
    return np.interp(timesteps, np.arange(1000), ((1 - alphas) / alphas) ** 0.5)


def timestep_of(sigma: float) -> float:
    """The timestep whose σ is `sigma`, between whole ones by log σ."""
    return float(np.interp(np.log(sigma), np.log(sigmas_of(np.arange(1000))), np.arange(1000)))


def karras(sigma_max: float, sigma_min: float, steps: int) -> np.ndarray:
    """Karras et al., "Elucidating the design space", equation 5, ρ = 7."""
    ramp = np.linspace(0, 1, steps)
    inverse = 1 / 7
    return (sigma_max**inverse + ramp * (sigma_min**inverse - sigma_max**inverse)) ** 7


def seeded(seed: int) -> Any:
    return torch.Generator("cpu").manual_seed(seed)
