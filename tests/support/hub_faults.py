"""What can go wrong between a client and the Hub, on demand."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

CAPTIVE_PORTAL = (
    b"<!DOCTYPE html><html><head><title>Hotel Wi-Fi</title></head>"
    b"<body><form action='/login'>Room number <input name='room'></form></body></html>"
)


@dataclass
class Fault:
    """One thing that goes wrong.  Several may apply to one request; their effects add up.

    Args:
        pattern: `fnmatch` pattern of the unquoted path, e.g. ``/api/models*``, ``*weight.bin``.
            Downloads of large files arrive at ``/owner/name/resolve/…`` and, after a redirect, at
            ``/cdn/owner/name/…``: ``*/weight.bin`` hits both, ``/cdn/*`` the second only.
        times: how many matching requests it hits; None: all.
        skip: how many matching requests pass first.
        method: only this method; empty: any.
    """

    pattern: str = "*"
    times: int | None = None
    skip: int = 0
    method: str = ""

    status: int = 0
    """Answer with this status instead."""
    retry_after: float | None = None
    """Retry-After header of that answer, in seconds."""
    rate_limit: str = ""
    """RateLimit header of that answer, as the Hub sends one with every answer."""
    error_code: str = ""
    """Its X-Error-Code, e.g. ``GatedRepo``."""
    error_message: str = ""
    """Its X-Error-Message."""
    html: bool = False
    """A captive portal: 200, text/html, whatever was asked."""
    redirect: str = ""
    """302 to this address."""
    body: bytes | None = None
    """Answer 200 with this body, as JSON."""
    hang_up: bool = False
    """Close the connection without any answer."""
    delay: float = 0.0
    """Seconds before anything is answered."""
    bytes_per_second: float = 0.0
    """Speed limit of each connection's bodies; 0: none."""
    drop_after: int | None = None
    """Break the connection after so many bytes of the body."""
    truncate_to: int | None = None
    """Send only so many bytes of the body and say, in Content-Length, that this was all."""
    corrupt_at: int | None = None
    """Flip all bits of the byte at this offset of the file (negative: from its end)."""
    ignore_range: bool = False
    """Answer a range request with 200 and the whole file."""
    action: Callable[[], object] | None = None
    """Called, before the request is answered, for each request hit."""

    hits: int = field(default=0, init=False)
    """Requests hit so far."""
    seen: int = field(default=0, init=False)


class Faults:
    """The faults that are set; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._faults = [f for f in self._faults if f is not fault]

    def strike(self, method: str, path: str) -> list[Fault]:
        """Those that hit this request; counts it."""
        struck = []
        with self._lock:
            for fault in self._faults:
                if fault.method not in ("", method) or not fnmatch.fnmatchcase(path, fault.pattern):
                    continue
                fault.seen += 1
                if fault.seen <= fault.skip or (
                    fault.times is not None and fault.hits >= fault.times
                ):
                    continue
                fault.hits += 1
                struck.append(fault)
        for fault in struck:
            if fault.action:
                fault.action()
        return struck
