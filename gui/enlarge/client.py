"""The window's and the command line's end of the process that enlarges (`gui.enlarge.service`).

No Qt and nothing heavy.  Every call blocks its thread until the answer is there.
"""

from __future__ import annotations

from collections.abc import Callable

from gui.enlarge.messages import (
    ENLARGER,
    Enlarged,
    EnlargePicture,
    ListUpscalers,
    Pieces,
    Upscaler,
)
from gui.process.supervisor import Supervisor

CANCEL_SECONDS = 20.0
"""How long a piece that is being enlarged may take after a stop; the process is ended then."""


class EnlargeClient(Supervisor):
    """One process, started when it is first needed; it keeps its last network loaded.

    Args:
        command: program and arguments; None: this program's own.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        super().__init__(ENLARGER, command)

    def upscalers(self) -> tuple[Upscaler, ...]:
        """Which networks there are.  Raises SfumatoError."""
        return self.ask(ListUpscalers())

    def enlarge(
        self,
        question: EnlargePicture,
        on_pieces: Callable[[Pieces], None] = lambda _pieces: None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Enlarged:
        """Enlarge one picture.

        Raises:
            SfumatoError: it could not be read, enlarged or saved; nothing is left behind then.
            Cancelled: `cancelled` has said yes.
        """
        return self.ask(question, on_pieces, cancelled, CANCEL_SECONDS)
