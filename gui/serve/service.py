"""Entry of the process of the service."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection
from typing import NoReturn

from gui.process.serve import run_child
from gui.serve import opening


def _serve(connection: Connection) -> None:
    # FastAPI can report every request to where these say; nothing here leaves the computer.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    from gui.serve.server import serve

    serve(connection)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process, and of the one that opens pictures for it."""
    given = sys.argv[1:] if arguments is None else arguments
    if opening.ARGUMENT in given:
        rest = [each for each in given if each != opening.ARGUMENT]
        run_child("serve", opening.serve, rest)
    run_child("serve", _serve, given)
