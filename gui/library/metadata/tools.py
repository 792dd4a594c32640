"""One pure function per program: the fields of a picture, as that program's settings.

Each takes `Fields` and gives `Imported`, or None where the picture is not that program's.  Nothing
here raises on odd input: a value that does not fit is left out or noted as not mapped.  What each
program writes was read in its source; see the functions' own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gui.library.metadata.comfy import read_comfy_graph
from gui.library.metadata.containers import Fields
from gui.library.metadata.exif import IMAGE_DESCRIPTION, MAKE, MAKER_NOTE, MODEL, SOFTWARE
from gui.library.metadata.imported import Imported
from gui.library.metadata.invoke import read_invoke
from gui.library.metadata.mac_apps import read_draw_things, read_mflux, read_mochi
from gui.library.metadata.taking import (
    dicts,
    leave_rest,
    share,
    take_common,
    take_loras,
    take_prompt_loras,
    take_sampler,
    take_syntax,
)
from gui.library.metadata.values import as_int, as_text, load_json
from gui.library.metadata.web_ui import read_a1111, read_parameters
from gui.request import RandomSource

Reader = Callable[[Fields], Imported | None]


def read_settings(fields: Fields) -> Imported | None:
    """The settings of whichever program wrote them; None where there are none."""
    for reader in READERS:
        found = reader(fields)
        if found is not None and not found.empty:
            take_syntax(found)
            return found
    return None


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
        take_prompt_loras(found)
    found.random_source = RandomSource.TORCH  # its noise is drawn on the CPU, whatever computes
    found.program = "ComfyUI"
    found.raw["prompt"] = graph_text
    if workflow:
        found.raw["workflow"] = workflow
    return found


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
            found.random_source = RandomSource.TORCH
        return found
    found = Imported("Fooocus", raw={"parameters": text})
    found.prompt = as_text(data.get("prompt"))
    found.negative_prompt = as_text(data.get("negative_prompt"))
    take_common(found, data, "steps", "guidance_scale", "seed", "base_model", "base_model_hash")
    size = re.findall(r"\d+", as_text(data.get("resolution")))
    if len(size) >= 2:
        found.width, found.height = as_int(size[0]), as_int(size[1])
    take_sampler(found, as_text(data.get("sampler")), as_text(data.get("scheduler")))
    found.clip_skip = as_int(data.get("clip_skip"))
    found.random_source = RandomSource.TORCH  # ComfyUI's noise
    loras = data.get("loras")
    for lora in loras if isinstance(loras, list) else []:
        if isinstance(lora, list) and len(lora) >= 2:
            found.add_lora(as_text(lora[0]), lora[1])
    quiet = {"prompt", "negative_prompt", "steps", "guidance_scale", "seed", "base_model",
             "base_model_hash", "resolution", "sampler", "scheduler", "clip_skip", "loras",
             "version", "full_prompt", "full_negative_prompt", "metadata_scheme",
             "created_by"}  # fmt: skip
    leave_rest(found, data, quiet)
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
    take_common(found, params, "steps", "cfgscale", "seed", "model")
    found.width, found.height = as_int(params.get("width")), as_int(params.get("height"))
    take_sampler(found, as_text(params.get("sampler")), as_text(params.get("scheduler")))
    found.strength = share(params.get("initimagecreativity"))
    for model in dicts(data.get("sui_models")):
        if model.get("param") == "model":
            found.model_hash = as_text(model.get("hash"))
    take_loras(found, params.get("loras"), params.get("loraweights"))
    quiet = {"prompt", "negativeprompt", "steps", "cfgscale", "seed", "model", "width", "height",
             "sampler", "scheduler", "initimagecreativity", "loras", "loraweights",
             "swarm_version", "original_prompt", "aspectratio", "date",
             "generation_time"}  # fmt: skip
    leave_rest(found, params, quiet)
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
    take_common(found, values, "num_inference_steps", "guidance_scale", "seed")
    found.model = _stated(values.get("use_stable_diffusion_model"))
    found.width, found.height = as_int(values.get("width")), as_int(values.get("height"))
    take_sampler(found, _stated(values.get("sampler_name")), _stated(values.get("scheduler_name")))
    found.strength = share(values.get("prompt_strength"))
    if as_text(values.get("clip_skip")).casefold() == "true":
        found.clip_skip = 2
    take_loras(found, _listed(values.get("use_lora_model")), _listed(values.get("lora_alpha")))
    quiet = {"prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "seed",
             "use_stable_diffusion_model", "width", "height", "sampler_name", "scheduler_name",
             "prompt_strength", "clip_skip", "use_lora_model", "lora_alpha"}  # fmt: skip
    leave_rest(found, {k: v for k, v in values.items() if _stated(v)}, quiet)
    return found


def _listed(value: object) -> list[str]:
    """One value or several: a list, or Python's way of writing one."""
    if isinstance(value, list):
        return [text for text in map(_stated, value) if text]
    text = _stated(value)
    if text.startswith("["):
        return [part for part in re.split(r"[\[\]'\",\s]+", text[:4000]) if part]
    return [text] if text else []


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
    for key, name in (("v4_prompt", "prompt"), ("v4_negative_prompt", "negative_prompt")):
        _take_captions(found, data.get(key), name)
    take_common(found, data, "steps", "scale", "seed")
    found.model, found.model_hash = _name_and_hash(fields.texts.get("Source", ""))
    found.width, found.height = as_int(data.get("width")), as_int(data.get("height"))
    take_sampler(found, as_text(data.get("sampler")), as_text(data.get("noise_schedule")))
    found.strength = share(data.get("strength"))
    quiet = {"prompt", "uc", "steps", "scale", "seed", "width", "height", "sampler",
             "noise_schedule", "strength", "signed_hash", "request_type", "version",
             "n_samples", "v4_prompt", "v4_negative_prompt"}  # fmt: skip
    leave_rest(found, data, quiet)
    return found


def _take_captions(found: Imported, value: object, name: str) -> None:
    """Of NovelAI 4: what holds for the whole picture is the prompt, the characters' are named."""
    caption = value.get("caption") if isinstance(value, dict) else None
    if not isinstance(caption, dict):
        return
    if base := as_text(caption.get("base_caption")):
        setattr(found, name, base)
    for character in dicts(caption.get("char_captions")):
        if text := as_text(character.get("char_caption")):
            found.leave(
                "Character", text, "Sfumato has no prompts for parts of a picture; add its words."
            )


def _name_and_hash(source: str) -> tuple[str, str]:
    """``Stable Diffusion XL 7BCCAA2C``"""
    match = re.fullmatch(r"(.{1,200}?)\s+([0-9A-F]{8})", source.strip())
    return (match[1], match[2].lower()) if match else (source, "")


_NOVELAI = ("Title", "Description", "Software", "Source", "Comment")


READERS: tuple[Reader, ...] = (
    read_invoke, read_comfy, read_fooocus, read_swarm, read_easy, read_novelai, read_draw_things,
    read_mflux, read_mochi, read_a1111,
)  # fmt: skip
"""In the order in which they are asked: those with keys of their own first."""
