"""Distilled models are known by what they are and by whole words of their names."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gui.coreml.defaults import fill_defaults
from gui.coreml.few_steps import by_name, few_steps
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.sidecar import Sidecar
from gui.pipeline.schedulers import make_scheduler, set_steps
from gui.request import PictureRequest
from tests.coreml.editing import copy_of
from tests.support.tiny_models import TinyModel


@pytest.mark.parametrize(
    ("name", "method", "steps"),
    [
        ("dreamshaper_8LCM", "LCM", 4),
        ("sdxl_Hyper_4step", "Hyper-SD", 4),
        ("mix_DMD2_4step", "DMD2", 4),
        ("LCM_Dreamshaper_v7", "LCM", 4),
        ("coreml-community/coreml-dreamshaper-8-LCM", "LCM", 4),
        ("ByteDance/SDXL-Lightning", "Lightning", 4),
        ("sdxl_lightning_8-steps_unet", "Lightning", 8),
        ("juggernautXL_v9Rdphoto2Lightning", "Lightning", 4),
        ("dreamshaperXL_lightningDPMSDE", "Lightning", 4),
        ("realisticVisionV60B1_v51HyperVAE", "Hyper-SD", 8),
        ("Hyper-SD15-1step-lora", "Hyper-SD", 1),
        ("pcm_sd15_smallcfg_2step_converted", "PCM", 2),
        ("TCD-SDXL-LoRA", "TCD", 4),
        ("sdxlTurbo", "Turbo", 4),
        ("sd_turbo", "Turbo", 4),
        ("TurboVisionXL", "Turbo", 4),
        ("myModel_6steps", "", 6),
    ],
)
def test_names_of_distilled_models(name: str, method: str, steps: int) -> None:
    found = by_name(name)
    assert found is not None
    assert (found.method, found.steps) == (method, steps)


@pytest.mark.parametrize(
    "name",
    [
        "lightning_storm_photo_v3",
        "thunder_lightning",
        "hyperRealism_12",
        "hyper-detailed-anime",
        "turbo_car_v2",
        "photo_nonLCM",
        "welcmix",
        "turbocharged",
        "enlightning_xl",
        "sd15_4000steps",
        "v1-5-pruned-emaonly",
        "",
    ],
)
def test_names_of_others(name: str) -> None:
    assert by_name(name) is None


def laid_out(config: dict[str, Any], steps: int) -> list[int]:
    from gui.coreml.model import Family

    side = Sidecar(Family.SDXL, scheduler_config=config)
    name = fill_defaults(PictureRequest("a", ""), side).scheduler
    assert name is not None
    scheduler = make_scheduler(name, side)
    set_steps(scheduler, name, steps)
    return [int(t) for t in scheduler.timesteps]


@pytest.mark.parametrize(
    ("name", "scheduler", "timesteps"),
    [
        ("sdxl_lightning_4step", "EulerDiscreteScheduler", [999, 749, 499, 249]),
        ("Hyper-SDXL-4steps-lora", "DDIMScheduler", [999, 749, 499, 249]),
        # as DMD2's model card passes them
        ("dmd2_sdxl_4step_lora", "LCMScheduler", [999, 749, 499, 249]),
        ("lcm-lora-sdxl", "LCMScheduler", [999, 759, 499, 259]),
    ],
)
def test_steps_are_laid_out_as_their_authors_do(
    name: str, scheduler: str, timesteps: list[int]
) -> None:
    found = by_name(name)
    assert found is not None
    assert found.scheduler["_class_name"] == scheduler
    assert found.guidance_scale == 1.0
    assert laid_out(dict(found.scheduler), 4) == timesteps


def test_variants_that_keep_guidance() -> None:
    for name in ("Hyper-SDXL-8steps-CFG-lora", "pcm_sdxl_normalcfg_8step_converted"):
        found = by_name(name)
        assert found is not None
        assert (found.steps, found.guidance_scale) == (8, 5.0)


def test_the_files_own_facts_come_first() -> None:
    lcm = few_steps(("anything",), {"_class_name": "LCMScheduler"})
    assert lcm is not None
    assert (lcm.method, lcm.guidance_scale, lcm.is_guess) == ("LCM", 1.0, False)
    told = few_steps(("lightning_storm",), {"_class_name": "PNDMScheduler"}, takes_guidance=True)
    assert told is not None
    assert told.guidance_scale == 8.5
    plain = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}
    trailing = {**plain, "timestep_spacing": "trailing"}
    assert few_steps(("dreamXL_Turbo",), plain) is None
    assert few_steps(("dreamXL_Turbo",), trailing) is not None
    assert few_steps(("dreamXL",), trailing) is None  # a last step of pure noise
    acronym = few_steps(("dreamshaper_8LCM",), {"_class_name": "PNDMScheduler"})
    assert acronym is not None
    assert acronym.scheduler["_class_name"] == "LCMScheduler"


@pytest.mark.parametrize(
    ("name", "scheduler", "steps", "guidance"),
    [
        ("coreml-dreamshaper-8-LCM", "LCM", 4, 1.0),
        ("coreml-sdxl_Hyper_4step", "DDIM", 4, 1.0),
        ("coreml-JuggernautXL_Lightning", "Euler", 4, 1.0),
        ("coreml-lightning_storm_photo_v3", "DPM++ 2M Karras", 25, 7.5),
    ],
)
def test_a_folder_found_anywhere_is_used_with_few_steps(
    name: str, scheduler: str, steps: int, guidance: float, tiny_sd1: TinyModel, tmp_path: Any
) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / name / "original" / "packages")
    (folder / "sfumato.json").unlink()
    info = inspect_model(folder)
    asked = fill_defaults(PictureRequest("a fox", ""), load_sidecar(info))
    assert (asked.scheduler, asked.steps, asked.guidance_scale) == (scheduler, steps, guidance)
    assert any("few steps" in note for note in info.notes) == (steps == 4)


def test_what_a_sidecar_states_stays(tiny_sd1: TinyModel) -> None:
    info = inspect_model(tiny_sd1.folder)
    named = dataclasses.replace(info, name="dreamshaper_8LCM")
    side = load_sidecar(named)
    assert side.default_steps == 10
    assert side.default_scheduler == "PNDM"
