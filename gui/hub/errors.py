"""Failures of the network, the Hub and the disk, as one sentence for a person.

The exceptions, and which answer makes which: huggingface_hub 2.4 (`huggingface_hub.errors`).
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import httpx2
from huggingface_hub import errors as hub

from gui.errors import ErrorKind, SfumatoError, disk_error

_LONGEST_WAIT = 3600.0
_LONG_WAIT = 120
"""Seconds above which a wait is worded in minutes."""


class BadTokenError(SfumatoError):
    """The Hub does not know the token; what is public can be had without it."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(
            ErrorKind.ACCESS,
            "The Hub does not accept your token; it may have expired: sign in again.",
            detail,
        )


def translate(error: BaseException, what: str) -> SfumatoError:
    """`error` as a kind, a sentence and a detail.  Never raises.

    Args:
        error: anything huggingface_hub, its HTTP client, json or the disk raised.
        what: what it was about, usually ``owner/name``; may be empty.
    """
    if isinstance(error, SfumatoError):
        return error
    name = f"“{what}”" if what else "This model"
    for one in _chain(error):
        if isinstance(one, SfumatoError):
            return one
        if is_bad_token(one):
            return BadTokenError(_detail(error))
        for judge in (_about_repositories, _about_status, _about_connections, _about_disk):
            found = judge(one, name)
            if found is not None:
                kind, message = found
                return SfumatoError(kind, message, _detail(error))
    return SfumatoError(
        ErrorKind.INTERNAL,
        "Something unexpected went wrong while talking to the Hub; try again, and report it "
        "if it stays.",
        _detail(error),
    )


def captive_portal(detail: str) -> SfumatoError:
    """A web page came where data was due."""
    return SfumatoError(
        ErrorKind.NETWORK,
        "Something other than the Hub answered, such as a Wi-Fi sign-in page; open a web browser, "
        "sign in to the network, and try again.",
        detail,
    )


def too_many_requests(seconds: float, detail: str = "") -> SfumatoError:
    """The Hub's 429.

    Args:
        seconds: its Retry-After; 0: it did not say.
    """
    when = f"in {_wait(seconds)}" if seconds > 0 else "in a few minutes"
    return SfumatoError(
        ErrorKind.NETWORK, f"The Hub asks for a pause; try again {when}, or sign in.", detail
    )


def retry_after(headers: httpx2.Headers, status: int) -> float:
    """Seconds a server wants us to wait, from Retry-After (RFC 9110, 10.2.3: seconds or a date) or
    the Hub's RateLimit header; 0: it does not say.  An hour at most: nobody waits for more.

    The Hub sends a RateLimit header with every answer, and its ``t`` says when the quota begins
    anew: it is an order to wait only on a 429 with nothing left (``r=0``).
    """
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    with contextlib.suppress(ValueError, OverflowError):
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
        return min(max(seconds, 0.0), _LONGEST_WAIT)
    parts = (part.strip().partition("=") for part in headers.get("RateLimit", "").split(";"))
    limit = {key: float(value) for key, _, value in parts if value.isdecimal() and value.isascii()}
    if status == 429 and limit.get("r") == 0:
        return min(limit.get("t", 0.0), _LONGEST_WAIT)
    return 0.0


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, then what led to it where it only says that something did."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        # "Not found locally" hides why it was not found remotely.
        if not isinstance(one, hub.LocalEntryNotFoundError) or not (
            one.__cause__ or one.__context__
        ):
            yield one
        one = one.__cause__ or one.__context__


_Found = tuple[ErrorKind, str] | None


def _about_repositories(error: BaseException, name: str) -> _Found:
    cases: list[tuple[type[BaseException], Callable[[], tuple[ErrorKind, str]]]] = [
        # A gated repository is, to huggingface_hub, a kind of missing one: it comes first.
        (hub.GatedRepoError, lambda: (ErrorKind.ACCESS, _gated(error, name))),
        (
            hub.DisabledRepoError,
            lambda: (ErrorKind.NOT_FOUND, f"The Hub has disabled {name}; choose another model."),
        ),
        (
            hub.RevisionNotFoundError,
            lambda: (
                ErrorKind.NOT_FOUND,
                f"This version of {name} is not on the Hub; look at the model again.",
            ),
        ),
        (
            hub.RemoteEntryNotFoundError,
            lambda: (
                ErrorKind.NOT_FOUND,
                f"A file of {name} is no longer on the Hub; look at the model again.",
            ),
        ),
        (hub.RepositoryNotFoundError, lambda: _missing(name)),
        (
            hub.HFValidationError,
            lambda: (
                ErrorKind.BAD_REQUEST,
                f"{name} cannot be the name of a model; names on the Hub look like owner/name.",
            ),
        ),
        (
            hub.OfflineModeIsEnabled,
            lambda: (
                ErrorKind.NETWORK,
                "The Hub is switched off by HF_HUB_OFFLINE; unset it to go online.",
            ),
        ),
        (
            hub.FileMetadataError,
            lambda: (ErrorKind.NETWORK, captive_portal("").message),
        ),
        (
            hub.LocalEntryNotFoundError,
            lambda: (ErrorKind.NETWORK, _no_connection()),
        ),
    ]
    for kind, answer in cases:
        if isinstance(error, kind):
            return answer()
    return None


