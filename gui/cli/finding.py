"""What the words on a command line mean: models, and LoRAs with their weights."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths
from gui.files import checked, exists, found, is_file, is_folder
from gui.names import parse_repository
from gui.request import LoraUse

if TYPE_CHECKING:
    from gui.convert.types import Lora


def model_folder(text: str, variant: str) -> Path:
    """Folder of the model that was named; one that is not there is the engine's to report.

    Raises:
        SfumatoError: NOT_FOUND where it names no model; BAD_REQUEST where it names several.
    """
    folder = checked(text)
    if exists(folder) or text.startswith((".", "~", os.sep)):
        return folder
    if is_folder(inside := paths.models_dir() / text):
        return inside
    if parse_repository(text) is None:
        return folder
    from gui.cli.models_hub import chosen_models

    return Path(chosen_models(text, variant)[0].folder)


def lora_of(text: str) -> Lora:
    """``FILE``, ``FILE:SCALE`` or ``FILE:SCALE:TEXT-SCALE``; a colon within the name is not taken
    for a scale."""
    from gui.convert.types import Lora

    name, scale, text_scale = _weighted(text)
    return Lora(str(checked(name)), scale, text_scale)


def lora_use_of(text: str) -> LoraUse:
    """The same of a LoRA that may be named as the library knows it."""
    name, weight, text_weight = _weighted(text)
    path = found(name)
    return LoraUse(str(path) if path is not None and is_file(path) else name, weight, text_weight)


def _weighted(text: str) -> tuple[str, float, float | None]:
    number = r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)"
    match = re.fullmatch(rf"(.+?):{number}(?::{number})?", text)
    if match is None or found(text) is not None:
        return text, 1.0, None
    return match[1], float(match[2]), float(match[3]) if match[3] else None
