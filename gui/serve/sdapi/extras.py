"""`/sdapi/v1`: finished pictures enlarged, and asked what made them.

Enlarging has a process of its own, which ends when nothing was asked of it for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from gui import paths
from gui.enlarge.client import EnlargeClient
from gui.enlarge.messages import EnlargePicture
from gui.errors import ErrorKind, SfumatoError
from gui.library.metadata.containers import read_fields
from gui.library.metadata.imported import Imported
from gui.library.metadata.web_ui import read_parameters
from gui.library.picture_reader import read_picture
from gui.serve import limits
from gui.serve.hall import Hall
from gui.serve.sdapi.asking import fitted
from gui.serve.sdapi.ignored import unused
from gui.serve.sdapi.pictures import described
from gui.serve.sdapi.schemas import ExtraBase, ExtraBatch, ExtraSingle, PngInfo
from gui.serve.uploads import decoded
from gui.serve.wire import PictureAnswer, read_json

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_REST_SECONDS = 30.0
"""After which the process that enlarges ends."""
_PLAIN = {"none": "LANCZOS", "lanczos": "LANCZOS", "nearest": "NEAREST"}
_MOST = 16
B = TypeVar("B", bound=ExtraBase)


class Enlargers:
    """The process that enlarges, one picture at a time; from the event loop."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._client = EnlargeClient()
        self._turn = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None

    async def enlarge(self, file: Path, body: ExtraBase, upscaler: str) -> Path:
        """Enlarge a picture as `body` says; both are files of ours.

        Raises:
            SfumatoError: it cannot be read, enlarged or saved.
        """
        async with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            try:
                return await asyncio.to_thread(self._enlarged, file, body, upscaler)
            finally:
                loop = asyncio.get_running_loop()
                self._rest = loop.call_later(_REST_SECONDS, self._client.stop)

    def close(self) -> None:
        self._client.close()

    def _enlarged(self, file: Path, body: ExtraBase, upscaler: str) -> Path:
        picture = read_picture(file)
        size = _size(body, picture.size)
        if upscaler.casefold() in _PLAIN:
            made = picture
        else:
            wide = max(size[0] / picture.width, size[1] / picture.height)
            factor = 2 if wide <= 2 else 4
            question = EnlargePicture(str(file), factor, upscaler, str(file.parent))
            done = Path(self._client.enlarge(question).path)
            made = read_picture(done)
            done.unlink()
        made = _finished(made, size, body, _PLAIN.get(upscaler.casefold(), "LANCZOS"))
        made.save(file.with_suffix(".out.png"), "PNG", compress_level=4)
        return file.with_suffix(".out.png")


def _size(body: ExtraBase, size: tuple[int, int]) -> tuple[int, int]:
    """Raises SfumatoError: BAD_REQUEST."""
    if body.resize_mode == 1:
        wanted = body.upscaling_resize_w or 0, body.upscaling_resize_h or 0
        if min(wanted) > 0 and not body.upscaling_crop:
            factor = min(wanted[0] / size[0], wanted[1] / size[1])
            wanted = round(size[0] * factor), round(size[1] * factor)
    else:
        factor = 2.0 if body.upscaling_resize is None else body.upscaling_resize
        wanted = round(size[0] * factor), round(size[1] * factor)
    if min(wanted) < 1 or max(wanted) > limits.EXTRA_SIDE:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"An enlarged picture has sides of 1 to {limits.EXTRA_SIDE} pixels, not "
            f"{wanted[0]} × {wanted[1]}; send another size.",
        )
    return wanted


def _finished(
    picture: PillowImage, size: tuple[int, int], body: ExtraBase, method: str
) -> PillowImage:
    from PIL import Image

    if picture.size == size:
        return picture
    if body.resize_mode == 1 and body.upscaling_crop:
        return fitted(picture, size, 1)
    return picture.resize(size, Image.Resampling[method])


