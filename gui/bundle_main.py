"""Entry points of the macOS bundle: what must be right before anything else is imported."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import NoReturn


def prepare_environment(environment: MutableMapping[str, str] | None = None) -> None:
    """Make the environment fit for a bundle; changes `os.environ` unless given another mapping.

    - ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` that point nowhere go, or every HTTPS client fails.
    - Nothing may be written inside the bundle, or its signature breaks.
    - Tracebacks get their lines of source back, which py2app takes away: reports need them.
    """
    env = os.environ if environment is None else environment
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if name in env and not Path(env[name]).exists():
            del env[name]
    sys.dont_write_bytecode = True
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    linecache.getline = getattr(linecache, "orig_getline", linecache.getline)
    env.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    env.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> NoReturn:
    """Main executable: what ``python -m gui`` does."""
    prepare_environment()
    # macOS once passed a process serial number to programs started from Finder, and some still do.
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith("-psn_")]
    from gui.__main__ import main as start

    sys.exit(start())


def engine_main() -> NoReturn:
    """Second executable: the engine, or with ``--role`` another of our child processes."""
    prepare_environment()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--role"]:
        role, arguments = arguments[1], arguments[2:]
        if role == "hub":
            from gui.hub.service import main as serve
        elif role == "convert":
            from gui.convert.service import main as serve
        elif role == "enlarge":
            from gui.enlarge.service import main as serve
        elif role == "control":
            from gui.control.service import main as serve
        elif role == "serve":
            from gui.serve.service import main as serve
        elif role == "measure":
            from gui.measure.service import main as serve
        elif role == "farm":
            from gui.farm.service import main as serve
        elif role == "coreml":
            from gui.coreml.service import main as serve
        else:
            sys.exit(f"engine: unknown role {role!r}")
        serve(arguments)
    from gui.engine.server import main as engine

    engine(arguments)
