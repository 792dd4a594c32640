"""Sees to it that somebody runs the queue: the window where it is open, else `sfumato queue run` as
a child, which gives way to the window and ends when nothing was asked for a while."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from typing import IO

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.library.queue import FILE_NAME
from gui.library.queue_file import is_run
from gui.process.child import command_line

LINGER_SECONDS = 120
"""How long the child keeps its model for what may be asked next."""
MAX_STARTS = 3
"""That come to nothing, one after the other."""
_STOP_SECONDS = 10.0
_TAIL = 2000


class QueueRunner:
    """One child at most.  Blocking; from one thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._told: IO[bytes] | None = None
        self._starts = 0

    def ensure(self) -> None:
        """Start a child where nobody runs the queue.

        Raises:
            SfumatoError: ENGINE where that came to nothing several times.
        """
        if self._process is not None and self._process.poll() is None:
            return
        if is_run(paths.data_dir() / FILE_NAME):
            return
        if self._starts >= MAX_STARTS:
            raise SfumatoError(
                ErrorKind.ENGINE,
                "Pictures cannot be made in the background; open Sfumato and try again.",
                self._last_words(),
            )
        self._starts += 1
        if self._told is not None:
            self._told.close()
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        self._process = subprocess.Popen(
            command_line("queue", "run", "--quiet", "--linger", str(LINGER_SECONDS)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._told,
            start_new_session=True,
        )

    def worked(self) -> None:
        """A picture was made: what comes to nothing is counted anew."""
        self._starts = 0

    def close(self) -> None:
        """End the child; what it is making goes back in line."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        if self._told is not None:
            self._told.close()
            self._told = None

    def _last_words(self) -> str:
        if self._told is None:
            return ""
        self._told.seek(0)
        return self._told.read()[-_TAIL:].decode("utf-8", "replace")
