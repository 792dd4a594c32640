"""The connections: threads that fetch pieces, shared fairly by the downloads that run."""

from __future__ import annotations

import threading
import time

from gui.hub.downloads.fetch import Fetch, Piece

_IDLE_SECONDS = 1.0


class Workers:
    """At most `count` threads, started when there is work.

    Args:
        count: connections over all downloads together.
    """

    def __init__(self, count: int) -> None:
        self.changed = threading.Condition()
        """Notified when there may be work, and when work was done; its lock guards every fetch."""
        self._count = count
        self._threads: list[threading.Thread] = []
        self._fetches: list[Fetch] = []
        self._closed = False
        self._turn = 0

    def add(self, fetch: Fetch) -> None:
        """Let a fetch take part."""
        with self.changed:
            self._fetches.append(fetch)
            while len(self._threads) < self._count:
                name = f"connection-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self.changed.notify_all()

    def remove(self, fetch: Fetch) -> None:
        with self.changed:
            if fetch in self._fetches:
                self._fetches.remove(fetch)

    def close(self) -> None:
        """End the threads, as soon as each has let go of its connection."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self.changed:
                while (found := self._next()) is None:
                    if self._closed:
                        return
                    self.changed.wait(self._patience())
            fetch, piece = found
            fetch.work(piece)

    def _next(self) -> tuple[Fetch, Piece] | None:
        """A piece of the fetch whose turn it is."""
        now = time.monotonic()
        for k in range(len(self._fetches)):
            fetch = self._fetches[(self._turn + k) % len(self._fetches)]
            piece = fetch.take(now)
            if piece is not None:
                self._turn = (self._turn + k + 1) % len(self._fetches)
                return fetch, piece
        return None

    def _patience(self) -> float:
        """Seconds until a fetch that waits may go on."""
        now = time.monotonic()
        soon = [f.resume_at - now for f in self._fetches if f.resume_at > now]
        return min([_IDLE_SECONDS, *soon]) if self._fetches else _IDLE_SECONDS * 60
