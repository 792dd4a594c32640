"""Failures in words: each case brought about with the real client library and a real socket."""

from __future__ import annotations

import errno
import json
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, constants, hf_hub_download

from gui.errors import ErrorKind, SfumatoError
from gui.hub.errors import retry_after, translate
from tests.support.hub_repo import Repo
from tests.support.hub_server import STRANGER_TOKEN, HubServer

Start = Callable[..., HubServer]
REPOS = [
    Repo("a/open", {"x.txt": "x", "w.bin": b"w" * 1000}),
    Repo("a/gated", {"x.txt": "x"}, gated="auto", granted=("ada",)),
    Repo("a/private", {"x.txt": "x"}, private=True, granted=("ada",)),
]


def raised(act: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


def sound(error: SfumatoError) -> SfumatoError:
    """One sentence, in plain words, with something to do about it, and a detail."""
    assert error.message.endswith(".") and (";" in error.message or "," in error.message)
    assert "\n" not in error.message and "Error" not in error.message
    assert error.detail
    return error


def info(server: HubServer, repo: str, token: str | bool = False, **options: Any) -> Any:
    return HfApi(endpoint=server.endpoint, token=token).model_info(repo, **options)


def download(server: HubServer, repo: str, file: str, token: str | bool = False) -> str:
    return hf_hub_download(repo, file, endpoint=server.endpoint, token=token)


@pytest.mark.parametrize(
    ("act", "kind", "part"),
    [
        (lambda s: info(s, "a/none"), ErrorKind.NOT_FOUND, "not on the Hub, or it is private"),
        (lambda s: info(s, "a/none", STRANGER_TOKEN), ErrorKind.NOT_FOUND, "private"),
        (lambda s: info(s, "a/private"), ErrorKind.NOT_FOUND, "sign in if it is yours"),
        (lambda s: info(s, "a/open", revision="v9"), ErrorKind.NOT_FOUND, "This version"),
        (lambda s: info(s, "a/open", "hf_old"), ErrorKind.ACCESS, "sign in again"),
        (lambda s: info(s, "not a name"), ErrorKind.BAD_REQUEST, "owner/name"),
        (lambda s: download(s, "a/open", "no.txt"), ErrorKind.NOT_FOUND, "A file of"),
        (lambda s: download(s, "a/gated", "x.txt"), ErrorKind.ACCESS, "then sign in"),
        (lambda s: download(s, "a/gated", "x.txt", STRANGER_TOKEN), ErrorKind.ACCESS,
         "accept its terms on its page"),
        (lambda s: HfApi(endpoint=s.endpoint).whoami("hf_old"), ErrorKind.ACCESS, "sign in again"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses(
    hub_server: Start, act: Callable[[HubServer], object], kind: ErrorKind, part: str
) -> None:
    server = hub_server(REPOS)
    error = sound(translate(raised(lambda: act(server)), "a/open"))
    assert error.kind is kind
    assert part in error.message


@pytest.mark.parametrize(
    ("fault", "kind", "part"),
    [
        ({"status": 403}, ErrorKind.ACCESS, "sign in"),
        ({"status": 404}, ErrorKind.NOT_FOUND, "“a/open”"),
        ({"status": 410}, ErrorKind.NOT_FOUND, "not any more"),
        ({"status": 401}, ErrorKind.NOT_FOUND, "private"),
        ({"status": 429, "retry_after": 30}, ErrorKind.NETWORK, "in 30 seconds"),
        ({"status": 429, "retry_after": 600}, ErrorKind.NETWORK, "in 10 minutes"),
        ({"status": 429}, ErrorKind.NETWORK, "in a few minutes"),
        ({"status": 500}, ErrorKind.NETWORK, "500"),
        ({"status": 503}, ErrorKind.NETWORK, "503"),
        ({"status": 407}, ErrorKind.NETWORK, "proxy"),
        ({"status": 418}, ErrorKind.NETWORK, "418"),
        ({"html": True}, ErrorKind.NETWORK, "sign-in page"),
        ({"hang_up": True}, ErrorKind.NETWORK, "broke off"),
        ({"drop_after": 5}, ErrorKind.NETWORK, "broke off"),
        ({"redirect": "http://127.0.0.1:9/"}, ErrorKind.NETWORK, "cannot be reached"),
        ({"status": 403, "error_message": "Access to this resource is disabled."},
         ErrorKind.NOT_FOUND, "disabled"),
    ],
)  # fmt: skip
def test_what_happens_on_the_way(
    hub_server: Start, fault: dict[str, Any], kind: ErrorKind, part: str
) -> None:
    server = hub_server(REPOS)
    server.fault("/api/models/a/open", **fault)
    error = sound(translate(raised(lambda: info(server, "a/open")), "a/open"))
    assert (error.kind, part in error.message) == (kind, True), error.message


def test_a_download_that_failed_says_why_rather_than_that_nothing_is_here(
    hub_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client library turns every network failure into `not found locally`."""
    from huggingface_hub.utils import _http

    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda _: None))
    server = hub_server(REPOS)
    server.fault("*/resolve/*", status=503)
    error = sound(translate(raised(lambda: download(server, "a/open", "w.bin")), "a/open"))
    assert error.kind is ErrorKind.NETWORK and "503" in error.message
    server.close()
    error = sound(translate(raised(lambda: download(server, "a/open", "w.bin")), "a/open"))
    assert error.kind is ErrorKind.NETWORK and "cannot be reached" in error.message


def test_switched_off(hub_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = sound(translate(raised(lambda: info(hub_server(REPOS), "a/open")), ""))
    assert error.kind is ErrorKind.NETWORK and "HF_HUB_OFFLINE" in error.message


def get(url: str, **options: Any) -> Any:
    with httpx2.Client(**options) as client:
        return client.get(url)


def not_tls() -> None:
    """A TLS client meets a server that speaks something else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        port = listener.getsockname()[1]
        import threading

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        get(f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("act", "part"),
    [
        (lambda: get("http://hub.invalid/"), "cannot be reached"),
        (lambda: get("http://127.0.0.1:9/"), "cannot be reached"),
        (lambda: get("http://127.0.0.1/", proxy="http://127.0.0.1:9"), "cannot be reached"),
        (lambda: get("nonsense"), "HF_ENDPOINT"),
        (not_tls, "certificate"),
        (lambda: json.loads("<html>"), "sign-in page"),
        (lambda: socket.create_connection(("127.0.0.1", 9)), "cannot be reached"),
        (lambda: socket.getaddrinfo("hub.invalid", 80), "cannot be reached"),
    ],
)
def test_connections_that_do_not_come_about(act: Callable[[], object], part: str) -> None:
    error = sound(translate(raised(act), "a/open"))
    assert (error.kind, part in error.message) == (ErrorKind.NETWORK, True), error.message


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (OSError(errno.ENOSPC, "No space left", "/m/w.bin"), ErrorKind.STORAGE, "disk is full"),
        (OSError(errno.EDQUOT, "Quota"), ErrorKind.STORAGE, "disk is full"),
        (
            PermissionError(errno.EACCES, "No", "/m"),
            ErrorKind.STORAGE,
            "(/m): the permissions",
        ),
        (OSError(errno.EROFS, "Read-only"), ErrorKind.STORAGE, "written to"),
        (OSError(errno.EIO, "I/O"), ErrorKind.STORAGE, "cannot be reached"),
        (MemoryError(), ErrorKind.MEMORY, "memory"),
        (TimeoutError("x"), ErrorKind.NETWORK, "in time"),
        (ConnectionResetError("x"), ErrorKind.NETWORK, "broke off"),
        (ssl.SSLCertVerificationError("x"), ErrorKind.NETWORK, "this computer's date"),
        (ZeroDivisionError("x"), ErrorKind.INTERNAL, "report it"),
    ],
)
def test_disk_memory_and_defects(error: BaseException, kind: ErrorKind, part: str) -> None:
    found = sound(translate(error, "a/open"))
    assert (found.kind, part in found.message) == (kind, True), found.message


def test_what_is_translated_already_stays() -> None:
    inner = SfumatoError(ErrorKind.STORAGE, "Full.", "d")
    assert translate(inner, "x") is inner
    try:
        raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        assert translate(outer, "x") is inner


def test_the_token_is_in_no_report(hub_server: Start) -> None:
    server = hub_server(REPOS)
    token = "hf_averysecrettoken"
    error = translate(raised(lambda: info(server, "a/open", token)), "a/open")
    assert token not in json.dumps(error.to_json()) and error.detail


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=499;t=55'}, 0),  # a healthy quota is no order to wait
        ({"RateLimit": '"api";t=55'}, 0),
        ({"RateLimit": '"api";r=499;t=55', "Retry-After": "7"}, 7),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, 3600),
        ({"Retry-After": "99999999999"}, 3600),
        ({"Retry-After": "9" * 5000}, 3600),
        ({"Retry-After": "²"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"RateLimit": '"api";r=0;t=²'}, 0),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    assert retry_after(httpx2.Headers(encoded), 429) == seconds  # type: ignore[arg-type]


def test_retry_after_a_date_a_little_ahead() -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    assert 0 < retry_after(httpx2.Headers({"Retry-After": date}), 503) <= 100


@pytest.mark.parametrize("status", [200, 500, 502, 503])
def test_a_quota_counts_only_where_it_was_exceeded(status: int) -> None:
    used_up = httpx2.Headers({"RateLimit": '"api";r=0;t=55'})
    assert retry_after(used_up, status) == 0
