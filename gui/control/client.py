"""The window's and the command line's end of the process that makes control pictures
(`gui.control.service`).

No Qt and nothing heavy.  Every call blocks its thread until the answer is there.
"""

from __future__ import annotations

from collections.abc import Callable

from gui.control.messages import CONTROL, ControlPicture, PrepareControl, Prepared
from gui.process.supervisor import Supervisor

CANCEL_SECONDS = 20.0
"""How long a network may take after nobody wants its map any more; the process is ended then."""


class ControlClient(Supervisor):
    """One process, started when it is first needed; it keeps its last network loaded.

    Args:
        command: program and arguments; None: this program's own.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        super().__init__(CONTROL, command)

    def prepare(
        self, question: PrepareControl, cancelled: Callable[[], bool] | None = None
    ) -> tuple[ControlPicture, Prepared]:
        """Make a control picture.

        Raises:
            SfumatoError: as `gui.pipeline.preprocess.Preprocessing.picture`.
            Cancelled: `cancelled` has said yes.
        """
        made: list[ControlPicture] = []
        told = self.ask(question, made.append, cancelled, CANCEL_SECONDS)
        return made[-1], told
