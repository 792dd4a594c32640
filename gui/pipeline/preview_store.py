"""Fitted preview maps, kept between starts.

Fitting takes up to eight decodes.  The model's own folder may not be ours to write to, so the maps
are kept among the things that can be made again.
"""

from __future__ import annotations

import os
from pathlib import Path

from gui import records
from gui.coreml.sidecar import Preview
from gui.paths import cache_dir
from gui.records import RecordError

_ROWS = tuple[tuple[float, float, float], ...]


def kept_preview(key: str, channels: int) -> Preview | None:
    """The map fitted for this model before; None where there is none or it makes no sense."""
    try:
        rows = records.loads(_ROWS, _path(key).read_bytes())
    except (OSError, RecordError):
        return None
    return Preview(rows[:-1], rows[-1]) if len(rows) == channels + 1 else None


def keep_preview(key: str, preview: Preview) -> None:
    """Keep a map.  A cache that cannot be written costs a fit next time and nothing else."""
    path = _path(key)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(records.dumps([*preview.matrix, preview.bias]), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _path(key: str) -> Path:
    return cache_dir() / "previews" / f"{key}.json"
