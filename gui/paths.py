"""Where things live.  One function for resources, one per user folder; nothing beside the code is
ever written.  Standard library only.

`SFUMATO_HOME` moves every user folder under one root (tests and portable installs use it).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def resource(name: str) -> Path:
    """Path of a file or folder that ships with the app, e.g. ``resource("starter-model")``.

    Looks in the py2app bundle (`Contents/Resources/resources`), then in an installed wheel
    (`gui/_resources`), then in a source checkout (`resources/` beside `gui/`).
    """
    return resource_root() / name


def resource_root() -> Path:
    """Folder that holds every shipped resource."""
    package = Path(__file__).resolve().parent
    candidates = [package / "_resources", package.parent / "resources"]
    bundle = os.environ.get("RESOURCEPATH")  # set by py2app's launcher
    if bundle and getattr(sys, "frozen", None):
        candidates.insert(0, Path(bundle) / "resources")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    return candidates[-1]


def _home() -> Path | None:
    value = os.environ.get("SFUMATO_HOME")
    return Path(os.path.expanduser(value)) if value else None  # noqa: PTH111 - it never raises


def data_dir() -> Path:
    """Application data (models, queue, logs); the same folder QStandardPaths would name."""
    if home := _home():
        return home / "data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Sfumato"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "Sfumato"


def cache_dir() -> Path:
    """Things that can be made again (compiled models)."""
    if home := _home():
        return home / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "Sfumato"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "Sfumato"


def models_dir() -> Path:
    """Installed models."""
    return data_dir() / "Models"


def controlnets_dir() -> Path:
    """ControlNets beside those in the models' own folders."""
    return data_dir() / "ControlNets"


def upscalers_dir() -> Path:
    """Upscaling networks beside those that ship with the app."""
    return data_dir() / "Upscalers"


def preprocessors_dir() -> Path:
    """Depth and line networks that make control pictures."""
    return data_dir() / "Preprocessors"


def sources_dir() -> Path:
    """Checkpoints that were fetched to be converted, and are kept for the next conversion."""
    return cache_dir() / "Sources"


def loras_dir() -> Path:
    """LoRAs to make pictures with."""
    return data_dir() / "LoRAs"


def masks_dir() -> Path:
    """Masks that were painted on pictures; what made a picture names the one it was made with."""
    return data_dir() / "Masks"


def uploads_dir() -> Path:
    """Pictures that other programs sent, to start from or be led by."""
    return data_dir() / "Uploads"


def answers_dir() -> Path:
    """Pictures that other programs want for themselves, until they have them."""
    return cache_dir() / "Answers"


def variants_dir() -> Path:
    """Installed models with LoRAs in them or of other sizes, made on demand."""
    return cache_dir() / "Variants"


def logs_dir() -> Path:
    return data_dir() / "Logs"


def pictures_dir() -> Path:
    """Where finished pictures go."""
    if home := _home():
        return home / "Pictures"
    return Path.home() / "Pictures" / "Sfumato"


def starter_model() -> Path:
    """The model that ships with the app."""
    return resource("starter-model")
