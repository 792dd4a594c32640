"""Write `packaging/locks/development.txt` from the packages of the running environment.

Usage: ``make lock`` after installing, upgrading or removing a package in `.venv`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent / "locks" / "development.txt"

HEADER = """\
# Exact packages of a development environment (macOS and Linux, Python 3.11 to 3.13).
# Written by `make lock`; torch without its build suffix, so that every platform finds its own.
"""

NEVER = {"pip", "wheel", "sfumato", "triton"}

MAC_ONLY = (
    "pyobjc-core==13.0",
    "pyobjc-framework-Cocoa==13.0",
    "pyobjc-framework-CoreML==12.2.2",
    "pyobjc-framework-Quartz==13.0",
    "pyobjc-framework-Vision==12.2.2",
)
"""What a lock written on Linux cannot know."""

LINUX_ONLY = {"secretstorage", "jeepney", "openvino", "openvino-telemetry"}
"""keyring's way to Linux's secret service, for which macOS has its keychain; and what computes
where there is no Core ML."""


def frozen_lines(freeze: str) -> list[str]:
    """The ``name==version`` lines of ``pip freeze --all`` that belong in the lock, sorted.

    Local build suffixes (``+cpu``) and CUDA's own packages are left out, for they differ from one
    platform to the next.

    Raises:
        ValueError: for a package that was not installed by version from an index.
    """
    lines = []
    for line in freeze.splitlines():
        if not line or line.startswith(("#", "-e ")):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)(\+[A-Za-z0-9.]+)?", line)
        if match is None:
            raise ValueError(f"cannot lock this line of pip freeze: {line}")
        name = match[1].lower()
        if name in NEVER or name.startswith(("pyobjc-", "nvidia-", "cuda-")):
            continue
        marker = '; sys_platform == "linux"' if name in LINUX_ONLY else ""
        lines.append(f"{match[1]}=={match[2]}{marker}")
    lines += [f'{line}; sys_platform == "darwin"' for line in MAC_ONLY]
    return sorted(lines, key=str.lower)


def main() -> None:
    command = [sys.executable, "-m", "pip", "freeze", "--all", "--exclude-editable"]
    freeze = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    LOCK.write_text(HEADER + "".join(line + "\n" for line in frozen_lines(freeze)))


if __name__ == "__main__":
    main()
