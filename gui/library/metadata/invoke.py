"""InvokeAI's three forms."""

from __future__ import annotations

import re
from typing import Any

from gui.library.metadata.containers import Fields
from gui.library.metadata.imported import Imported
from gui.library.metadata.taking import (
    dicts,
    leave_rest,
    share,
    take_common,
    take_sampler,
)
from gui.library.metadata.values import MAX_TEXT, as_int, as_text, load_json
from gui.request import RandomSource

OWN_NUMBERS = "Its random numbers can’t be repeated here: the picture will be another one."


def read_invoke(fields: Fields) -> Imported | None:
    """InvokeAI from 3 on: JSON under ``invokeai_metadata``; 2: ``sd-metadata``; 1: ``Dream``."""
    for key in ("invokeai_metadata", "sd-metadata"):
        data = load_json(fields.texts.get(key, ""))
        if isinstance(data, dict):
            found = _invoke_3(data) if key == "invokeai_metadata" else _invoke_2(data)
            found.raw[key] = fields.texts[key]
            return found
    if dream := fields.texts.get("Dream"):
        return _invoke_1(dream[:MAX_TEXT])
    return None


def _invoke_3(data: dict[str, Any]) -> Imported:
    found = Imported("InvokeAI")
    found.prompt = as_text(data.get("positive_prompt"))
    found.negative_prompt = as_text(data.get("negative_prompt"))
    take_common(found, data, "steps", "cfg_scale", "seed")
    found.width, found.height = as_int(data.get("width")), as_int(data.get("height"))
    model = data.get("model")
    if isinstance(model, dict):
        found.model = as_text(model.get("name") or model.get("model_name") or model.get("key"))
        found.model_hash = as_text(model.get("hash"))
    take_sampler(found, as_text(data.get("scheduler")), "")
    found.strength = share(data.get("strength"))
    found.start_picture = as_text(data.get("init_image"))
    skipped = as_int(data.get("clip_skip"))  # layers left out: one less than web UIs count
    found.clip_skip = None if skipped is None else skipped + 1
    if data.get("rand_device") == "cpu":
        found.random_source = RandomSource.TORCH
    elif data.get("rand_device"):
        found.remarks["seed"] = OWN_NUMBERS
    ways = "".join(way for way in "xy" if data.get(f"seamless_{way}") is True)
    if ways:
        found.more["tiling"] = "both" if ways == "xy" else ways
    if rescale := as_text(data.get("cfg_rescale_multiplier")):
        found.more["guidance_rescale"] = rescale
    for lora in dicts(data.get("loras")):
        inner = lora.get("model") or lora.get("lora")
        inner = inner if isinstance(inner, dict) else {}
        found.add_lora(as_text(inner.get("name") or inner.get("model_name")), lora.get("weight"))
    quiet = {"positive_prompt", "negative_prompt", "steps", "cfg_scale", "seed", "width", "height",
             "model", "scheduler", "strength", "init_image", "clip_skip", "rand_device", "loras",
             "app_version", "generation_mode", "cfg_rescale_multiplier", "seamless_x",
             "seamless_y"}  # fmt: skip
    leave_rest(found, data, quiet)
    return found


def _invoke_2(data: dict[str, Any]) -> Imported:
    found = Imported("InvokeAI 2")
    image = data.get("image")
    image = image if isinstance(image, dict) else {}
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [p.get("prompt") for p in dicts(prompt)]
        prompt = " ".join(as_text(p) for p in parts)
    found.prompt, found.negative_prompt = _bracketed(as_text(prompt))
    take_common(found, image, "steps", "cfg_scale", "seed")
    found.width, found.height = as_int(image.get("width")), as_int(image.get("height"))
    found.model = as_text(data.get("model_weights"))
    found.model_hash = as_text(data.get("model_hash"))
    take_sampler(found, as_text(image.get("sampler")).removeprefix("k_"), "")
    found.strength = share(image.get("strength"))
    quiet = {"prompt", "steps", "cfg_scale", "seed", "width", "height", "sampler", "strength",
             "type"}  # fmt: skip
    leave_rest(found, {k: v for k, v in image.items() if v}, quiet)
    return found


def _invoke_1(text: str) -> Imported | None:
    """``"prompt [negative]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms``."""
    match = re.match(r'\s{0,8}"((?:\\.|[^"\\])*)"(.*)', text, re.DOTALL)
    if match is None:
        return None
    found = Imported("InvokeAI 1", raw={"Dream": text})
    found.prompt, found.negative_prompt = _bracketed(match[1].replace('\\"', '"'))
    switches = dict(re.findall(r"-(\w)\s{0,8}(\S{1,80})", match[2][:4000]))
    take_common(found, switches, "s", "C", "S")
    found.width, found.height = as_int(switches.get("W")), as_int(switches.get("H"))
    take_sampler(found, switches.get("A", "").removeprefix("k_"), "")
    found.strength = share(switches.get("f"))
    return found


def _bracketed(text: str) -> tuple[str, str]:
    """InvokeAI's early prompts keep what should not be seen in square brackets."""
    negative = re.findall(r"\[([^\[\]]*)\]", text)
    positive = re.sub(r"\[[^\[\]]*\]", "", text)
    return " ".join(positive.split()), " ".join(" ".join(negative).split())
