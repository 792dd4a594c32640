"""Pictures from outside are opened in a process of their own: one that takes its decoder down, or
all memory, or for ever, ends that process, and nobody else's requests.

What comes back is pixels.
"""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.process.child import ChildLost, worker_command
from gui.process.messages import Event, Interface, Question
from gui.process.serve import Call, Server
from gui.process.supervisor import Supervisor
from gui.records import Range
from gui.serve import limits

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

ARGUMENT = "--open-pictures"
"""Of the service's own program, to be this process."""
_REST_SECONDS = 60.0
_SIDE = Annotated[int, Range(0, 2**20)]


@dataclass(frozen=True)
class OpenPicture(Question[None]):
    """Decode a picture; `Pixels` follow."""

    path: str
    longest: _SIDE = 0
    """Pixels of the longest side that it is scaled down to; 0: as it is."""


@dataclass(frozen=True)
class Pixels(Event):
    """Row by row: red, green and blue, and where `alpha`, how opaque; a byte each."""

    width: _SIDE
    height: _SIDE
    alpha: bool
    data: bytes = b""

    def to_json(self) -> dict[str, Any]:
        return {"width": self.width, "height": self.height, "alpha": self.alpha}

    def block(self) -> bytes:
        return self.data

    def with_block(self, block: bytes) -> Pixels:
        if len(block) != (4 if self.alpha else 3) * self.width * self.height or not block:
            raise ValueError(f"{self.width} × {self.height} pixels with {len(block)} bytes")
        return replace(self, data=block)


OPENING = Interface("opening", "The opener of pictures", (OpenPicture,), (Pixels,))


class Opener:
    """The service's end; from any thread.

    Args:
        command: how the process is started; None: this program's own.
        seconds: that a picture may take.
    """

    def __init__(
        self, command: list[str] | None = None, seconds: float = limits.OPEN_SECONDS
    ) -> None:
        self._process = Supervisor(OPENING, command or [*worker_command("serve"), ARGUMENT])
        self._seconds = seconds
        self._lock = threading.Lock()
        self._rest: threading.Timer | None = None

    def open(self, file: Path, longest: int | None) -> PillowImage:
        """Decode a picture.

        Raises:
            SfumatoError: BAD_IMAGE where it is none that can be read, or too large, or takes too
                long, or takes its decoder down; MEMORY.
        """
        from PIL import Image

        got: list[Pixels] = []
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            end = time.monotonic() + self._seconds
            try:
                question = OpenPicture(str(file), longest or 0)
                self._process.ask(question, got.append, lambda: time.monotonic() > end)
            except Cancelled as error:
                raise _refused(file, "takes too long to be opened") from error
            except ChildLost as error:
                self._process.forgive()
                raise _refused(file, "cannot be opened", error.detail) from error
            finally:
                self._rest = threading.Timer(_REST_SECONDS, self._stop)
                self._rest.daemon = True
                self._rest.start()
        made = got[-1]
        mode = "RGBA" if made.alpha else "RGB"
        return Image.frombytes(mode, (made.width, made.height), made.data)

    def _stop(self) -> None:
        with self._lock:
            self._process.stop()

    def close(self) -> None:
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            self._process.close()


def _refused(file: Path, what: str, detail: str = "") -> SfumatoError:
    return SfumatoError(ErrorKind.BAD_IMAGE, f"“{file.name}” {what}; send another picture.", detail)


# -- the process ----------------------------------------------------------------------------------


def serve(connection: Connection) -> None:
    """Open pictures until the parent hangs up."""
    for kind, most in ((resource.RLIMIT_AS, limits.OPEN_MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):  # macOS has no such limit of memory
            resource.setrlimit(kind, (most, most))
    handlers: dict[type[Question[Any]], Callable[[Any, Call], Any]] = {OpenPicture: _open}
    Server(connection, OPENING, handlers).run()


def _open(ask: OpenPicture, call: Call) -> None:
    from gui.library.picture_reader import read_picture, size_of

    file = Path(ask.path)
    width, height = size_of(file)
    if width * height > limits.MAX_PIXELS:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{file.name}” is {width} × {height} pixels large, more than is taken here; scale "
            "it down first.",
        )
    made = read_picture(file, ask.longest or None)
    call.tell(Pixels(made.width, made.height, made.mode == "RGBA", made.tobytes()))
