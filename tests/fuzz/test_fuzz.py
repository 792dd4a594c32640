"""A small share of the fuzzing, with fixed seeds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gui.coreml.sidecar import Sidecar
from gui.errors import SfumatoError
from gui.pipeline.schedulers import make_scheduler, set_steps
from tests.fuzz.mutate import ODD_VALUES
from tests.fuzz.run import try_one
from tests.fuzz.targets import TARGETS, Target

SEEDS = 40
_SLOW = {"sidecar": 12, "vocabulary": 8, "merges": 8, "queue": 20}
"""Those that read large files."""


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_files_that_nobody_would_write(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    for seed in range(_SLOW.get(target.name, SEEDS)):
        fault = try_one(target, seed, tmp_path / "work")
        assert fault is None, f"seed {seed}, {fault.data[:200]!r}:\n{fault.what}"


@pytest.mark.parametrize(
    "key",
    ["trained_betas", "steps_offset", "beta_start", "beta_end", "num_train_timesteps",
     "timestep_spacing", "solver_order", "sigma_min", "original_inference_steps"],
)  # fmt: skip
def test_odd_scheduler_settings(key: str) -> None:
    """Each is refused in a sentence, or makes a schedule."""
    for value in ODD_VALUES:
        try:
            sidecar = Sidecar.from_json({"family": "sd1", "scheduler_config": {key: value}})
        except SfumatoError:
            continue
        for name in ("DDIM", "DPM++ 2M Karras", "PNDM", "Euler a", "UniPC"):
            try:
                scheduler = make_scheduler(name, sidecar)
                set_steps(scheduler, name, 7)
            except SfumatoError as error:
                assert error.message.endswith("."), (key, value, name)
            else:
                assert len(scheduler.timesteps) >= 7, (key, value, name)


def test_the_betas_that_a_model_was_trained_with_are_taken() -> None:
    betas = [0.0001 + n * 1e-5 for n in range(1000)]
    sidecar = Sidecar.from_json({"family": "sd1", "scheduler_config": {"trained_betas": betas}})
    scheduler = make_scheduler("DDIM", sidecar)
    expected = math.prod(1 - beta for beta in betas)
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(expected, rel=1e-3)
