"""The schedulers a person can choose, by the names they are known by.

Standard library only, so that the window can list them without torch; `gui.pipeline.schedulers`
makes the objects.  Names follow k-diffusion and the Stable Diffusion web UIs.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from gui import words
from gui.errors import ErrorKind, SfumatoError


@dataclass(frozen=True)
class SchedulerName:
    """One scheduler as a person knows it."""

    name: str
    description: str
    aliases: tuple[str, ...] = ()
    """Other spellings that mean the same, e.g. diffusers' class name."""
    unet_calls_per_step: int = 1
    """2 for second-order methods: twice the time per step."""
    draws_noise: bool = False
    """Adds fresh noise at every step, so that pictures do not settle as steps increase."""


SCHEDULER_NAMES: tuple[SchedulerName, ...] = (
    SchedulerName(
        "DPM++ 2M Karras",
        "Good in 20 to 30 steps; the usual choice.",
        ("DPM++ 2M K",),
    ),
    SchedulerName(
        "DPM++ 2M",
        "Good in 20 to 30 steps, on the model's own noise levels.",
        ("DPMSolverMultistep", "DPMSolver++", "dpmpp", "dpmpp_2m"),
    ),
    SchedulerName(
        "DPM++ 2M SDE Karras",
        "Like DPM++ 2M Karras with fresh noise at every step; more detail.",
        draws_noise=True,
    ),
    SchedulerName(
        "DPM++ 2M SDE",
        "Like DPM++ 2M with fresh noise at every step.",
        ("dpmpp_2m_sde",),
        draws_noise=True,
    ),
    SchedulerName(
        "DPM++ 3M SDE Karras",
        "Third order with fresh noise; best from 30 steps up.",
        draws_noise=True,
    ),
    SchedulerName(
        "DPM++ 3M SDE",
        "Third order with fresh noise on the model's own noise levels; best from 30 steps up.",
        ("dpmpp_3m_sde",),
        draws_noise=True,
    ),
    SchedulerName(
        "DPM++ SDE Karras",
        "Rich detail in 10 to 15 steps, each of which takes twice the time.",
        unet_calls_per_step=2,
        draws_noise=True,
    ),
    SchedulerName(
        "DPM++ SDE",
        "Rich detail in 10 to 15 steps, each of which takes twice the time.",
        ("DPMSolverSDE", "dpmpp_sde"),
        unet_calls_per_step=2,
        draws_noise=True,
    ),
    SchedulerName(
        "DPM++ 2S Karras",
        "Second order within one step; steady at few steps.",
    ),
    SchedulerName(
        "DPM++ 2S",
        "Second order within one step, on the model's own noise levels.",
        ("DPMSolverSinglestep", "dpmpp_2s"),
    ),
    SchedulerName(
        "Euler",
        "Simple and predictable; 25 steps or more.",
        ("EulerDiscrete",),
    ),
    SchedulerName(
        "Euler Karras",
        "Euler with more of its steps spent on fine detail.",
    ),
    SchedulerName(
        "Euler a",
        "Ancestral: fresh noise at every step, soft and varied.",
        ("EulerAncestralDiscrete", "Euler ancestral", "euler_ancestral"),
        draws_noise=True,
    ),
    SchedulerName(
        "UniPC",
        "Good in 10 to 20 steps.",
        ("UniPCMultistep",),
    ),
    SchedulerName(
        "UniPC Karras",
        "UniPC with more of its steps spent on fine detail.",
    ),
    SchedulerName(
        "DEIS",
        "Good in 15 to 25 steps.",
        ("DEISMultistep",),
    ),
    SchedulerName(
        "DEIS Karras",
        "DEIS with more of its steps spent on fine detail.",
    ),
    SchedulerName(
        "Heun",
        "A more exact Euler; each step takes twice the time.",
        ("HeunDiscrete",),
        unet_calls_per_step=2,
    ),
    SchedulerName(
        "Heun Karras",
        "Heun with more of its steps spent on fine detail.",
        unet_calls_per_step=2,
    ),
    SchedulerName(
        "DPM2",
        "Second order; each step takes twice the time.",
        ("KDPM2Discrete", "KDPM2", "dpm_2"),
        unet_calls_per_step=2,
    ),
    SchedulerName(
        "DPM2 Karras",
        "DPM2 with more of its steps spent on fine detail.",
        unet_calls_per_step=2,
    ),
    SchedulerName(
        "DPM2 a",
        "DPM2 with fresh noise; each step takes twice the time.",
        ("KDPM2AncestralDiscrete", "KDPM2Ancestral", "dpm_2_ancestral"),
        unet_calls_per_step=2,
        draws_noise=True,
    ),
    SchedulerName(
        "DPM2 a Karras",
        "DPM2 a with more of its steps spent on fine detail.",
        unet_calls_per_step=2,
        draws_noise=True,
    ),
    SchedulerName(
        "LMS",
        "Linear multistep; 30 steps or more.",
        ("LMSDiscrete",),
    ),
    SchedulerName(
        "LMS Karras",
        "LMS with more of its steps spent on fine detail.",
    ),
    SchedulerName(
        "SA-Solver",
        "Stochastic Adams method; good in 20 steps.",
        ("SASolver",),
        draws_noise=True,
    ),
    SchedulerName(
        "DDIM",
        "The classic; repeatable, 50 steps.",
    ),
    SchedulerName(
        "PNDM",
        "Stable Diffusion's first default; 50 steps.",
        ("PLMS",),
    ),
    SchedulerName(
        "DDPM",
        "The original method: fresh noise at every step, 100 steps or more.",
        draws_noise=True,
    ),
    SchedulerName(
        "LCM",
        "For latent consistency models only: 4 to 8 steps, guidance 1 to 2.",
        draws_noise=True,
    ),
    SchedulerName(
        "TCD",
        "For trajectory consistency models only: 4 to 8 steps, guidance off.",
        draws_noise=True,
    ),
)
"""In the order they are listed."""

