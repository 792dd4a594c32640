"""`/sdapi/v1`: pictures made, watched and stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from gui.serve.hall import Hall
from gui.serve.queue_desk import Ticket
from gui.serve.sdapi import answers
from gui.serve.sdapi.asking import Translator, Wanted
from gui.serve.sdapi.schemas import Generation, ImageToImage, TextToImage
from gui.serve.wire import PictureAnswer, read_json, while_there

G = TypeVar("G", bound=Generation)


def described(kind: type[Any]) -> dict[str, Any]:
    """How a body that is read by ourselves is described to OpenAPI."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def routes(hall: Hall, translator: Translator) -> APIRouter:
    router = APIRouter(prefix="/sdapi/v1", tags=["as A1111's web UI"])

    @router.post("/txt2img", openapi_extra=described(TextToImage))
    async def txt2img(request: Request) -> Response:
        """Make pictures of words."""
        return await _make(hall, request, TextToImage, translator.text_to_image)

    @router.post("/img2img", openapi_extra=described(ImageToImage))
    async def img2img(request: Request) -> Response:
        """Make pictures of pictures, whole or where a mask is white."""
        return await _make(hall, request, ImageToImage, translator.image_to_image)

    @router.get("/progress")
    async def progress(skip_current_image: bool = False) -> dict[str, Any]:
        """How far the request is that is being made."""
        queue = hall.queue
        told, preview = answers.progress_of(queue, with_picture=not skip_current_image)
        if preview is not None:
            told["current_image"] = await asyncio.to_thread(answers.png_text, *preview)
        return told

    @router.post("/interrupt")
    async def interrupt() -> dict[str, Any]:
        """Stop the request that is being made, else the one that is next."""
        ticket = _current(hall)
        if ticket is not None:
            ticket.interrupted = True
            hall.queue.keep_preview(ticket)
            await hall.queue.stop(ticket.jobs)
        return {}

    @router.post("/skip")
    async def skip() -> dict[str, Any]:
        """Go on with the next iteration of the request that is being made."""
        ticket = _current(hall)
        if ticket is not None:
            running = _running(hall, ticket)
            if running:
                ticket.skipped = True
                hall.queue.keep_preview(ticket)
                await hall.queue.stop(running)
        return {}

    return router


async def _make(
    hall: Hall, request: Request, kind: type[G], translate: Callable[[G], Wanted]
) -> Response:
    def read(body: G) -> tuple[Wanted, G]:
        wanted = translate(body)
        # The pictures in it are files by now, and need no memory while it waits.
        slim = body.model_copy(
            update={n: None for n in ("init_images", "mask") if hasattr(body, n)}
        )
        return wanted, slim

    wanted, body = await read_json(request, kind, hall.budget, read, hall.run)
    jobs = await hall.queue.add(wanted.requests)
    ticket = Ticket([job.id for job in jobs], sum(r.count for r in wanted.requests))
    try:
        await _wait(hall, request, ticket, wanted)
    except BaseException:
        await _let_go(hall, ticket, wanted)
        raise
    scratch: list[Path] = []

    def gather() -> tuple[dict[str, Any], list[Path]]:
        made = answers.records_of(ticket.made)
        info = answers.info_of(wanted, made, ticket)
        if not wanted.sent:
            return info, []
        files = answers.sized(wanted, [file for file, _ in made], scratch)
        return info, [*files, *answers.unfinished(wanted, ticket, scratch)]

    async def finish() -> None:
        await _let_go(hall, ticket, wanted)
        await asyncio.to_thread(_remove, list(map(str, scratch)))

    try:
        info, files = await hall.run(gather)
    except BaseException:
        await finish()
        raise

    return PictureAnswer(files, "images", answers.rest_of(body, info), finish)


async def _wait(hall: Hall, request: Request, ticket: Ticket, wanted: Wanted) -> None:
    """Until it is made.  What was to be given away only is stopped where its program hangs up."""
    async with while_there(request) as gone:
        making = asyncio.create_task(hall.queue.make(ticket))
        leaving = asyncio.create_task(gone.wait())
        try:
            await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not making.done() and not wanted.kept:
                ticket.interrupted = True
                await hall.queue.stop(ticket.jobs)
            await making
        finally:
            for task in (making, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task


async def _let_go(hall: Hall, ticket: Ticket, wanted: Wanted) -> None:
    """What was not to be kept leaves no trace."""
    if not wanted.kept:
        await hall.queue.forget(ticket.jobs)
        await asyncio.to_thread(_remove, ticket.made)


def _remove(files: list[str]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            Path(file).unlink()


def _current(hall: Hall) -> Ticket | None:
    tickets = hall.queue.tickets
    return next((t for t in tickets if _running(hall, t)), tickets[0] if tickets else None)


def _running(hall: Hall, ticket: Ticket) -> list[str]:
    return [
        job.id for job in hall.queue.now.jobs if job.id in ticket.jobs and job.status == "running"
    ]
