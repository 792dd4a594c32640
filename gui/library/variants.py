"""Where variants of installed models are kept: with LoRAs in their weights, of other picture sizes;
and of ControlNets that lie outside of models.

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
"""Models; on a disk that cannot share bytes each may take as much as its original."""
KEPT_NETWORKS = 24
"""ControlNets of other sizes; their weights are second names of the originals'."""
_SOURCE = "source.json"
_REFUSED = ".refused"
_MODEL = "model"
"""The folder's name within its own, which tells what it is made of."""


def place(model: Path, what: Any) -> Path:
    """The folder of a variant, which may not be there.

    Args:
        model: the model's folder, or a network's file.
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


def refusal(variant: Path, system: str) -> str:
    """Why a variant is of no use on this system; empty where nothing was noted.  Never raises.

    Args:
        system: what it was tried on; another version may take it.
    """
    try:
        noted = json.loads(_refusal_note(variant).read_text(encoding="utf-8"))
        return str(noted["why"]) if noted["system"] == system else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def refuse(variant: Path, system: str, why: str) -> None:
    """Note that a variant is of no use, and take it away.  Never raises."""
    with contextlib.suppress(OSError):
        note = json.dumps({"system": system, "why": why})
        _refusal_note(variant).write_text(note, encoding="utf-8")
    shutil.rmtree(variant.parent, ignore_errors=True)


def _refusal_note(variant: Path) -> Path:
    return variant.parent.with_suffix(_REFUSED)


def sweep(keep: Path | None = None) -> None:
    """Take away variants whose original is gone, and all but the last.  Never raises."""
    with contextlib.suppress(OSError):
        groups = list(paths.variants_dir().iterdir())
        for group in groups:
            if _original(group) is False:
                shutil.rmtree(group, ignore_errors=True)
        left: dict[int, list[tuple[float, Path]]] = {KEPT: [], KEPT_NETWORKS: []}
        for group in groups:
            with contextlib.suppress(OSError):
                of_network = Path(str(_original(group))).suffix in (".mlmodelc", ".mlpackage")
                left[KEPT_NETWORKS if of_network else KEPT] += [
                    (p.stat().st_mtime, p) for p in group.iterdir() if p.is_dir()
                ]
        for most, found in left.items():
            for _, old in sorted(found, reverse=True)[most:]:
                if keep is None or old != keep.parent:
                    shutil.rmtree(old, ignore_errors=True)


def _original(group: Path) -> Path | bool:
    """What a group's variants are made from; False: it is gone; True: it cannot be told."""
    try:
        stated = json.loads((group / _SOURCE).read_text(encoding="utf-8"))
        original = Path(stated["model"])
        return original if original.exists() else False
    except (OSError, ValueError, KeyError, TypeError):
        return True


def clear(models: Sequence[Path]) -> None:
    """Take away the variants of models that go.  Never raises."""
    for model in models:
        shutil.rmtree(_group(model), ignore_errors=True)
