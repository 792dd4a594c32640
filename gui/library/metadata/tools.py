"""One pure function per program: the fields of a picture, as that program's settings.

Each takes `Fields` and gives `Imported`, or None where the picture is not that program's.  Nothing
here raises on odd input: a value that does not fit is left out or noted as not mapped.  What each
program writes was read in its source; see the functions' own words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from gui.library.metadata.comfy import read_comfy_graph
from gui.library.metadata.containers import Fields
from gui.library.metadata.exif import IMAGE_DESCRIPTION, MAKE, MAKER_NOTE, MODEL, SOFTWARE
from gui.library.metadata.imported import Imported
from gui.library.metadata.samplers import our_scheduler
from gui.library.metadata.values import as_float, as_int, as_text, load_json
from gui.request import RandomSource

NOT_HERE = "Sfumato has no such setting."

Reader = Callable[[Fields], Imported | None]


def read_settings(fields: Fields) -> Imported | None:
    """The settings of whichever program wrote them; None where there are none."""
    for reader in READERS:
        found = reader(fields)
        if found is not None and not found.empty:
            return found
    return None


# -- Automatic1111 and its kin ----------------------------------------------------------------

_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"
_A1111_SILENT = {
    "size", "model", "model hash", "steps", "sampler", "schedule type", "cfg scale", "seed",
    "denoising strength", "clip skip", "rng", "version", "noise source", "time taken",
    "lora hashes",
}  # fmt: skip
_LORA = re.compile(r"<lora:([^:<>]+)(?::([-\d.]+))?(?::[^<>]*)?>")


def read_a1111(fields: Fields) -> Imported | None:
    """Stable Diffusion web UI, Forge, SD.Next, krita-ai-diffusion: text under ``parameters``, in
    JPEG and WebP as the EXIF comment."""
    text = fields.texts.get("parameters") or fields.exif.user_comment
    return read_parameters(text) if text else None


def read_parameters(text: str) -> Imported | None:
    """The web UIs' text: prompt, ``Negative prompt: …``, and a last line of ``Key: value`` pairs
    of which there are at least three."""
    *lines, last = text.strip().replace("\r\n", "\n").split("\n")
    pairs = _PAIR.findall(last)
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
    found = Imported("Stable Diffusion web UI", raw={"parameters": text})
    found.prompt, found.negative_prompt = "\n".join(prompt).strip(), "\n".join(negative).strip()
    if version := values.get("version", ""):
        if version.startswith("Sfumato"):
            found.program = "Sfumato"
        elif version.startswith("f"):
            found.program = "Forge"
        elif "comfy" in version.casefold():
            found.program = "ComfyUI"
    _take_common(found, values, "steps", "cfg scale", "seed", "model", "model hash")
    _take_size(found, values.get("size", ""))
    _take_sampler(found, values.get("sampler", ""), values.get("schedule type", ""))
    found.strength = _share(values.get("denoising strength"))
    found.clip_skip = as_int(values.get("clip skip"))
    source = {"cpu": RandomSource.TORCH, "nv": RandomSource.NVIDIA, "gpu": RandomSource.NVIDIA}
    if values:  # a web UI that says nothing used the GPU
        found.random_source = source.get(values.get("rng", "gpu").casefold())
        if "noise source" in values or values.get("rng", "").casefold() == "numpy":
            found.random_source = RandomSource.NUMPY
    _take_prompt_loras(found)
    for key, value in pairs:
        if key.strip().casefold() not in _A1111_SILENT:
            found.leave(key.strip(), _unquoted(value), NOT_HERE)
    return found


def _unquoted(value: str) -> str:
    value = value.strip()
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        loaded = load_json(value)
        return loaded if isinstance(loaded, str) else value.strip('"')
    return value


def _take_prompt_loras(found: Imported) -> None:
    """``<lora:name:0.8>`` in a prompt names a LoRA; the words go from the prompt."""
    for name, weight in _LORA.findall(found.prompt):
        found.add_lora(name, weight)
    if found.loras:
        found.prompt = " ".join(_LORA.sub("", found.prompt).split(" ")).strip(" ,")


# -- ComfyUI ----------------------------------------------------------------------------------


def read_comfy(fields: Fields) -> Imported | None:
    """ComfyUI: the graph as JSON under ``prompt`` (PNG) or in EXIF Model (WebP, JPEG, AVIF).  Where
    a node saved web UI text as well, that has the values and the graph is kept as it is."""
    graph_text = fields.texts.get("prompt", "")
    for tag in (MODEL, MAKE, IMAGE_DESCRIPTION):
        text = fields.exif_text(tag)
        if not graph_text and text.casefold().startswith("prompt:"):
            graph_text = text.partition(":")[2]
    workflow = fields.texts.get("workflow", "")
    graph = load_json(graph_text)
    if not isinstance(graph, dict) or not any(
        isinstance(node, dict) and "class_type" in node for node in graph.values()
    ):
        return None
    found = read_a1111(fields)
    if found is None or found.empty:
        found = read_comfy_graph(graph)
    found.program = "ComfyUI"
    found.raw["prompt"] = graph_text
    if workflow:
        found.raw["workflow"] = workflow
    return found


# -- InvokeAI ---------------------------------------------------------------------------------


def read_invoke(fields: Fields) -> Imported | None:
    """InvokeAI from 3 on: JSON under ``invokeai_metadata``; 2: ``sd-metadata``; 1: ``Dream``."""
    for key in ("invokeai_metadata", "sd-metadata"):
        data = load_json(fields.texts.get(key, ""))
        if isinstance(data, dict):
            found = _invoke_3(data) if key == "invokeai_metadata" else _invoke_2(data)
            found.raw[key] = fields.texts[key]
            return found
    if dream := fields.texts.get("Dream"):
        return _invoke_1(dream)
    return None


def _invoke_3(data: dict[str, Any]) -> Imported:
    found = Imported("InvokeAI")
    found.prompt = as_text(data.get("positive_prompt"))
    found.negative_prompt = as_text(data.get("negative_prompt"))
    _take_common(found, data, "steps", "cfg_scale", "seed", "", "")
    found.width, found.height = as_int(data.get("width")), as_int(data.get("height"))
    model = data.get("model")
    if isinstance(model, dict):
        found.model = as_text(model.get("name") or model.get("model_name") or model.get("key"))
        found.model_hash = as_text(model.get("hash"))
    _take_sampler(found, as_text(data.get("scheduler")), "")
    found.strength = _share(data.get("strength"))
    found.start_picture = as_text(data.get("init_image"))
    found.clip_skip = as_int(data.get("clip_skip"))
    if data.get("rand_device") == "cpu":
        found.random_source = RandomSource.TORCH
    elif data.get("rand_device"):
        found.leave(
            "rand_device", data["rand_device"], "Its random numbers can't be repeated here."
        )
    for lora in _dicts(data.get("loras")):
        inner = lora.get("model") or lora.get("lora")
        inner = inner if isinstance(inner, dict) else {}
        found.add_lora(as_text(inner.get("name") or inner.get("model_name")), lora.get("weight"))
    quiet = {"positive_prompt", "negative_prompt", "steps", "cfg_scale", "seed", "width", "height",
             "model", "scheduler", "strength", "init_image", "clip_skip", "rand_device", "loras",
             "app_version", "generation_mode"}  # fmt: skip
    _leave_rest(found, data, quiet)
    return found


def _invoke_2(data: dict[str, Any]) -> Imported:
    found = Imported("InvokeAI 2")
    image = data.get("image")
    image = image if isinstance(image, dict) else {}
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [p.get("prompt") for p in _dicts(prompt)]
        prompt = " ".join(as_text(p) for p in parts)
    found.prompt, found.negative_prompt = _bracketed(as_text(prompt))
    _take_common(found, image, "steps", "cfg_scale", "seed", "", "")
    found.width, found.height = as_int(image.get("width")), as_int(image.get("height"))
    found.model = as_text(data.get("model_weights"))
    found.model_hash = as_text(data.get("model_hash"))
    _take_sampler(found, as_text(image.get("sampler")).removeprefix("k_"), "")
    found.strength = _share(image.get("strength"))
    return found


def _invoke_1(text: str) -> Imported | None:
    """``"prompt [negative]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms``."""
    match = re.match(r'\s*"((?:\\.|[^"\\])*)"(.*)', text, re.DOTALL)
    if match is None:
        return None
    found = Imported("InvokeAI 1", raw={"Dream": text})
    found.prompt, found.negative_prompt = _bracketed(match[1].replace('\\"', '"'))
    switches = dict(re.findall(r"-(\w)\s*(\S+)", match[2]))
    _take_common(found, switches, "s", "C", "S", "", "")
    found.width, found.height = as_int(switches.get("W")), as_int(switches.get("H"))
    _take_sampler(found, switches.get("A", "").removeprefix("k_"), "")
    found.strength = _share(switches.get("f"))
    return found


