"""The window's end of the engine: start the child process, talk to it, stop it.

No Qt and nothing heavy.  `gui.engine.runner` adds the policy (deadlines, restarting).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from gui import paths
from gui.engine import messages
from gui.engine.messages import Event, Generate, ProtocolError
from gui.request import ErrorKind, SfumatoError

LOG_NAME = "engine.log"
_LOG_LIMIT = 2**20
_LOG_TAIL = 4000


class EngineLost(Exception):  # noqa: N818 - a state of the world, not a mistake of the caller
    """The engine process has ended or stopped making sense.

    Args:
        error: the same as a value for the person and the report.
    """

    def __init__(self, error: SfumatoError) -> None:
        super().__init__(error.message)
        self.error = error


def engine_command() -> list[str]:
    """How to start the engine: its own executable in a bundle, this Python otherwise."""
    if getattr(sys, "frozen", None):
        return [str(Path(sys.executable).with_name("engine"))]
    # -P keeps the current folder, which may hold anything, off the child's module path.
    return [sys.executable, "-P", "-m", "gui.engine"]


class EngineClient:
    """One engine process.  Not reusable: make a new one after `close`.

    `cancel` may be called from any thread; everything else from one thread at a time.

    Args:
        command: program and arguments; default `engine_command()`.
        environment: variables to add to this process's own.
        log: file that takes the child's stderr; default `engine.log` in the logs folder.

    Raises:
        EngineLost: the process could not be started.
    """

    def __init__(
        self,
        command: list[str] | None = None,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._log = log or paths.logs_dir() / LOG_NAME
        self._log_start = 0
        self._closed = False
        # Unnamed, so that nothing is left behind however this process ends.
        self._flag_file = tempfile.TemporaryFile(prefix="sfumato-cancel-")  # noqa: SIM115
        self._flag_file.write(b"\0")
        self._flag_file.flush()
        self._flag = mmap.mmap(self._flag_file.fileno(), 1)
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        try:
            with _open_log(self._log) as log_file:
                self._log_start = log_file.tell()
                shared = (theirs.fileno(), self._flag_file.fileno(), log_file.fileno())
                names = ("--socket-fd", "--cancel-fd", "--log-fd")
                arguments = [
                    text for pair in zip(names, map(str, shared), strict=True) for text in pair
                ]
                self._process = subprocess.Popen(
                    [*(command or engine_command()), *arguments],
                    pass_fds=shared,
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=log_file,
                    env=_environment(environment or {}),
                    # Ctrl-C in a terminal is for us alone; we tell the engine.
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self._release()
            raise EngineLost(
                SfumatoError(
                    ErrorKind.ENGINE, "The engine process could not be started.", repr(error)
                )
            ) from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def connection(self) -> Connection:
        """For `multiprocessing.connection.wait` beside other things."""
        return self._connection

    def send(self, message: Generate) -> None:
        """Raises EngineLost where the engine is gone."""
        try:
            self._connection.send_bytes(messages.encode(message))
        except OSError as error:
            raise self._lost(repr(error)) from error

    def receive(self) -> Event:
        """The next event; waits for it.

        Raises:
            EngineLost: the engine ended, or sent something that is not a message.
        """
        try:
            message = messages.decode(self._connection.recv_bytes(messages.MAX_FRAME))
        except (EOFError, OSError) as error:
            raise self._lost(repr(error)) from error
        except ProtocolError as error:
            self.kill()
            raise self._lost(str(error)) from error
        if isinstance(message, Generate):
            self.kill()
            raise self._lost("the engine sent a command")
        return message

    def poll(self, timeout: float | None) -> bool:
        """Whether `receive` would return (or raise) at once, waiting up to `timeout` seconds."""
        return bool(wait([self._connection], timeout))

    def cancel(self) -> None:
        """Ask the present job to stop at its next step.  Any thread; also from a signal handler."""
        with contextlib.suppress(ValueError):  # already closed
            self._flag[0] = 1

    def clear_cancel(self) -> None:
        """To be called before the next job is sent, while the engine is idle."""
        self._flag[0] = 0

    def kill(self, grace: float = 0.5) -> None:
        """End the process now: SIGTERM, which needs no cooperation as nothing handles it, then
        after `grace` seconds SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def close(self, grace: float = 0.5) -> None:
        """Hang up, which an idle engine takes as the end of its work; end it by force if it is
        still there after `grace` seconds.  May be called twice."""
        if self._closed:
            return
        self.cancel()
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()
        self._release()

    def _release(self) -> None:
        self._closed = True
        self._connection.close()
        self._flag.close()
        self._flag_file.close()

    def _lost(self, reason: str) -> EngineLost:
        """Find out how the engine ended.  End of file comes moments before the exit status."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        detail = f"{_outcome(code)}; {reason}\n{self.log_tail()}".strip()
        message = "The engine stopped unexpectedly"
        if code == -signal.SIGKILL:
            message += ", perhaps because the memory ran out"
        return EngineLost(SfumatoError(ErrorKind.ENGINE, message + ".", detail))

    def log_tail(self) -> str:
        """The last lines this process wrote to its log."""
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(self._log_start, size), size - _LOG_TAIL))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _outcome(code: int | None) -> str:
    if code is None:
        return "it hung up without ending"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _environment(extra: dict[str, str]) -> dict[str, str]:
    environment = {**os.environ, **extra}
    # torch's OpenMP threads would spin while they wait for each other: on a machine that also does
    # other things, a small network then takes ten times as long.  Read when torch is loaded.
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    if not getattr(sys, "frozen", None):
        # The child runs the very code this process runs, installed or not.
        root = str(Path(__file__).resolve().parents[2])
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{inherited}" if inherited else root
    return environment


def _open_log(path: Path) -> Any:
    """The log for appending, the previous one set aside when it has grown long."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".old.log"))
        file = path.open("ab")
    except OSError:  # an unwritable home must not stop the engine
        return Path(os.devnull).open("ab")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"--- engine started {stamp}\n".encode())
    file.flush()
    return file
