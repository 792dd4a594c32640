"""What this machine is: chip, cores, memory, macOS, free disk.  Never raises."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

from gui import paths
from gui.coreml.operations import runs_core_ml
from gui.coreml.processor import Ask, Processor, ask_system, describe_processor
from gui.coreml.resources import memory_bound, usable_cores
from gui.files import free_bytes
from gui.hub.types import Machine
from gui.library.unit_times import Computer

_INSTRUCTIONS = {"sse4_2": "SSE4.2", "avx2": "AVX2"}
"""numpy's and torch's builds need the first, and are quick with the second."""


def this_machine(models: Path | None = None) -> Machine:
    """The machine that runs this.

    Args:
        models: folder of the models, whose disk counts; None: the usual one.
    """
    system = platform.system()
    return describe_machine(
        system, platform.machine(), platform.mac_ver()[0], ask_system, free_disk(models)
    )


def describe_machine(system: str, processor: str, macos: str, ask: Ask, free: int) -> Machine:
    """A machine from what its system answers.

    Args:
        system: ``Darwin`` or ``Linux``, as `platform.system` says.
        processor: ``arm64``, ``x86_64`` …, as `platform.machine` says.
        macos: as `platform.mac_ver` says; empty elsewhere.
        ask: see `gui.coreml.processor.Ask`.
        free: bytes.

    >>> answers = {"machdep.cpu.brand_string": "Apple M2 Pro", "hw.memsize": "17179869184",
    ...            "hw.ncpu": "10", "hw.perflevel0.logicalcpu": "6", "hw.optional.arm64": "1"}
    >>> m = describe_machine("Darwin", "arm64", "14.5", lambda q: answers.get(q, ""), 10**11)
    >>> m.chip, m.performance_cores, m.memory_bytes // 2**30, m.apple_silicon
    ('Apple M2 Pro', 6, 16, True)
    """
    if system == "Darwin":
        # Under Rosetta the processor reads as x86_64; the chip says what it is.
        silicon = processor == "arm64" or ask("hw.optional.arm64") == "1"
        return Machine(
            system=system,
            macos=_macos(macos, ask),
            chip=ask("machdep.cpu.brand_string"),
            apple_silicon=silicon,
            cores=_number(ask("hw.ncpu")) or usable_cores(ask),
            performance_cores=_number(ask("hw.perflevel0.logicalcpu")) if silicon else 0,
            memory_bytes=_number(ask("hw.memsize")),
            free_disk_bytes=free,
            build=ask("kern.osversion"),
        )
    cpu = describe_processor("linux", ask)
    total = re.search(r"^MemTotal:\s*(\d+) kB$", ask("/proc/meminfo"), re.MULTILINE)
    return Machine(
        system=system,
        chip=cpu.name or processor,
        cores=usable_cores(ask),
        memory_bytes=memory_bound(int(total.group(1)) * 1024 if total else 0, ask),
        free_disk_bytes=free,
        build=ask("/proc/sys/kernel/osrelease").strip(),
        lacks=_lacking(cpu),
    )


@cache
def this_computer() -> Computer:
    """What measurements of speed hold for, as it was when it was first asked about.  Blocking."""
    return computer_of(this_machine(), native=runs_core_ml())


def computer_of(machine: Machine, *, native: bool) -> Computer:
    """What measurements hold for on a machine.

    Args:
        native: whether Core ML itself runs the models.
    """
    return Computer(
        machine.chip,
        f"macOS {machine.macos}" if machine.macos else machine.system,
        machine.build,
        "native" if native else "portable",
        machine.cores,
        machine.memory_bytes,
    )


def free_disk(folder: Path | None = None) -> int:
    """Free bytes of the disk that holds the models' folder, or would; 0 where that is unknown."""
    return free_bytes(folder or paths.models_dir()) or 0


def _macos(version: str, ask: Ask) -> str:
    """The real version: programs built for old systems are told 10.16 for 11 and later."""
    if version.startswith("10.16") or not version:
        return ask("kern.osproductversion") or version
    return version


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _lacking(cpu: Processor) -> tuple[str, ...]:
    if not cpu.is_x86:
        return ()
    return tuple(name for flag, name in _INSTRUCTIONS.items() if flag not in cpu.instructions)
