"""What the readers of several programs' settings share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gui.library.metadata.imported import Imported
from gui.library.metadata.reasons import NO_LORA_TAGS, NO_WEIGHTS, OWN_WEIGHTS, why_not
from gui.library.metadata.samplers import our_scheduler
from gui.library.metadata.values import as_float, as_int, as_text
from gui.syntax.types import PromptSyntax

_LORA = re.compile(r"<lora:([^:<>]{1,200})(?::([-\d.]{1,20}))?(?::([-\d.]{1,20}))?[^<>]{0,200}>")
_WEIGHTS = re.compile(r"[()\[\]{}\\]|\bBREAK\b|\w[-+]+(?=[\s,.]|$)|\"[-+\d]")
_WITHOUT_MARKS = {"Mochi Diffusion", "NovelAI"}
_OTHER_RULES = {"ComfyUI", "SwarmUI", "Fooocus"}


def take_common(
    found: Imported,
    values: Mapping[str, Any],
    steps: str,
    guidance: str,
    seed: str,
    model: str = "",
    model_hash: str = "",
) -> None:
    """The numbers and names that stand under these keys."""
    found.steps = as_int(values.get(steps))
    found.guidance_scale = as_float(values.get(guidance))
    found.seed = as_int(values.get(seed))
    if model:
        found.model = as_text(values.get(model))
    if model_hash:
        found.model_hash = as_text(values.get(model_hash))


def take_size(found: Imported, text: str) -> None:
    """``512x768``"""
    size = re.match(r"\s{0,8}(\d{1,6})\s{0,8}[x×X]\s{0,8}(\d{1,6})", text)
    if size is not None:
        found.width, found.height = int(size[1]), int(size[2])


def take_sampler(found: Imported, sampler: str, schedule: str) -> None:
    """Sampler and schedule as the program wrote them."""
    found.sampler = f"{sampler} {schedule}".strip() if schedule else sampler
    found.scheduler, remark = our_scheduler(sampler, schedule)
    if not remark:
        return
    if found.scheduler is None:
        found.leave("Sampler", found.sampler, remark)
    else:
        found.remarks["scheduler"] = remark


def take_prompt_loras(found: Imported) -> None:
    """``<lora:name:0.8>`` in a prompt names a LoRA; the words go from the prompt."""
    tags = _LORA.findall(found.prompt)
    for name, weight, unet in tags:  # of two weights the first is the text encoders'
        found.add_lora(name, unet or weight)
    if tags:
        found.prompt = " ".join(_LORA.sub("", found.prompt).split(" ")).strip(" ,")
        found.remarks["prompt"] = NO_LORA_TAGS


def take_loras(found: Imported, names: object, weights: object) -> None:
    """LoRAs and their weights in two lists; weights that are missing are 1."""
    values = list(weights) if isinstance(weights, list) else []
    for k, name in enumerate(names if isinstance(names, list) else []):
        found.add_lora(as_text(name), values[k] if k < len(values) else None)


def take_syntax(found: Imported) -> None:
    """Whose marks the prompts are read by, where they have some."""
    texts = (("prompt", found.prompt), ("negative_prompt", found.negative_prompt))
    marked = [name for name, text in texts if _WEIGHTS.search(text)]
    if not marked or "prompt_syntax" in found.more:
        return
    syntax = PromptSyntax.WEB_UI
    if found.program.startswith("InvokeAI"):
        syntax = PromptSyntax.COMPEL
    elif found.program in _WITHOUT_MARKS:
        syntax = PromptSyntax.PLAIN
    found.more["prompt_syntax"] = syntax.value
    remark = OWN_WEIGHTS if found.program in _OTHER_RULES else ""
    if found.program == "NovelAI":
        remark = NO_WEIGHTS
    if remark:
        for name in marked:
            found.remarks[name] = f"{found.remarks.get(name, '')} {remark}".strip()


def share(value: object) -> float | None:
    """A number from 0 to 1; anything else is none."""
    number = as_float(value)
    return number if number is not None and 0 <= number <= 1 else None


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON list."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def leave_rest(found: Imported, data: Mapping[str, Any], quiet: set[str]) -> None:
    """Note every setting that is not in `quiet` and says something."""
    for key, value in data.items():
        if found.full:
            return
        if key not in quiet and value not in (None, "", [], {}, False, "None", "False"):
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found.leave(key, text, why_not(key))
