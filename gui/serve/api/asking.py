"""Requests from outside, with names in them, as requests of ours; and back.  Blocking."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from gui import paths
from gui.control_use import Control
from gui.errors import ErrorKind, SfumatoError
from gui.library import loras
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.request import MAX_SEED, OWN_REFINER, PictureRequest
from gui.serve import limits
from gui.serve.hall import Hall
from gui.serve.shelf import KnownModel
from gui.start_image import MASK_ALPHA
from gui.syntax.types import PromptSyntax


def request_of(hall: Hall, data: dict[str, Any], *, keep: bool) -> PictureRequest:
    """Raises SfumatoError: what is asked for makes no sense, or is not here."""
    options = hall.options
    told = {
        "prompt_syntax": PromptSyntax.WEB_UI.value,
        "seed": secrets.randbelow(MAX_SEED + 1),
        "compute_unit": options.compute_unit.value,
        "precision": options.precision.value,
        "safety_checker": options.safety_checker,
        "model": "",
        **data,
    }
    request = PictureRequest.from_json(told)
    if request.output_dir or request.output_file or request.grid is not None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "Where pictures go is not a program's to say; leave out output_dir, output_file and "
            "grid, and use “keep”.",
        )
    model = hall.shelf.find_model(request.model) if request.model else hall.shelf.chosen
    request = request.mapped(lambda each: _settled(hall, each, model))
    if request.count > limits.MAX_PICTURES or (request.steps or 0) > limits.MAX_STEPS:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"A program may ask for {limits.MAX_PICTURES} pictures and {limits.MAX_STEPS} steps at "
            "most; ask for fewer.",
        )
    folder = options.pictures_folder if keep else str(paths.answers_dir())
    request = replace(request, output_dir=folder, keep_previews=False)
    request.validate()
    return request


def _settled(hall: Hall, request: PictureRequest, model: KnownModel) -> PictureRequest:
    """Names instead of what they stand for."""
    shelf = hall.shelf
    if max(len(request.prompt), len(request.negative_prompt)) > limits.MAX_PROMPT:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"A prompt has {limits.MAX_PROMPT} characters at most; send a shorter one.",
        )
    request = loras.with_tags(request)
    known = shelf.lora_names() if request.loras else set()
    for use in request.loras:
        if use.name.casefold() not in known:
            raise SfumatoError(
                ErrorKind.NOT_FOUND,
                f"There is no LoRA called “{use.name[:60]}”; see which are in the LoRAs folder.",
            )
    start = request.start_image
    if start is not None:
        mask = start.mask if start.mask in ("", MASK_ALPHA) else _picture(hall, start.mask)
        start = replace(start, path=_picture(hall, start.path), mask=mask)
    refiner = request.refiner
    if refiner and refiner != OWN_REFINER:
        refiner = shelf.find_model(refiner).folder
    return replace(
        request,
        model=model.folder,
        start_image=start,
        refiner=refiner,
        upscaler=shelf.find_upscaler(request.upscaler) if request.upscaler else request.upscaler,
        depth_map=_picture(hall, request.depth_map) if request.depth_map else "",
        controls=tuple(_control(hall, each, model) for each in request.controls),
    )


def _control(hall: Hall, control: Control, model: KnownModel) -> Control:
    network = control.preprocessor_network
    if network and network not in {each.name for each in hall.shelf.networks().maps}:
        raise SfumatoError(
            ErrorKind.NOT_FOUND, f"There is no network called “{network[:60]}”; choose another one."
        )
    return replace(
        control,
        network=hall.shelf.find_control_network(control.network, model),
        picture=_picture(hall, control.picture) if control.picture else "",
    )


def _picture(hall: Hall, text: str) -> str:
    """The file that ``upload:<id>`` or ``picture:<number>`` stands for.

    Raises:
        SfumatoError: NOT_FOUND; BAD_REQUEST for anything else, as paths are.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "upload":
        return str(hall.uploads.kept(rest))
    if colon and kind == "picture" and rest.isascii() and rest.isdecimal():
        return str(picture_file(int(rest)))
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        "Pictures are named as upload:<id> or picture:<number>; send one to /api/v1/uploads first.",
    )


def picture_file(number: int) -> Path:
    """The file of a picture of the gallery.

    Raises:
        SfumatoError: NOT_FOUND.
    """
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    try:
        found = index.paths_of([number]) if number < 2**63 else []
    finally:
        index.close()
    if not found or not Path(found[0]).is_file():
        raise SfumatoError(
            ErrorKind.NOT_FOUND, "There is no picture of this number; search /api/v1/pictures."
        )
    return Path(found[0])


def told(request: PictureRequest, names: dict[str, str]) -> dict[str, Any]:
    """A request as others may see it: no folder is in it.

    Args:
        names: of models, by their folders.
    """

    def plain(each: PictureRequest) -> PictureRequest:
        start = each.start_image
        if start is not None:
            start = replace(start, path=Path(start.path).name, mask=Path(start.mask).name)
        return replace(
            each,
            model=names.get(each.model, Path(each.model).name),
            start_image=start,
            refiner=Path(each.refiner).name,
            depth_map=Path(each.depth_map).name,
            upscaler=Path(each.upscaler).name if each.upscaler else each.upscaler,
            loras=tuple(replace(use, name=Path(use.name).name) for use in each.loras),
            controls=tuple(
                replace(
                    control,
                    network=Path(control.network).name,
                    picture=Path(control.picture).name,
                    preprocessor_network=Path(control.preprocessor_network).name,
                )
                for control in each.controls
            ),
            output_dir="",
            output_file="",
        )

    return request.mapped(plain).to_json()
