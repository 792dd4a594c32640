"""Who may ask: checked before anything of a request is looked at.

A web page that a person has open can send requests to this computer, too.  What holds it off: a
name that is not this computer's (DNS rebinding: the page's own name, which now leads here) is
refused by the Host header; another page by Origin and Sec-Fetch-Site, unless the person listed it;
and everybody without the token, which no page knows.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from gui.serve import limits
from gui.serve.addresses import LOCAL_NAMES
from gui.serve.refusals import Refusal, body_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
_DRAIN_SECONDS = 2.0
"""How long what was refused is still taken off the line, unread, so that its sender gets to hear
the answer."""


@dataclass(frozen=True)
class Policy:
    """Whom the service answers."""

    token: str
    names: frozenset[str] = LOCAL_NAMES
    """By which this computer may be called, in lower case."""
    origins: frozenset[str] = frozenset()


class Guard:
    """ASGI middleware.

    Args:
        app: what answers those who may ask.
        policy: tells the present one.
    """

    def __init__(self, app: App, policy: Callable[[], Policy]) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # a WebSocket is not taken up
        headers = Headers(scope["headers"])
        origin = headers.one("origin")
        policy = self._policy()
        allowed = origin if origin is not None and origin in policy.origins else ""
        answer = _Answer(send, allowed)
        try:
            _check_place(policy, headers, origin)
            if scope["method"] == "OPTIONS" and allowed:
                await answer.allow()
                return
            _check_token(policy, headers)
            length = _check_length(headers)
        except Refusal as refusal:
            await answer.refuse(refusal, receive)
            return
        await self._app(scope, _Body(receive, length), answer)


class Headers:
    """A request's headers; what must be there once is no header when it is there twice."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs

    def one(self, name: str) -> str | None:
        """None where it is not there; what is there twice names nobody."""
        found = [value for key, value in self._pairs if key == name.encode()]
        if not found:
            return None
        return found[0].decode("latin-1").strip() if len(found) == 1 else "\0"


def _check_place(policy: Policy, headers: Headers, origin: str | None) -> None:
    """Raises Refusal where it comes by a strange name, or from a strange page."""
    host = headers.one("host")
    if host is None or name_of(host) not in policy.names:
        raise Refusal(
            421,
            "This service answers only under this computer's own name; ask 127.0.0.1 or localhost.",
        )
    site = headers.one("sec-fetch-site")
    strange = site is not None and site not in ("same-origin", "none")
    if origin not in policy.origins and (origin is not None or strange):
        raise Refusal(
            403, "Web pages may not ask; list this page's origin in Sfumato's settings to let it."
        )


def name_of(host: str) -> str:
    """A Host header's name without its port; empty where it is none."""
    host = host.lower()
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        return name if bracket and (not rest or _is_port(rest)) else ""
    name, colon, port = host.partition(":")
    return name.removesuffix(".") if not colon or _is_port(f":{port}") else ""


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdecimal()


def _check_token(policy: Policy, headers: Headers) -> None:
    """Raises Refusal where the token is missing or wrong."""
    given = _token_of(headers.one("authorization") or "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), policy.token.encode()):
        said = "is wrong" if given else "is missing"
        raise Refusal(
            401,
            f"The token {said}; copy it from Sfumato's settings and send it as a bearer token, or "
            "as the password of HTTP's basic authentication.",
        )


def _token_of(authorization: str) -> str:
    """The token of ``Bearer …``, or the password of ``Basic …`` as `--api-auth` clients send it."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return ""
        return pair.partition(":")[2]
    return ""


def _check_length(headers: Headers) -> int | None:
    """Bytes that are announced; None: none are.  Raises Refusal where they are too many."""
    text = headers.one("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise Refusal(400, "The length of the request makes no sense; send it again.")
    if int(text) > limits.MAX_BODY:
        raise too_large()
    return int(text)


def too_large() -> Refusal:
    return Refusal(
        413,
        f"The request is larger than {limits.MAX_BODY // 2**20} MB; send fewer or smaller "
        "pictures.",
    )


class _Body:
    """`receive` that gives up a body that is too large, or too slow."""

    def __init__(self, receive: Receive, length: int | None) -> None:
        self._receive = receive
        self._read = 0
        self._over = False
        self._deadline: float | None = None
        self._seconds = limits.BODY_SECONDS + (length or 0) / limits.BODY_RATE

    async def __call__(self) -> Message:
        if self._over:  # only its end is still to be heard of
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._seconds
        try:
            message = await asyncio.wait_for(self._receive(), max(self._deadline - now, 0.0))
        except TimeoutError:
            raise Refusal(408, "The request did not come in time; send it again.") from None
        if message["type"] != "http.request":
            self._over = True
            return message
        self._read += len(message.get("body", b""))
        if self._read > limits.MAX_BODY:
            raise too_large()
        self._over = not message.get("more_body", False)
        return message


class _Answer:
    """`send` with the headers that every answer has, which gives up who does not read it."""

    def __init__(self, send: Send, origin: str) -> None:
        self._send = send
        self._origin = origin

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *self._headers()]}
        try:
            await asyncio.wait_for(self._send(message), limits.SEND_SECONDS)
        except TimeoutError:
            raise ConnectionAbortedError("an answer that nobody reads") from None

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"vary", b"Origin"),
        ]
        if self._origin:
            headers.append((b"access-control-allow-origin", self._origin.encode()))
        return headers

    async def allow(self) -> None:
        """Answer a page's question whether it may ask."""
        headers = [
            (b"access-control-allow-methods", _METHODS.encode()),
            (b"access-control-allow-headers", b"Authorization, Content-Type"),
            (b"access-control-max-age", b"600"),
        ]
        await self({"type": "http.response.start", "status": 204, "headers": headers})
        await self({"type": "http.response.body", "body": b""})

    async def refuse(self, refusal: Refusal, receive: Receive) -> None:
        body = json.dumps(body_of(refusal)).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="Sfumato", charset="UTF-8"'))
        await self({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self({"type": "http.response.body", "body": body, "more_body": True})
        # Hanging up on who still sends would cost them the answer.
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass
        await self({"type": "http.response.body", "body": b""})
