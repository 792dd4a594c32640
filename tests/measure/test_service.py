"""One unit measured by the real pipeline: on the portable runtime, and through coremltools' own
interface with a stand-in for Core ML behind it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import numpy as np
import pytest

from gui.cli.main import main
from gui.coreml.inspect import inspect_component
from gui.coreml.native import NativeRuntime
from gui.coreml.portable import PortableRuntime
from gui.errors import ErrorKind, SfumatoError
from gui.library.unit_times import UnitOutcome
from gui.measure.client import Measurer, read_subject
from gui.measure.messages import LoadingPart, PartLoaded, StepMade, TryUnit, UnitMeasured
from gui.measure.service import try_unit
from gui.process.serve import Call
from gui.request import ComputeUnit
from tests.coreml.editing import package
from tests.measure.test_units import MAC
from tests.support.core_ml import CoreML, put_in_place
from tests.support.tiny_models import TinyModel

NE, GPU = ComputeUnit.CPU_AND_NE, ComputeUnit.CPU_AND_GPU


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch) -> CoreML:
    return put_in_place(monkeypatch)


class Heard:
    """A call, and what was told through it."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def cancelled(self) -> bool:
        return False

    def tell(self, event: Any) -> None:
        self.events.append(event)


def tried(model: TinyModel, unit: ComputeUnit, runtime: Any) -> tuple[Any, list[Any]]:
    heard = Heard()
    found = try_unit(TryUnit(str(model.folder), unit, 3), cast("Call", heard), runtime)
    return found, heard.events


def test_every_network_of_a_picture_is_timed(tiny_sd1: TinyModel) -> None:
    found, events = tried(tiny_sd1, ComputeUnit.CPU_ONLY, PortableRuntime())
    assert found.outcome is UnitOutcome.MEASURED
    assert (found.steps, found.unit) == (3, ComputeUnit.CPU_ONLY)
    parts = {part.component: part for part in found.parts}
    assert list(parts) == ["text_encoder", "unet", "vae_decoder"]
    assert parts["unet"].runs >= 3
    assert min(part.run for part in found.parts) > 0
    assert found.start >= sum(part.load for part in found.parts)
    assert found.seconds >= parts["unet"].runs * min(part.run for part in found.parts)
    kinds = [type(event) for event in events]
    assert kinds == [LoadingPart, PartLoaded] * 3 + [StepMade] * 3 + [UnitMeasured]
    assert [event.step for event in events if isinstance(event, StepMade)] == [1, 2, 3]


