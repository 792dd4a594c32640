"""One child process, as its parent sees it.

The window keeps whatever may block, crash or hold its interpreter in processes of their own.  A
child ends when its socket does; its stdout and stderr go to a log file.  Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.private_files import keep_private
from gui.process import crashes
from gui.process.messages import MAX_FRAME

_LOG_LIMIT = 2**20
_LOG_TAIL = 4000
_SECRET = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS", "KEY", "AUTH"}
"""Words in the names of variables that hold what is nobody else's business."""
_NETWORK = {"PROXY"}
"""Likewise, as addresses of proxies may hold passwords; only of use to whom the network is."""
_SPINS = "1000"
"""20 to 50 µs, by processor."""


class ChildLost(SfumatoError):  # noqa: N818 - a state of the world, not a mistake of the caller
    """The child process has ended, cannot be started, or has stopped making sense.

    Args:
        status: how it ended by itself, as `subprocess.Popen.returncode`; None where it did not.
    """

    def __init__(
        self, kind: ErrorKind, message: str, detail: str = "", status: int | None = None
    ) -> None:
        super().__init__(kind, message, detail)
        self.status = status


def log_file(role: str) -> Path:
    """Where a child of this role writes its log."""
    return paths.logs_dir() / f"{role}.log"


def worker_command(role: str) -> list[str]:
    """How to start a child: ``engine``, ``enlarge``, ``control``, ``farm``, ``measure``,
    ``hub``, ``convert``, ``serve`` or ``coreml``.

    In a bundle all of them are the one second executable; elsewhere this Python.
    """
    if getattr(sys, "frozen", None):
        program = [str(Path(sys.executable).with_name("engine"))]
        return program if role == "engine" else [*program, "--role", role]
    # -P keeps the current folder, which may hold anything, off the child's module path.
    return [sys.executable, "-P", "-m", f"gui.{role}"]


def command_line(*arguments: str) -> list[str]:
    """How to start a command of `sfumato`."""
    if getattr(sys, "frozen", None):
        return [str(Path(sys.executable).with_name("Sfumato")), *arguments]
    return [sys.executable, "-P", "-m", "gui", *arguments]


class ChildProcess:
    """One child, seen from its parent.  Not reusable: make a new one after `close`.

    `send` may be called from any thread; `receive` from one thread at a time.

    Args:
        title: what a person calls it, e.g. ``The engine``; begins the sentence when it dies.
        command: program and arguments, usually `worker_command`.
        log: file that takes its stdout and stderr.
        environment: variables to add to this process's own.
        tokens: whether it gets the passwords and tokens among those.

    Raises:
        ChildLost: the process could not be started.
    """

    def __init__(
        self,
        title: str,
        command: list[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        tokens: bool = False,
    ) -> None:
        self._title = title
        self._log = log
        self._log_start = 0
        self._sending = threading.Lock()
        ours, theirs = socket.socketpair()
        self.connection: Connection = Connection(ours.detach())
        """For `multiprocessing.connection.wait` beside other things."""
        try:
            with _open_log(log) as log_file:
                self._log_start = log_file.tell()
                descriptors = (theirs.fileno(), log_file.fileno())
                self._process = subprocess.Popen(
                    [*command, "--socket-fd", str(descriptors[0]), "--log-fd", str(descriptors[1])],
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=log_file,
                    env=environment_of_child({**os.environ, **(environment or {})}, tokens),
                    # Ctrl-C in a terminal is for us alone; we tell the child.
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self.connection.close()
            message = f"{title} could not be started; start Sfumato again, or install it anew."
            raise ChildLost(ErrorKind.ENGINE, message, repr(error)) from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Raises ChildLost where the child is gone."""
        try:
            with self._sending:
                self.connection.send_bytes(frame)
        except OSError as error:
            raise self.lost(repr(error)) from error

    def receive(self) -> bytes:
        """The next frame; waits for it.

        Raises:
            ChildLost: the child ended, or announced a frame longer than `MAX_FRAME`.
        """
        try:
            return self.connection.recv_bytes(MAX_FRAME)
        except (EOFError, OSError) as error:
            raise self.lost(repr(error)) from error

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended, waiting up to `seconds` for it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def kill(self, grace: float = 0.5) -> None:
        """End the process now: SIGTERM, then after `grace` seconds SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            if not self.wait(grace):
                self._process.kill()
                self._process.wait()

    def close(self, grace: float = 0.5) -> None:
        """Hang up, which a child takes as the end of its work; end it by force if it is still
        there after `grace` seconds.  May be called twice."""
        self.connection.close()
        self.wait(grace)
        self.kill()

    def lost(self, reason: str) -> ChildLost:
        """Find out how it ended.  End of file comes moments before the exit status."""
        code = self._process.returncode if self.wait(1.0) else None
        if code is None:
            self.kill()
        detail = f"{_outcome(code)}; {reason}\n{self.log_tail()}".strip()
        crashes.keep(self._title, code, detail)
        message = f"{self._title} stopped unexpectedly"
        if code == -signal.SIGKILL:
            message += ", perhaps because the memory ran out"
        return ChildLost(ErrorKind.ENGINE, f"{message}; try again.", detail, code)

    def log_tail(self) -> str:
        """The last lines this child wrote to its log."""
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


def environment_of_child(environment: Mapping[str, str], tokens: bool) -> dict[str, str]:
    """What of this environment a child gets."""
    kept = {k: v for k, v in environment.items() if tokens or not _is_secret(k)}
    # torch's OpenMP threads would spin for milliseconds while they wait for each other: on a
    # machine that also does other things, a network then takes ten times as long and more.  To
    # sleep at once costs a waking at every one of hundreds of layers.  So they spin for about as
    # long as a waking takes: of a small UNet on two idle cores a step is 14 ms (20 ms without, 12
    # with endless spinning), and where others want the cores, at most half as much again.  Read
    # when torch is loaded; GNU's library takes the number, LLVM's the policy.
    if "OMP_WAIT_POLICY" not in kept:
        kept["OMP_WAIT_POLICY"] = "passive"
        kept.setdefault("GOMP_SPINCOUNT", _SPINS)
    if not getattr(sys, "frozen", None):
        # The child runs the very code this process runs, installed or not.
        root = str(Path(__file__).resolve().parents[2])
        inherited = kept.get("PYTHONPATH")
        kept["PYTHONPATH"] = f"{root}{os.pathsep}{inherited}" if inherited else root
    return kept


def _is_secret(name: str) -> bool:
    return bool({*name.upper().split("_")} & (_SECRET | _NETWORK))


def _open_log(path: Path) -> IO[bytes]:
    """The log for appending, the previous one set aside when it has grown long."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".old.log"))
        keep_private(path)  # an error's details may quote a prompt
        file = path.open("ab")
    except OSError:  # an unwritable home must not stop the child
        return Path(os.devnull).open("ab")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"--- {path.stem} started {stamp}\n".encode())
    file.flush()
    return file