def routes(hall: Hall, enlargers: Enlargers) -> APIRouter:
    router = APIRouter(prefix="/sdapi/v1", tags=["as A1111's web UI"])

    @router.post("/extra-single-image", openapi_extra=described(ExtraSingle))
    async def extra_single_image(request: Request) -> Response:
        """Enlarge a picture."""
        body, files = await _taken(hall, request, ExtraSingle, lambda body: [body.image])
        return await _answer(hall, enlargers, body, files, "image")

    @router.post("/extra-batch-images", openapi_extra=described(ExtraBatch))
    async def extra_batch_images(request: Request) -> Response:
        """Enlarge pictures."""
        body, files = await _taken(
            hall, request, ExtraBatch, lambda body: [each.data for each in body.imageList]
        )
        return await _answer(hall, enlargers, body, files, "images")

    @router.post("/png-info", openapi_extra=described(PngInfo))
    async def png_info(request: Request) -> dict[str, Any]:
        """What a picture says made it."""

        def read(body: PngInfo) -> dict[str, Any]:
            with hall.uploads.scratch(decoded(body.image, "image"), "image") as file:
                fields = read_fields(file)
            text = fields.texts.get("parameters") or fields.exif.user_comment or ""
            items = {key: value for key, value in fields.texts.items() if key != "parameters"}
            found = read_parameters(text) if text else None
            return {"info": text, "items": items, "parameters": _pairs(found)}

        return await read_json(request, PngInfo, hall.budget, read, hall.run)

    return router


def _pairs(found: Imported | None) -> dict[str, Any]:
    """Settings by the web UI's names."""
    if found is None:
        return {}
    told = {
        "Prompt": found.prompt,
        "Negative prompt": found.negative_prompt,
        "Steps": found.steps,
        "Sampler": found.sampler,
        "CFG scale": found.guidance_scale,
        "Seed": found.seed,
        "Size-1": found.width,
        "Size-2": found.height,
        "Model": found.model,
        "Model hash": found.model_hash,
        "Denoising strength": found.strength,
        "Clip skip": found.clip_skip,
    }
    return {name: str(value) for name, value in told.items() if value not in (None, "")}


async def _taken(
    hall: Hall, request: Request, kind: type[B], pictures: Callable[[B], list[str]]
) -> tuple[B, list[Path]]:
    """The body without its pictures, and those as files for the moment."""

    def take(body: B) -> tuple[B, list[Path]]:
        given = pictures(body)
        if not given or len(given) > _MOST:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"Send 1 to {_MOST} pictures, not {len(given)}."
            )
        files: list[Path] = []
        try:
            for number, text in enumerate(given):
                picture = hall.uploads.read(decoded(text, "image"), "image", None)
                _size(body, picture.size)
                files.append(_scratch(picture, number))
        except BaseException:
            _remove(files)
            raise
        heavy = {"image": ""} if hasattr(body, "image") else {"imageList": []}
        return body.model_copy(update=heavy), files

    return await read_json(request, kind, hall.budget, take, hall.run)


def _scratch(picture: PillowImage, number: int) -> Path:
    folder = paths.answers_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    file = folder / f"extra-{uuid.uuid4().hex}-{number}.png"
    file.write_bytes(buffer.getvalue())
    return file


def _remove(files: list[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


async def _answer(
    hall: Hall, enlargers: Enlargers, body: ExtraBase, files: list[Path], name: str
) -> Response:
    ignored = unused(body.model_extra)
    made: list[Path] = []

    async def finish() -> None:
        await asyncio.to_thread(_remove, [*files, *made])

    try:
        named = body.upscaler_1 or "None"
        if named.casefold() not in _PLAIN:
            named = await hall.run(lambda: hall.shelf.find_upscaler(named))
        for file in files:
            made.append(await enlargers.enlarge(file, body, named))
    except BaseException:
        await finish()
        raise
    said = "; ".join(f"{key} is ignored: {why}" for key, why in ignored.items())
    return PictureAnswer(made, name, {"html_info": said}, finish, single=name == "image")
