"""How schedulers are made: light imports, the model's settings, errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from gui.coreml.model import Family
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.schedulers import SCHEDULERS, make_scheduler, set_steps


def test_a_fresh_process_imports_little_and_breaks_nothing() -> None:
    """Every scheduler but LMS comes without scipy.stats and torch._dynamo, which cost more than
    half of the import; afterwards both, and diffusers' own view of them, are as they should be."""
    code = """
import sys
from gui.coreml.model import Family
from gui.coreml.sidecar import Sidecar
from gui.pipeline.schedulers import SCHEDULERS, make_scheduler
sidecar = Sidecar(Family.SD1)
for name in SCHEDULERS:
    if not name.startswith("LMS"):
        make_scheduler(name, sidecar)
heavy = {"scipy.stats", "torch._dynamo", "transformers", "torchsde", "accelerate"}
print(sorted(heavy & set(sys.modules)))
make_scheduler("LMS", sidecar).set_timesteps(4)
import diffusers.utils, scipy.stats, torch._dynamo
print(diffusers.utils.is_scipy_available(), callable(torch._dynamo.allow_in_graph))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:2] == ["[]", "True True"], done.stderr


@pytest.mark.parametrize("name", SCHEDULERS)
def test_settings_of_another_scheduler_do_not_leak(name: str) -> None:
    """What describes the training is taken from the source model's scheduler, whichever it was;
    how that one solved is not."""
    config: dict[str, Any] = {
        "_class_name": "SomeOtherScheduler",
        "_diffusers_version": "0.6.0",
        "beta_start": 0.001,
        "num_train_timesteps": 500,
        "timestep_spacing": "trailing",
        "prediction_type": "epsilon",
        "use_karras_sigmas": True,
        "use_beta_sigmas": True,
        "algorithm_type": "dpmsolver",
        "solver_order": 1,
        "solver_type": "heun",
        "skip_prk_steps": False,
        "trained_betas": None,
        "unknown": object(),
    }
    sidecar = Sidecar(Family.SD2, prediction_type="v_prediction", scheduler_config=config)
    made = dict(make_scheduler(name, sidecar).config)
    plain = dict(make_scheduler(name, Sidecar(Family.SD2, "v_prediction")).config)
    assert made["beta_start"] == 0.001
    assert made["num_train_timesteps"] == 500
    assert made["prediction_type"] == "v_prediction"
    if "timestep_spacing" in plain:
        assert made["timestep_spacing"] == "trailing"
    shared = {"beta_start", "num_train_timesteps", "timestep_spacing", "_use_default_values"}
    assert {k: v for k, v in made.items() if k not in shared} == {
        k: v for k, v in plain.items() if k not in shared
    }
    assert made.get("use_karras_sigmas", False) is name.endswith("Karras")


def test_the_same_schedulers_own_settings_are_kept() -> None:
    config = {"_class_name": "UniPCMultistepScheduler", "solver_type": "bh1"}
    made = make_scheduler("UniPC", Sidecar(Family.SD1, scheduler_config=config))
    assert made.config["solver_type"] == "bh1"


@pytest.mark.parametrize(
    "config",
    [
        {"beta_schedule": "no such curve"},
        {"beta_start": "low"},
        {"num_train_timesteps": -3},
        {"trained_betas": "0.1"},
    ],
)
def test_nonsense_settings_are_one_clear_error(config: dict[str, Any]) -> None:
    with pytest.raises(SfumatoError, match="scheduler settings") as caught:
        make_scheduler("Euler", Sidecar(Family.SD1, scheduler_config=config))
    assert caught.value.kind is ErrorKind.BAD_MODEL


@pytest.mark.parametrize("name", SCHEDULERS)
def test_sample_prediction_works_or_is_refused_at_once(name: str) -> None:
    """Models that predict x₀ itself: no scheduler fails in the middle of a picture."""
    import torch

    from gui.pipeline.noise import make_noise
    from gui.pipeline.schedulers import step_settings
    from gui.request import RandomSource

    try:
        scheduler = make_scheduler(name, Sidecar(Family.SD1, prediction_type="sample"))
    except SfumatoError as error:
        assert error.kind is ErrorKind.UNSUPPORTED
        assert name in error.message
        return
    set_steps(scheduler, name, 4)
    settings = step_settings(scheduler, make_noise(RandomSource.NUMPY, 0), (1, 4, 2, 2))
    x0 = torch.full((1, 4, 2, 2), 0.25)
    x = torch.randn(1, 4, 2, 2) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        scheduler.scale_model_input(x, t)  # some want it before every step
        x = scheduler.step(x0, t, x, **settings)[0]
    # knowing the answer, every scheduler ends at it, but for the noise of its last step
    assert (x - x0).abs().max() < 0.2


@pytest.mark.parametrize(("name", "steps"), [("LCM", 51), ("TCD", 51), ("DDIM", 2000)])
def test_more_steps_than_a_scheduler_can_do(name: str, steps: int) -> None:
    scheduler = make_scheduler(name, Sidecar(Family.SD1))
    with pytest.raises(SfumatoError, match="try fewer") as caught:
        set_steps(scheduler, name, steps)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