def _bracketed(text: str) -> tuple[str, str]:
    """InvokeAI's early prompts keep what should not be seen in square brackets."""
    negative = re.findall(r"\[([^\]]*)\]", text)
    positive = re.sub(r"\[[^\]]*\]", "", text)
    return " ".join(positive.split()), " ".join(" ".join(negative).split())


# -- Fooocus ----------------------------------------------------------------------------------


def read_fooocus(fields: Fields) -> Imported | None:
    """Fooocus: ``parameters`` as JSON or as web UI text, told by ``fooocus_scheme``, in JPEG and
    WebP by EXIF MakerNote."""
    scheme = fields.texts.get("fooocus_scheme") or fields.exif_text(MAKER_NOTE)
    software = fields.exif_text(SOFTWARE)
    text = fields.texts.get("parameters") or fields.exif.user_comment
    if scheme not in ("fooocus", "a1111") and not software.startswith("Fooocus"):
        return None
    data = load_json(text)
    if not isinstance(data, dict):
        found = read_parameters(text)
        if found is not None:
            found.program = "Fooocus"
        return found
    found = Imported("Fooocus", raw={"parameters": text})
    found.prompt = as_text(data.get("prompt"))
    found.negative_prompt = as_text(data.get("negative_prompt"))
    _take_common(found, data, "steps", "guidance_scale", "seed", "base_model", "base_model_hash")
    size = re.findall(r"\d+", as_text(data.get("resolution")))
    if len(size) >= 2:
        found.width, found.height = as_int(size[0]), as_int(size[1])
    _take_sampler(found, as_text(data.get("sampler")), as_text(data.get("scheduler")))
    found.clip_skip = as_int(data.get("clip_skip"))
    loras = data.get("loras")
    for lora in loras if isinstance(loras, list) else []:
        if isinstance(lora, list) and len(lora) >= 2:
            found.add_lora(as_text(lora[0]), lora[1])
    quiet = {"prompt", "negative_prompt", "steps", "guidance_scale", "seed", "base_model",
             "base_model_hash", "resolution", "sampler", "scheduler", "clip_skip", "loras",
             "version", "full_prompt", "full_negative_prompt", "metadata_scheme"}  # fmt: skip
    _leave_rest(found, data, quiet)
    return found


