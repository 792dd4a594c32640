"""Where variants of installed models are kept: with LoRAs in their weights, of other picture sizes.

They are made on demand (`gui.convert.patch`) and can be made again, so only the last few are kept;
those of a model go with it.  Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gui import paths

KEPT = 6
"""Variants; on a disk that cannot share bytes each may take as much as its model."""
_SOURCE = "source.json"
_MODEL = "model"
"""The folder's name within its own, which tells what it is made of."""


def place(model: Path, what: Any) -> Path:
    """The folder of a variant, which may not be there.

    Args:
        model: the model's folder.
        what: all that decides the variant, as JSON.
    """
    text = json.dumps(what, sort_keys=True)
    return _group(model) / hashlib.sha256(text.encode()).hexdigest()[:20] / _MODEL


def _group(model: Path) -> Path:
    name = hashlib.sha256(os.fsencode(model)).hexdigest()[:20]
    return paths.variants_dir() / name


def remember(model: Path, variant: Path) -> None:
    """Note whose a variant is, and that it was used now; let the oldest go.  Never raises."""
    with contextlib.suppress(OSError):
        note = _group(model) / _SOURCE
        if not note.exists():
            note.write_text(json.dumps({"model": str(model)}), encoding="utf-8")
        os.utime(variant.parent)
    sweep(keep=variant)


def sweep(keep: Path | None = None) -> None:
    """Take away variants whose model is gone, and all but the last `KEPT`.  Never raises."""
    with contextlib.suppress(OSError):
        groups = list(paths.variants_dir().iterdir())
        for group in groups:
            if _is_orphan(group):
                shutil.rmtree(group, ignore_errors=True)
        left: list[tuple[float, Path]] = []
        for group in groups:
            with contextlib.suppress(OSError):
                left += [(p.stat().st_mtime, p) for p in group.iterdir() if p.is_dir()]
        for _, old in sorted(left, reverse=True)[KEPT:]:
            if keep is None or old != keep.parent:
                shutil.rmtree(old, ignore_errors=True)


def _is_orphan(group: Path) -> bool:
    try:
        stated = json.loads((group / _SOURCE).read_text(encoding="utf-8"))
        return not Path(stated["model"]).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def clear(models: Sequence[Path]) -> None:
    """Take away the variants of models that go.  Never raises."""
    for model in models:
        shutil.rmtree(_group(model), ignore_errors=True)
