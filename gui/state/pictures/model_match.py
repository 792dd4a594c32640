"""Which of the installed models made a picture, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gui.coreml.sidecar import CHECKPOINT_SHA256, PATCH

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry
    from gui.state.pictures.origin import Origin

_NOISE = {
    "safetensors", "ckpt", "pt", "pth", "bin", "gguf", "mlpackage", "mlmodelc", "coreml", "fp16",
    "fp32", "bf16", "f16", "f32", "q6p", "q8p", "pruned", "emaonly", "nonema", "ema", "original",
    "split", "einsum", "palettized", "compiled", "packages", "cn", "vae", "bakedvae", "noeula",
}  # fmt: skip
"""What names of one model's files differ in."""
_FAMILY = {"sd", "stable", "diffusion"}
"""Words that tell no model from another."""


@dataclass(frozen=True)
class ModelMatch:
    """A picture's model among the installed ones."""

    entry: ModelEntry | None = None
    """None: it is not here."""
    how: str = ""
    """What it was known by, in a few words to follow the model's name."""
    sure: bool = False
    """Whether it is the model itself, not one of a similar name."""


def match_model(origin: Origin, entries: Iterable[ModelEntry]) -> ModelMatch:
    """Find the model that made a picture: by what its files hash to, by its folder, by its name,
    and last by one that is similar."""
    usable = [entry for entry in entries if not entry.problem]
    stated = plain_hash(origin.model_hash)
    if stated:
        for entry in usable:
            if _has_hash(entry, stated):
                return ModelMatch(entry, "its files are the same", True)
    if origin.ours:
        here = next((e for e in usable if e.request_folder == origin.model_folder), None)
        if here is not None and (not stated or not here.identity):
            return ModelMatch(here, "it lies where the picture’s model lay", True)
    wanted = _plain(origin.model)
    if not wanted:
        return ModelMatch()
    for entry in usable:
        if any(_plain(name) == wanted for name in _names(entry)):
            if origin.ours and stated and entry.identity:
                return ModelMatch(entry, "the name is the same, but its files are others")
            return ModelMatch(entry, "the name is the same", True)
    telling = _telling(wanted)
    for entry in usable:
        if telling and any(_telling(_plain(name)) == telling for name in _names(entry)):
            return ModelMatch(entry, "the name is similar; it may be another version")
    return ModelMatch()


def search_words(model: str) -> str:
    """What to look for on the Hub to find a model that a picture names."""
    return " ".join(_words(model)) or model.strip()


def plain_hash(text: str) -> str:
    """``0xAB12…``, ``sha256:ab12…`` → ``ab12…``; empty where it is no hash of at least 8 digits."""
    digits = text.strip().casefold().rpartition(":")[2].removeprefix("0x")
    return digits if re.fullmatch(r"[0-9a-f]{8,128}", digits) else ""


def _has_hash(entry: ModelEntry, stated: str) -> bool:
    """Of its own files, or of the checkpoint that it was converted from."""
    source = ""
    if entry.sidecar is not None and not entry.sidecar.noted(PATCH).get("loras"):
        # With LoRAs it is another model since.
        source = entry.sidecar.noted("conversion").get(CHECKPOINT_SHA256, "")
    known = (entry.identity, source if isinstance(source, str) else "")
    return any(each and (each.startswith(stated) or stated.startswith(each)) for each in known)


def _names(entry: ModelEntry) -> list[str]:
    """Everything that a model is called."""
    found = [entry.name, entry.folder.name]
    if entry.sidecar is not None:
        base = entry.sidecar.noted("hub").get("base_model", "")
        found += [entry.sidecar.source_repo, base if isinstance(base, str) else ""]
    return [name for name in found if name]


def _words(name: str) -> list[str]:
    """The words of a model's name, without its folder, its form and the hash behind it."""
    text = re.sub(r"\[[0-9a-fA-F]{6,64}\]\s*$", "", name[:300].strip())
    text = text.replace("\\", "/").rstrip("/").rpartition("/")[2].casefold()
    text = re.sub(r"(?<![a-z])v(?=\d)", "", text)
    found = [word for word in re.split(r"[\W_]+", text) if word]
    return [word for word in found if word not in _NOISE]


def _plain(name: str) -> tuple[str, ...]:
    found = _words(name)
    return tuple(word for word in found if word not in _FAMILY) or tuple(found)


def _telling(plain: tuple[str, ...]) -> tuple[str, ...]:
    """The words that stay through a model's versions."""
    return tuple(word for word in plain if len(word) > 3 and not any(c.isdigit() for c in word))
