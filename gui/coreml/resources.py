"""Cores and memory that this process may use.

A container, or whoever started it, may leave a process a part of the machine's: a mask of cores, a
share of their time, an amount of memory (Linux' control groups, of both versions).  Standard
library only.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator

from gui.coreml.processor import Ask, ask_system

_ROOT = "/sys/fs/cgroup"
_UNLIMITED = 1 << 60
"""Version 1 has no word for it: limits from here on are none."""


def usable_cores(ask: Ask = ask_system) -> int:
    """How many threads can run at once: by the mask of cores, and the share of their time."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    shares = [math.ceil(share) for share in _shares(ask) if share > 0]
    return max(1, min([count, *shares]))


def memory_bound(total: int, ask: Ask = ask_system) -> int:
    """What of `total` bytes of memory this process and its container may use; 0 stays 0."""
    return min([total, *(limit for limit, _ in _memory_limits(ask))]) if total else 0


def memory_left(ask: Ask = ask_system) -> int | None:
    """Bytes that can be taken before something is ended for want of memory; None where that cannot
    be told, as on a Mac.

    Free memory, caches that can be dropped, and what can be swapped out, as far as limits let it.
    """
    found = dict(re.findall(r"^(\w+):\s*(\d+) kB$", ask("/proc/meminfo"), re.MULTILINE))
    if "MemAvailable" not in found:
        return None
    left = 1024 * (int(found["MemAvailable"]) + int(found.get("SwapFree", 0)))
    bounds = [max(0, limit - used) for limit, used in _memory_limits(ask)]
    return min([left, *bounds, *_address_space_left(ask)])


def give_back_freed() -> None:
    """Give back to the system what this process has let go of, as far as its allocator can."""
    import contextlib
    import ctypes

    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _groups(ask: Ask, controller: str) -> Iterator[str]:
    """Folders of the control groups this process is in, for version 2 (``""``) or a controller of
    version 1: a limit of any of them holds.  A container often sees its own as the root."""
    for line in ask("/proc/self/cgroup").splitlines() or [f"0:{controller}:/"]:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            root = f"{_ROOT}/{names}" if controller else _ROOT
            parts = [part for part in path.split("/") if part and part != ".."]
            for end in range(len(parts), -1, -1):
                yield "/".join([root, *parts[:end]])


def _memory_limits(ask: Ask) -> Iterator[tuple[int, int]]:
    """Limit and what of it is used, caches aside, in bytes."""
    files = (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for controller, limit_file, used_file, cached in files:
        for folder in _groups(ask, controller):
            limit = _number(ask(f"{folder}/{limit_file}"))
            if 0 < limit < _UNLIMITED:
                used = _number(ask(f"{folder}/{used_file}"))
                stat = re.search(rf"^{cached} (\d+)$", ask(f"{folder}/memory.stat"), re.MULTILINE)
                yield limit, max(0, used - (int(stat.group(1)) if stat else 0))


def _shares(ask: Ask) -> Iterator[float]:
    """Of one core's time, for each group that has a limit."""
    for folder in _groups(ask, ""):
        quota, _, period = ask(f"{folder}/cpu.max").strip().partition(" ")
        if _number(quota) and _number(period):
            yield _number(quota) / _number(period)
    for folder in _groups(ask, "cpu"):
        quota, period = (ask(f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period"))
        if _number(quota) and _number(period):
            yield _number(quota) / _number(period)


def _address_space_left(ask: Ask) -> Iterator[int]:
    """By ``ulimit -v``, where there is one."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        used = _number(ask("/proc/self/statm").partition(" ")[0]) * resource.getpagesize()
        yield max(0, limit - used)


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else 0
