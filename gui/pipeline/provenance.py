"""What decided a picture's numbers, as its record tells it."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from gui import records
from gui.coreml import back_ends
from gui.coreml.precision import computed_in
from gui.coreml.sidecar import Sidecar
from gui.errors import SfumatoError
from gui.files import expanded
from gui.library.fingerprint import FINGERPRINT_BYTES, fingerprint
from gui.library.metadata.containers import read_fields
from gui.library.metadata.writing import MADE_BY_MODEL, XMP_SOURCE_TYPE
from gui.pipeline.schedulers import Scheduler
from gui.provenance import Provenance
from gui.request import PictureRequest, Precision
from gui.start_image import MASK_ALPHA
from gui.versions import system, versions

_LIBRARIES = ("torch", "diffusers", "numpy", "tokenizers", "coremltools", "Pillow")
_LONG = 64
"""A list of more values (trained betas) is told by its digest."""


def provenance_of(
    sidecar: Sidecar, runtime: str, scheduler: Scheduler, request: PictureRequest
) -> Provenance:
    """What is the same for all pictures of one request.

    Args:
        sidecar: the model's.
        runtime: its name.
        scheduler: as it is used.
        request: names the pictures that go in.
    """
    precision = computed_in(request.precision)
    known, by_model = "", False
    start = request.start_image
    if start is not None:
        known, by_model = picture_facts(expanded(start.path))
    mask = start.mask if start is not None and start.mask != MASK_ALPHA else ""
    leading = [picture_facts(expanded(each.picture))[0] for each in request.controls]
    return Provenance(
        source_repo=sidecar.source_repo,
        source_revision=sidecar.source_revision,
        runtime=runtime,
        system=system(),
        versions=versions(*_LIBRARIES, *back_ends.libraries()),
        scheduler=scheduler_settings(scheduler),
        scaling_factor=sidecar.scaling_factor,
        shift_factor=sidecar.shift_factor,
        start_fingerprint=known,
        start_by_model=by_model,
        control_fingerprints=tuple(leading),
        mask_fingerprint=picture_facts(expanded(mask))[0] if mask else "",
        depth_fingerprint=(
            picture_facts(expanded(request.depth_map))[0] if request.depth_map else ""
        ),
        precision="" if precision is Precision.FP32 else precision.value,
    )


def scheduler_settings(scheduler: Scheduler) -> dict[str, Any]:
    """A diffusers scheduler's class and configuration, as plain values.  What is unset is left out,
    and with it bounds at infinity, which are none."""
    found: dict[str, Any] = {"_class_name": type(scheduler).__name__}
    for name, value in sorted(dict(scheduler.config).items()):
        unset = value is None or (isinstance(value, float) and not math.isfinite(value))
        if not name.startswith("_") and not unset:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        values = [_plain(each) for each in value]
        if len(values) <= _LONG:
            return values
        digest = hashlib.sha256(records.dumps(values).encode()).hexdigest()[:16]
        return f"{len(values)} values, sha256:{digest}"
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def picture_facts(path: Path) -> tuple[str, bool]:
    """Fingerprint of a picture's file, and whether it says that a model made it.  Never raises:
    what cannot be read is not told."""
    try:
        with path.open("rb") as file:
            head = file.read(FINGERPRINT_BYTES)
            known = fingerprint(head, path.stat().st_size)
        return known, read_fields(path).xmp.get(XMP_SOURCE_TYPE) == MADE_BY_MODEL
    except (OSError, SfumatoError):
        return "", False
