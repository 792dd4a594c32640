"""What a program gets back: pictures, the request as it was read, and the web UI's ``info``."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import gui
from gui import paths
from gui.errors import SfumatoError, disk_error
from gui.library.export.forms import ExportOptions
from gui.library.export.writing import encoded, look_at
from gui.library.picture_reader import size_of
from gui.library.picture_record import read_record
from gui.library.picture_texts import parameters_text
from gui.library.temporaries import write_whole
from gui.request import PictureRecord, PictureRequest
from gui.serve.queue_desk import QueueDesk, Ticket
from gui.serve.sdapi.asking import Wanted
from gui.serve.sdapi.schemas import Generation

PICTURES = ("init_images", "mask", "image")
"""Fields that are not sent back, as they may be large."""


def records_of(files: Sequence[str]) -> list[tuple[Path, PictureRecord]]:
    """Pictures that are there, with their records.  Blocking."""
    found: list[tuple[Path, PictureRecord]] = []
    for file in files:
        try:
            record = read_record(Path(file))
        except SfumatoError:  # deleted by a person meanwhile
            continue
        if record is not None:
            found.append((Path(file), record))
    return found


def sized(wanted: Wanted, files: list[Path], scratch: list[Path]) -> list[Path]:
    """Pictures in the size that was asked for, with all that they say of themselves; those that are
    written for that go into `scratch`.  Blocking.

    Raises:
        SfumatoError: STORAGE, MEMORY.
    """
    longest = wanted.longest
    if not longest:
        return files
    found: list[Path] = []
    for file in files:
        if max(size_of(file)) != longest:
            data, _ = encoded(look_at(file), ExportOptions(longest=longest))
            file = _written(data, scratch)
        found.append(file)
    return found


def unfinished(wanted: Wanted, ticket: Ticket, scratch: list[Path]) -> list[Path]:
    """Pictures of where jobs were stopped, made of their last previews, as large as they would
    have been drawn where a size was asked for; they go into `scratch`.  Blocking.

    Raises:
        SfumatoError: STORAGE.
    """
    from PIL import Image

    for width, height, pixels in ticket.unfinished.values():
        image = Image.frombytes("RGB", (width, height), pixels)
        size = wanted.drawn if all(wanted.drawn) else image.size
        image = image.resize(size, Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        _written(buffer.getvalue(), scratch)
    return scratch[len(scratch) - len(ticket.unfinished) :] if ticket.unfinished else []


def _written(data: bytes, scratch: list[Path]) -> Path:
    """A file of an answer, for the moment.  Raises SfumatoError, STORAGE."""
    folder = paths.answers_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = write_whole(folder, "answer.png", data)
    except OSError as error:
        raise disk_error(error, f"The answer cannot be kept in {folder}") from error
    scratch.append(file)
    return file


def info_of(
    wanted: Wanted, made: Sequence[tuple[Path, PictureRecord]], ticket: Ticket
) -> dict[str, Any]:
    """The web UI's `info`, and in ``ignored`` and ``notes`` what a program should know besides."""
    records = [record for _, record in made]
    requests = [record.request for record in records] or wanted.requests[:1]
    first = requests[0]
    seeds = [request.seed for request in requests]
    subseeds = [_subseed(request) for request in requests]
    size = (records[0].width, records[0].height) if records else (first.width, first.height)
    if records and wanted.longest:
        size = ExportOptions(longest=wanted.longest).size_for(records[0].width, records[0].height)
    start = first.start_image
    notes = list(dict.fromkeys(note for record in records for note in record.notes))
    if ticket.interrupted or ticket.skipped:
        notes.append(
            "It was stopped; the last picture is the preview of where it was."
            if ticket.unfinished
            else "It was stopped; only the pictures that were finished are here."
        )
    return {
        "prompt": first.prompt,
        "all_prompts": [request.prompt for request in requests],
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [request.negative_prompt for request in requests],
        "seed": seeds[0],
        "all_seeds": seeds,
        "subseed": subseeds[0],
        "all_subseeds": subseeds,
        "subseed_strength": first.variation_strength,
        "width": size[0],
        "height": size[1],
        "sampler_name": first.scheduler,
        "cfg_scale": first.guidance_scale,
        "steps": first.steps,
        "batch_size": wanted.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": wanted.model.name,
        "sd_model_hash": records[0].model_hash[:10] if records else "",
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": start.strength if start is not None else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": [parameters_text(record) for record in records],
        "styles": wanted.styles,
        "job_timestamp": datetime.now().strftime("%Y%m%d%H%M%S"),
        "clip_skip": first.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": f"Sfumato {gui.__version__}",
        "ignored": wanted.ignored,
        "notes": notes,
    }


def _subseed(request: PictureRequest) -> int:
    return -1 if request.variation_seed is None else request.variation_seed


def parameters_of(body: Generation) -> dict[str, Any]:
    """The request as it was read, without its pictures."""
    told = body.model_dump(mode="json")
    for name in PICTURES:
        if name in told:
            told[name] = None
    if isinstance(told.get("alwayson_scripts"), dict):
        told["alwayson_scripts"] = {name: {} for name in told["alwayson_scripts"]}
    return told


def rest_of(body: Generation, info: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": parameters_of(body), "info": json.dumps(info)}


def progress_of(queue: QueueDesk, *, with_picture: bool) -> tuple[dict[str, Any], Any]:
    """The web UI's progress of the request of a program that is being made, or is next.

    Returns:
        The answer without its picture, and the preview that belongs into it: width, height, pixels.
    """
    state: dict[str, Any] = {
        "skipped": False, "interrupted": False, "stopping_generation": False, "job": "",
        "job_count": 0, "job_timestamp": "0", "job_no": 0, "sampling_step": 0, "sampling_steps": 0,
    }  # fmt: skip
    told: dict[str, Any] = {
        "progress": 0.0, "eta_relative": 0.0, "state": state, "current_image": None,
        "textinfo": None, "current_task": None,
    }  # fmt: skip
    if not queue.tickets:
        return told, None
    statuses = {job.id: job.status for job in queue.now.jobs}
    running = next(
        (t for t in queue.tickets if any(statuses.get(j) == "running" for j in t.jobs)), None
    )
    ticket = running or queue.tickets[0]
    state["skipped"], state["interrupted"] = ticket.skipped, ticket.interrupted
    state["job_count"] = len(ticket.jobs)
    ended = sum(statuses.get(job) not in ("queued", "running") for job in ticket.jobs)
    state["job_no"] = min(ended, len(ticket.jobs) - 1)
    state["job"] = f"Batch {state['job_no'] + 1} out of {len(ticket.jobs)}"
    live = queue.state
    if running is None:
        told["textinfo"] = (
            "The queue is paused in Sfumato." if queue.now.paused else "Waiting in line."
        )
    elif live.job in ticket.jobs:
        if live.loading:
            told["textinfo"] = f"Loading the model: {live.loading}."
        state["sampling_step"], state["sampling_steps"] = live.step, live.steps
        if live.steps:
            done = live.picture_index + live.step / live.steps
            share = (ended + done / live.count) / len(ticket.jobs)
            left = (1 - share) * len(ticket.jobs) * live.count * live.steps
            told["progress"] = round(min(share, 0.99), 4)
            told["eta_relative"] = round(left * live.seconds_per_step, 2)
        return told, queue.preview if with_picture else None
    return told, None


def png_text(width: int, height: int, pixels: bytes) -> str:
    """Pixels as a PNG in base64.  Blocking."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.frombytes("RGB", (width, height), pixels).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
