"""The end of whoever starts the service's process.  No Qt and nothing heavy."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from gui import paths
from gui.errors import disk_error
from gui.private_files import keep_private
from gui.process.supervisor import Supervisor
from gui.serve.messages import SERVE


class ServeClient(Supervisor):
    """One process that serves, from the first `Listen` on.

    Args:
        command: program and arguments; None: this program's own.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        super().__init__(SERVE, command)


def token_file() -> Path:
    return paths.data_dir() / "Service" / "token"


def kept_token(*, fresh: bool = False) -> str:
    """The word by which other programs are known, made when it is first needed.  Blocking.

    Args:
        fresh: make another, so that whoever knows the old one is shut out.

    Raises:
        SfumatoError: STORAGE where it cannot be kept.
    """
    file = token_file()
    if not fresh:
        with contextlib.suppress(OSError):
            kept = file.read_text("ascii", "replace").strip()
            if len(kept) >= _LEAST and kept.isascii():
                keep_private(file)
                return kept
    token = secrets.token_urlsafe(32)
    scratch = file.with_name(f"{file.name}-{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep_private(scratch)
        scratch.write_text(f"{token}\n", "ascii")
        scratch.replace(file)
    except OSError as error:
        raise disk_error(error, "The token for other programs cannot be kept") from error
    return token


_LEAST = 20
"""Characters of a token that is taken for one."""
