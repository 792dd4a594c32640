"""Compute units tried one after the other, whatever each does to its process."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gui.errors import Cancelled, SfumatoError
from gui.library import unit_times
from gui.library.unit_times import Measurement, UnitOutcome
from gui.measure.client import Measurer, Subject
from gui.request import ComputeUnit
from tests.measure.test_units import MAC

NE, GPU, ALL, CPU = (
    ComputeUnit.CPU_AND_NE,
    ComputeUnit.CPU_AND_GPU,
    ComputeUnit.ALL,
    ComputeUnit.CPU_ONLY,
)
SUBJECT = Subject("", "Dreams", "0123456789", 512, 512)
Outcome = UnitOutcome


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


def measurer(*deeds: str, build: str = MAC.build) -> Measurer:
    command = [sys.executable, "-m", "tests.measure.standins", *deeds]
    return Measurer(replace(MAC, build=build), command)


def outcomes(found: Measurement) -> dict[ComputeUnit, UnitOutcome]:
    return {times.unit: times.outcome for times in found.units}


def test_a_unit_that_crashes_its_process_is_noted_and_the_next_one_is_tried() -> None:
    tried: list[ComputeUnit] = []
    found = measurer("CPU_AND_NE=crash", "CPU_AND_GPU=0.5", "ALL=out-of-memory").measure(
        SUBJECT, (NE, GPU, ALL), on_unit=lambda unit, *_: tried.append(unit)
    )
    assert tried == [NE, GPU, ALL]
    assert outcomes(found) == {
        NE: Outcome.CRASHED, GPU: Outcome.MEASURED, ALL: Outcome.REFUSED,
    }  # fmt: skip
    assert found.complete
    assert unit_times.choice(found) == {"unet": GPU}
    assert "memory" in (found.of(ALL) or pytest.fail()).why
    # not tried again …
    again = measurer("CPU_AND_NE=0.1", "CPU_AND_GPU=0.4")
    tried.clear()
    found = again.measure(SUBJECT, (NE, GPU), on_unit=lambda unit, *_: tried.append(unit))
    assert tried == [GPU]
    assert outcomes(found)[NE] is Outcome.CRASHED
    # … but where a person asks for it, and after the system has been updated
    found = again.measure(SUBJECT, (NE,), even_crashed=True)
    assert outcomes(found)[NE] is Outcome.MEASURED
    updated = measurer("CPU_AND_NE=0.1", build="24D60")
    assert updated.known(SUBJECT) is None
    assert outcomes(updated.measure(SUBJECT, (NE,))) == {NE: Outcome.MEASURED}


def test_a_unit_that_takes_too_long_is_given_up() -> None:
    found = measurer("CPU_AND_NE=hang", "CPU_AND_GPU=0.5").measure(SUBJECT, (NE,), limit=1.5)
    assert outcomes(found) == {NE: Outcome.TOO_SLOW}


def test_a_crash_over_core_mls_plan_alone_does_not_take_the_figures_along() -> None:
    found = measurer("CPU_AND_GPU=0.5,crash-later").measure(SUBJECT, (GPU,))
    assert outcomes(found) == {GPU: Outcome.MEASURED}


def test_giving_way_keeps_what_was_measured_and_goes_on_with_the_rest_later() -> None:
    stop = threading.Event()

    def on_unit(unit: ComputeUnit, _number: int, _total: int) -> None:
        if unit is ALL:
            stop.set()

    slow = measurer("CPU_AND_NE=0.3", "ALL=hang")
    with pytest.raises(Cancelled):
        slow.measure(SUBJECT, (NE, ALL), on_unit=on_unit, cancelled=stop.is_set)
    kept = slow.known(SUBJECT)
    assert kept is not None
    assert outcomes(kept) == {NE: Outcome.MEASURED}
    assert unit_times.choice(kept) == {}
    tried: list[ComputeUnit] = []
    found = measurer("ALL=0.2").measure(
        SUBJECT, (NE, ALL), only_missing=True, on_unit=lambda unit, *_: tried.append(unit)
    )
    assert tried == [ALL]
    assert unit_times.choice(found) == {"unet": ALL}


def test_more_units_leave_the_choice_as_it_is_until_they_are_measured() -> None:
    measurer("CPU_AND_NE=0.3", "CPU_AND_GPU=0.2").measure(SUBJECT, (NE, GPU))
    more = measurer("CPU_ONLY=hang")
    with pytest.raises(Cancelled):
        more.measure(SUBJECT, (CPU,), cancelled=lambda: True)
    assert unit_times.choice(more.known(SUBJECT)) == {"unet": GPU}


def test_the_end_of_the_program_ends_the_process_under_it() -> None:
    hanging = measurer("CPU_AND_NE=hang")
    threading.Timer(0.5, hanging.abandon).start()
    with pytest.raises(Cancelled):
        hanging.measure(SUBJECT, (NE,))
    assert hanging.known(SUBJECT) is None


def test_a_model_that_cannot_be_used_is_an_error_and_no_result() -> None:
    broken = measurer("CPU_AND_NE=refuse")
    with pytest.raises(SfumatoError, match="get it again"):
        broken.measure(SUBJECT, (NE,))
    assert broken.known(SUBJECT) is None
    with pytest.raises(SfumatoError):
        Measurer(MAC, [sys.executable, "-c", "raise SystemExit(3)"]).measure(SUBJECT, (NE,))
