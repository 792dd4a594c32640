"""What the machine is said to be, from answers of real machines and of none."""

from __future__ import annotations

import doctest
import os
import platform
import shutil
from pathlib import Path

import pytest

from gui.hub import machine
from gui.hub.machine import describe_machine, free_disk, this_machine

M1_MAX = {
    "machdep.cpu.brand_string": "Apple M1 Max",
    "hw.perflevel0.logicalcpu": "8",
    "hw.memsize": "68719476736",
    "hw.ncpu": "10",
    "hw.optional.arm64": "1",
    "kern.osproductversion": "15.2",
}
INTEL = {
    "machdep.cpu.brand_string": "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz",
    "hw.memsize": "17179869184",
    "hw.ncpu": "12",
}
PROC = {
    "/proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 7B13\n\nprocessor\t: 1\n",
    "/proc/meminfo": "MemTotal:       16393936 kB\nMemFree:         1000000 kB\n",
}


def test_apple_silicon() -> None:
    found = describe_machine("Darwin", "arm64", "15.2", lambda q: M1_MAX.get(q, ""), 10**12)
    assert (found.chip, found.macos, found.apple_silicon) == ("Apple M1 Max", "15.2", True)
    assert (found.cores, found.performance_cores) == (10, 8)
    assert (found.memory_bytes, found.free_disk_bytes) == (64 * 2**30, 10**12)


def test_under_rosetta_it_is_still_apple_silicon() -> None:
    found = describe_machine("Darwin", "x86_64", "10.16", lambda q: M1_MAX.get(q, ""), 1)
    assert (found.apple_silicon, found.performance_cores, found.macos) == (True, 8, "15.2")


def test_intel_mac() -> None:
    found = describe_machine("Darwin", "x86_64", "12.7.1", lambda q: INTEL.get(q, ""), 1)
    assert (found.apple_silicon, found.performance_cores, found.cores) == (False, 0, 12)
    assert found.macos == "12.7.1"


def test_linux() -> None:
    found = describe_machine("Linux", "x86_64", "", lambda q: PROC.get(q, ""), 1)
    assert (found.chip, found.macos) == ("AMD EPYC 7B13", "")
    assert found.memory_bytes == 16393936 * 1024


@pytest.mark.parametrize("system", ["Darwin", "Linux", "Haiku", ""])
def test_no_answers_are_no_failure(system: str) -> None:
    for answer in ("", "nonsense", "-1"):
        found = describe_machine(system, "", "", lambda _, a=answer: a, 0)
        assert found.memory_bytes == found.performance_cores == 0


def test_this_one_against_the_operating_system() -> None:
    found = this_machine()
    assert found.system == platform.system()
    assert found.cores == os.cpu_count()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.memory_bytes == pytest.approx(pages, rel=0.02)
    assert found.chip


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert free_disk(tmp_path / "a" / "b") == pytest.approx(free, rel=0.2)
    (tmp_path / "file").write_text("")
    assert free_disk(tmp_path / "file" / "x") >= 0


def test_sysctl_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("sysctl")

    monkeypatch.setattr(machine.subprocess, "run", fail)
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    found = this_machine()
    assert (found.system, found.memory_bytes) == ("Darwin", 0)


def test_the_documented_example() -> None:
    result = doctest.testmod(machine)
    assert result.attempted > 0
    assert result.failed == 0
