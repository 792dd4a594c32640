"""Names of exported files, by a template such as ``{date}-{seed}-{prompt}``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gui.errors import ErrorKind, SfumatoError
from gui.names import shortened

if TYPE_CHECKING:
    from gui.library.picture_origin import PictureOrigin

FIELDS: dict[str, str] = {
    "name": "the picture’s present name",
    "date": "day, as 2026-05-04",
    "time": "time of day, as 131415",
    "prompt": "the prompt’s first words",
    "seed": "the seed",
    "model": "the model’s name",
    "scheduler": "the scheduler",
    "steps": "the number of steps",
    "guidance": "the guidance scale",
    "width": "width in pixels",
    "height": "height in pixels",
    "number": "1, 2, 3 …",
}
"""What may stand in braces, and what becomes of it."""

MAX_BYTES = 120
"""Of a name without its ending: with a number and ``.jpeg`` below what the strictest systems
take."""
_FIELD = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_JOINTS = re.compile(r"([-_. ])[-_. ]+")


def check_template(template: str) -> None:
    """
    Raises:
        SfumatoError: BAD_REQUEST for an empty template, or a field that there is not.
    """
    if not template.strip():
        raise SfumatoError(ErrorKind.BAD_REQUEST, "The name is empty; give one, such as {name}.")
    for field in _FIELD.findall(template):
        if field.strip().lower() not in FIELDS:
            known = ", ".join("{" + name + "}" for name in FIELDS)
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"A name knows no “{{{field[:40]}}}”; use {known}.",
            )


def values_of(path: Path, origin: PictureOrigin, modified: float) -> dict[str, str]:
    """What there is to make a picture's name of; empty, or absent, where it is not known.

    Args:
        modified: date of the file, for pictures that do not say when they were made.
    """
    from gui.library.picture_texts import slug

    values: dict[str, str] = {"name": path.stem}
    moment = datetime.fromtimestamp(modified)
    record, imported = origin.record, origin.imported
    if record is not None:
        request = record.request
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(record.created)
        values |= {
            "prompt": slug(request.prompt),
            "seed": str(request.seed),
            "model": record.model_name,
            "scheduler": request.scheduler or "",
            "steps": str(request.steps or ""),
            "guidance": "" if request.guidance_scale is None else f"{request.guidance_scale:g}",
        }
    elif imported is not None:
        values |= {
            "prompt": slug(imported.prompt),
            "seed": "" if imported.seed is None else str(imported.seed),
            "model": imported.model,
            "scheduler": imported.scheduler or imported.sampler,
            "steps": str(imported.steps or ""),
            "guidance": "" if imported.guidance_scale is None else f"{imported.guidance_scale:g}",
        }
    return values | {"date": moment.strftime("%Y-%m-%d"), "time": moment.strftime("%H%M%S")}


def fill(
    template: str, picture: Mapping[str, str], size: tuple[int, int], number: int, count: int
) -> str:
    """A file's name without its ending: safe on every file system, and never empty.

    Args:
        picture: its `values_of`.
        size: pixels of the exported picture.
        number: place among those that are exported, from 1.
        count: how many they are.

    Raises:
        SfumatoError: BAD_REQUEST as `check_template`.
    """
    check_template(template)
    values = {
        **picture,
        "width": str(size[0]),
        "height": str(size[1]),
        "number": f"{number:0{len(str(count))}d}",
    }
    text = _FIELD.sub(lambda match: values.get(match[1].strip().lower(), ""), template)
    return safe_name(text) or safe_name(values.get("name", "")) or "picture"


def safe_name(text: str) -> str:
    """`text` as a file name without folders, hidden beginnings and characters that some system
    refuses; may be empty."""
    whole = text.encode("utf-8", "ignore").decode()  # halves of characters
    plain = _JOINTS.sub(r"\1", _UNSAFE.sub("-", whole))  # what was left out leaves no double joint
    return shortened(plain.strip("-_. "), MAX_BYTES).strip("-_. ")
