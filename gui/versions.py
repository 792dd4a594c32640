"""Versions of what decides numbers, for records and reports.  Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from functools import cache

from gui import __version__


@cache
def version_of(library: str) -> str:
    """The installed version of a library; empty where it is absent."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Sfumato, Python and those of `libraries` that are installed, by name."""
    found = {"sfumato": __version__, "python": platform.python_version()}
    return found | {name: found for name in libraries if (found := version_of(name))}


@cache
def system() -> str:
    """Operating system and processor: ``macOS 15.1, arm64``."""
    name = f"macOS {platform.mac_ver()[0]}" if sys.platform == "darwin" else platform.system()
    return f"{name}, {platform.machine()}"
