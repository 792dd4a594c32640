"""Cores and memory that a process may use, from what real kernels answer; and what happens to a
model that does not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gui.coreml import resources
from gui.coreml.back_ends import VARIABLE
from gui.coreml.portable import PortableRuntime
from gui.coreml.processor import Ask
from gui.coreml.resources import memory_bound, memory_left, usable_cores
from gui.paths import starter_model

GB = 2**30
ROOT = Path(__file__).parents[2]
MEMINFO = "MemTotal:       16393936 kB\nMemAvailable:   8388608 kB\nSwapFree:       1048576 kB\n"
OWN = "/sys/fs/cgroup/kubepods/pod7"
SLICE = "/sys/fs/cgroup/kubepods"
CPU = "/sys/fs/cgroup/cpu,cpuacct"
V1 = "12:cpu,cpuacct:/docker/ab\n5:memory:/docker/ab\n0::/\n"


def answering(answers: dict[str, str]) -> Ask:
    told = {"/proc/meminfo": MEMINFO, **answers}
    return lambda question: told.get(question, "")


@pytest.mark.parametrize(
    ("answers", "cores"),
    [
        ({}, 64),
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({"/sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"/sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"/sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 64),
        ({"/sys/fs/cgroup/cpu.max": "nonsense"}, 64),
        # the group around its own one has the limit
        ({"/proc/self/cgroup": "0::/kubepods/pod7\n", f"{OWN}/cpu.max": "max 100000",
          f"{SLICE}/cpu.max": "400000 100000"}, 4),
        # version 1
        ({"/proc/self/cgroup": V1, f"{CPU}/docker/ab/cpu.cfs_quota_us": "300000",
          f"{CPU}/docker/ab/cpu.cfs_period_us": "100000"}, 3),
        ({"/proc/self/cgroup": V1, f"{CPU}/cpu.cfs_quota_us": "-1",
          f"{CPU}/cpu.cfs_period_us": "100000"}, 64),
    ],
)  # fmt: skip
def test_cores_of_a_container(
    answers: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert usable_cores(answering(answers)) == cores


def test_a_mask_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert usable_cores(answering({"/sys/fs/cgroup/cpu.max": "800000 100000"})) == 1


@pytest.mark.parametrize(
    ("answers", "bound", "left"),
    [
        ({}, 16393936 * 1024, 9 * GB),
        ({"/sys/fs/cgroup/memory.max": "max\n"}, 16393936 * 1024, 9 * GB),
        # what is used counts, but for caches that can be dropped
        ({"/sys/fs/cgroup/memory.max": f"{4 * GB}\n", "/sys/fs/cgroup/memory.current": f"{3 * GB}",
          "/sys/fs/cgroup/memory.stat": f"anon {GB}\ninactive_file {GB}\nactive_file 5\n"},
         4 * GB, 2 * GB),
        ({"/proc/self/cgroup": "0::/kubepods/pod7\n", f"{OWN}/memory.max": f"{8 * GB}",
          f"{SLICE}/memory.max": f"{2 * GB}", f"{SLICE}/memory.current": f"{3 * GB}"}, 2 * GB, 0),
        ({"/proc/self/cgroup": V1,
          "/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": f"{2 * GB}",
          "/sys/fs/cgroup/memory/docker/ab/memory.usage_in_bytes": f"{GB}",
          "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 2 * GB, GB),
        ({"/proc/meminfo": ""}, 16393936 * 1024, None),
    ],
)  # fmt: skip
def test_memory_of_a_container(answers: dict[str, str], bound: int, left: int | None) -> None:
    assert memory_bound(16393936 * 1024, answering(answers)) == bound
    assert memory_bound(0, answering(answers)) == 0
    assert memory_left(answering(answers)) == left


def test_threads_are_no_more_than_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        for torchs, cores, threads in ((64, 64, 16), (64, 3, 3), (2, 64, 2), (8, 1, 1)):
            torch.set_num_threads(torchs)
            monkeypatch.setattr("gui.coreml.portable.runtime.usable_cores", lambda n=cores: n)
            PortableRuntime()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


_IN_LITTLE = """
import resource, sys
from pathlib import Path
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind
from gui.coreml.portable import PortableRuntime, runtime
from gui.coreml.resources import memory_left
from gui.errors import SfumatoError
from gui.request import ComputeUnit

unet = inspect_model(Path(sys.argv[1])).components[ComponentKind.UNET]
load = PortableRuntime().load
load(unet, ComputeUnit.ALL).close()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + 58 * 2**20  # the file fits, what it unpacks to does not
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
for checks in (True, False):
    if not checks:  # the system itself says no
        runtime.check_room = lambda *_: None
    try:
        load(unet, ComputeUnit.ALL)
        print("loaded")
    except SfumatoError as error:
        print(f"{error.kind.value}: {error.message}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS knows no limit of address space")
def test_a_model_that_cannot_fit_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_LITTLE, str(starter_model())],
        # what is let go of goes back to the system at once
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
             "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1",
             VARIABLE: "torch"},  # OpenVINO keeps some for the next model
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked, failed = done.stdout.splitlines()
    assert asked.startswith("memory: The UNet takes 60 MB of memory, and ")
    assert "MB are left; close other programs" in asked
    assert failed.startswith("memory: There is not enough memory to run ")
