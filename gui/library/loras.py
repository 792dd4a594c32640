"""The LoRA library: a folder of files, by name; and LoRAs that a prompt names, as in A1111's web
UI.

Whoever drops a ``.safetensors`` file into the folder, or into a folder within, has it by its name
without ending.  Of a file its header's notes are read, nothing more.  Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from gui import paths, words
from gui.errors import ErrorKind, SfumatoError
from gui.files import (
    UnreadableFile,
    children,
    expanded,
    is_file,
    is_folder,
    parse_json,
)
from gui.records import Record
from gui.request import MAX_LORA_WEIGHT, LoraUse, PictureRequest

ENDING = ".safetensors"
GENERIC = ("pytorch_lora_weights", "adapter_model")
"""Names that diffusers and peft give every LoRA: one of these is called by its folder's."""
_COVERS = (".png", ".jpg", ".jpeg", ".webp", ".preview.png", ".preview.jpg", ".preview.jpeg")
"""What a cover's name ends with, beside the LoRA's own name, as web UIs keep them."""
_DEPTH = 3
_MOST = 10_000
TAG = re.compile(r"<lora:([^:<>]+)((?::[^:<>]*)*)>")
"""``<lora:name:weight>`` or ``<lora:name:unet weight:text weight>``, also with ``te=`` and
``unet=`` before the numbers."""


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
    notes = _notes(Path(entry.path))
    stated = " ".join(notes.get(key, "") for key in _BASES).lower()
    base = next((name for mark, name in _FAMILIES if mark in stated), "")
    return LoraDetails(
        entry.name,
        entry.path,
        entry.bytes,
        entry.cover,
        notes.get("modelspec.title") or notes.get("ss_output_name", ""),
        base,
        _triggers(notes),
    )


_BASES = ("ss_base_model_version", "modelspec.architecture", "sd_version")
_FAMILIES = (
    ("flux", "FLUX.1"),
    ("xl", words.short_family("sdxl")),
    ("v2", words.short_family("sd2")),
    ("v1", words.short_family("sd1")),
)


def _notes(path: Path) -> dict[str, str]:
    """The text that a file's header holds beside its tensors."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MOST_HEADER:
                return {}
            data = parse_json(file.read(length))
    except (OSError, UnreadableFile):
        return {}
    notes = data.get("__metadata__") if isinstance(data, dict) else None
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
            name = path.parent.name if path.stem in GENERIC else path.stem
            found.append(LoraEntry(name, str(path), path.stat().st_size, _cover(path)))
        elif depth and is_folder(path):
            _look(path, depth - 1, found)


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
        f"There is no LoRA “{name}”; put its file into the LoRAs folder, or take it off the list.",
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

    texts = [_tidy(TAG.sub(take, t)) if TAG.search(t) else t
             for t in (request.prompt, request.negative_prompt)]  # fmt: skip
    if not uses:
        return request
    named = {use.name for use in uses}
    own = tuple(use for use in request.loras if use.name not in named)
    return replace(request, prompt=texts[0], negative_prompt=texts[1], loras=(*own, *uses))


def without_any(request: PictureRequest) -> PictureRequest:
    """The request with no LoRA, nor one named in its prompts."""
    texts = [_tidy(TAG.sub("", t)) if TAG.search(t) else t
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
