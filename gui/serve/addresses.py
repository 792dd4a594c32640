"""Addresses and names under which the service may be asked.  Standard library only."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket

from gui.errors import ErrorKind, SfumatoError
from gui.serve.messages import ServiceOptions

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = ("0.0.0.0", "::")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?")


def checked_origin(text: str) -> str:
    """A web page's origin, as browsers send it.

    Raises:
        SfumatoError: BAD_REQUEST where it is none.
    """
    origin = text.strip().rstrip("/").lower()
    if not _ORIGIN.fullmatch(origin):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{text.strip()[:80]}” is no origin of a web page; write it as https://example.org.",
        )
    return origin


def is_loopback(host: str) -> bool:
    """Whether an address is this computer's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere


def names_of(options: ServiceOptions) -> frozenset[str]:
    """By what this computer may be called in a request, in lower case.  May ask the system."""
    found = {*LOCAL_NAMES, *(name.lower() for name in options.names)}
    if is_loopback(options.host):
        return frozenset({*found, options.host.lower()})
    name = socket.gethostname().lower()
    found |= {name, f"{name.partition('.')[0]}.local"}
    if options.host in _ANY:
        found |= _own_addresses(name)
    else:
        found.add(options.host.lower())
    return frozenset(found)


def reached_at(host: str) -> str:
    """The address, or else the name, by which others reach this computer where it is heard at
    `host`.  May ask the system."""
    if host not in _ANY:
        return f"[{host}]" if ":" in host else host
    return _way_out() or socket.gethostname()


def _own_addresses(name: str) -> set[str]:
    found: set[str] = {_way_out()} - {""}
    with contextlib.suppress(OSError):
        found |= {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, None)}
    return found


def _way_out() -> str:
    """The address that the way to the network has, nothing is sent; empty: there is none."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out,
    ):
        way_out.connect(("192.0.2.1", 9))
        return str(way_out.getsockname()[0])
    return ""