def test_core_ml_is_given_the_unit_and_asked_for_its_plan(
    core_ml: CoreML, tiny_sd1: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of(monkeypatch, {"conv": ("NeuralEngine", 0.98), "softmax": ("CPU", 0.02)})
    found, _ = tried(tiny_sd1, NE, NativeRuntime(cache=tmp_path / "cache"))
    assert found.outcome is UnitOutcome.MEASURED
    assert {load["compute_units"].name for load in core_ml.loads} == {"CPU_AND_NE"}
    for part in found.parts:
        assert part.devices == pytest.approx({"neural_engine": 0.98, "cpu": 0.02})


def test_numbers_that_are_none_are_the_units_fault(
    core_ml: CoreML, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    def spoil(unit: str, found: dict[str, np.ndarray]) -> None:
        if unit == "CPU_AND_GPU" and "noise_pred" in found:
            found["noise_pred"].flat[7] = np.nan

    core_ml.on_predict = spoil
    runtime = NativeRuntime(cache=tmp_path / "cache")
    found, _ = tried(tiny_sd1, GPU, runtime)
    assert found.outcome is UnitOutcome.NOT_FINITE
    assert "UNet" in found.why
    found, _ = tried(tiny_sd1, NE, runtime)
    assert found.outcome is UnitOutcome.MEASURED


def test_what_core_ml_refuses_says_why(
    core_ml: CoreML, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    core_ml.predict_error = RuntimeError("ANE inference failed: 0x11")
    found, _ = tried(tiny_sd1, NE, NativeRuntime(cache=tmp_path / "cache"))
    assert found.outcome is UnitOutcome.REFUSED
    assert found.why.startswith("The Neural Engine could not run")


def test_a_model_that_is_none_is_no_units_fault(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError) as caught:
        try_unit(TryUnit(str(tmp_path), NE, 3), cast("Call", Heard()), PortableRuntime())
    assert caught.value.kind is ErrorKind.BAD_MODEL


def test_core_ml_may_end_the_process(tiny_sd1: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: the real process, coremltools' interface, and a Neural Engine that crashes."""
    monkeypatch.setenv("SFUMATO_MEASURE_STANDIN", "tests.measure.standins:core_ml")
    measurer = Measurer(MAC)
    found = measurer.measure(read_subject(tiny_sd1.folder), (NE, GPU), steps=2)
    outcomes = {times.unit: times.outcome for times in found.units}
    assert outcomes == {NE: UnitOutcome.CRASHED, GPU: UnitOutcome.MEASURED}
    assert measurer.known(read_subject(tiny_sd1.folder)) == found


def test_the_command_prints_a_table_and_writes_what_it_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["bench", "--steps", "2", "--json", str(file)]) == 0
    told = capsys.readouterr().out
    assert "Sfumato Starter · 128 × 128" in told
    assert "CPU (portable)" in told
    (result,) = json.loads(file.read_text())["results"]
    assert result["unit"] == "CPU_ONLY"
    assert result["steps"] == 2
    assert result["it_per_s"] > 0
    assert f"{result['it_per_s']:.1f} it/s" in told
    # the file stands for the model then
    assert main(["bench", str(file), "--compare", str(file)]) == 0
    again = capsys.readouterr().out
    assert again.startswith(told)
    assert "1.00 ×" in again


def test_the_command_says_what_there_is_to_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--unit", "CPU_AND_NE"]) == 1
    assert "choose CPU_ONLY" in capsys.readouterr().err


# -- Core ML's compute plan -------------------------------------------------------------------


def plan_of(monkeypatch: pytest.MonkeyPatch, work: dict[str, tuple[str, float | None]]) -> None:
    """Have coremltools give a plan of these operations: processor and estimated cost of each, the
    last of them inside of a loop; constants, of which nothing is told, are among them."""
    from coremltools.models import compute_device, compute_plan

    def operation(name: str, blocks: tuple[Any, ...] = ()) -> Any:
        kind = compute_plan.MLModelStructureProgramOperation
        return kind({}, name, [], list(blocks), None)

    def block(*operations: Any) -> Any:
        return compute_plan.MLModelStructureProgramBlock([], list(operations), [])

    *outer, last = work
    body = block(
        operation("const"), *map(operation, outer), operation("while", (block(operation(last)),))
    )
    function = compute_plan.MLModelStructureProgramFunction([], body)
    program = compute_plan.MLModelStructureProgram({"main": function})
    plan = create_autospec(compute_plan.MLComputePlan, instance=True)
    plan.model_structure = compute_plan.MLModelStructure(None, program, None)

    def usage(operation: Any) -> Any:
        if operation.operator_name not in work:
            return None
        name = f"ML{work[operation.operator_name][0]}ComputeDevice"
        device = create_autospec(getattr(compute_device, name), instance=True)
        return compute_plan.MLComputePlanDeviceUsage(device, [device])

    def cost(operation: Any) -> Any:
        share = work[operation.operator_name][1]
        return None if share is None else compute_plan.MLComputePlanCost(share)

    plan.get_compute_device_usage_for_mlprogram_operation.side_effect = usage
    plan.get_estimated_cost_for_mlprogram_operation.side_effect = cost
    load = create_autospec(compute_plan.MLComputePlan.load_from_path, return_value=plan)
    monkeypatch.setattr(compute_plan.MLComputePlan, "load_from_path", load)


@pytest.mark.parametrize(
    ("work", "shares"),
    [
        ({"a": ("GPU", 0.6), "b": ("CPU", 0.1), "c": ("GPU", 0.3)}, {"gpu": 0.9, "cpu": 0.1}),
        (
            {"a": ("GPU", None), "b": ("CPU", None), "c": ("NeuralEngine", None)},
            {"gpu": 1 / 3, "cpu": 1 / 3, "neural_engine": 1 / 3},
        ),
    ],
)
def test_shares_follow_the_estimated_cost_of_operations_or_their_number(
    work: dict[str, tuple[str, float | None]],
    shares: dict[str, float],
    core_ml: CoreML,
    tiny_sd1: TinyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = NativeRuntime(cache=tmp_path / "cache")
    decoder = inspect_component(package(tiny_sd1.folder, "vae_decoder"))
    plan_of(monkeypatch, work)
    assert runtime.shares(decoder, GPU) == pytest.approx(shares)


def test_a_system_that_tells_no_plan_costs_nothing(
    core_ml: CoreML, tiny_sd1: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coremltools.models import compute_plan

    runtime = NativeRuntime(cache=tmp_path / "cache")
    decoder = inspect_component(package(tiny_sd1.folder, "vae_decoder"))
    assert runtime.shares(decoder, GPU) == {}  # this system has no Core ML
    nothing = SimpleNamespace(model_structure=SimpleNamespace(program=None))
    monkeypatch.setattr(compute_plan.MLComputePlan, "load_from_path", lambda **_: nothing)
    assert runtime.shares(decoder, GPU) == {}