# -- SwarmUI ----------------------------------------------------------------------------------


def read_swarm(fields: Fields) -> Imported | None:
    """SwarmUI: JSON with ``sui_image_params``, as web UI's ``parameters`` or as EXIF comment."""
    for text in (
        fields.texts.get("parameters", ""), fields.exif.user_comment, fields.exif_text(MODEL),
    ):  # fmt: skip
        data = load_json(text)
        if isinstance(data, dict) and isinstance(data.get("sui_image_params"), dict):
            return _swarm(data, data["sui_image_params"], text)
    return None


def _swarm(data: dict[str, Any], params: dict[str, Any], text: str) -> Imported:
    found = Imported("SwarmUI", raw={"parameters": text})
    found.prompt = as_text(params.get("prompt"))
    found.negative_prompt = as_text(params.get("negativeprompt"))
    _take_common(found, params, "steps", "cfgscale", "seed", "model", "")
    found.width, found.height = as_int(params.get("width")), as_int(params.get("height"))
    _take_sampler(found, as_text(params.get("sampler")), as_text(params.get("scheduler")))
    found.strength = _share(params.get("initimagecreativity"))
    for model in _dicts(data.get("sui_models")):
        if model.get("param") == "model":
            found.model_hash = as_text(model.get("hash"))
    names, weights = params.get("loras"), params.get("loraweights")
    names = names if isinstance(names, list) else []
    weights = weights if isinstance(weights, list) else []
    for k, name in enumerate(names):
        found.add_lora(as_text(name), weights[k] if k < len(weights) else None)
    quiet = {"prompt", "negativeprompt", "steps", "cfgscale", "seed", "model", "width", "height",
             "sampler", "scheduler", "initimagecreativity", "loras", "loraweights",
             "swarm_version", "original_prompt", "aspectratio", "date",
             "generation_time"}  # fmt: skip
    _leave_rest(found, params, quiet)
    return found


