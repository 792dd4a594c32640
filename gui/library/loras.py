"""The LoRA library: a folder of files, by name; and LoRAs that a prompt names, as in A1111's web
UI.

Whoever drops a ``.safetensors`` file into the folder, or into a folder within, has it by its name
without ending.  Of a file its header's notes are read, nothing more.  Standard library only.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gui import paths, words
from gui.coreml import sidecar as sidecars
from gui.coreml.model import CONTEXT_FAMILIES, Family
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.files import (
    UnreadableFile,
    children,
    expanded,
    is_file,
    is_folder,
    parse_json,
)
from gui.library.temporaries import temporary_file
from gui.names import LORA_TAG
from gui.records import Record
from gui.request import MAX_LORA_WEIGHT, LoraUse, PictureRequest

ENDING = ".safetensors"
GENERIC = ("pytorch_lora_weights", "adapter_model")
"""Names that diffusers and peft give every LoRA: one of these is called by its folder's."""
_COVERS = (".png", ".jpg", ".jpeg", ".webp", ".preview.png", ".preview.jpg", ".preview.jpeg")
"""What a cover's name ends with, beside the LoRA's own name, as web UIs keep them."""
_DEPTH = 3
_MOST = 10_000
_MOST_HEADER = 16 << 20
_MOST_WORDS = 6


@dataclass(frozen=True)
class LoraDetails(Record):
    """A file in the library, with what its notes say."""

    name: str
    path: str
    bytes: int = 0
    cover: str = ""
    title: str = ""
    base: str = ""
    """The family it was made for, for people; empty: it does not say."""
    triggers: tuple[str, ...] = ()
    """Words that call up what it was taught."""
    repo: str = ""
    """Repository on the Hub that it came from; empty: it came another way."""


@dataclass(frozen=True)
class LoraEntry(Record):
    """A file in the library."""

    name: str
    path: str
    bytes: int = 0
    cover: str = ""


def entries(root: Path | None = None) -> tuple[LoraEntry, ...]:
    """Every LoRA in the library, by name.  Never raises.  Blocking."""
    found: list[LoraEntry] = []
    _look(root or paths.loras_dir(), _DEPTH, found)
    return tuple(sorted(found, key=lambda entry: entry.name.casefold()))


def details(root: Path | None = None) -> tuple[LoraDetails, ...]:
    """Every LoRA in the library with what its notes say.  Never raises.  Blocking."""
    return tuple(_details(entry) for entry in entries(root))


def _details(entry: LoraEntry) -> LoraDetails:
    path = Path(entry.path)
    header = _header(path)
    notes = _notes(header)
    hub = _from_hub(path.parent) if path.parent != paths.loras_dir() else None
    base = _base(header, notes)
    if not base and hub is not None and hub.family is not Family.UNKNOWN:
        base = words.short_family(hub.family)
    taught = hub.extra["hub"].get("triggers") if hub is not None else None
    triggers = tuple(str(one)[:200] for one in taught) if isinstance(taught, list) else ()
    return LoraDetails(
        entry.name,
        entry.path,
        entry.bytes,
        entry.cover or _own_cover(notes),
        notes.get("modelspec.title") or notes.get("ss_output_name", ""),
        base,
        triggers or _triggers(notes),
        hub.source_repo if hub is not None else "",
    )


def _from_hub(folder: Path) -> Sidecar | None:
    """What a folder that came from the Hub says of itself."""
    try:
        sidecar = sidecars.read(folder)
    except SfumatoError:
        return None
    return sidecar if sidecar is not None and sidecar.noted("hub") else None


def _base(header: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """The family that the notes state, else the one whose text states its layers attend to."""
    stated = " ".join(notes.get(key, "") for key in _BASES).lower()
    if found := next((name for mark, name in _FAMILIES if mark in stated), ""):
        return found
    for name, tensor in header.items():
        plain = name.replace(".", "_")
        if "attn2_to_k" in plain and ("lora_down" in plain or "lora_A" in name):
            shape = tensor.get("shape") if isinstance(tensor, dict) else None
            width = shape[1] if isinstance(shape, list) and len(shape) > 1 else None
            if isinstance(width, int) and width in CONTEXT_FAMILIES:
                return words.short_family(CONTEXT_FAMILIES[width])
    two = any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in header)
    return words.short_family(Family.SDXL) if two else ""


def _own_cover(notes: Mapping[str, str]) -> str:
    """A picture that the file holds itself (``modelspec.thumbnail``, a data address), as a file of
    the cache; empty: none."""
    match = _THUMBNAIL.match(notes.get("modelspec.thumbnail", "")[:_MOST_COVER])
    if match is None:
        return ""
    place = paths.cache_dir() / "Covers"
    try:
        data = base64.b64decode(match[2], validate=True)
        file = place / f"{hashlib.sha256(data).hexdigest()[:32]}.{match[1]}"
        if not is_file(file):
            place.mkdir(parents=True, exist_ok=True)
            scratch = temporary_file(place)
            scratch.write_bytes(data)
            scratch.replace(file)
    except (ValueError, OSError):
        return ""
    return str(file)


_THUMBNAIL = re.compile(r"data:image/(png|jpeg|webp);base64,([A-Za-z0-9+/=]+)\s*$")
_MOST_COVER = 8 << 20
"""Characters."""


_BASES = ("ss_base_model_version", "modelspec.architecture", "sd_version")
_FAMILIES = (
    ("flux", "FLUX.1"),
    ("xl", words.short_family("sdxl")),
    ("v2", words.short_family("sd2")),
    ("v1", words.short_family("sd1")),
)


