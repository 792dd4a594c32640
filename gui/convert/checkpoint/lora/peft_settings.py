"""What peft states beside a LoRA's tensors: alpha, rank, and whether the rank's root counts.

diffusers keeps these settings in the file's metadata, peft itself in `adapter_config.json` beside
`adapter_model.safetensors`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from gui.files import UnreadableFile, parse_json
from gui.library.lora_files.kinds import damaged, modern
from gui.library.safetensors_header import Header

PREFIX = "base_model.model."
"""What peft puts before every name."""
FILE = "adapter_model.safetensors"
_SETTINGS = "adapter_config.json"
_MAX_SETTINGS = 1_000_000


def stated_alpha(header: Header, tensor: str) -> float | None:
    """Alpha of the layer that a tensor belongs to; None: not stated.

    Raises:
        SfumatoError: BAD_MODEL where it is no number.
    """
    part, settings = _settings(header, tensor)
    layer = modern(tensor).removeprefix(f"{part}.")
    patterns = settings.get("alpha_pattern")
    for name, value in (patterns if isinstance(patterns, dict) else {}).items():
        plain = str(name).strip("^$")
        if layer.startswith(f"{plain}.lora") or f".{plain}.lora" in layer:
            return _number(header, value)
    value = settings.get("lora_alpha", settings.get("alpha"))
    return None if value is None else _number(header, value)


def stated_rank(header: Header, tensor: str) -> float | None:
    """The rank where no tensor shows it (of a LoKr of two full matrices)."""
    value = _settings(header, tensor)[1].get("r")
    return None if value is None else _number(header, value)


def uses_root(header: Header, tensor: str) -> bool:
    """Whether alpha is divided by the root of the rank: rank-stabilised LoRA (Kalajdzievski,
    2023)."""
    return bool(_settings(header, tensor)[1].get("use_rslora"))


def _settings(header: Header, tensor: str) -> tuple[str, dict[str, Any]]:
    """The part a tensor belongs to, and peft's settings for it."""
    if header.path.name == FILE and tensor.startswith(PREFIX):
        return PREFIX.rstrip("."), _settings_of(_text_beside(header.path), "")
    parts = ("unet", "text_encoder_2", "text_encoder")
    part = next((p for p in parts if tensor.startswith(f"{p}.")), "unet")
    return part, _settings_of(header.metadata.get("lora_adapter_metadata", "{}"), f"{part}.")


def _text_beside(path: Path) -> str:
    try:
        with path.with_name(_SETTINGS).open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_SETTINGS)
    except OSError:
        return "{}"


@lru_cache(maxsize=8)
def _settings_of(text: str, start: str) -> dict[str, Any]:
    try:
        data = parse_json(text)
    except UnreadableFile:  # a note of another tool; the rank counts as alpha
        return {}
    pairs = data.items() if isinstance(data, dict) else ()
    return {k.removeprefix(start): v for k, v in pairs if k.startswith(start)}


def _number(header: Header, value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value):
        raise damaged(header, f"alpha {value!r}")
    return float(value)
