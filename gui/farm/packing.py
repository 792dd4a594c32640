"""A request on its way to another Mac and there: files by their contents instead of by their paths.

Blocking: reads what it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gui import paths, records
from gui.coreml.control_networks import find_control_network
from gui.coreml.defaults import fill_defaults
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.map_network import find_map_network
from gui.coreml.model import Family, ModelInfo
from gui.coreml.picture_network import find_upscaler
from gui.errors import ErrorKind, SfumatoError, unusable
from gui.farm.stock import digest
from gui.farm.wire import Input, Network, Unit, WantedJob
from gui.files import content_bytes, expanded, path_error
from gui.library import loras, step_times
from gui.library.job import Job
from gui.library.models.origin import origin_of
from gui.names import file_name
from gui.request import OWN_REFINER, PictureRequest
from gui.scheduler_names import scheduler_name
from gui.start_image import MASK_ALPHA

MAX_INPUT = 512 * 2**20
"""Largest picture that goes along, in bytes."""
MAX_REQUEST = 2 * 2**20
"""Longest request, in characters."""
_PREFIX = "farm:"
_PIECE = 2**20


@dataclass(frozen=True)
class Packed:
    """A job as it is asked for, and where the pictures that go along lie."""

    wanted: WantedJob
    files: dict[str, Path]
    """By SHA-256."""


def pack(job: Job, missing: tuple[int, ...]) -> Packed:
    """A job for whoever will draw it.

    Raises:
        SfumatoError: as the engine would refuse it: a model or a picture that cannot be read …
    """
    asked = job.request
    folder = expanded(asked.model) if asked.model else paths.starter_model()
    info = inspect_model(folder)
    if info.problems:
        raise unusable(info.problems[0], "\n".join(info.problems))
    sidecar = load_sidecar(info)
    found = model_hash(info)
    files: dict[str, Path] = {}
    inputs: dict[str, Input] = {}

    def take(path: str) -> str:
        if not path or path == MASK_ALPHA:
            return path
        told = _input(expanded(path))
        files[told.sha256], inputs[told.sha256] = expanded(path), told
        return f"{_PREFIX}{told.sha256}/{told.name}"

    name = folder.name if asked.model else ""
    request = asked.mapped(lambda each: replace(_with_files(each, take), model=name))
    request = replace(request, output_dir="", output_file="")
    if len(records.dumps(request)) > MAX_REQUEST:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The request is too long to be sent to another Mac; give it a shorter prompt, or "
            "leave the farm for this one.",
        )
    full = fill_defaults(loras.with_tags(asked), sidecar)
    xl = info.family is Family.SDXL
    size = (full.width or info.image_width, full.height or info.image_height)
    calls = scheduler_name(full.scheduler or "").unet_calls_per_step
    origin = origin_of(info.folder)
    return Packed(
        WantedJob(
            job.id,
            request,
            found,
            sidecar.name or info.name,
            info.size_bytes,
            missing,
            (full.steps or 1) * calls * step_times.work_of(size, xl=xl),
            tuple(inputs.values()),
            tuple(_networks(full, info)),
            *((origin.repo, origin.revision, origin.variant) if origin else ()),
        ),
        files,
    )


def _with_files(request: PictureRequest, take: Callable[[str], str]) -> PictureRequest:
    """A request with its pictures' paths replaced; networks are named without folders."""
    start = request.start_image
    if start is not None:
        start = replace(start, path=take(start.path), mask=take(start.mask))
    controls = tuple(
        replace(each, picture=take(each.picture), network=_bare(each.network),
                preprocessor_network=_bare(each.preprocessor_network))
        for each in request.controls
    )  # fmt: skip
    uses = tuple(replace(each, name=_bare(each.name)) for each in request.loras)
    refiner = request.refiner
    if refiner and refiner != OWN_REFINER:
        refiner = expanded(refiner).name
    upscaler = _bare(request.upscaler) if request.upscaler else request.upscaler
    return replace(
        request, start_image=start, controls=controls, loras=uses, refiner=refiner,
        upscaler=upscaler, depth_map=take(request.depth_map),
    )  # fmt: skip


def _bare(name: str) -> str:
    """A network's name, of a name or a path."""
    return Path(name).stem if "/" in name else name


def _networks(full: PictureRequest, info: ModelInfo) -> list[Network]:
    """What else has to be there."""
    found: list[Network] = []
    for each in full.lineage():
        for use in each.loras:
            if use.on:
                file = loras.find(use.name)
                found.append(_network("lora", loras.name_of(file), (file,)))
        for control in each.controls:
            own = tuple(c for c in info.controlnets)
            component = find_control_network(control.network, own)
            if component not in own:
                found.append(_network("control", component.name, component.files))
            if control.preprocessor_network:
                network = find_map_network(control.preprocessor_network)
                found.append(_network("map", network.name, network.component.files))
        if each.upscaler is not None:
            upscaler = find_upscaler(each.upscaler)
            found.append(_network("upscaler", upscaler.name, upscaler.component.files))
        if each.refiner and each.refiner != OWN_REFINER:
            folder = expanded(each.refiner)
            refiner = inspect_model(folder)
            found.append(Network("refiner", folder.name, model_hash(refiner), refiner.size_bytes))
    return list(dict.fromkeys(found))


def _network(kind: str, name: str, files: tuple[Path, ...]) -> Network:
    return Network(kind, name, digest(files), sum(map(content_bytes, files)))


def _input(path: Path) -> Input:
    """A picture that goes along."""
    try:
        size = path.stat().st_size
        if size > MAX_INPUT:
            raise SfumatoError(
                ErrorKind.BAD_IMAGE,
                f"{path.name} is larger than 512 MB, which is too much to send to another Mac; "
                "choose a smaller picture, or leave the farm for this one.",
            )
        told = hashlib.sha256()
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                told.update(piece)
    except OSError as error:
        raise path_error(path, error) from error
    return Input(told.hexdigest(), path.name, size)


def input_file(folder: Path, told: Input) -> Path:
    """Where a picture that came along lies on the Mac that draws, under the name it has at home."""
    return folder / told.sha256 / file_name(told.name)


def unpack(
    request: PictureRequest,
    unit: Unit,
    model: str,
    inputs: dict[str, Path],
    refiners: dict[str, Path],
    output: Path,
) -> PictureRequest:
    """The request for one picture of a job as the engine here takes it.

    Args:
        model: the folder here; empty for the starter model.
        inputs: pictures that came along, by SHA-256.
        refiners: their folders here, by name.

    Raises:
        SfumatoError: BAD_REQUEST for a request that names a file which did not come along.
    """

    def place(path: str) -> str:
        if not path or path == MASK_ALPHA:
            return path
        found = inputs.get(path.removeprefix(_PREFIX).partition("/")[0])
        if not path.startswith(_PREFIX) or found is None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "The request names a file that was not sent along; ask for the picture again.",
                path,
            )
        return str(found)

    def change(each: PictureRequest) -> PictureRequest:
        refiner = each.refiner
        if refiner and refiner != OWN_REFINER:
            refiner = str(refiners[refiner]) if refiner in refiners else _missing(refiner)
        return replace(_with_files(each, place), model=model, refiner=refiner)

    changed = request.mapped(change)
    return replace(changed, count=unit.number + 1, output_dir=str(output), output_file="")


def _missing(name: str) -> str:
    raise SfumatoError(
        ErrorKind.BAD_REQUEST, f"The refiner “{name}” is not on this Mac; install it there.", name
    )
