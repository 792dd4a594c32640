"""`/api/v1`: the gallery, models, pictures that are sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

import gui
from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_facts import IndexedPicture, PictureFilter
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.library.picture_scan import scan
from gui.serve.api.asking import picture_file
from gui.serve.api.schemas import About, ModelState, PicturesFound, PictureState, Upload
from gui.serve.hall import Hall
from gui.serve.wire import announced, read_bytes

_LOOK_SECONDS = 30.0
"""Between two looks at the picture folders; where the window is open it follows them."""


class Gallery:
    """The window's index.  Blocking; from any thread."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._looked = 0.0

    def search(self, wanted: PictureFilter, limit: int, offset: int) -> PicturesFound:
        index = PictureIndex(paths.data_dir() / FILE_NAME)
        try:
            if time.monotonic() - self._looked > _LOOK_SECONDS:
                folder = self._hall.options.pictures_folder
                scan(index, [Path(folder) if folder else paths.pictures_dir()])
                self._looked = time.monotonic()
            found = index.find(wanted).ids
            rows = index.rows(found[offset : offset + limit])
            return PicturesFound(total=len(found), pictures=[_state(row) for row in rows])
        finally:
            index.close()


def _state(row: IndexedPicture) -> PictureState:
    facts = row.facts
    return PictureState(
        number=row.id,
        name=Path(facts.path).name,
        created=facts.created,
        width=facts.width,
        height=facts.height,
        prompt=facts.prompt,
        negative_prompt=facts.negative_prompt,
        model=facts.model,
        scheduler=facts.scheduler,
        seed=facts.seed,
        steps=facts.steps,
        favourite=row.favourite,
        tags=list(row.tags),
    )


def routes(hall: Hall) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["Sfumato"])
    gallery = Gallery(hall)

    @router.get("/")
    async def about() -> About:
        """Who answers here."""
        return About(program="Sfumato", version=gui.__version__)

    @router.get("/models")
    async def models() -> list[ModelState]:
        """What pictures can be made with."""

        def listed() -> list[ModelState]:
            chosen = hall.shelf.chosen.folder
            return [
                ModelState(name=model.name, chosen=model.folder == chosen)
                for model in hall.shelf.models()
            ]

        return await hall.run(listed)

    @router.get("/pictures")
    async def search(
        words: str = "",
        model: str = "",
        scheduler: str = "",
        tag: str = "",
        favourites: bool = False,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    ) -> PicturesFound:
        """Pictures of the gallery, the newest first; `words` as in the window's search."""
        wanted = PictureFilter(words, model, scheduler, favourites=favourites, tag=tag)
        return await asyncio.to_thread(gallery.search, wanted, limit, offset)

    @router.get("/pictures/{number}", response_class=FileResponse)
    async def picture(number: int) -> FileResponse:
        """A picture's file."""
        return FileResponse(await asyncio.to_thread(picture_file, number))

    @router.post(
        "/uploads",
        status_code=201,
        response_model=Upload,
        openapi_extra={
            "requestBody": {
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}
            }
        },
    )
    async def upload(request: Request, response: Response) -> Upload:
        """Send a picture to start from, or to be led by: the body is the file itself."""
        del response

        def keep(data: bytes) -> Upload:
            if not data:
                raise SfumatoError(
                    ErrorKind.BAD_IMAGE, "There is no picture; send one as the body."
                )
            made = hall.uploads.read(data, "picture")
            file = hall.uploads.keep(made)
            return Upload(id=file.stem, width=made.width, height=made.height)

        async with hall.budget.taken(announced(request)):
            data = await read_bytes(request)
            return await hall.run(lambda: keep(data))

    return router
