"""Weights packed beside the reading of a program: on threads of their own, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any

import torch

from gui.coreml.portable.plan import PlanStep
from gui.coreml.resources import usable_cores

_MOST_THREADS = 4
"""What is bound by memory gains nothing from more."""


class Packing:
    """Hands out promises of packed weights, to be kept before the plan is made.

    Each thread packs with one thread of torch's: the many short loops of several would mostly wait
    for one another.  So few are under way at once that what they are packed from takes no memory
    to speak of.
    """

    def __init__(self) -> None:
        threads = min(_MOST_THREADS, usable_cores())
        self._places = BoundedSemaphore(threads + 1)
        self._pool = ThreadPoolExecutor(
            threads, "pack", initializer=torch.set_num_threads, initargs=(1,)
        )

    def __enter__(self) -> Packing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def promise(self, pack: Callable[[], torch.Tensor]) -> Future[torch.Tensor]:
        """Have `pack` called; waits while too many are under way."""
        self._places.acquire()
        future = self._pool.submit(pack)
        future.add_done_callback(lambda _: self._places.release())
        return future

    @staticmethod
    def keep(steps: Iterable[PlanStep]) -> None:
        """Put every promised weight in its place; what failed in packing is raised here."""
        for step in steps:
            step.arguments = [_kept(value) for value in step.arguments]


def _kept(value: Any) -> Any:
    return value.result() if isinstance(value, Future) else value
