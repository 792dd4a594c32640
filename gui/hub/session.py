"""How Sfumato talks to the Hub: huggingface_hub's client, with limits on time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants
from huggingface_hub.utils import (
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    set_client_factory,
)
from huggingface_hub.utils._http import default_client_factory

from gui import __version__
from gui.hub.errors import captive_portal, retry_after, too_many_requests, translate

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
    return (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def same_origin(url: str, endpoint: str) -> bool:
    """Whether `url` is on the very scheme, host and port of the Hub."""
    one, other = urlsplit(url), urlsplit(endpoint)
    return (one.scheme, one.netloc.lower()) == (other.scheme, other.netloc.lower())


def headers_for(url: str, endpoint: str, token: str | None) -> dict[str, str]:
    """Request headers; the token goes to the Hub itself and to nobody else."""
    trusted = token if token and same_origin(url, endpoint) else False
    return build_hf_headers(token=trusted, library_name="sfumato", library_version=__version__)


def get_json(
    url: str,
    *,
    endpoint: str,
    token: str | None,
    what: str,
    params: Mapping[str, str | Sequence[str]] | None = None,
) -> tuple[Any, str]:
    """A JSON answer of the Hub, and the address of the next page (empty: none).

    Args:
        what: what it is about, for the sentence of an error.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND.
    """
    try:
        response = _get(url, headers_for(url, endpoint, token), params)
        if len(response.content) > MAX_JSON:
            raise captive_portal(f"{len(response.content)} bytes from {url}")
        kind = response.headers.get("Content-Type", "")
        if "json" not in kind:
            raise captive_portal(f"{kind} from {response.url}")
        data = response.json()
    except Exception as error:
        raise translate(error, what) from error
    following = str(response.links.get("next", {}).get("url") or "")
    if following and not same_origin(following, endpoint):
        # A mirror that repeats the true Hub's links; its path and query are what counts.
        split = urlsplit(following)
        following = f"{endpoint}{split.path}?{split.query}"
    return data, following


def _get(
    url: str, headers: dict[str, str], params: Mapping[str, str | Sequence[str]] | None
) -> httpx2.Response:
    """GET, tried again a little where that is likely to help."""
    wait = _FIRST_WAIT
    for attempt in range(_RETRIES + 1):
        last = attempt == _RETRIES
        try:
            response = get_session().get(url, headers=headers, params=params)  # type: ignore[arg-type]
        except _BROKEN:
            if last:
                raise
            time.sleep(wait)
            wait *= 2
            continue
        pause = retry_after(response.headers)
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


def get_bytes(url: str, *, endpoint: str, token: str | None, limit: int, what: str) -> bytes:
    """Contents of a file, at most `limit` bytes of it.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND.
    """
    try:
        with stream(url, endpoint=endpoint, token=token) as response:
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) >= limit:
                    break
            return bytes(data[:limit])
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
    wanted = {**headers_for(url, endpoint, token), **(headers or {})}
    with get_session().stream("GET", url, headers=wanted) as response:
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        yield response
