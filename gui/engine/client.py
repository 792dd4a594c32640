"""The window's end of the engine: start the child process, talk to it, stop it.

No Qt and nothing heavy.  `gui.engine.runner` adds the policy (deadlines, restarting).
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from gui.engine import messages
from gui.engine.messages import Event, Generate, ProtocolError
from gui.process import child
from gui.process.child import ChildLost, ChildProcess

EngineLost = ChildLost


def engine_command() -> list[str]:
    """How to start the engine: its own executable in a bundle, this Python otherwise."""
    return child.worker_command("engine")


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
        self._closed = False
        # Unnamed, so that nothing is left behind however this process ends.
        self._flag_file = tempfile.TemporaryFile(prefix="sfumato-cancel-")  # noqa: SIM115
        self._flag_file.write(b"\0")
        self._flag_file.flush()
        self._flag = mmap.mmap(self._flag_file.fileno(), 1)
        try:
            self._child = ChildProcess(
                "The engine",
                command or engine_command(),
                log or child.log_file("engine"),
                environment,
                {"--cancel-fd": self._flag_file.fileno()},
            )
        except EngineLost:
            self._release()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def connection(self) -> Connection:
        """For `multiprocessing.connection.wait` beside other things."""
        return self._child.connection

    def send(self, message: Generate) -> None:
        """Raises EngineLost where the engine is gone."""
        try:
            self.connection.send_bytes(messages.encode(message))
        except OSError as error:
            raise self._child.lost(repr(error)) from error

    def receive(self) -> Event:
        """The next event; waits for it.

        Raises:
            EngineLost: the engine ended, or sent something that is not a message.
        """
        try:
            message = messages.decode(self.connection.recv_bytes(messages.MAX_FRAME))
        except (EOFError, OSError) as error:
            raise self._child.lost(repr(error)) from error
        except ProtocolError as error:
            self.kill()
            raise self._child.lost(str(error)) from error
        if isinstance(message, Generate):
            self.kill()
            raise self._child.lost("the engine sent a command")
        return message

    def poll(self, timeout: float | None) -> bool:
        """Whether `receive` would return (or raise) at once, waiting up to `timeout` seconds."""
        return self._child.poll(timeout)

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
        self._child.kill(grace)

    def close(self, grace: float = 0.5) -> None:
        """Hang up, which an idle engine takes as the end of its work; end it by force if it is
        still there after `grace` seconds.  May be called twice."""
        if self._closed:
            return
        self.cancel()
        self._child.close(grace)
        self._release()

    def _release(self) -> None:
        self._closed = True
        self._flag.close()
        self._flag_file.close()

    def log_tail(self) -> str:
        """The last lines this process wrote to its log."""
        return self._child.log_tail()
