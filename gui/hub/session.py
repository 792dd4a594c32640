"""How Sfumato talks to the Hub: huggingface_hub's client, with limits on time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.utils import (
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    set_client_factory,
)
from huggingface_hub.utils._http import default_client_factory

from gui import __version__
from gui.hub.errors import (
    BadTokenError,
    captive_portal,
    is_bad_token,
    retry_after,
    too_many_requests,
    translate,
)
from gui.names import endpoint as default_endpoint

CONNECT_SECONDS = 10.0
READ_SECONDS = 20.0
"""Without a byte."""
MAX_JSON = 64 * 2**20
"""Longest answer that is read into memory, in bytes."""

_RETRIES = 2
_FIRST_WAIT = 0.4
_SHORT_PAUSE = 3.0
"""Seconds of a Retry-After that we wait ourselves; above, the person is told."""
_BUSY = (500, 502, 503, 504)
_BROKEN = (httpx2.RemoteProtocolError, httpx2.ReadError)

T = TypeVar("T")


def _client() -> httpx2.Client:
    client = default_client_factory()
    hooks = client.event_hooks
    hooks["request"] = [*hooks["request"], _limit]
    client.event_hooks = hooks
    return client


def _limit(request: httpx2.Request) -> None:
    """Fill in the time limits that a caller left out or set to none."""
    given = dict(request.extensions.get("timeout") or {})
    limits = {"connect": CONNECT_SECONDS, "pool": READ_SECONDS}
    limits |= {"read": READ_SECONDS, "write": READ_SECONDS}
    merged = {**given, **{k: v for k, v in limits.items() if given.get(k) is None}}
    request.extensions = {**request.extensions, "timeout": merged}


_prepared = threading.Lock()
_is_prepared = False


def prepare() -> None:
    """Give huggingface_hub's shared client time limits: by itself it waits for ever.  And let it
    say nothing of this machine, also where it was imported before `gui.hub` set its variable.

    Done once, when this module is imported; to do it later would break connections in use.
    """
    global _is_prepared
    with _prepared:
        if not _is_prepared:
            set_client_factory(_client)
            constants.HF_HUB_DISABLE_TELEMETRY = True
            _is_prepared = True


prepare()


def endpoint_or_default(endpoint: str | None) -> str:
    """Base address of the Hub: as given, or HF_ENDPOINT, or huggingface.co; no slash at the end."""
    return endpoint.rstrip("/") if endpoint else default_endpoint()


def same_origin(url: str, endpoint: str) -> bool:
    """Whether `url` is on the very scheme, host and port of the Hub."""
    try:
        return _origin(url) == _origin(endpoint)
    except ValueError:  # a port that is none
        return False


def _origin(url: str) -> tuple[str, str, int | None]:
    split = urlsplit(url)
    port = split.port or {"http": 80, "https": 443}.get(split.scheme)
    return split.scheme, split.hostname or "", port


def headers_for(url: str, endpoint: str, token: str | None) -> dict[str, str]:
    """Request headers; the token goes to the Hub itself and to nobody else."""
    trusted = token if token and same_origin(url, endpoint) else False
    return build_hf_headers(token=trusted, library_name="sfumato", library_version=__version__)


# Tokens that the Hub does not know (any more).  Nearly all there is to see and to get is public,
# and an old token must not stand in the way: what it was sent with is asked again without it.

_refused: set[tuple[str, str]] = set()
"""Endpoint and token."""


def usable(token: str | None, endpoint: str) -> str | None:
    """`token`, or None where this Hub has said that it does not know it."""
    return token if token and (endpoint, token) not in _refused else None


def accept(token: str, endpoint: str) -> None:
    """The Hub does know a token."""
    _refused.discard((endpoint, token))


def with_token(token: str | None, endpoint: str, ask: Callable[[str | None], T]) -> T:
    """`ask` with the token; without it where the Hub does not know it.

    Raises:
        BadTokenError: the Hub does not know it, and what was asked for is not for everyone.
        Exception: whatever else `ask` raises.
    """
    if good := usable(token, endpoint):
        try:
            return ask(good)
        except Exception as error:
            if not is_bad_token(error):
                raise
        _refused.add((endpoint, good))
    try:
        return ask(None)
    except GatedRepoError as error:
        if token:
            raise BadTokenError(repr(error)) from error
        raise


def get_json(
    url: str,
    *,
    endpoint: str,
    token: str | None,
    what: str,
    params: Mapping[str, str | Sequence[str]] | None = None,
    strict: bool = False,
) -> tuple[Any, str]:
    """A JSON answer of the Hub, and the address of the next page (empty: none).

    Args:
        what: what it is about, for the sentence of an error.
        strict: whether a token that the Hub does not know is an error.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND.
    """

    def ask(token: str | None) -> httpx2.Response:
        return _get(url, headers_for(url, endpoint, token), params)

    try:
        response = ask(token) if strict else with_token(token, endpoint, ask)
        kind = response.headers.get("Content-Type", "")
        if "json" not in kind:
            raise captive_portal(f"{kind} from {response.url}")
        data = _parsed(response)
    except Exception as error:
        raise translate(error, what) from error
    following = str(response.links.get("next", {}).get("url") or "")
    if following and not same_origin(following, endpoint):
        # A mirror that repeats the true Hub's links; its path and query are what counts.
        split = urlsplit(following)
        following = f"{endpoint}{split.path}?{split.query}"
    return data, following


def _parsed(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise captive_portal(f"{error!r} from {response.url}") from error


def _get(
    url: str, headers: dict[str, str], params: Mapping[str, str | Sequence[str]] | None
) -> httpx2.Response:
    """GET, tried again a little where that is likely to help."""
    wait = _FIRST_WAIT
    for attempt in range(_RETRIES + 1):
        last = attempt == _RETRIES
        try:
            response = _read(url, headers, params)
        except _BROKEN:
            if last:
                raise
            time.sleep(wait)
            wait *= 2
            continue
        pause = retry_after(response.headers, response.status_code)
        if response.status_code == 429:
            if last or not 0 < pause <= _SHORT_PAUSE:
                raise too_many_requests(pause, f"429 from {url}")
            time.sleep(pause)
        elif response.status_code in _BUSY and not last and pause <= _SHORT_PAUSE:
            time.sleep(max(wait, pause))
            wait *= 2
        else:
            hf_raise_for_status(response)
            return response
    raise AssertionError("unreachable")


def _read(
    url: str, headers: dict[str, str], params: Mapping[str, str | Sequence[str]] | None
) -> httpx2.Response:
    """An answer with its body, which must not be longer than `MAX_JSON`."""
    with get_session().stream("GET", url, headers=headers, params=params) as response:  # type: ignore[arg-type]
        body = _body(response, MAX_JSON + 1)
        if len(body) > MAX_JSON:
            raise captive_portal(f"more than {MAX_JSON} bytes from {url}")
        # As `Response.read` leaves it.
        response._content = body
        return response


def _body(response: httpx2.Response, limit: int) -> bytes:
    """The body, or its first `limit` bytes."""
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) >= limit:
            break
    return bytes(data[:limit])


def get_bytes(url: str, *, endpoint: str, token: str | None, limit: int, what: str) -> bytes:
    """Contents of a file, at most `limit` bytes of it.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND.
    """
    try:
        with stream(url, endpoint=endpoint, token=token) as response:
            kind = response.headers.get("Content-Type", "")
            if "html" in kind:  # the Hub calls every text plain
                raise captive_portal(f"{kind} from {response.url}")
            return _body(response, limit)
    except Exception as error:
        raise translate(error, what) from error


@contextmanager
def stream(
    url: str, *, endpoint: str, token: str | None, headers: Mapping[str, str] | None = None
) -> Iterator[httpx2.Response]:
    """A GET whose body is read as it comes; the status is checked.

    Raises:
        huggingface_hub.errors.HfHubHTTPError, httpx2.HTTPError: see `gui.hub.errors.translate`.
    """
    with ExitStack() as stack:
        yield with_token(
            token, endpoint, lambda t: stack.enter_context(_stream(url, endpoint, t, headers or {}))
        )


@contextmanager
def _stream(
    url: str, endpoint: str, token: str | None, headers: Mapping[str, str]
) -> Iterator[httpx2.Response]:
    wanted = {**headers_for(url, endpoint, token), **headers}
    with get_session().stream("GET", url, headers=wanted) as response:
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        yield response
