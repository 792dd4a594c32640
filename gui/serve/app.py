"""The service as one ASGI application: its parts behind the guard."""

from __future__ import annotations

import traceback
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

import gui
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.serve.api import pictures as gallery
from gui.serve.api import queue
from gui.serve.api.schemas import Asked
from gui.serve.guard import Guard
from gui.serve.hall import Hall
from gui.serve.refusals import Refusal, body_of, status_of
from gui.serve.sdapi import controlnet, extras, lists, pictures, schemas
from gui.serve.sdapi.asking import Translator

_BODIES = (
    schemas.TextToImage, schemas.ImageToImage, schemas.ExtraSingle, schemas.ExtraBatch,
    schemas.PngInfo, schemas.Detect, Asked,
)  # fmt: skip


def make_app(hall: Hall) -> Guard:
    """The application; whatever goes wrong in it is answered in one sentence."""
    app = FastAPI(
        title="Sfumato",
        version=gui.__version__,
        summary="Pictures from words, made on this computer",
        docs_url=None,  # their pages are another computer's
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    translator = Translator(lambda: hall.options, hall.shelf, hall.uploads)
    app.include_router(pictures.routes(hall, translator))
    app.include_router(lists.routes(hall, translator))
    app.include_router(lists.pings())
    enlargers = extras.Enlargers(hall)
    hall.at_close.append(enlargers.close)
    app.include_router(extras.routes(hall, enlargers))
    app.include_router(controlnet.routes(hall))
    app.include_router(queue.routes(hall))
    app.include_router(gallery.routes(hall))
    app.add_exception_handler(SfumatoError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return Guard(app, hall.policy)  # type: ignore[arg-type]


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, summary=app.summary,
                           routes=app.routes)  # fmt: skip
        known = told.setdefault("components", {}).setdefault("schemas", {})
        for kind in _BODIES:
            schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
            known.update(schema.pop("$defs", {}))
            known[kind.__name__] = schema
        told["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"},
            "password": {"type": "http", "scheme": "basic"},
        }
        told["security"] = [{"token": []}, {"password": []}]
        app.openapi_schema = told
    return app.openapi_schema


def _answer(error: SfumatoError) -> JSONResponse:
    if error.kind is ErrorKind.INTERNAL and error.detail:
        print(error.detail, flush=True)  # into the log; it names what is nobody else's business
    return JSONResponse(body_of(error), status_of(error))


async def _on_error(_request: Request, error: Exception) -> JSONResponse:
    return _answer(as_sfumato_error(error))


async def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return _answer(
        SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{place[:80]}” of the request cannot be read: {first['msg'][:200]}; send it again.",
        )
    )


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}; look into /openapi.json."
    if error.status_code == 404:
        message = f"There is nothing at {request.url.path[:100]}; see /openapi.json for what is."
    elif error.status_code == 405:
        message = f"{request.url.path[:100]} is asked in another way; see /openapi.json for how."
    return _answer(Refusal(error.status_code, message))


async def _on_defect(_request: Request, error: Exception) -> JSONResponse:
    traceback.print_exception(error)
    return _answer(as_sfumato_error(error))
