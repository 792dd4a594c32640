"""Where the models of this machine's pictures lie, and the pictures that went into them.

A picture is made to be given away, so it names neither folder nor disk: its record has a model's
hash and a starting picture's fingerprint.  What these mean here is kept in a private journal beside
the index.  Lost, it costs a picture the way back to its own model's folder, not its settings.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

from gui import paths
from gui.private_files import keep_private
from gui.request import PictureRecord

FILE_NAME = "picture-places.jsonl"
MAX_BYTES = 16 * 1024 * 1024
"""Of the journal that are read, its newest end."""

log = logging.getLogger(__name__)


class _Journal:
    """The file as it was read last; other processes add to it."""

    def __init__(self) -> None:
        self._seen: tuple[str, int, int] = ("", 0, 0)
        self._places: dict[str, str] = {}

    def places(self) -> dict[str, str]:
        file = paths.data_dir() / FILE_NAME
        try:
            status = file.stat()
        except OSError:
            self._seen, self._places = ("", 0, 0), {}
            return self._places
        state = (str(file), status.st_size, status.st_mtime_ns)
        if state != self._seen:
            self._places = _read(file, status.st_size)
            self._seen = state
        return self._places


def _read(file: Path, size: int) -> dict[str, str]:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, size - MAX_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        log.warning("places cannot be read: %r", error)
        return {}
    found: dict[str, str] = {}
    for line in text.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            entry = json.loads(line)
            found[str(entry["what"])] = str(entry["path"])
    return found


_journal = _Journal()


def model_key(model_hash: str) -> str:
    return f"model {model_hash}" if model_hash else ""


def picture_key(fingerprint: str) -> str:
    return f"picture {fingerprint}" if fingerprint else ""


def network_key(network: str) -> str:
    """A ControlNet or a refiner has no hash; its name alone is known."""
    return f"network {Path(network).name}" if network else ""


def place_of(key: str) -> str:
    """Where this lay when it was used last; empty where that is not known here."""
    return _journal.places().get(key, "") if key else ""


def remember(record: PictureRecord) -> None:
    """Keep where a picture's model and starting picture lie.  Never raises: a picture is worth
    more than the way back."""
    request, start = record.request, record.request.start_image
    wanted = {model_key(record.model_hash): request.model}
    if start is not None:
        wanted[picture_key(record.provenance.start_fingerprint)] = start.path
        wanted[picture_key(record.provenance.mask_fingerprint)] = start.mask
    wanted[picture_key(record.provenance.depth_fingerprint)] = request.depth_map
    known = record.provenance.control_fingerprints
    for control, fingerprint in zip(request.controls, known, strict=False):
        wanted[picture_key(fingerprint)] = control.picture
        wanted[network_key(control.network)] = control.network
    wanted[network_key(request.refiner)] = request.refiner
    places = _journal.places()
    lines = [
        json.dumps({"what": key, "path": path})
        for key, path in wanted.items()
        if key and os.path.isabs(path) and places.get(key) != path  # noqa: PTH117 - it is text
    ]
    if not lines:
        return
    file = paths.data_dir() / FILE_NAME
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        keep_private(file)
        with file.open("a", encoding="utf-8") as stream:
            # A line that was cut by a crash ends here at the latest.
            stream.write("\n" + "\n".join(lines) + "\n")
    except OSError as error:
        log.warning("places cannot be kept: %r", error)