def _header(path: Path) -> dict[str, Any]:
    """What a file says of its tensors and of itself; nothing where it is no safetensors file."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MOST_HEADER:
                return {}
            data = parse_json(file.read(length))
    except (OSError, UnreadableFile):
        return {}
    return data if isinstance(data, dict) else {}


def _notes(header: Mapping[str, Any]) -> dict[str, str]:
    """The text that a file's header holds beside its tensors."""
    notes = header.get("__metadata__")
    pairs = notes.items() if isinstance(notes, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}


def _triggers(notes: dict[str, str]) -> tuple[str, ...]:
    """The phrase that the file states; else the words that most of its training pictures had."""
    if phrase := notes.get("modelspec.trigger_phrase", "").strip():
        return (phrase[:200],)
    try:
        folders = parse_json(notes.get("ss_tag_frequency", "{}"))
    except UnreadableFile:
        return ()
    counts: dict[str, int] = {}
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int):
                counts[tag.strip()] = counts.get(tag.strip(), 0) + count
    most = max(counts.values(), default=0)
    usual = [tag for tag, count in counts.items() if tag and count >= 0.9 * most]
    return tuple(sorted(usual, key=lambda tag: -counts[tag])[:_MOST_WORDS])


def _look(folder: Path, depth: int, found: list[LoraEntry]) -> None:
    for path in children(folder):
        if path.name.startswith(".") or len(found) >= _MOST:
            continue
        if path.suffix.lower() == ENDING and is_file(path):
            found.append(LoraEntry(name_of(path), str(path), path.stat().st_size, _cover(path)))
        elif depth and is_folder(path):
            _look(path, depth - 1, found)


def name_of(path: Path) -> str:
    """What the LoRA in this file is called."""
    return path.parent.name if path.stem in GENERIC else path.stem


def _cover(path: Path) -> str:
    places = (path.with_name(path.stem + ending) for ending in _COVERS)
    return next((str(place) for place in places if is_file(place)), "")


def find(name: str) -> Path:
    """The file that a name, or a path, means.  Blocking.

    Raises:
        SfumatoError: NOT_FOUND where there is none.
    """
    if "/" in name or name.lower().endswith(ENDING):
        path = expanded(name)
        if is_file(path):
            return path
    wanted = Path(name).name.removesuffix(ENDING).casefold()
    for entry in entries():
        if entry.name.casefold() == wanted:
            return Path(entry.path)
    raise SfumatoError(
        ErrorKind.NOT_FOUND,
        f"There is no LoRA “{name}”; put its file into the LoRAs folder, or take it off the list "
        "or out of the prompt.",
        f"{name} in {paths.loras_dir()}",
    )


def with_tags(request: PictureRequest) -> PictureRequest:
    """The request with the LoRAs that its prompts name among its own, and out of the prompts.

    Raises:
        SfumatoError: BAD_REQUEST for a weight that is no number, or out of range.
    """
    uses: list[LoraUse] = []

    def take(match: re.Match[str]) -> str:
        uses.append(_use(match[1].strip(), match[2]))
        return ""

    texts = [_tidy(LORA_TAG.sub(take, t)) if LORA_TAG.search(t) else t
             for t in (request.prompt, request.negative_prompt)]  # fmt: skip
    if not uses:
        return request
    named = {use.name for use in uses}
    own = tuple(use for use in request.loras if use.name not in named)
    return replace(request, prompt=texts[0], negative_prompt=texts[1], loras=(*own, *uses))


def without_any(request: PictureRequest) -> PictureRequest:
    """The request with no LoRA, nor one named in its prompts."""
    texts = [_tidy(LORA_TAG.sub("", t)) if LORA_TAG.search(t) else t
             for t in (request.prompt, request.negative_prompt)]  # fmt: skip
    return replace(request, prompt=texts[0], negative_prompt=texts[1], loras=())


def tags_of(uses: tuple[LoraUse, ...]) -> str:
    """LoRAs as web UIs name them in a prompt; those that are off left out."""
    found = []
    for use in uses:
        if use.on:
            text = use.text_encoder_weight
            second = "" if text is None else f":{text:g}"
            # the web UI reads one number as both weights, and two as the text encoders' first
            weights = f"{use.weight:g}" if not second else f"{text:g}:{use.weight:g}"
            found.append(f"<lora:{Path(use.name).name.removesuffix(ENDING)}:{weights}>")
    return " ".join(found)


def _use(name: str, rest: str) -> LoraUse:
    """A tag's weights: one number for all; two are the text encoders' and the UNet's."""
    plain: list[float] = []
    named: dict[str, float] = {}
    for part in rest.split(":")[1:]:
        key, equals, value = part.rpartition("=")
        if not part.strip() or (equals and key.strip() not in ("te", "unet")):
            continue
        number = _number(name, value)
        if equals:
            named[key.strip()] = number
        else:
            plain.append(number)
    text = named.get("te", plain[0] if plain else None)
    unet = named.get("unet", plain[1] if len(plain) > 1 else text)
    unet = 1.0 if unet is None else unet
    return LoraUse(name, unet, None if text is None or text == unet else text)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -MAX_LORA_WEIGHT <= value <= MAX_LORA_WEIGHT:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The weight of the LoRA “{name}” in the prompt must be a number from "
            f"{-MAX_LORA_WEIGHT:g} to {MAX_LORA_WEIGHT:g}, not “{text}”.",
        )
    return value


def _tidy(text: str) -> str:
    """A prompt without the spaces and commas that a tag left behind."""
    text = re.sub(r"[ \t]{2,}", " ", text)
    return re.sub(r"(?:\s*,\s*){2,}", ", ", text).strip(" ,")
