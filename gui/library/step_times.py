"""How long pictures take on this machine, as it was measured, and what that means for other sizes.

The one home of the estimate.  What is kept can be measured again; lost, it costs a forecast.
Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gui import paths
from gui.errors import SfumatoError
from gui.files import UnreadableFile, parse_json, read_text
from gui.library.temporaries import write_whole
from gui.records import Record
from gui.request import PictureRecord
from gui.scheduler_names import scheduler_name

FILE_NAME = "step-times.json"
_MOST = 200
"""Models, each with a set of compute units; the oldest are forgotten."""
_MAX_BYTES = 1_000_000

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Pace(Record):
    """What was measured of one model at one size."""

    width: int
    height: int
    call: float
    """Seconds for one run of the UNet, both halves of guidance."""
    rest: float = 0.0
    """Seconds of a picture beside its steps: text, decoding, saving."""


def work_of(size: Size, *, xl: bool) -> float:
    """How much a UNet's run is at a size, in no particular unit.

    Convolutions grow with the positions, self-attention with their square.  At 4096 positions (512²
    of Stable Diffusion 1, 1024² of XL) about a sixth of the multiplications are the attention's, by
    the published configurations.
    """
    positions = size[0] * size[1] / (256 if xl else 64)
    return positions * (1 + positions / 20_000)


def note(record: PictureRecord, seconds_per_step: float) -> None:
    """Keep what a picture that was made here took.  Never raises.  Blocking."""
    request = record.request
    if not record.model_hash or not math.isfinite(seconds_per_step) or seconds_per_step <= 0:
        return
    start = request.lineage()[0].start_image
    if start is not None and start.keeps_size:
        return  # how large the part was that was drawn is not told
    width, height = record.drawn_size
    call = seconds_per_step / _calls(request.scheduler or "")
    factor = request.enlargement.factor if request.enlargement else 1
    whole = factor == 1 and request.start_image is None and request.branch is None
    rest = max(0.0, record.seconds - (request.steps or 0) * seconds_per_step) if whole else 0.0
    kept = _read()
    key = _key(record.model_hash, request.compute_unit)
    paces = [p for p in _paces(kept.pop(key, ())) if (p.width, p.height) != (width, height)]
    paces.append(Pace(width, height, call, rest))
    kept[key] = [pace.to_json() for pace in paces]
    data = dict(list(kept.items())[-_MOST:])
    with contextlib.suppress(OSError):
        paths.cache_dir().mkdir(parents=True, exist_ok=True)
        text = json.dumps(data, separators=(",", ":"))
        write_whole(paths.cache_dir(), FILE_NAME, text.encode(), overwrite=True)


def measured(model_hash: str, compute_unit: str) -> tuple[Pace, ...]:
    """What is known of a model, the latest last.  Never raises.  Blocking."""
    return _paces(_read().get(_key(model_hash, compute_unit), ()))


def expected(
    paces: tuple[Pace, ...], size: Size, steps: int, scheduler: str, *, xl: bool
) -> float | None:
    """Seconds that a picture will take: as measured at its size, else by the size that is nearest;
    None where nothing was measured."""
    if not paces:
        return None
    wanted = work_of(size, xl=xl)

    def share(pace: Pace) -> float:
        return wanted / work_of((pace.width, pace.height), xl=xl)

    nearest = min(paces, key=lambda pace: abs(math.log(share(pace))))
    pixels = size[0] * size[1] / (nearest.width * nearest.height)
    return steps * _calls(scheduler) * nearest.call * share(nearest) + nearest.rest * pixels


def _calls(scheduler: str) -> int:
    try:
        return scheduler_name(scheduler).unet_calls_per_step
    except SfumatoError:
        return 1


def _key(model_hash: str, compute_unit: str) -> str:
    return f"{model_hash} {compute_unit}"


def _read() -> dict[str, Any]:
    try:
        data = parse_json(read_text(paths.cache_dir() / FILE_NAME, _MAX_BYTES))
    except (OSError, UnreadableFile):
        return {}
    return data if isinstance(data, dict) else {}


def _paces(data: Any) -> tuple[Pace, ...]:
    found: list[Pace] = []
    for each in data if isinstance(data, list) else ():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            pace = Pace.from_json(each) if isinstance(each, Mapping) else None
            if pace and min(pace.width, pace.height) > 0 and pace.call > 0 and pace.rest >= 0:
                found.append(pace)
    return tuple(found)
