"""What is made of measurements: which unit is used, what is kept, and what is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gui import paths
from gui.errors import SfumatoError
from gui.hub.machine import computer_of
from gui.hub.types import Machine
from gui.library import unit_times
from gui.library.unit_times import (
    Computer,
    Measurement,
    PartTime,
    UnitOutcome,
    UnitTimes,
    choice,
    unit_for,
)
from gui.measure import report
from gui.measure.client import all_units, units_unasked
from gui.measure.telling import choice_sentence, headline, rows, shares
from gui.request import ComputeUnit

NE, GPU, ALL, CPU = (
    ComputeUnit.CPU_AND_NE,
    ComputeUnit.CPU_AND_GPU,
    ComputeUnit.ALL,
    ComputeUnit.CPU_ONLY,
)
MAC = Computer("Apple M2 Pro", "macOS 15.2", "24C101", "native", 10, 16 * 2**30)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


def times(
    unit: ComputeUnit, per_step: float, decoder: float = 0.5, start: float = 4.0
) -> UnitTimes:
    parts = (
        PartTime("text_encoder", 0.5, 0.01, 2),
        PartTime("unet", 3.0, per_step, 4),
        PartTime("vae_decoder", 0.5, decoder, 1),
    )
    return UnitTimes(unit, UnitOutcome.MEASURED, 20, 20 * per_step, per_step, start, parts)


def measurement(*units: UnitTimes, computer: Computer = MAC) -> Measurement:
    return Measurement(
        "Dreams", "0123456789", computer, 512, 512, "split_einsum", "6-bit palette",
        tuple(each.unit for each in units), units,
    )  # fmt: skip


def crashed(unit: ComputeUnit) -> UnitTimes:
    return UnitTimes(unit, UnitOutcome.CRASHED, why="It ended the process that ran it.")


def test_the_quickest_unit_makes_the_steps_and_a_network_leaves_it_only_for_a_clear_gain() -> None:
    found = choice(measurement(times(NE, 0.5, decoder=0.50), times(GPU, 0.3, decoder=0.52)))
    assert found == {"unet": GPU, "text_encoder": GPU, "vae_decoder": GPU}
    found = choice(measurement(times(NE, 0.5, decoder=0.20), times(GPU, 0.3, decoder=0.52)))
    assert found == {"unet": GPU, "text_encoder": GPU, "vae_decoder": NE}
    assert unit_for(found, "vae_encoder") is NE
    assert unit_for(found, "control-unet") is GPU
    assert unit_for(found, "safety_checker") is ALL
    assert unit_for({}, "unet") is ALL


def test_what_crashed_is_never_chosen_and_half_a_measurement_decides_nothing() -> None:
    assert choice(measurement(crashed(NE), times(GPU, 3.0)))["unet"] is GPU
    assert choice(measurement(crashed(NE), crashed(GPU))) == {}
    half = replace(measurement(times(NE, 0.5)), wanted=(NE, GPU))
    assert not half.complete
    assert half.left == (GPU,)
    assert choice(half) == {}
    assert choice(None) == {}


def test_a_measurement_holds_for_one_machine_one_build_and_one_model() -> None:
    kept = measurement(times(NE, 0.5), times(GPU, 0.3))
    unit_times.keep(kept)
    assert unit_times.find("0123456789", MAC) == kept
    assert unit_times.find("0123456789", replace(MAC, build="24D60")) is None
    assert unit_times.find("0123456789", replace(MAC, chip="Apple M2")) is None
    assert unit_times.find("0123456789", replace(MAC, runtime="portable")) is None
    assert unit_times.find("9876543210", MAC) is None
    assert unit_times.find("", MAC) is None
    other = measurement(times(NE, 9.0), computer=replace(MAC, build="24D60"))
    unit_times.keep(other)
    assert unit_times.find("0123456789", MAC) == kept
    unit_times.forget("0123456789", MAC)
    assert unit_times.find("0123456789", MAC) is None
    assert unit_times.find("0123456789", replace(MAC, build="24D60")) == other


@pytest.mark.parametrize("text", ["", "[]", "{", '{"measured": 5}', '{"measured": [5, {}]}'])
def test_a_spoilt_file_is_as_none(text: str) -> None:
    paths.data_dir().mkdir(parents=True)
    (paths.data_dir() / unit_times.FILE_NAME).write_text(text)
    assert unit_times.find("0123456789", MAC) is None
    unit_times.keep(measurement(times(GPU, 0.3)))
    assert unit_times.find("0123456789", MAC) is not None


def test_which_units_there_are() -> None:
    assert all_units(MAC, apple_silicon=True) == (NE, GPU, ALL, CPU)
    assert units_unasked(MAC, "split_einsum", apple_silicon=True) == (NE, GPU, ALL)
    assert units_unasked(MAC, "original", apple_silicon=True) == (GPU, ALL)
    assert all_units(MAC, apple_silicon=False) == (GPU, CPU)
    linux = computer_of(Machine("Linux", chip="EPYC", build="6.1"), native=False)
    assert all_units(linux, apple_silicon=False) == (CPU,)
    assert units_unasked(linux, "split_einsum", apple_silicon=False) == ()


def test_the_table_in_words() -> None:
    told = measurement(times(NE, 1 / 2.1, start=95), times(GPU, 1 / 3, start=4), crashed(ALL))
    assert headline(told) == (
        "GPU 3.0 it/s (first start 4.0 s), Neural Engine 2.1 it/s (first start 1 min 35 s), "
        "All processors: none"
    )
    assert [(row.name, row.best) for row in rows(told)] == [
        ("GPU", True), ("Neural Engine", False), ("All processors", False),
    ]  # fmt: skip
    assert rows(told)[2].note == (
        "Crashed, and is not tried again on this version of the system. "
        "It ended the process that ran it."
    )
    assert choice_sentence(told) == "Automatic uses: GPU."
    mixed = measurement(times(NE, 0.5, decoder=0.2), times(GPU, 0.3))
    assert choice_sentence(mixed) == "Automatic uses: GPU, and Neural Engine for the VAE decoder."
    slow = measurement(times(CPU, 12.34))
    assert rows(slow)[0].speed == "12.3 s/it"


def test_shares_of_the_work_in_words() -> None:
    assert shares({"cpu": 0.02, "neural_engine": 0.98}) == "98% Neural Engine, 2% CPU"
    assert shares({"gpu": 1.0}) == "100% GPU"
    assert shares({"gpu": 0.999, "cpu": 0.001}) == "over 99% GPU, under 1% CPU"
    assert shares({}) == ""


def test_published_figures_can_be_read_back_and_compared(tmp_path: Path) -> None:
    here = measurement(times(NE, 0.5), times(GPU, 0.25), crashed(ALL))
    file = tmp_path / "here.json"
    file.write_text(json.dumps(report.published(here)))
    assert report.read(file) == here
    results = json.loads(file.read_text())["results"]
    assert [(r["unit"], r["it_per_s"], r["seconds"]) for r in results] == [
        ("CPU_AND_NE", 2.0, 10.0), ("CPU_AND_GPU", 4.0, 5.0), ("ALL", None, None),
    ]  # fmt: skip
    assert results[0] | {"model": "Dreams", "chip": "Apple M2 Pro", "width": 512} == results[0]
    base = replace(MAC, chip="Apple M1", memory_bytes=8 * 2**30)
    there = measurement(times(NE, 0.5), times(GPU, 1.0), computer=base)
    lines = report.comparison(here, there)
    assert lines[0].split() == ["Apple", "M2", "Pro", "16", "GB", "Apple", "M1", "8", "GB", "ratio"]
    assert lines[1].split() == ["Neural", "Engine", "2.0", "it/s", "2.0", "it/s", "1.00", "×"]
    assert lines[2].split() == ["GPU", "4.0", "it/s", "1.0", "it/s", "4.00", "×"]
    assert lines[3].split() == ["All", "processors", "–", "–"]
    other = report.comparison(here, replace(there, model="Sleep", model_hash="1", width=768))
    assert "These are two models: “Dreams” and “Sleep”." in other
    assert "Their pictures differ in size: 512 × 512 and 768 × 512." in other


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "sfumato-bench 1"}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "x.json").write_text(text)
    with pytest.raises(SfumatoError, match="no file of figures"):
        report.read(file)
    with pytest.raises(SfumatoError):
        report.read(tmp_path / "gone.json")
