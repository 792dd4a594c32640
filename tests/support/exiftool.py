"""ExifTool as an independent reader of what we write."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

PROGRAM = "exiftool"
OF_THE_FILE = {"ExifTool", "System", "File", "Composite", "SourceFile"}
"""Groups that tell of the file and of ExifTool itself."""
OF_THE_PIXELS = {"PNG", "JFIF", "RIFF", "QuickTime", "Meta", "ICC_Profile"}
"""Groups that a picture without any metadata has: size, depth, coding."""


def told(path: Path) -> dict[str, str]:
    """Everything a file says, as ``group:tag`` → value; groups are those of ``-G1``."""
    if shutil.which(PROGRAM) is None:
        raise FileNotFoundError(f"{PROGRAM} is missing: make setup-test, or brew install exiftool")
    done = subprocess.run(
        [PROGRAM, "-json", "-G1", "-a", "-s", "-struct", "-n", str(path)],
        capture_output=True, check=True,
    )  # fmt: skip
    (found,) = json.loads(done.stdout.decode("utf-8", "replace"))
    return {name: str(value) for name, value in found.items()}


def metadata(path: Path) -> dict[str, str]:
    """What a file says beyond its pixels and itself."""
    return {
        name: value
        for name, value in told(path).items()
        if name.partition(":")[0] not in OF_THE_FILE | OF_THE_PIXELS
    }