# -- Easy Diffusion ---------------------------------------------------------------------------


def read_easy(fields: Fields) -> Imported | None:
    """Easy Diffusion: a text chunk per setting; in JPEG the same as JSON."""
    values: dict[str, Any] = dict(fields.texts)
    if "use_stable_diffusion_model" not in values:
        data = load_json(fields.exif.user_comment)
        if not isinstance(data, dict) or "use_stable_diffusion_model" not in data:
            return None
        values = data
    found = Imported("Easy Diffusion", raw={k: as_text(v) for k, v in values.items()})
    found.prompt = _stated(values.get("prompt"))
    found.negative_prompt = _stated(values.get("negative_prompt"))
    _take_common(found, values, "num_inference_steps", "guidance_scale", "seed", "", "")
    found.model = _stated(values.get("use_stable_diffusion_model"))
    found.width, found.height = as_int(values.get("width")), as_int(values.get("height"))
    _take_sampler(found, _stated(values.get("sampler_name")), _stated(values.get("scheduler_name")))
    found.strength = _share(values.get("prompt_strength"))
    if as_text(values.get("clip_skip")).casefold() == "true":
        found.clip_skip = 2
    if lora := _stated(values.get("use_lora_model")):
        found.add_lora(lora, values.get("lora_alpha"))
    quiet = {"prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "seed",
             "use_stable_diffusion_model", "width", "height", "sampler_name", "scheduler_name",
             "prompt_strength", "clip_skip", "use_lora_model", "lora_alpha"}  # fmt: skip
    _leave_rest(found, {k: v for k, v in values.items() if _stated(v)}, quiet)
    return found


def _stated(value: object) -> str:
    """Python's ``None`` and ``False`` as text are nothing."""
    text = as_text(value)
    return "" if text in ("None", "False", "null") else text


# -- NovelAI ----------------------------------------------------------------------------------


def read_novelai(fields: Fields) -> Imported | None:
    """NovelAI: ``Software``, ``Description``, ``Source`` and JSON under ``Comment``."""
    data = load_json(fields.texts.get("Comment", ""))
    if fields.texts.get("Software") != "NovelAI" and not (
        isinstance(data, dict) and ("signed_hash" in data or "v4_prompt" in data)
    ):
        return None
    data = data if isinstance(data, dict) else {}
    found = Imported("NovelAI", raw={k: v for k, v in fields.texts.items() if k in _NOVELAI})
    found.prompt = as_text(data.get("prompt")) or fields.texts.get("Description", "")
    found.negative_prompt = as_text(data.get("uc"))
    _take_common(found, data, "steps", "scale", "seed", "", "")
    found.model = fields.texts.get("Source", "")
    found.width, found.height = as_int(data.get("width")), as_int(data.get("height"))
    _take_sampler(found, as_text(data.get("sampler")), as_text(data.get("noise_schedule")))
    found.strength = _share(data.get("strength"))
    quiet = {"prompt", "uc", "steps", "scale", "seed", "width", "height", "sampler",
             "noise_schedule", "strength", "signed_hash", "request_type", "version",
             "n_samples"}  # fmt: skip
    _leave_rest(found, data, quiet)
    return found


_NOVELAI = ("Title", "Description", "Software", "Source", "Comment")


# -- Draw Things ------------------------------------------------------------------------------


def read_draw_things(fields: Fields) -> Imported | None:
    """Draw Things: JSON with ``c`` as EXIF comment, in PNG by way of XMP."""
    for text in (fields.xmp.get("exif:UserComment", ""), fields.exif.user_comment):
        data = load_json(text)
        if isinstance(data, dict) and "c" in data and "sampler" in data:
            return _draw_things(data, text, fields.xmp.get("xmp:CreatorTool", ""))
    return None


