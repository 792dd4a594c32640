"""What the machine is said to be, from answers of real machines and of none."""

from __future__ import annotations

import doctest
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gui.hub import machine
from gui.hub.machine import describe_machine, free_disk, this_machine
from gui.hub.shortcomings import shortcomings
from gui.hub.types import Machine

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


def test_a_container_has_what_it_may_use() -> None:
    def asked(limit: str) -> int:
        answers = {**PROC, "/sys/fs/cgroup/memory.max": limit}
        return describe_machine("Linux", "x86_64", "", lambda q: answers.get(q, ""), 1).memory_bytes

    assert asked(f"{4 * 2**30}\n") == 4 * 2**30
    assert asked("max\n") == asked("") == asked(f"{2**60}") == 16393936 * 1024


@pytest.mark.parametrize(
    ("flags", "lacks"),
    [
        ("fpu sse4_2 avx avx2 fma", ()),
        ("fpu sse4_1 sse4_2 avx", ("AVX2",)),
        ("fpu sse2 ssse3", ("SSE4.2", "AVX2")),
        (None, ()),  # no processor of Intel's kind
    ],
)
def test_instructions_that_an_old_processor_lacks(
    flags: str | None, lacks: tuple[str, ...]
) -> None:
    cpu = PROC["/proc/cpuinfo"] + (f"flags\t\t: {flags}\n" if flags else "Features : neon\n")
    answers = {**PROC, "/proc/cpuinfo": cpu}
    found = describe_machine("Linux", "x86_64", "", lambda q: answers.get(q, ""), 1)
    assert found.lacks == lacks


USUAL = Machine("Linux", chip="EPYC", cores=8, memory_bytes=16 * 2**30)


@pytest.mark.parametrize(
    ("machine", "told", "can_run"),
    [
        (USUAL, "", True),
        (replace(USUAL, cores=64), "", True),
        (Machine("Haiku", cores=2), "", True),  # nothing is known
        (replace(USUAL, cores=1), "one processor core", True),
        (replace(USUAL, memory_bytes=4 * 2**30), "There are 4 GB of memory, so that", True),
        (replace(USUAL, memory_bytes=2**30), "too little for any model but the starter", True),
        (replace(USUAL, lacks=("AVX2",)), "“EPYC” lacks AVX2, so that", True),
        (replace(USUAL, lacks=("SSE4.2", "AVX2")), "lacks SSE4.2, without which no", False),
        (Machine("Darwin", "13.6", cores=8), "This is macOS 13.6", False),
        (Machine("Darwin", "14.0", cores=8), "", True),
    ],
)
def test_what_a_machine_lacks_is_one_sentence(machine: Machine, told: str, can_run: bool) -> None:
    found = shortcomings(machine)
    assert len(found) == bool(told)
    assert all(told in each.text and each.can_run is can_run for each in found)
    # What happened; what to do next.
    assert all(each.text.count(".") <= 3 and "; " in each.text for each in found)


@pytest.mark.parametrize("system", ["Darwin", "Linux", "Haiku", ""])
def test_no_answers_are_no_failure(system: str) -> None:
    for answer in ("", "nonsense", "-1"):
        found = describe_machine(system, "", "", lambda _, a=answer: a, 0)
        assert found.memory_bytes == found.performance_cores == 0


def test_this_one_against_the_operating_system() -> None:
    found = this_machine()
    assert found.system == platform.system()
    usable = len(os.sched_getaffinity(0)) if platform.system() == "Linux" else os.cpu_count()
    assert found.cores == usable
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    bound = limit.read_text().strip() if limit.exists() else "max"
    pages = min(pages, int(bound)) if bound.isdecimal() else pages
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

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(sys, "platform", "darwin")
    found = this_machine()
    assert (found.system, found.memory_bytes) == ("Darwin", 0)


def test_the_documented_example() -> None:
    result = doctest.testmod(machine)
    assert result.attempted > 0
    assert result.failed == 0
