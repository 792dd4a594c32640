"""Threads that work off questions: each pool has its own, so that slow ones hold up no others.

Standard library only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

Work = Callable[[], None]


class WorkerPool:
    """A few threads and what waits for them.  Threads are daemons: the process may end under them.

    Args:
        name: of the threads.
        threads: how many questions are worked on at a time; 0: as many as call `run`.
        newest_first: whether the newest question is taken before older ones (what a person looks
            at now is what was asked for last).
    """

    def __init__(self, name: str, threads: int, newest_first: bool = False) -> None:
        self._name = name
        self._threads = threads
        self._newest_first = newest_first
        self._waiting: OrderedDict[int, Work] = OrderedDict()
        self._changed = threading.Condition()
        self._idle = 0
        self._started = 0
        self._closed = False

    def put(self, request: int, work: Work) -> None:
        """Have `work` done on a thread of this pool.  It must not raise."""
        with self._changed:
            self._waiting[request] = work
            if self._idle < len(self._waiting) and self._started < self._threads:
                self._started += 1
                name = f"{self._name}-{self._started}"
                threading.Thread(target=self.run, name=name, daemon=True).start()
            self._changed.notify()

    def drop(self, request: int) -> bool:
        """Take a question back; False where it is being worked on, or is not of this pool."""
        with self._changed:
            return self._waiting.pop(request, None) is not None

    def run(self) -> None:
        """Work on this thread until `close`."""
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if self._closed:
                    return
                _, work = self._waiting.popitem(last=self._newest_first)
            work()

    def close(self) -> None:
        """Take nothing up any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
