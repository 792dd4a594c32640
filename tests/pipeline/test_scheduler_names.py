"""Scheduler names, their spellings, and what is said of an unknown one."""

from __future__ import annotations

import pytest

from gui.coreml.defaults import fill_defaults
from gui.coreml.model import Family
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.schedulers import SCHEDULERS, make_scheduler
from gui.request import PictureRequest
from gui.scheduler_names import SCHEDULER_NAMES, scheduler_name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        # Apple's Python command line
        ("DDIM", "DDIM"),
        ("DPMSolverMultistep", "DPM++ 2M"),
        ("EulerAncestralDiscrete", "Euler a"),
        ("EulerDiscrete", "Euler"),
        ("LMSDiscrete", "LMS"),
        ("PNDM", "PNDM"),
        # Apple's Swift command line
        ("pndm", "PNDM"),
        ("dpmpp", "DPM++ 2M"),
        # diffusers' class names
        ("UniPCMultistepScheduler", "UniPC"),
        ("KDPM2AncestralDiscreteScheduler", "DPM2 a"),
        # as people type
        ("dpm++ 2m karras", "DPM++ 2M Karras"),
        ("euler_a", "Euler a"),
        ("  heun ", "Heun"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert scheduler_name(spelling).name == name


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(SfumatoError) as caught:
        scheduler_name("DPM++ 2N Karas")
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "DPM++ 2M Karras" in caught.value.message
    with pytest.raises(SfumatoError, match="no scheduler called “zzz”"):
        scheduler_name("zzz")


def test_every_name_makes_a_scheduler_and_tells_its_cost() -> None:
    sidecar = Sidecar(Family.SD1)
    for entry in SCHEDULER_NAMES:
        scheduler = make_scheduler(entry.name, sidecar)
        scheduler.set_timesteps(10)
        per_step = round(len(scheduler.timesteps) / 10)
        assert per_step == entry.unet_calls_per_step, entry.name
        assert entry.description
    assert len(set(SCHEDULERS)) == len(SCHEDULERS)


@pytest.mark.parametrize(
    ("sidecar", "scheduler", "steps", "guidance"),
    [
        (Sidecar(Family.SD1), "DPM++ 2M Karras", 25, 7.5),
        (Sidecar(Family.SDXL), "DPM++ 2M Karras", 25, 5.0),
        (Sidecar(Family.SD1, default_scheduler="LCM"), "LCM", 4, 1.0),
        (
            Sidecar(
                Family.SD1,
                default_scheduler="Euler",
                default_steps=9,
                default_guidance_scale=3.5,
            ),
            "Euler",
            9,
            3.5,
        ),
        (
            Sidecar(Family.SD1, scheduler_config={"_class_name": "PNDMScheduler"}),
            "PNDM",
            25,
            7.5,
        ),
        (
            Sidecar(
                Family.SD1,
                scheduler_config={
                    "_class_name": "DPMSolverMultistepScheduler",
                    "algorithm_type": "sde-dpmsolver++",
                    "use_karras_sigmas": True,
                },
            ),
            "DPM++ 2M SDE Karras",
            25,
            7.5,
        ),
        (
            Sidecar(Family.SD1, scheduler_config={"_class_name": "FlowMatchEulerX"}),
            "DPM++ 2M Karras",
            25,
            7.5,
        ),
    ],
)
def test_a_models_defaults(sidecar: Sidecar, scheduler: str, steps: int, guidance: float) -> None:
    filled = fill_defaults(PictureRequest("a cat", "m"), sidecar)
    assert (filled.scheduler, filled.steps, filled.guidance_scale) == (scheduler, steps, guidance)


def test_what_is_asked_for_wins() -> None:
    asked = PictureRequest("a cat", "m", scheduler="euler a", steps=3, guidance_scale=0.0)
    filled = fill_defaults(asked, Sidecar(Family.SD1, default_steps=50))
    assert (filled.scheduler, filled.steps, filled.guidance_scale) == ("Euler a", 3, 0.0)