_CLASSICS = ("LMS", "LMS Karras", "DDIM", "PNDM", "DDPM")
_FEW_STEPS = ("LCM", "TCD")
_USUAL = ("DPM++ 2M Karras", "UniPC", "Euler a")
"""What suits most models."""


def grouped_schedulers(default: str = "") -> tuple[tuple[str, tuple[SchedulerName, ...]], ...]:
    """Every scheduler once, under headings, those that suit a model first.

    Args:
        default: the model's own scheduler, which the first group leaves out (it stands there as the
            default already); empty: not known.
    """
    recommended = _FEW_STEPS if default in _FEW_STEPS else _USUAL
    groups: dict[str, list[SchedulerName]] = {"Recommended for this model": []}
    for each in SCHEDULER_NAMES:
        first = each.name in recommended and each.name != default
        title = "Recommended for this model" if first else _kind(each)
        groups.setdefault(title, []).append(each)
    return tuple((title, tuple(members)) for title, members in groups.items())


def _kind(scheduler: SchedulerName) -> str:
    if scheduler.name in _FEW_STEPS:
        return "Only for models of few steps"
    if scheduler.name in _CLASSICS:
        return "Classics"
    if scheduler.unet_calls_per_step > 1:
        return "Twice the time per step"
    return "Fresh noise at every step" if scheduler.draws_noise else "Steady"


def scheduler_name(text: str) -> SchedulerName:
    """The scheduler that `text` names, in any case and with or without spaces and "Scheduler".

    Raises:
        SfumatoError: BAD_REQUEST, listing near matches.
    """
    found = _BY_KEY.get(_key(text))
    if found:
        return found
    near = difflib.get_close_matches(_key(text), _BY_KEY, n=4, cutoff=0.5)
    names = list(dict.fromkeys(_BY_KEY[key].name for key in near))[:3]
    hint = (
        f"Did you mean {words.listed(names, 'or')}?" if names else f"One that exists is {_FIRST}."
    )
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"There is no scheduler called “{text}”. {hint}",
        "known: " + ", ".join(s.name for s in SCHEDULER_NAMES),
    )


def _key(text: str) -> str:
    kept = "".join(c for c in text.casefold() if c.isalnum() or c == "+")
    return kept.removesuffix("scheduler") or kept


_FIRST = SCHEDULER_NAMES[0].name
_BY_KEY = {_key(text): s for s in SCHEDULER_NAMES for text in (s.name, *s.aliases)}
