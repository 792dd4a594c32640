"""What all parts of the service share while it is heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gui import paths
from gui.serve.addresses import names_of
from gui.serve.guard import Policy
from gui.serve.messages import Asked, QueueTouched, ServiceOptions
from gui.serve.queue_desk import QueueDesk
from gui.serve.shelf import Shelf
from gui.serve.uploads import Uploads, needed_by
from gui.serve.wire import Budget

_T = TypeVar("_T")


class Hall:
    """Queue, models, uploads; made on the event loop.

    Args:
        options: the first ones.
        tell: tells the parent an event; from any thread.
    """

    def __init__(
        self, options: ServiceOptions, tell: Callable[[QueueTouched | Asked], None]
    ) -> None:
        self.options = options
        self.queue = QueueDesk(lambda: tell(QueueTouched()), lambda waiting: tell(Asked(waiting)))
        self.uploads = Uploads()
        self.shelf = Shelf(lambda: self.options)
        self.budget = Budget()
        self.streams = 0
        """Programs that follow events."""
        self.at_close: list[Callable[[], object]] = []
        self._names = names_of(options)
        self._worker = ThreadPoolExecutor(1, "requests")

    def policy(self) -> Policy:
        """Whom to answer."""
        options = self.options
        return Policy(options.token, self._names, frozenset(options.origins))

    async def start(self) -> None:
        """Raises SfumatoError where the queue cannot be used."""
        await self.queue.start()
        await self.run(self._sweep)

    async def close(self) -> None:
        await self.queue.close()
        self._worker.shutdown(wait=False, cancel_futures=True)
        self.shelf.close()
        await asyncio.to_thread(self.uploads.close)
        for close in self.at_close:
            close()

    async def run(self, work: Callable[[], _T]) -> _T:
        """Have something done that blocks: models looked up, pictures decoded.  One at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _sweep(self) -> None:
        self.uploads.sweep(needed_by(job.request for job in self.queue.now.jobs))
        with contextlib.suppress(OSError):
            paths.answers_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # what an earlier service did not give away
            for file in paths.answers_dir().iterdir():
                file.unlink()