def _missing(name: str) -> tuple[ErrorKind, str]:
    return (
        ErrorKind.NOT_FOUND,
        f"{name} is not on the Hub, or it is private; check the name, or sign in if it is yours.",
    )


def _gated(error: BaseException, name: str) -> str:
    response = getattr(error, "response", None)
    if getattr(response, "status_code", 0) == 403:
        return (
            f"Your account has no access to {name} yet; accept its terms on its page on the Hub, "
            "then try again."
        )
    return (
        f"{name} is only for people who accepted its terms; accept them on its page on the Hub, "
        "then sign in."
    )


def is_bad_token(error: BaseException) -> bool:
    """Whether the Hub's 401 is about the token, and not about what was asked for."""
    if isinstance(error, BadTokenError):
        return True
    response = getattr(error, "response", None)
    if isinstance(error, hub.RepositoryNotFoundError) or not isinstance(response, httpx2.Response):
        return False
    return response.status_code == 401 and (
        "authorization" in response.request.headers
        or "credentials" in response.headers.get("X-Error-Message", "").lower()
    )


def _about_status(error: BaseException, name: str) -> _Found:
    """By HTTP status, where huggingface_hub has no exception of its own for it."""
    response = getattr(error, "response", None)
    if not isinstance(error, httpx2.HTTPError) or not isinstance(response, httpx2.Response):
        return None
    status = response.status_code
    if status == 401:
        return _missing(name)
    if status == 403 and "authorization" not in response.request.headers:
        return ErrorKind.ACCESS, f"{name} is not open to everyone; sign in, and try again."
    if status == 403:
        return (
            ErrorKind.ACCESS,
            f"Your token does not allow reading {name}; make one with read permission on the Hub, "
            "and sign in with it.",
        )
    if status == 407:
        return ErrorKind.NETWORK, "The proxy server wants a password; check the proxy settings."
    if status == 429:
        error_429 = too_many_requests(retry_after(response.headers, status))
        return error_429.kind, error_429.message
    if status in (404, 410):
        return (
            ErrorKind.NOT_FOUND,
            f"{name} is not on the Hub, or not any more; look for another model.",
        )
    if status == 408 or status >= 500:
        return (
            ErrorKind.NETWORK,
            f"The Hub has a problem of its own (error {status}); try again in a few minutes.",
        )
    return ErrorKind.NETWORK, f"The Hub refused the request (error {status}); try again later."


def _about_connections(error: BaseException, name: str) -> _Found:
    inner = list(_chain(error))
    if any(isinstance(e, ssl.SSLError) for e in inner) or "CERTIFICATE" in str(error).upper():
        return (
            ErrorKind.NETWORK,
            "The connection to the Hub is not safe: its certificate is not accepted; check this "
            "computer's date and the network you are on.",
        )
    if isinstance(error, httpx2.ProxyError):
        return (
            ErrorKind.NETWORK,
            "The proxy server cannot be used; check the proxy settings of this computer.",
        )
    if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
        return (
            ErrorKind.NETWORK,
            "The Hub did not answer in time; check the internet connection, and try again.",
        )
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return (
            ErrorKind.NETWORK,
            "The Hub's address is not a web address; check HF_ENDPOINT, and unset it if in doubt.",
        )
    if isinstance(error, httpx2.TooManyRedirects):
        return ErrorKind.NETWORK, captive_portal("").message
    if isinstance(error, (httpx2.ConnectError, socket.gaierror, ConnectionRefusedError)):
        return ErrorKind.NETWORK, _no_connection()
    if isinstance(error, (httpx2.TransportError, httpx2.StreamError, ConnectionError)):
        return (
            ErrorKind.NETWORK,
            "The connection to the Hub broke off; check the internet connection, and try again.",
        )
    if isinstance(error, (json.JSONDecodeError, httpx2.DecodingError, UnicodeDecodeError)):
        return ErrorKind.NETWORK, captive_portal("").message
    return None


def _no_connection() -> str:
    return "The Hub cannot be reached; check the internet connection, and try again."


def _about_disk(error: BaseException, name: str) -> _Found:
    if isinstance(error, MemoryError):
        return (
            ErrorKind.MEMORY,
            "There is not enough free memory; close other programs, and try again.",
        )
    if not isinstance(error, OSError) or isinstance(error, httpx2.HTTPError):
        return None
    place = f" ({error.filename})" if error.filename else ""
    found = disk_error(error, f"A file of Sfumato’s cannot be read or written{place}")
    return found.kind, found.message


def _wait(seconds: float) -> str:
    if seconds > _LONG_WAIT:
        return f"{round(seconds / 60)} minutes"
    return "a second" if seconds <= 1 else f"{round(seconds)} seconds"


def _detail(error: BaseException) -> str:
    """Types and texts of the whole chain; no headers, hence no token."""
    seen: set[int] = set()
    parts = []
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        parts.append(f"{type(one).__name__}: {one}".strip())
        one = one.__cause__ or one.__context__
    return "\n".join(parts)
