"""What takes long to build and never changes: built once, whoever asks first, and kept.

Kept under a hash of all that has a part in it: the source files of the builder and of everything of
ours that it imports, the product's converter among them; the libraries' versions; the tokenizer.
Several processes may ask at the same time: one builds, the others wait for it.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]
_LIBRARIES = ("torch", "coremltools", "diffusers", "transformers", "safetensors", "numpy")
_OURS = ("gui", "tests")
_UNUSED = 7 * 24 * 3600.0
"""Seconds after which what an older state of the code has built is cleared away."""

# Read when the run begins: tests move the home folder.
_BASE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfumato-tests"


def built(name: str, build: Callable[[Path], object], code: str) -> Path:
    """A folder or file that `build` has written, now or in an earlier run.  Only to be read; copy
    it to change it.

    Args:
        name: of the folder or file; must differ whenever what is built does.
        build: is given a path that does not exist yet.
        code: `__file__` of the module that has `build`, and what it calls.
    """
    place = _place(code) / name
    if place.exists():
        return place
    scratch = place.with_name(f".{name}.scratch")
    with _untimed(), FileLock(place.with_name(f".{name}.lock")):
        if not place.exists():
            shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
            scratch.mkdir()
            build(scratch / name)
            (scratch / name).rename(place)
            scratch.rmdir()
    return place


@contextlib.contextmanager
def _untimed() -> Iterator[None]:
    """Building, and waiting for who builds, is no part of a test's time (pytest-timeout's alarm):
    on a busy machine with nothing kept yet it takes longer than any test may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, interval)


@cache
def _place(code: str) -> Path:
    """The folder of what this state of the code builds."""
    stem = Path(code).stem
    place = _BASE / f"{stem}-{fingerprint(code)[:16]}"
    place.mkdir(parents=True, exist_ok=True)
    os.utime(place)
    for other in _BASE.glob(f"{stem}-*"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _UNUSED:
                shutil.rmtree(other, ignore_errors=True)
    return place


@cache
def fingerprint(code: str) -> str:
    """Changes with whatever may change the results of a module."""
    digest = hashlib.sha256(sys.version.encode())
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    for file in (*sorted(sources(Path(code))), *sorted((ROOT / "resources/tokenizer").iterdir())):
        digest.update(f"{file.relative_to(ROOT)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def sources(module: Path) -> set[Path]:
    """The file of a module and of everything of ours that it imports, at whatever remove and
    wherever in the file."""
    found: set[Path] = set()
    above = (folder / "__init__.py" for folder in module.resolve().parents)
    waiting = [module.resolve(), *(file for file in above if file.is_file())]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imported(file))
    return found


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            # what is imported from a package may be a module
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] not in _OURS:
                continue
            for depth in range(1, len(parts) + 1):
                path = ROOT.joinpath(*parts[:depth])
                for candidate in (path / "__init__.py", path.with_suffix(".py")):
                    if candidate.is_file():
                        yield candidate
