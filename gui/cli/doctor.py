"""`sfumato doctor`: what this machine can run, which versions, which folders."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gui import __version__, paths, words
from gui.coreml import back_ends
from gui.errors import SfumatoError
from gui.files import free_bytes
from gui.library.models.folders import model_folders

_LIBRARIES = (
    "torch", "diffusers", "transformers", "coremltools", "numpy", "Pillow", "PySide6-Essentials",
)  # fmt: skip
_ENGINE_SECONDS = 120.0
_LITTLE_DISK = 2e9


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    text: str
    good: bool = True


def examine() -> list[Finding]:
    """Look at everything; starts an engine to see that it comes up."""
    return [
        Finding("Sfumato", f"{__version__}, Python {platform.python_version()}"),
        *_machine(),
        _core_ml(),
        *_libraries(),
        *_folders(),
        *_models(),
        _engine(),
    ]


def _machine() -> list[Finding]:
    from gui.hub.machine import this_machine
    from gui.hub.shortcomings import shortcomings

    machine = this_machine()
    system = f"macOS {machine.macos}" if machine.macos else platform.platform(terse=True)
    facts = [system, platform.machine(), machine.chip, words.plural(machine.cores, "core")]
    if machine.memory_bytes:
        facts.append(f"{words.memory(machine.memory_bytes)} of memory")
    lacking = (Finding("machine", each.text, each.can_run) for each in shortcomings(machine))
    return [Finding("machine", ", ".join(fact for fact in facts if fact)), *lacking]


def _core_ml() -> Finding:
    if sys.platform == "darwin":
        return Finding("Core ML", "native: models run on CPU, GPU and Neural Engine")
    by = back_ends.computing()
    return Finding("Core ML", f"absent on this system: models run on the CPU (by {by})")


def _libraries() -> list[Finding]:
    findings = []
    for name in dict.fromkeys((*_LIBRARIES, *back_ends.libraries())):
        try:
            findings.append(Finding(name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(name, "not installed", good=False))
    return findings


def _folders() -> list[Finding]:
    from gui.library.pictures import check_writable

    findings = []
    for what, folder in (
        ("pictures", paths.pictures_dir()),
        ("models", paths.models_dir()),
        ("logs", paths.logs_dir()),
        ("cache", paths.cache_dir()),
    ):
        try:
            check_writable(folder)
            free = free_bytes(folder) or 0
            text = f"{folder}, {words.size(free)} free"
            findings.append(Finding(what, text, good=free >= _LITTLE_DISK))
        except (SfumatoError, OSError):
            findings.append(Finding(what, f"{folder} cannot be written", good=False))
    return findings


def _models() -> list[Finding]:
    starter = paths.starter_model()
    findings = [_model("starter model", starter)]
    # A model that cannot be used is worth knowing, but nothing is wrong with the program.
    installed = model_folders(paths.models_dir())
    return [*findings, *(Finding("model", _model("model", folder).text) for folder in installed)]


def _model(what: str, folder: Path) -> Finding:
    from gui.coreml.inspect import inspect_model

    info = inspect_model(folder)
    if info.problems:
        return Finding(what, f"{folder}: {info.problems[0]}", good=False)
    return Finding(what, f"{info.name}, {words.pixels(info.image_width, info.image_height)} pixels")


def _engine() -> Finding:
    from gui.engine.runner import EngineRunner, Patience
    from gui.process.child import ChildLost

    runner = EngineRunner(Patience(start=_ENGINE_SECONDS))
    started = time.monotonic()
    try:
        runner.start()
        while runner.ready is None:
            runner.idle()
        seconds = time.monotonic() - started
        return Finding("engine", f"{runner.ready.runtime}, ready in {words.measured(seconds)}")
    except ChildLost as lost:
        log = paths.logs_dir() / "engine.log"
        return Finding("engine", f"{lost.message} See {log}", good=False)
    finally:
        runner.close()
