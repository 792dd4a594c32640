"""What this machine's processor is: its name, its maker, which instructions it has.

Standard library only, for the window's process asks too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Ask = Callable[[str], str]
"""Answers a sysctl name (macOS) or a path under /proc or /sys (Linux); empty: no answer."""

INTEL = "GenuineIntel"

_BF16 = frozenset(("avx512_bf16", "amx_bf16", "bf16", "svebf16", "FEAT_BF16"))
"""Products of bfloat16 summed in float32: of Intel's and AMD's processors, of Arm's under Linux,
of Apple's.  ``avx_ne_convert`` converts alone and is none of them."""

_APPLES_BF16 = "hw.optional.arm.FEAT_BF16"


@dataclass(frozen=True)
class Processor:
    """As its system tells of it; empty where that says nothing."""

    name: str = ""
    maker: str = ""
    """x86: ``GenuineIntel``, ``AuthenticAMD`` …"""
    instructions: frozenset[str] = frozenset()
    """Flags (x86) or features (Arm) by the names that Linux has for them."""

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bfloat16 in hardware, as oneDNN and OpenVINO use it."""
        return bool(self.instructions & _BF16)

    @property
    def is_x86(self) -> bool:
        return "fpu" in self.instructions


@cache
def this_processor() -> Processor:
    """That of this machine, as it was when it was first asked about.  Never raises; blocking."""
    return describe_processor(sys.platform, ask_system)


def describe_processor(platform: str, ask: Ask) -> Processor:
    """A processor from what its system answers.

    Args:
        platform: as `sys.platform` says.
        ask: see `Ask`.

    >>> text = "vendor_id : AuthenticAMD\\nmodel name : AMD EPYC\\nflags : fpu avx512_bf16\\n"
    >>> found = describe_processor("linux", lambda question: text)
    >>> found.name, found.maker, found.has_bf16
    ('AMD EPYC', 'AuthenticAMD', True)
    """
    if platform == "darwin":
        has_bf16 = ask(_APPLES_BF16) == "1"
        instructions = frozenset(("FEAT_BF16",)) if has_bf16 else frozenset[str]()
        return Processor(ask("machdep.cpu.brand_string"), instructions=instructions)
    text = ask("/proc/cpuinfo")
    flags = _line(text, "flags|Features").split()
    return Processor(
        _line(text, "model name|Model|Hardware"), _line(text, "vendor_id"), frozenset(flags)
    )


def ask_system(question: str) -> str:
    """See `Ask`."""
    return _sysctl(question) if sys.platform == "darwin" else _file(question)


def _line(text: str, names: str) -> str:
    """The first line of one of these names."""
    found = re.search(rf"^(?:{names})\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _sysctl(name: str) -> str:
    import subprocess  # commands that ask nothing do without it

    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
