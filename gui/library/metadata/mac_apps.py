"""Draw Things, Mochi Diffusion and mflux: what programs for the Mac write."""

from __future__ import annotations

import re
from typing import Any

from gui.library.metadata.containers import Fields
from gui.library.metadata.exif import IMAGE_DESCRIPTION
from gui.library.metadata.imported import Imported
from gui.library.metadata.invoke import OWN_NUMBERS
from gui.library.metadata.reasons import why_not
from gui.library.metadata.taking import (
    dicts,
    leave_rest,
    share,
    take_common,
    take_loras,
    take_sampler,
    take_size,
)
from gui.library.metadata.values import MAX_TEXT, as_int, as_text, load_json
from gui.request import RandomSource

# -- Draw Things ------------------------------------------------------------------------------


def read_draw_things(fields: Fields) -> Imported | None:
    """Draw Things: JSON with ``c`` as EXIF comment, in PNG by way of XMP; where that was lost, the
    description: prompt, ``-negative``, and a line of ``Key: value`` pairs."""
    tool = fields.xmp.get("xmp:CreatorTool", "")
    for text in (fields.xmp.get("exif:UserComment", ""), fields.exif.user_comment):
        data = load_json(text)
        if isinstance(data, dict) and "c" in data and "sampler" in data:
            return _draw_things(data, text, tool)
    if tool.startswith("Draw Things"):
        return _draw_things_text(fields.xmp.get("dc:description", "")[:MAX_TEXT])
    return None


_PAIR = re.compile(r"(?:^|, )([A-Z][\w ]{1,40}): ([^,\n]*)")


def _draw_things_text(text: str) -> Imported | None:
    *lines, last = text.strip().split("\n")
    values = dict(_PAIR.findall(last))
    if "Steps" not in values or "Sampler" not in values:
        return None
    negative = [k for k, line in enumerate(lines) if line.startswith("-")]
    split = negative[-1] if negative else len(lines)
    data = {
        "c": "\n".join(lines[:split]),
        "uc": "\n".join(lines[split:])[1:],
        "scale": values.pop("Guidance Scale", None),
        **{key.lower().replace(" ", "_"): value for key, value in values.items()},
    }
    return _draw_things(data, text, "Draw Things")


def _draw_things(data: dict[str, Any], text: str, tool: str) -> Imported:
    found = Imported("Sfumato" if tool.startswith("Sfumato") else "Draw Things")
    found.raw["exif:UserComment"] = text
    found.prompt, found.negative_prompt = as_text(data.get("c")), as_text(data.get("uc"))
    take_common(found, data, "steps", "scale", "seed", "model")
    take_size(found, as_text(data.get("size")))
    take_sampler(found, as_text(data.get("sampler")), "")
    strength = share(data.get("strength"))
    found.strength = strength if strength is not None and strength < 1 else None
    found.clip_skip = as_int(data.get("clip_skip"))
    mode = as_text(data.get("seed_mode"))
    modes = {"NVIDIA GPU Compatible": RandomSource.NVIDIA,
             "Torch CPU Compatible": RandomSource.TORCH}  # fmt: skip
    found.random_source = modes.get(mode)
    if mode and found.random_source is None:
        found.remarks["seed"] = (
            f"“{mode}” is Draw Things’ own way of numbers: the picture will be another one."
        )
    for lora in dicts(data.get("lora")):
        found.add_lora(as_text(lora.get("model")), lora.get("weight"))
    for control in dicts(data.get("control")):
        found.leave("control", control.get("file"), why_not("control"))
    quiet = {"c", "uc", "steps", "scale", "seed", "model", "size", "sampler", "strength",
             "seed_mode", "lora", "control", "v2", "profile", "clip_skip"}  # fmt: skip
    leave_rest(found, data, quiet)
    return found


# -- Mochi Diffusion --------------------------------------------------------------------------

_MOCHI_KEYS = (
    "Include in Image", "Exclude from Image", "Model", "Steps", "Guidance Scale", "Seed", "Size",
    "Quality", "Upscaler", "Starting Image", "ControlNet Image", "Input Images", "Scheduler",
    "ML Compute Unit", "Generator",
)  # fmt: skip
_MOCHI_KEY = re.compile(r"(?:^|; )(" + "|".join(map(re.escape, _MOCHI_KEYS)) + r"): ")
_MOCHI_SCHEDULERS = {
    "DPM-Solver++": "DPM++ 2M", "DPM-Solver++ Karras": "DPM++ 2M Karras", "PNDM": "PNDM",
}  # fmt: skip


def read_mochi(fields: Fields) -> Imported | None:
    """Mochi Diffusion: one caption, ``Include in Image: …; Exclude from Image: …; …``.  A prompt
    may hold ``; `` itself, so the known keys are looked for, the last of each counts."""
    for text in (
        fields.iptc.get("caption", ""), fields.xmp.get("dc:description", ""),
        fields.exif_text(IMAGE_DESCRIPTION),
    ):  # fmt: skip
        if "Generator: Mochi Diffusion" in text:
            return _mochi(text)
    return None


def _mochi(text: str) -> Imported | None:
    text = text[:MAX_TEXT]
    marks = list(_MOCHI_KEY.finditer(text))
    if not marks:
        return None
    values: dict[str, str] = {}
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        values[mark[1]] = text[mark.end() : end].strip().removesuffix(";")
    found = Imported("Mochi Diffusion", raw={"caption": text})
    found.prompt = values.get("Include in Image", "")
    found.negative_prompt = values.get("Exclude from Image", "")
    take_common(found, values, "Steps", "Guidance Scale", "Seed", "Model")
    take_size(found, values.get("Size", ""))
    scheduler = values.get("Scheduler", "")
    take_sampler(found, _MOCHI_SCHEDULERS.get(scheduler, scheduler), "")
    found.sampler = scheduler or found.sampler
    found.start_picture = values.get("Starting Image", "")
    found.random_source = RandomSource.NUMPY
    for key in ("ControlNet Image", "Input Images", "Upscaler"):
        if values.get(key):
            found.leave(key, values[key], why_not(key))
    return found


# -- mflux ------------------------------------------------------------------------------------


def read_mflux(fields: Fields) -> Imported | None:
    """mflux: JSON as EXIF comment with ``mflux_version``."""
    text = fields.exif.user_comment
    data = load_json(text)
    if not isinstance(data, dict) or "mflux_version" not in data:
        return None
    found = Imported("mflux", raw={"UserComment": text})
    found.prompt = as_text(data.get("prompt"))
    found.negative_prompt = as_text(data.get("negative_prompt"))
    take_common(found, data, "steps", "guidance", "seed", "model")
    found.width, found.height = as_int(data.get("width")), as_int(data.get("height"))
    found.remarks["seed"] = OWN_NUMBERS
    found.start_picture = _file_name(data.get("image_path"))
    found.strength = share(data.get("image_strength")) if found.start_picture else None
    # The paths are of the other person's Mac: only the files' names are of use.
    paths = data.get("lora_paths")
    names = [_file_name(path) for path in paths] if isinstance(paths, list) else []
    take_loras(found, names, data.get("lora_scales"))
    quiet = {"prompt", "negative_prompt", "steps", "guidance", "seed", "model", "width", "height",
             "lora_paths", "lora_scales", "mflux_version", "generation_time_seconds",
             "created_at", "base_model", "image_path", "image_strength"}  # fmt: skip
    leave_rest(found, data, quiet)
    return found


def _file_name(path: object) -> str:
    return as_text(path).replace("\\", "/").rpartition("/")[2]
