"""Which compute unit the engine gives each network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gui.coreml.native import NativeRuntime
from gui.engine.backend import ModelChoice, PipelineBackend
from gui.engine.known_models import KnownModels
from gui.engine.runner import OutcomeStatus
from gui.library import unit_times
from gui.measure.client import read_subject
from gui.request import ComputeUnit, PictureRequest
from tests.measure.test_units import ALL, GPU, MAC, NE, measurement, times
from tests.support.core_ml import put_in_place
from tests.support.tiny_models import TinyModel

Units = Callable[..., dict[str, str]]
NEW: list[str] = []
"""Components that the last choice was said to prepare, before they were loaded."""


@pytest.fixture
def units_of(tiny_sd1: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Units:
    """The compute unit that each network of a model is loaded for, by its file."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    core_ml = put_in_place(monkeypatch)
    runtime = NativeRuntime(cache=tmp_path / "compiled")
    asked: list[tuple[str, str]] = []
    load = runtime.load

    def watched(component: Any, unit: ComputeUnit) -> Any:
        asked.append((component.kind.value, unit.value))
        return load(component, unit)

    monkeypatch.setattr(runtime, "load", watched)

    def find(unit: ComputeUnit, **computer: str) -> dict[str, str]:
        asked.clear()
        core_ml.loads.clear()
        backend = SimpleNamespace(
            machine_runtime=runtime, computer=replace(MAC, **computer), models=KnownModels()
        )
        request = PictureRequest("", str(tiny_sd1.folder), compute_unit=unit)
        choice = ModelChoice(cast("PipelineBackend", backend), request)
        NEW[:] = [part for part in ("text_encoder", "unet") if choice.prepares(part)]
        choice.build().load(lambda *_: None, request)
        assert [load["compute_units"].name for load in core_ml.loads] == [u for _, u in asked]
        return dict(asked)

    return find


def test_each_network_gets_what_was_measured_to_be_quickest_unless_the_person_chose(
    units_of: Units, tiny_sd1: TinyModel
) -> None:
    parts = ("text_encoder", "unet", "vae_decoder", "safety_checker")
    here = [part for part in parts if part in units_of(ALL)]
    assert set(units_of(ALL).values()) == {"ALL"}  # nothing was measured: Core ML chooses
    identity = read_subject(tiny_sd1.folder).identity
    kept = measurement(times(NE, 0.5, decoder=0.2), times(GPU, 0.3))
    unit_times.keep(replace(kept, model_hash=identity))
    expected = {
        "text_encoder": "CPU_AND_GPU", "unet": "CPU_AND_GPU", "vae_decoder": "CPU_AND_NE",
        "safety_checker": "ALL",
    }  # fmt: skip
    assert units_of(ALL) == {part: expected[part] for part in here}
    assert set(units_of(NE).values()) == {"CPU_AND_NE"}
    assert set(units_of(ALL, build="24D60").values()) == {"ALL"}


def test_the_first_load_for_the_neural_engine_is_announced_once_for_each_system(
    units_of: Units,
) -> None:
    units_of(NE)
    assert NEW == ["text_encoder", "unet"]
    units_of(NE)
    assert NEW == []
    units_of(GPU)
    assert NEW == []  # nothing is prepared for it
    units_of(ALL)
    assert NEW == []  # original attention does not go to the Neural Engine by itself
    units_of(NE, build="24D60")
    assert NEW == ["text_encoder", "unet"]
    units_of(NE, runtime="portable")
    assert NEW == []


def test_a_unit_that_crashes_the_engine_over_a_picture_is_chosen_no_more(
    engine: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gui.engine.runner.this_computer", lambda: MAC)
    unit_times.keep(measurement(times(NE, 0.3), times(GPU, 0.5)))
    runner = engine().runner

    def draw(prompt: str) -> Any:
        return runner.run("job", PictureRequest(prompt, "m"))

    known = unit_times.find("0123456789", MAC)
    assert draw("steps=2 measured=0123456789").status is OutcomeStatus.FINISHED
    plain = draw("steps=2 crash_at=1")
    assert plain.error.message == "The engine stopped unexpectedly; try again."
    assert unit_times.find("0123456789", MAC) == known  # another model's crash
    lost = draw("steps=2 crash_at=1 measured=0123456789")
    assert lost.status is OutcomeStatus.LOST
    assert "“Neural Engine”, which is not chosen for this model any more" in lost.error.message
    assert unit_times.choice(unit_times.find("0123456789", MAC))["unet"] is GPU