def _draw_things(data: dict[str, Any], text: str, tool: str) -> Imported:
    found = Imported("Sfumato" if tool.startswith("Sfumato") else "Draw Things")
    found.raw["exif:UserComment"] = text
    found.prompt, found.negative_prompt = as_text(data.get("c")), as_text(data.get("uc"))
    _take_common(found, data, "steps", "scale", "seed", "model", "")
    _take_size(found, as_text(data.get("size")))
    _take_sampler(found, as_text(data.get("sampler")), "")
    strength = _share(data.get("strength"))
    found.strength = strength if strength is not None and strength < 1 else None
    mode = as_text(data.get("seed_mode"))
    modes = {"NVIDIA GPU Compatible": RandomSource.NVIDIA,
             "Torch CPU Compatible": RandomSource.TORCH}  # fmt: skip
    found.random_source = modes.get(mode)
    if mode and found.random_source is None:
        found.leave("seed_mode", mode, "These random numbers are Draw Things' own.")
    for lora in _dicts(data.get("lora")):
        found.add_lora(as_text(lora.get("model")), lora.get("weight"))
    for control in _dicts(data.get("control")):
        found.leave("control", control.get("file"), NOT_HERE)
    quiet = {"c", "uc", "steps", "scale", "seed", "model", "size", "sampler", "strength",
             "seed_mode", "lora", "control", "v2", "profile"}  # fmt: skip
    _leave_rest(found, data, quiet)
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


def _mochi(text: str) -> Imported:
    marks = list(_MOCHI_KEY.finditer(text))
    values: dict[str, str] = {}
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        values[mark[1]] = text[mark.end() : end].strip().removesuffix(";")
    found = Imported("Mochi Diffusion", raw={"caption": text})
    found.prompt = values.get("Include in Image", "")
    found.negative_prompt = values.get("Exclude from Image", "")
    _take_common(found, values, "Steps", "Guidance Scale", "Seed", "Model", "")
    _take_size(found, values.get("Size", ""))
    scheduler = values.get("Scheduler", "")
    _take_sampler(found, _MOCHI_SCHEDULERS.get(scheduler, scheduler), "")
    found.sampler = scheduler or found.sampler
    found.start_picture = values.get("Starting Image", "")
    found.random_source = RandomSource.NUMPY
    for key in ("ControlNet Image", "Input Images", "Upscaler"):
        if values.get(key):
            found.leave(key, values[key], NOT_HERE)
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
    _take_common(found, data, "steps", "guidance", "seed", "model", "")
    found.width, found.height = as_int(data.get("width")), as_int(data.get("height"))
    # The paths are of the other person's Mac: only the files' names are of use.
    paths, scales = data.get("lora_paths"), data.get("lora_scales")
    paths = paths if isinstance(paths, list) else []
    scales = scales if isinstance(scales, list) else []
    for k, path in enumerate(paths):
        name = as_text(path).replace("\\", "/").rpartition("/")[2]
        found.add_lora(name, scales[k] if k < len(scales) else None)
    quiet = {"prompt", "negative_prompt", "steps", "guidance", "seed", "model", "width", "height",
             "lora_paths", "lora_scales", "mflux_version", "generation_time_seconds",
             "created_at"}  # fmt: skip
    _leave_rest(found, data, quiet)
    return found


# -- what they share --------------------------------------------------------------------------


def _take_common(
    found: Imported,
    values: Mapping[str, Any],
    steps: str,
    guidance: str,
    seed: str,
    model: str,
    model_hash: str,
) -> None:
    found.steps = as_int(values.get(steps))
    found.guidance_scale = as_float(values.get(guidance))
    found.seed = as_int(values.get(seed))
    if model:
        found.model = as_text(values.get(model))
    if model_hash:
        found.model_hash = as_text(values.get(model_hash))


def _take_size(found: Imported, text: str) -> None:
    size = re.match(r"\s*(\d{1,6})\s*[x×X]\s*(\d{1,6})", text)
    if size is not None:
        found.width, found.height = int(size[1]), int(size[2])


def _take_sampler(found: Imported, sampler: str, schedule: str) -> None:
    found.sampler = f"{sampler} {schedule}".strip() if schedule else sampler
    found.scheduler, remark = our_scheduler(sampler, schedule)
    if remark:
        found.leave("Sampler", found.sampler, remark)


def _share(value: object) -> float | None:
    number = as_float(value)
    return number if number is not None and 0 <= number <= 1 and math.isfinite(number) else None


def _dicts(value: object) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _leave_rest(found: Imported, data: Mapping[str, Any], quiet: set[str]) -> None:
    for key, value in data.items():
        if key not in quiet and value not in (None, "", [], {}, False):
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found.leave(key, text, NOT_HERE)


READERS: tuple[Reader, ...] = (
    read_invoke, read_comfy, read_fooocus, read_swarm, read_easy, read_novelai, read_draw_things,
    read_mflux, read_mochi, read_a1111,
)  # fmt: skip
"""In the order in which they are asked: those with keys of their own first."""
