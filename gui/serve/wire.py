"""Requests read and answers written in bounded memory."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.serve import limits
from gui.serve.refusals import Refusal

_PIECE = 3 * 64 * 1024
"""Bytes of a file that are encoded at a time; a multiple of 3 leaves no padding within."""
M = TypeVar("M", bound=BaseModel)
_T = TypeVar("_T")


class Budget:
    """So many bytes of bodies are in memory at a time; who comes later waits unread."""

    def __init__(self, most: int = limits.BODY_BUDGET) -> None:
        self._most = most
        self._free = most
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[None]:
        count = min(count, self._most)
        if count <= limits.SMALL_BODY:
            yield
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            async with self._changed:
                self._free += count
                self._changed.notify_all()


async def read_json(
    request: Request,
    kind: type[M],
    budget: Budget,
    work: Callable[[M], _T],
    run: Callable[..., Any],
) -> _T:
    """A body as `kind`, handed to `work` on another thread; it is forgotten after that.

    Raises:
        SfumatoError: it is none, or `work` refused it.
    """
    content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/json" and not content.endswith("+json"):
        raise Refusal(415, "The request must be JSON; send it as Content-Type: application/json.")
    async with budget.taken(announced(request)):
        data = await read_bytes(request)
        return await run(lambda: work(_parsed(kind, data)))


def announced(request: Request) -> int:
    """How many bytes the body has at most."""
    told = request.headers.get("content-length", "")
    return int(told) if told.isdecimal() else limits.MAX_BODY


async def read_bytes(request: Request) -> bytes:
    """The whole body, whose size the guard has an eye on."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
    return bytes(body)


def _parsed(kind: type[M], data: bytes) -> M:
    try:
        return kind.model_validate_json(data or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        told = words.shortened(words.plain(str(first["msg"])), 200)
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{words.shortened(words.plain(place), 80)}” of the request cannot be read: {told}; "
            "send it again."
            if place
            else f"The request is no JSON object: {told}; send it again.",
        ) from error


async def json_with_pictures(
    files: Sequence[Path], name: str, rest: dict[str, Any], *, single: bool = False
) -> AsyncIterator[bytes]:
    """``{"<name>": [base64 …], …}``, file by file and piece by piece; of a single one without the
    list."""
    yield b"{" + json.dumps(name).encode() + (b": " if single else b": [")
    for number, file in enumerate(files):
        yield b', "' if number else b'"'
        for piece in _pieces(file):
            yield base64.b64encode(piece)
            await asyncio.sleep(0)
        yield b'"'
    yield b"" if single else b"]"
    for key, value in rest.items():
        yield b", " + json.dumps(key).encode() + b": " + json.dumps(value).encode()
    yield b"}"


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece


class PictureAnswer(StreamingResponse):
    """An answer with pictures of files, which are let go afterwards."""

    def __init__(
        self,
        files: Sequence[Path],
        name: str,
        rest: dict[str, Any],
        finish: Callable[[], Any],
        *,
        single: bool = False,
    ) -> None:
        told = json_with_pictures(files, name, rest, single=single)
        super().__init__(told, media_type="application/json")
        self._finish = finish

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._finish()


@contextlib.asynccontextmanager
async def while_there(request: Request) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the program has hung up."""
    gone = asyncio.Event()

    async def listen() -> None:
        with contextlib.suppress(Exception):
            while (await request.receive())["type"] != "http.disconnect":
                pass
        gone.set()

    task = asyncio.create_task(listen())
    try:
        yield gone
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
