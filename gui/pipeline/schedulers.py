"""diffusers' schedulers, by the names people know, configured for one model.

Two adaptations, both made where a scheduler's module is imported: noise drawn inside `step` comes
from our `NoiseSource` when one is passed as `generator`, and what the module imports without
needing it (scipy.stats, torch._dynamo: half of the import time) is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.noise import BrownianNoise, NoiseSource
from gui.scheduler_names import SCHEDULER_NAMES, scheduler_name


class Scheduler(Protocol):
    """What the pipeline uses of a diffusers scheduler."""

    order: int
    timesteps: Tensor
    alphas_cumprod: Tensor
    init_noise_sigma: Any
    config: Any

    def set_timesteps(self, num_inference_steps: int) -> None: ...
    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor: ...
    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, **settings: Any
    ) -> tuple[Tensor, ...]: ...
    def add_noise(self, original: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class _Recipe:
    """A diffusers class and what sets this name apart from its siblings."""

    module: str
    cls: str
    settings: dict[str, Any] = field(default_factory=dict)


_KARRAS = {"use_karras_sigmas": True}
_SDE = {"algorithm_type": "sde-dpmsolver++"}
_MULTISTEP = ("dpmsolver_multistep", "DPMSolverMultistepScheduler")
_SINGLESTEP = ("dpmsolver_singlestep", "DPMSolverSinglestepScheduler")
# which diffusers falls back to, with a warning, for a path that ends at sigma 0
_LOWER_ORDER_FINAL = {"lower_order_final": True}
_RECIPES: dict[str, _Recipe] = {
    "DPM++ 2M": _Recipe(*_MULTISTEP),
    "DPM++ 2M Karras": _Recipe(*_MULTISTEP, _KARRAS),
    "DPM++ 2M SDE": _Recipe(*_MULTISTEP, _SDE),
    "DPM++ 2M SDE Karras": _Recipe(*_MULTISTEP, _SDE | _KARRAS),
    "DPM++ 3M SDE": _Recipe(*_MULTISTEP, _SDE | {"solver_order": 3}),
    "DPM++ 3M SDE Karras": _Recipe(*_MULTISTEP, _SDE | _KARRAS | {"solver_order": 3}),
    "DPM++ SDE": _Recipe("dpmsolver_sde", "DPMSolverSDEScheduler"),
    "DPM++ SDE Karras": _Recipe("dpmsolver_sde", "DPMSolverSDEScheduler", _KARRAS),
    "DPM++ 2S": _Recipe(*_SINGLESTEP, _LOWER_ORDER_FINAL),
    "DPM++ 2S Karras": _Recipe(*_SINGLESTEP, _LOWER_ORDER_FINAL | _KARRAS),
    "Euler": _Recipe("euler_discrete", "EulerDiscreteScheduler"),
    "Euler Karras": _Recipe("euler_discrete", "EulerDiscreteScheduler", _KARRAS),
    "Euler a": _Recipe("euler_ancestral_discrete", "EulerAncestralDiscreteScheduler"),
    "UniPC": _Recipe("unipc_multistep", "UniPCMultistepScheduler"),
    "UniPC Karras": _Recipe("unipc_multistep", "UniPCMultistepScheduler", _KARRAS),
    "DEIS": _Recipe("deis_multistep", "DEISMultistepScheduler"),
    "DEIS Karras": _Recipe("deis_multistep", "DEISMultistepScheduler", _KARRAS),
    "Heun": _Recipe("heun_discrete", "HeunDiscreteScheduler"),
    "Heun Karras": _Recipe("heun_discrete", "HeunDiscreteScheduler", _KARRAS),
    "DPM2": _Recipe("k_dpm_2_discrete", "KDPM2DiscreteScheduler"),
    "DPM2 Karras": _Recipe("k_dpm_2_discrete", "KDPM2DiscreteScheduler", _KARRAS),
    "DPM2 a": _Recipe("k_dpm_2_ancestral_discrete", "KDPM2AncestralDiscreteScheduler"),
    "DPM2 a Karras": _Recipe(
        "k_dpm_2_ancestral_discrete", "KDPM2AncestralDiscreteScheduler", _KARRAS
    ),
    "LMS": _Recipe("lms_discrete", "LMSDiscreteScheduler"),
    "LMS Karras": _Recipe("lms_discrete", "LMSDiscreteScheduler", _KARRAS),
    "SA-Solver": _Recipe("sasolver", "SASolverScheduler"),
    "DDIM": _Recipe("ddim", "DDIMScheduler"),
    "PNDM": _Recipe("pndm", "PNDMScheduler", {"skip_prk_steps": True}),
    "DDPM": _Recipe("ddpm", "DDPMScheduler"),
    "LCM": _Recipe("lcm", "LCMScheduler"),
    "TCD": _Recipe("tcd", "TCDScheduler"),
}

SCHEDULERS: tuple[str, ...] = tuple(s.name for s in SCHEDULER_NAMES)
"""Every scheduler by its user-known name, in the order they are shown."""

# How Stable Diffusion was trained (its published scheduler_config.json); a sidecar's settings win.
_STABLE_DIFFUSION: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "clip_sample": False,
    "set_alpha_to_one": False,
}

# Settings that describe the training and the spacing of steps, and so hold for every scheduler.
# The rest (solver order, sigma curve …) belongs to the scheduler the source model happened to use.
_SHARED = frozenset(_STABLE_DIFFUSION) | {
    "trained_betas",
    "rescale_betas_zero_snr",
    "clip_sample_range",
    "original_inference_steps",
    "timestep_scaling",
    "thresholding",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "interpolation_type",
    "timestep_type",
    "sigma_min",
    "sigma_max",
}
# Decided by the name chosen or by the model, whatever a configuration says.
_OURS = frozenset(
    {
        "prediction_type",
        "algorithm_type",
        "solver_order",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "use_flow_sigmas",
        "use_lu_lambdas",
        "noise_sampler_seed",
        "solver_p",
        "tau_func",
    }
)
MAX_TRAIN_TIMESTEPS = 10_000
"""Ten times what any published model was trained with; more can only be damage."""
# diffusers implements no "sample" prediction for these.
_NO_SAMPLE_PREDICTION = frozenset(
    (
        "PNDM",
        "Euler a",
        "DPM++ SDE",
        "DPM++ SDE Karras",
        "DPM2",
        "DPM2 Karras",
        "DPM2 a",
        "DPM2 a Karras",
    )
)


def make_scheduler(name: str, sidecar: Sidecar) -> Scheduler:
    """A fresh scheduler for one picture.

    Args:
        name: a user-known name or an alias of one.
        sidecar: gives the prediction type and diffusers' settings of the source model.

    Raises:
        SfumatoError: BAD_REQUEST for an unknown name; UNSUPPORTED where the scheduler cannot work
            with the model's prediction type; BAD_MODEL for settings that diffusers refuses.
    """
    name = scheduler_name(name).name
    if sidecar.prediction_type == "sample" and name in _NO_SAMPLE_PREDICTION:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{name} cannot be used with this model, which predicts pictures rather than noise; "
            "choose another scheduler.",
        )
    recipe = _RECIPES[name]
    cls = getattr(_scheduler_module(recipe.module), recipe.cls)
    accepted = set(inspect.signature(cls.__init__).parameters)
    config = sidecar.scheduler_config
    same_class = config.get("_class_name") == recipe.cls
    usable = {
        key: value
        for key, value in config.items()
        if key in _SHARED or (same_class and key not in _OURS)
    }
    settings = {**_STABLE_DIFFUSION, **usable, **recipe.settings}
    settings["prediction_type"] = sidecar.prediction_type
    settings = {key: value for key, value in settings.items() if key in accepted}
    try:
        _check_schedule(settings)
        with _no_nonsense():
            return cast(Scheduler, cls(**settings))
    except Exception as error:  # whatever diffusers and torch make of odd values
        raise _unsuited(name, error) from error


def _no_nonsense() -> np.errstate:
    """Settings of which logarithms of nothing come are refused, not computed with."""
    return np.errstate(divide="raise", invalid="raise")


def _unsuited(name: str, error: Exception) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The model's scheduler settings do not suit {name}; choose another scheduler.",
        repr(error),
    )


def _check_schedule(settings: Mapping[str, Any]) -> None:
    """What every schedule is computed from; diffusers takes any value, and fails at a step.

    Raises:
        ValueError: naming the setting.
    """
    steps = settings["num_train_timesteps"]
    if not _is_real(steps) or steps != int(steps) or not 0 < steps <= MAX_TRAIN_TIMESTEPS:
        raise ValueError(f"num_train_timesteps is {steps!r:.80}")
    for key in ("beta_start", "beta_end"):
        if key in settings and not (_is_real(settings[key]) and 0 <= settings[key] < 1):
            raise ValueError(f"{key} is {settings[key]!r:.80}")
    offset = settings.get("steps_offset", 0)
    if not _is_real(offset) or offset != int(offset) or not 0 <= offset < steps:
        raise ValueError(f"steps_offset is {offset!r:.80}")
    betas = settings.get("trained_betas")
    if betas is not None and not (
        isinstance(betas, (list, tuple))
        and len(betas) == steps
        and all(_is_real(beta) and 0 <= beta <= 1 for beta in betas)
    ):
        raise ValueError(f"trained_betas is {betas!r:.80}")


def _is_real(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)


def set_steps(scheduler: Scheduler, name: str, steps: int) -> None:
    """Lay out `steps` steps.

    Raises:
        SfumatoError: BAD_REQUEST for a number of steps that this scheduler cannot do; BAD_MODEL
            for settings of the model that it cannot lay out.
    """
    try:
        with _no_nonsense():
            scheduler.set_timesteps(steps)
    except (ValueError, IndexError, AssertionError, ZeroDivisionError) as error:
        advice = "fewer" if steps > 4 else "more"
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{name} cannot make a picture in {steps} steps; try {advice}.",
            str(error),
        ) from error
    except (TypeError, AttributeError, RuntimeError, ArithmeticError, LookupError) as error:
        raise _unsuited(name, error) from error


def step_settings(scheduler: Scheduler, noise: NoiseSource, shape: Sequence[int]) -> dict[str, Any]:
    """Keyword arguments for `scheduler.step`, and the noise it draws tied to `noise`.

    Call after `set_steps`.
    """
    if hasattr(scheduler, "noise_sampler"):
        cast(Any, scheduler).noise_sampler = BrownianNoise(noise, shape)
    settings: dict[str, Any] = {"return_dict": False}
    if "generator" in inspect.signature(scheduler.step).parameters:
        settings["generator"] = noise
    return settings


def alphas_at(scheduler: Scheduler, timesteps: Tensor) -> list[float]:
    """ᾱ, the share of the picture in the variance, at each (perhaps fractional) timestep.

    Between whole timesteps log σ is interpolated, as the schedulers themselves do.
    """
    alphas = scheduler.alphas_cumprod.double().clamp(1e-8, 1 - 1e-12)
    log_sigmas = ((1 - alphas) / alphas).log() / 2
    t = timesteps.double().clamp(0, len(alphas) - 1)
    low = t.floor().long()
    high = (low + 1).clamp(max=len(alphas) - 1)
    log_sigma = torch.lerp(log_sigmas[low], log_sigmas[high], t - low)
    return (1 / (1 + (2 * log_sigma).exp())).tolist()


def _scheduler_module(short_name: str) -> ModuleType:
    """Import one scheduler's module and let its draws come from a `NoiseSource`."""
    name = f"diffusers.schedulers.scheduling_{short_name}"
    if name in sys.modules:
        module = sys.modules[name]
    else:
        with _lean_imports(needs_scipy=short_name == "lms_discrete"):
            module = importlib.import_module(name)
    original = getattr(module, "randn_tensor", None)
    if original is not None and not isinstance(original, _Draw):
        module.randn_tensor = _Draw(original)  # type: ignore[attr-defined]
    return module


