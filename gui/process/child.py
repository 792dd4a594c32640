"""Child processes of ours, behind a socket of framed messages: both ends.

The window keeps whatever may block, crash or hold its interpreter in processes of their own: the
engine that makes pictures, the one that talks to the Hub, the converter.  They share this
transport.  A child ends when its socket does; its stdout and stderr go to a log file; nothing is
ever pickled.  Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from gui import paths, records
from gui.errors import ErrorKind, SfumatoError

MAX_MESSAGE = 64 * 2**20
"""Longest JSON message either side accepts, in bytes."""

_LOG_LIMIT = 2**20
_LOG_TAIL = 4000
_PARENT_WATCH_SECONDS = 1.0
# Taken as this module is loaded: when work begins, the parent may be gone already.
_PARENT = os.getppid()


class ChildLost(Exception):  # noqa: N818 - a state of the world, not a mistake of the caller
    """The child process has ended or stopped making sense.

    Args:
        error: the same as a value for the person and the report.
    """

    def __init__(self, error: SfumatoError) -> None:
        super().__init__(error.message)
        self.error = error


def worker_command(role: str) -> list[str]:
    """How to start a child: ``engine``, ``hub``, ``convert`` or ``coreml``.

    In a bundle all of them are the one second executable; elsewhere this Python.
    """
    if getattr(sys, "frozen", None):
        program = [str(Path(sys.executable).with_name("engine"))]
        return program if role == "engine" else [*program, "--role", role]
    # -P keeps the current folder, which may hold anything, off the child's module path.
    return [sys.executable, "-P", "-m", f"gui.{role}"]


class ChildProcess:
    """One child, seen from its parent.  Not reusable: make a new one after `close`.

    `send_json` may be called from any thread; `receive_json` from one thread at a time.

    Args:
        title: what a person calls it, e.g. ``The engine``; begins the sentence when it dies.
        command: program and arguments, usually `worker_command`.
        log: file that takes its stdout and stderr.
        environment: variables to add to this process's own.
        shared: further file descriptors it inherits, by the name of the option that says them.

    Raises:
        ChildLost: the process could not be started.
    """

    def __init__(
        self,
        title: str,
        command: list[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        shared: Mapping[str, int] | None = None,
    ) -> None:
        self._title = title
        self._log = log
        self._log_start = 0
        self._sending = threading.Lock()
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours.detach())
        try:
            with _open_log(log) as log_file:
                self._log_start = log_file.tell()
                descriptors = {
                    "--socket-fd": theirs.fileno(),
                    "--log-fd": log_file.fileno(),
                    **(shared or {}),
                }
                options = [text for name, fd in descriptors.items() for text in (name, str(fd))]
                self._process = subprocess.Popen(
                    [*command, *options],
                    pass_fds=tuple(descriptors.values()),
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=log_file,
                    env=_environment(environment or {}),
                    # Ctrl-C in a terminal is for us alone; we tell the child.
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self.connection.close()
            raise ChildLost(
                SfumatoError(
                    ErrorKind.ENGINE, f"{title} process could not be started.", repr(error)
                )
            ) from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self, timeout: float | None) -> bool:
        """Whether a receive would return (or raise) at once, waiting up to `timeout` seconds."""
        return bool(wait([self.connection], timeout))

    def send_json(self, message: Mapping[str, Any]) -> None:
        """Raises ChildLost where the child is gone."""
        try:
            with self._sending:
                self.connection.send_bytes(encode_json(message))
        except OSError as error:
            raise self.lost(repr(error)) from error

    def receive_json(self) -> dict[str, Any]:
        """The next message; waits for it.

        Raises:
            ChildLost: the child ended, or sent something that is no JSON object.
        """
        try:
            return decode_json(self.connection.recv_bytes(MAX_MESSAGE))
        except (EOFError, OSError) as error:
            raise self.lost(repr(error)) from error
        except ValueError as error:
            self.kill()
            raise self.lost(str(error)) from error

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
        message = f"{self._title} stopped unexpectedly"
        if code == -signal.SIGKILL:
            message += ", perhaps because the memory ran out"
        return ChildLost(SfumatoError(ErrorKind.ENGINE, message + ".", detail))

    def log_tail(self) -> str:
        """The last lines this child wrote to its log."""
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(self._log_start, size), size - _LOG_TAIL))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""


class ChildOnDemand:
    """A child that is started when it is first needed, and again after `close`.  Use it from one
    thread at a time, except `abandon`.

    Args:
        title, command, log, environment: as `ChildProcess`.
        role: as `worker_command`; what the command and the log are by default.
    """

    def __init__(
        self,
        title: str,
        role: str,
        command: list[str] | None = None,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._title = title
        self._role = role
        self._command = command
        self._log = log
        self._environment = environment
        self._child: ChildProcess | None = None
        self._abandoned = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def abandon(self) -> None:
        """End the process under the call that waits for it, for good.  From any thread."""
        self._abandoned = True
        process = self._child
        if process is not None:
            process.kill(0.2)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._child is not None:
            self._child.close(0.0)
            self._child = None

    def _started(self) -> ChildProcess:
        """The process.

        Raises:
            ChildLost: it could not be started, or was abandoned.
        """
        if self._child is None and not self._abandoned:
            self._child = ChildProcess(
                self._title,
                self._command or worker_command(self._role),
                self._log or log_file(self._role),
                self._environment,
            )
        if self._child is None or self._abandoned:  # perhaps while it was being started
            self.close()
            message = f"{self._title} was given up."
            raise ChildLost(SfumatoError(ErrorKind.ENGINE, message))
        return self._child


def encode_json(message: Mapping[str, Any]) -> bytes:
    return records.dumps(message).encode("ascii")


def decode_json(frame: bytes) -> dict[str, Any]:
    """Raises ValueError for anything but a JSON object."""
    message = records.parse(frame)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


def _outcome(code: int | None) -> str:
    if code is None:
        return "it hung up without ending"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
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
    except OSError:  # an unwritable home must not stop the child
        return Path(os.devnull).open("ab")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"--- {path.stem} started {stamp}\n".encode())
    file.flush()
    return file


# The child's end


def log_file(role: str) -> Path:
    """Where a child of this role writes its log."""
    return paths.logs_dir() / f"{role}.log"


class ParentWatch:
    """Ends this process soon after its parent has died, for work during which nobody reads the
    socket.  A child that waits on its socket needs none: end of file tells it."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parent-watch", daemon=True)

    def _run(self) -> None:
        while not self._done.wait(_PARENT_WATCH_SECONDS):
            if os.getppid() != _PARENT:
                os._exit(0)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()


def run_child(
    role: str,
    work: Callable[[Connection, argparse.Namespace], None],
    arguments: list[str] | None = None,
    descriptors: tuple[str, ...] = (),
) -> NoReturn:
    """Entry of a child process.  Never returns and never lets an exception out, which a bundle
    would answer with a dialog.

    Args:
        role: its name in messages of argparse.
        work: gets the socket and the options; its return ends the process.
        arguments: default: the process's own.
        descriptors: names of further descriptors it inherits, as ``--cancel-fd``.
    """
    parser = argparse.ArgumentParser(prog=role)
    for name in ("--socket-fd", "--log-fd", *descriptors):
        parser.add_argument(name, type=int, required=True)
    status = 1
    try:
        options = parser.parse_args(arguments)
        # Again, although the parent gave them to us: a bundle's launcher sends both elsewhere.
        os.dup2(options.log_fd, 1)
        os.dup2(options.log_fd, 2)
        faulthandler.enable()
        work(Connection(options.socket_fd), options)
        status = 0
    except SystemExit as request:
        status = request.code if isinstance(request.code, int) else 1
    except BaseException:
        traceback.print_exc()
    # Straight out: torch and Core ML take their time tearing down, and have nothing to save.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
