"""`/controlnet`: the web UI's ControlNet extension."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from gui.control.client import ControlClient
from gui.control.messages import PrepareControl
from gui.control_use import Preprocessor, PreprocessorSettings
from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_reader import size_of
from gui.serve.hall import Hall
from gui.serve.sdapi.control_units import module_names, preprocessor_of, settings_of
from gui.serve.sdapi.pictures import described
from gui.serve.sdapi.schemas import Detect
from gui.serve.uploads import decoded
from gui.serve.wire import read_json

_MOST = 8
_SIDES = (64, 2048)


def routes(hall: Hall) -> APIRouter:
    router = APIRouter(prefix="/controlnet", tags=["as A1111's ControlNet extension"])
    turn = asyncio.Lock()

    @router.get("/version")
    async def version() -> dict[str, int]:
        """Of the extension's API that is spoken."""
        return {"version": 2}

    @router.get("/model_list")
    async def model_list(update: bool = True) -> dict[str, list[str]]:
        """ControlNets: the model's own, and those of the library."""

        def listed() -> list[str]:
            hall.shelf.networks(anew=update)
            return hall.shelf.control_networks(hall.shelf.chosen)

        return {"model_list": await hall.run(listed)}

    @router.get("/module_list")
    async def module_list(alias_names: bool = False) -> dict[str, Any]:
        """What makes control pictures of ordinary ones."""
        del alias_names
        return {"module_list": module_names(), "module_detail": {}}

    @router.get("/settings")
    async def settings() -> dict[str, int]:
        """How many units a picture may have."""
        return {"control_net_unit_count": _MOST}

    @router.get("/control_types")
    async def control_types() -> dict[str, Any]:
        """Everything in one kind."""
        names = await hall.run(lambda: hall.shelf.control_networks(hall.shelf.chosen))
        everything = {
            "module_list": module_names(),
            "model_list": ["None", *names],
            "default_option": "none",
            "default_model": "None",
        }
        return {"control_types": {"All": everything}}

    @router.post("/detect", openapi_extra=described(Detect))
    async def detect(request: Request) -> dict[str, Any]:
        """Make control pictures."""

        def read(body: Detect) -> list[PrepareControl]:
            module = preprocessor_of(body.controlnet_module)
            given = body.controlnet_input_images or body.controlnet_images
            if not given or len(given) > _MOST:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST, f"Send 1 to {_MOST} pictures, not {len(given)}."
                )
            files = [
                str(hall.uploads.keep(hall.uploads.read(decoded(text, "picture"), "picture")))
                for text in given
            ]
            asked = body.controlnet_processor_res or 512
            if not _SIDES[0] <= asked <= _SIDES[1]:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"“controlnet_processor_res” must be from {_SIDES[0]} to {_SIDES[1]}; send "
                    "another.",
                )
            settings = settings_of(module, body.controlnet_threshold_a, body.controlnet_threshold_b)
            return [_asked(file, module, asked, settings) for file in files]

        questions = await read_json(request, Detect, hall.budget, read, hall.run)
        async with turn:
            images = await asyncio.to_thread(_made, questions)
        return {"images": images, "info": "Success", "tensor": None}

    return router


def _asked(
    file: str, module: Preprocessor, side: int, settings: PreprocessorSettings
) -> PrepareControl:
    """For a picture whose shorter side has about `side` pixels."""
    width, height = size_of(Path(file))
    factor = side / min(width, height)
    size = [max(64, round(each * factor / 64) * 64) for each in (width, height)]
    return PrepareControl(file, size[0], size[1], module, settings=settings)


def _made(questions: list[PrepareControl]) -> list[str]:
    """Control pictures as PNG in base64.  Blocking."""
    from PIL import Image

    client = ControlClient()
    found: list[str] = []
    try:
        for question in questions:
            made, _ = client.prepare(question)
            buffer = io.BytesIO()
            picture = Image.frombytes("RGBA", (made.width, made.height), made.rgba)
            picture.convert("RGB").save(buffer, "PNG", compress_level=4)
            found.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    finally:
        client.close()
    return found