class _Draw:
    """diffusers' `randn_tensor`, taking a `NoiseSource` where it takes a torch generator."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __call__(self, shape: Sequence[int], generator: Any = None, **settings: Any) -> Tensor:
        if hasattr(generator, "normal"):
            return generator.normal(shape).to(settings.get("dtype") or torch.float32)
        return self._original(shape, generator=generator, **settings)


@contextlib.contextmanager
def _lean_imports(needs_scipy: bool) -> Iterator[None]:
    """Import a scheduler without what it does not need.

    diffusers does without each of these if it is absent: torch._dynamo only marks functions for
    torch.compile, scipy.stats serves only the beta sigma curve.  torchsde (unmaintained) is
    imported by DPM++ SDE for a noise sampler that we replace.  A missing module is shown to the
    import system as None, an empty stand-in stands for torchsde; both are taken away afterwards.
    """
    placed: list[str] = []

    def place(name: str, module: ModuleType | None) -> None:
        if name not in sys.modules:
            sys.modules[name] = module  # type: ignore[assignment]
            placed.append(name)

    place("torch._dynamo", None)
    utils = None
    try:
        utils = importlib.import_module("diffusers.utils")
        place("torchsde", ModuleType("torchsde"))
        scipy_check = utils.is_scipy_available
        if not needs_scipy:
            utils.is_scipy_available = lambda: False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            utils.is_scipy_available = scipy_check  # type: ignore[attr-defined]
    finally:
        for name in placed:
            sys.modules.pop(name, None)
