"""`/api/v1`: the queue, and what happens in it as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from gui import paths
from gui.library.job import ENDED, Job
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.serve import limits
from gui.serve.api.asking import request_of, told
from gui.serve.api.schemas import Asked, JobState, Moved, Paused, QueueState
from gui.serve.hall import Hall
from gui.serve.queue_desk import Now
from gui.serve.refusals import Refusal
from gui.serve.sdapi.pictures import described
from gui.serve.wire import read_json

_BEAT_SECONDS = 15.0
"""An event stream says at least so often that it is there."""


def routes(hall: Hall) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["Sfumato"])
    queue = hall.queue

    async def states(jobs: list[Job]) -> list[JobState]:
        names = {model.folder: model.name for model in await hall.run(hall.shelf.models)}
        return await asyncio.to_thread(_states, jobs, names)

    @router.get("/queue")
    async def everything() -> QueueState:
        """Everything that is listed, in the order in which it is made."""
        now = queue.now
        return QueueState(jobs=await states(list(now.jobs)), paused=now.paused)

    @router.post("/queue", status_code=201, response_model=JobState, openapi_extra=described(Asked))
    async def add(request: Request) -> JobState:
        """Put a request in line; it is made whether or not anybody waits for it."""
        wanted = await read_json(
            request,
            Asked,
            hall.budget,
            lambda body: request_of(hall, body.request, keep=body.keep),
            hall.run,
        )
        jobs = await queue.add([wanted])
        return (await states(jobs))[0]

    @router.put("/queue/paused")
    async def pause(body: Paused) -> Paused:
        """Begin nothing more, or go on."""
        await queue.pause(body.paused)
        return body

    @router.get("/queue/{job}")
    async def one(job: str) -> JobState:
        """What has become of a request."""
        return (await states([queue.job(job)]))[0]

    @router.delete("/queue/{job}", status_code=204)
    async def cancel(job: str) -> Response:
        """Take a request off; one that is being made is stopped at its next step."""
        queue.job(job)
        await queue.stop([job])
        return Response(status_code=204)

    @router.post("/queue/{job}/move")
    async def move(job: str, body: Moved) -> QueueState:
        """Put a request that waits before another one."""
        queue.job(job)
        await queue.move(job, body.before)
        return await everything()

    @router.get("/events", response_class=StreamingResponse)
    async def events(previews: bool = True) -> StreamingResponse:
        """What happens in the queue: `queue` (with everything that is listed, when it changed),
        `step` (with a preview as a data URL), `picture` and `ended`."""
        if hall.streams >= limits.MAX_STREAMS:
            raise Refusal(503, "Too many programs follow events already; close one of them.")
        stream = _stream(hall, previews)
        return StreamingResponse(stream, media_type="text/event-stream")

    return router


def _states(jobs: list[Job], names: dict[str, str]) -> list[JobState]:
    files = [path for job in jobs for path in job.pictures]
    numbers: dict[str, int] = {}
    if files:
        index = PictureIndex(paths.data_dir() / FILE_NAME)
        try:
            numbers = {path: known.id for path, known in index.known(files).items()}
        finally:
            index.close()
    return [
        JobState(
            id=job.id,
            status=job.status.value,
            request=told(job.request, names),
            pictures=[numbers.get(path) for path in job.pictures],
            made=len(job.pictures),
            count=job.request.count,
            error=job.error.message if job.error is not None else None,
        )
        for job in jobs
    ]


async def _stream(hall: Hall, previews: bool) -> AsyncIterator[bytes]:
    hall.streams += 1
    news: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)
    async with hall.queue.eagerly():
        tasks = [
            asyncio.create_task(_follow_queue(hall, news)),
            asyncio.create_task(_follow_steps(hall, news, previews)),
        ]
        try:
            while True:
                try:
                    yield await asyncio.wait_for(news.get(), _BEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            hall.streams -= 1
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def _follow_queue(hall: Hall, news: asyncio.Queue[bytes]) -> None:
    made: dict[str, int] = {}
    over: set[str] = set()
    first = True
    async for now in hall.queue.changes():
        for job in now.jobs:
            if not first and len(job.pictures) > made.get(job.id, 0):
                for number in range(made.get(job.id, 0), len(job.pictures)):
                    await news.put(_event("picture", {"job": job.id, "number": number + 1}))
            if job.status in ENDED and job.id not in over and not first:
                error = job.error.message if job.error is not None else None
                told_end = {"job": job.id, "status": job.status.value, "error": error}
                await news.put(_event("ended", told_end))
            made[job.id] = len(job.pictures)
        over = {job.id for job in now.jobs if job.status in ENDED}
        await news.put(_event("queue", _listed(now)))
        first = False


def _listed(now: Now) -> dict[str, Any]:
    return {
        "paused": now.paused,
        "jobs": [
            {"id": job.id, "status": job.status.value, "made": len(job.pictures),
             "count": job.request.count}
            for job in now.jobs
        ],
    }  # fmt: skip


async def _follow_steps(hall: Hall, news: asyncio.Queue[bytes], previews: bool) -> None:
    queue = hall.queue
    seen = queue.steps
    while True:
        newest = await queue.next_step(seen, _BEAT_SECONDS)
        if newest == seen:
            continue
        seen = newest
        state, preview = queue.state, queue.preview
        told_step: dict[str, Any] = {
            "job": state.job,
            "picture": state.picture_index + 1,
            "count": state.count,
            "step": state.step,
            "steps": state.steps,
            "seconds_per_step": state.seconds_per_step,
            "loading": state.loading or None,
        }
        if previews and preview is not None and state.width:
            told_step["preview"] = await asyncio.to_thread(_jpeg, *preview)
        await news.put(_event("step", told_step))


def _jpeg(width: int, height: int, pixels: bytes) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.frombytes("RGB", (width, height), pixels).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
