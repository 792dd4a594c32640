"""Finished pictures are saved by a thread of their own while the next one is begun.

One at a time and in their order, so that those of a job are on disk without a gap, and at most one
waits in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_BREATH = 0.001
"""Seconds that the maker of pictures leaves to the thread after a step."""


class Saver:
    """Does one piece of work at a time beside the caller, whose thread all methods are for."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "saver")
        self._pending: Future[None] | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Have this done, once what was put before is.

        Raises:
            Exception: what was put before has failed; this is not done then.
        """
        self.finish()
        self._pending = self._pool.submit(work)

    def check(self) -> None:
        """See that what was put last has not failed by now.

        Raises:
            Exception: it has.
        """
        if self._pending is not None and self._pending.done():
            self.finish()

    def breathe(self) -> None:
        """Let the thread have the interpreter for a moment.

        Core ML holds it while a network runs, so that the thread would get through one call of the
        system per step, and a picture be seen many steps late.
        """
        if self._pending is not None:
            wait([self._pending], _BREATH)

    def finish(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: what was put last has failed.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
