"""The text that Stable Diffusion web UIs write, and many others after them."""

from __future__ import annotations

import re

from gui.library.metadata.containers import Fields
from gui.library.metadata.imported import Imported
from gui.library.metadata.reasons import why_not
from gui.library.metadata.taking import share as share_of
from gui.library.metadata.taking import take_common, take_prompt_loras, take_sampler, take_size
from gui.library.metadata.values import MAX_TEXT, as_int, load_json
from gui.request import RandomSource, described_fields

MAX_LINE = 64 * 1024
"""Characters of the line of parameters that are read."""

# Of bounded length, so that no text makes them look at it again and again.
_PAIR = re.compile(r'\s{0,4}(\w[\w \-/]{1,60}):\s{0,4}("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"
KRITA = "Krita AI Diffusion"
"""Known by the hash that it does not know; ComfyUI makes its pictures."""
_SILENT = {
    "size", "model", "model hash", "steps", "sampler", "schedule type", "cfg scale", "seed",
    "denoising strength", "clip skip", "rng", "version", "noise source", "time taken",
    "lora hashes", "app", "backend", "parser", "operations", "pipeline", "civitai resources",
    "civitai metadata", "hashes",
}  # fmt: skip
_MAPPED = {
    "steps", "guidance_scale", "seed", "scheduler", "start_image.strength", "prompt",
    "negative_prompt", "random_source", "clip_skip",
}  # fmt: skip
"""Fields of the request that have a place of their own in `Imported`."""


def read_a1111(fields: Fields) -> Imported | None:
    """Stable Diffusion web UI, Forge, SD.Next, krita-ai-diffusion: text under ``parameters``, in
    JPEG and WebP as the EXIF comment."""
    text = fields.texts.get("parameters") or fields.exif.user_comment
    return read_parameters(text) if text else None


def read_parameters(text: str) -> Imported | None:
    """The web UIs' text: prompt, ``Negative prompt: …``, and a last line of ``Key: value`` pairs
    of which there are at least three."""
    *lines, last = text[:MAX_TEXT].strip().replace("\r\n", "\n").split("\n")
    pairs: list[tuple[str, str]] = _PAIR.findall(last[:MAX_LINE])
    if len(pairs) < 3:
        if not any(line.startswith(_NEGATIVE) for line in [*lines, last]):
            return None
        lines, pairs = [*lines, last], []
    prompt: list[str] = []
    negative: list[str] = []
    part = prompt
    for line in lines:
        if part is prompt and line.startswith(_NEGATIVE):
            part, line = negative, line[len(_NEGATIVE) :].strip()
        part.append(line)
    values = {key.strip().casefold(): _unquoted(value) for key, value in pairs}
    found = Imported(_program(values), raw={"parameters": text})
    found.prompt, found.negative_prompt = "\n".join(prompt).strip(), "\n".join(negative).strip()
    take_common(found, values, "steps", "cfg scale", "seed", "model", "model hash")
    take_size(found, values.get("size", ""))
    take_sampler(found, values.get("sampler", ""), values.get("schedule type", ""))
    strength = values.get("denoising strength")
    if strength and any(key.startswith("hires") for key in values):
        found.leave("Denoising strength", strength, why_not("hires"))  # of the second pass
    else:
        found.strength = share_of(strength)
    found.clip_skip = as_int(values.get("clip skip"))
    if found.program == KRITA:
        found.random_source, found.model_hash = RandomSource.TORCH, ""
    elif values:
        found.random_source = _random_source(values)
    take_prompt_loras(found)
    ours = _our_keys()
    for key, value in pairs:
        name, plain = key.strip(), _unquoted(value)
        if name.casefold() in ours:
            field = ours[name.casefold()]
            found.more[field] = "both" if field == "tiling" and plain == "True" else plain
        elif name.casefold() not in _SILENT and not found.full:
            found.leave(name, plain, why_not(name))
    return found


def _program(values: dict[str, str]) -> str:
    """Who wrote it, by its version."""
    version = values.get("version", "")
    if version.startswith("Sfumato"):
        return "Sfumato"
    if values.get("app", "").startswith("SD.Next"):
        return "SD.Next"
    if not version and values.get("model hash") == "unknown":
        return KRITA
    if version.startswith("f"):
        return "Forge"
    if version.startswith("neo") or "forge" in version.casefold():
        return "Forge"
    return "ComfyUI" if "comfy" in version.casefold() else "Stable Diffusion web UI"


def _random_source(values: dict[str, str]) -> RandomSource | None:
    """Whose random numbers: a web UI that says nothing used the GPU."""
    named = values.get("rng", "gpu").casefold()
    if "noise source" in values or named == "numpy":
        return RandomSource.NUMPY
    known = {"cpu": RandomSource.TORCH, "nv": RandomSource.NVIDIA, "gpu": RandomSource.NVIDIA}
    return known.get(named)


_OTHER_KEYS = {"variation strength": "variation_strength"}
"""SD.Next's, where they are not the first web UI's."""


def _our_keys() -> dict[str, str]:
    """Fields of the request by their key in this text, without those that are read above."""
    return _OTHER_KEYS | {
        field.parameter.key.casefold(): name
        for name, field in described_fields().items()
        if field.parameter.key and name not in _MAPPED
    }


def _unquoted(value: str) -> str:
    value = value.strip()
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        loaded = load_json(value)
        return loaded if isinstance(loaded, str) else value.strip('"')
    return value
