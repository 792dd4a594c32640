"""Commands of `sfumato` in processes of their own that start in milliseconds.

A process without threads imports the command line once; each command is a fork of it, with its own
arguments, environment, folder and streams, and ends as the command does.  What a fresh interpreter
does otherwise is shown by those tests that start one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0


class Zygote:
    """One process, for one command at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(_PATIENCE)
        number = str(theirs.fileno())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.cli_zygote", number],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        theirs.close()

    def run(
        self,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        folder: Path,
        answer: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `answer` goes to its stdin."""
        with self._lock, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            reading, writing = os.pipe()
            os.write(writing, answer.encode())
            os.close(writing)
            wish = json.dumps([arguments, environment, str(folder)]).encode()
            head = len(wish).to_bytes(4, "big")
            socket.send_fds(self._ours, [head], [reading, out.fileno(), err.fileno()])
            self._ours.sendall(wish)
            os.close(reading)
            pid = int.from_bytes(_exactly(self._ours, 4), "big")
            try:
                code = int.from_bytes(_exactly(self._ours, 4), "big", signed=True)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))
            return subprocess.CompletedProcess(list(arguments), code, *texts)

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


_zygote: Zygote | None = None


def run_command(
    arguments: tuple[str, ...], environment: dict[str, str], folder: Path, answer: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run ``sfumato ARGUMENTS`` to its end."""
    global _zygote
    if _zygote is None:
        _zygote = Zygote()
    return _zygote.run(arguments, environment, folder, answer)


def close() -> None:
    """End the process, if there is one."""
    global _zygote
    if _zygote is not None:
        _zygote.close()
        _zygote = None


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _serve(number: int) -> NoReturn:
    before = dict(os.environ)
    from gui.cli import main, models_hub  # noqa: F401
    from gui.cli import queue_run as _queue_run  # noqa: F401

    added = {name: text for name, text in os.environ.items() if before.get(name) != text}
    assert "keyring" not in sys.modules  # it reads the environment when it is imported
    connection = socket.socket(fileno=number)
    gc.freeze()
    while True:
        try:
            head, streams, _, _ = socket.recv_fds(connection, 4, 3)
            size = int.from_bytes(head + (_exactly(connection, 4 - len(head))), "big")
            arguments, environment, folder = json.loads(_exactly(connection, size))
        except (EOFError, ValueError, OSError):
            sys.exit(0)
        if not (pid := os.fork()):
            connection.close()
            _become({**added, **environment}, folder, streams)
            sys.argv = ["sfumato", *arguments]
            sys.exit(main.main(arguments))
        for stream in streams:
            os.close(stream)
        connection.sendall(pid.to_bytes(4, "big"))
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        connection.sendall(code.to_bytes(4, "big", signed=True))


def _become(environment: dict[str, str], folder: str, streams: list[int]) -> None:
    """What a new process is given by whoever starts it."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from huggingface_hub import constants

    # Read from the environment when it is imported.
    home = Path(environment.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    constants.ENDPOINT = environment.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    place = "/{repo_id}/resolve/{revision}/{filename}"
    constants.HUGGINGFACE_CO_URL_TEMPLATE = constants.ENDPOINT + place
    constants.HF_HOME = str(home)
    constants.HF_HUB_CACHE = environment.get("HF_HUB_CACHE", str(home / "hub"))
    constants.HF_TOKEN_PATH = environment.get("HF_TOKEN_PATH", str(home / "token"))


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
