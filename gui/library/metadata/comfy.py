"""ComfyUI's graph as settings: from what is saved back to the sampler, and from there to all else.

The graph is ``{"id": {"class_type": …, "inputs": {name: value | ["other id", slot]}}}``.  It may be
anything a person wired together, cyclic or hostile: every walk remembers where it was and ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from gui.library.metadata.imported import Imported
from gui.library.metadata.reasons import why_not
from gui.library.metadata.taking import take_sampler
from gui.library.metadata.values import as_float, as_int, as_text

MAX_NODES = 5000

_SAMPLERS = {"KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"}
_ROADS = ("samples", "images", "image", "latent", "latent_image", "pixels", "model", "guider",
          "conditioning", "positive", "negative")  # fmt: skip
"""Inputs that lead from one node to what it was made of, also through unknown nodes."""
_TEXTS = ("text", "text_g", "text_l", "string", "value", "prompt", "wildcard_text",
          "populated_text")  # fmt: skip


class _Graph:
    def __init__(self, graph: dict[str, Any]) -> None:
        self.nodes: dict[str, dict[str, Any]] = {
            str(k): v for k, v in list(graph.items())[:MAX_NODES] if isinstance(v, dict)
        }

    def kind(self, node: str) -> str:
        return as_text(self.nodes.get(node, {}).get("class_type"))

    def inputs(self, node: str) -> dict[str, Any]:
        found = self.nodes.get(node, {}).get("inputs")
        return found if isinstance(found, dict) else {}

    def link(self, node: str, name: str) -> str:
        """The node an input comes from; empty where it is a value or nothing."""
        value = self.inputs(node).get(name)
        if isinstance(value, list) and len(value) == 2 and str(value[0]) in self.nodes:
            return str(value[0])
        return ""

    def upstream(
        self, start: str, roads: tuple[str, ...], seen: set[str] | None = None
    ) -> Iterator[str]:
        """The nodes behind `start`, nearest first, each once; those of `seen` not at all."""
        seen = set() if seen is None else seen
        seen.add(start)
        line = deque([start])
        while line:
            node = line.popleft()
            yield node
            for name in roads:
                following = self.link(node, name)
                if following and following not in seen:
                    seen.add(following)
                    line.append(following)

    def value(self, node: str, *names: str) -> Any:
        """An input's value; one that is linked is read off the node it comes from."""
        for name in names:
            value = self.inputs(node).get(name)
            hops = 0
            while isinstance(value, list) and len(value) == 2 and hops < 16:
                inner = self.inputs(str(value[0]))
                following = next((inner[k] for k in (name, *_VALUES) if k in inner), None)
                value, hops = following, hops + 1
            if value is not None and not isinstance(value, (list, dict)):
                return value
        return None


_VALUES = ("value", "seed", "noise_seed", "int", "float", "string", "text", "number")


def read_comfy_graph(graph: dict[str, Any]) -> Imported:
    """The settings of the first pass that leads to a saved picture."""
    nodes = _Graph(graph)
    found = Imported("ComfyUI")
    passes = list(_passes(nodes))
    if not passes:
        found.leave("graph", ", ".join(sorted({nodes.kind(n) for n in nodes.nodes})[:20]),
                    "No sampler was found in this graph.")  # fmt: skip
        return found
    sampler = passes[-1]  # the one farthest from the picture came first
    for later in passes[:-1]:
        found.leave("pass", nodes.kind(later), "Only the first pass of several is taken over.")
    _take_sampler(nodes, sampler, found)
    _take_prompts(nodes, sampler, found)
    _take_model(nodes, sampler, found)
    _take_size(nodes, sampler, found)
    _note_others(nodes, sampler, found)
    return found


def _passes(nodes: _Graph) -> Iterator[str]:
    """Samplers from the saved picture backwards."""
    ends = [n for n in nodes.nodes if nodes.kind(n).startswith(("SaveImage", "PreviewImage"))]
    ends = ends or [n for n in nodes.nodes if "Save" in nodes.kind(n)] or list(nodes.nodes)
    seen: set[str] = set()
    found = False
    for end in ends[:50]:
        if end in seen:
            continue
        for node in nodes.upstream(end, _ROADS, seen):
            if _is_sampler(nodes, node):
                found = True
                yield node
        if found:
            return


def _is_sampler(nodes: _Graph, node: str) -> bool:
    return nodes.kind(node) in _SAMPLERS or (
        "ampler" in nodes.kind(node) and {"steps", "cfg"} <= set(nodes.inputs(node))
    )


def _take_sampler(nodes: _Graph, sampler: str, found: Imported) -> None:
    found.seed = as_int(nodes.value(sampler, "seed", "noise_seed"))
    found.steps = as_int(nodes.value(sampler, "steps"))
    found.guidance_scale = as_float(nodes.value(sampler, "cfg"))
    name = as_text(nodes.value(sampler, "sampler_name"))
    schedule = as_text(nodes.value(sampler, "scheduler"))
    denoise = as_float(nodes.value(sampler, "denoise"))
    # The custom samplers keep noise, steps, method and guidance in nodes of their own.
    noise, sigmas = nodes.link(sampler, "noise"), nodes.link(sampler, "sigmas")
    method, guider = nodes.link(sampler, "sampler"), nodes.link(sampler, "guider")
    if noise:
        found.seed = as_int(nodes.value(noise, "noise_seed", "seed"))
    if sigmas:
        found.steps = as_int(nodes.value(sigmas, "steps"))
        schedule = as_text(nodes.value(sigmas, "scheduler")) or schedule
        denoise = as_float(nodes.value(sigmas, "denoise"))
    if method:
        name = as_text(nodes.value(method, "sampler_name"))
    if guider:
        found.guidance_scale = as_float(nodes.value(guider, "cfg"))
    take_sampler(found, name, schedule)
    if denoise is not None and 0 <= denoise < 1:
        found.strength = denoise
    first = as_int(nodes.value(sampler, "start_at_step"))
    last = as_int(nodes.value(sampler, "end_at_step"))
    if first:
        found.leave("start_at_step", first, "Every picture begins with its first step here.")
    if last is not None and found.steps is not None and last < found.steps:
        found.leave("end_at_step", last, "Every picture is made to its last step here.")


def _take_prompts(nodes: _Graph, sampler: str, found: Imported) -> None:
    holder = nodes.link(sampler, "guider") or sampler
    for name, where in (("positive", "prompt"), ("negative", "negative_prompt")):
        start = nodes.link(holder, name) or (
            nodes.link(holder, "conditioning") if name == "positive" else ""
        )
        behind = nodes.upstream(start, ("conditioning", name)) if start else ()
        text = next((words for node in behind if (words := _text(nodes, node, name))), "")
        setattr(found, where, text)


def _text(nodes: _Graph, node: str, side: str) -> str:
    """The words of a node that encodes or holds text; of one with both sides, those of `side`."""
    inputs = nodes.inputs(node)
    own = inputs.get(side)
    if isinstance(own, str) and as_text(own):
        return as_text(own)
    parts: list[str] = []
    for name in _TEXTS:
        value = inputs.get(name)
        if isinstance(value, list):
            value = nodes.value(node, name)
        text = as_text(value) if isinstance(value, str) else ""
        if text and text not in parts:
            parts.append(text)
    return ", ".join(parts[:2])


def _take_model(nodes: _Graph, sampler: str, found: Imported) -> None:
    start = nodes.link(sampler, "model") or nodes.link(nodes.link(sampler, "guider"), "model")
    if not start:
        return
    for node in nodes.upstream(start, ("model", "model1")):
        inputs = nodes.inputs(node)
        if "lora_name" in inputs:
            name = as_text(nodes.value(node, "lora_name"))
            found.add_lora(name, nodes.value(node, "strength_model"))
        for key in ("ckpt_name", "unet_name", "model_name"):
            if key in inputs and not found.model:
                found.model = as_text(nodes.value(node, key))


_KNOWN = {
    "CheckpointLoaderSimple", "CheckpointLoader", "UNETLoader", "LoraLoader", "LoraLoaderModelOnly",
    "CLIPTextEncode", "CLIPTextEncodeSDXL", "EmptyLatentImage", "EmptySD3LatentImage", "VAEEncode",
    "LoadImage", "CFGGuider", "BasicGuider", "RandomNoise", "BasicScheduler", "KarrasScheduler",
    "KSamplerSelect", "ModelSamplingDiscrete", "Reroute", "PrimitiveNode", "VAEDecode",
}  # fmt: skip
"""Nodes that say no more than what is read off them."""


def _note_others(nodes: _Graph, sampler: str, found: Imported) -> None:
    """Name what else had a part in the picture and is not taken over."""
    roads = (*_ROADS, "control_net", "clip", "vae", "sigmas", "noise", "sampler", "model1")
    for node in nodes.upstream(sampler, roads):
        kind = nodes.kind(node)
        if kind == "CLIPSetLastLayer":
            layer = as_int(nodes.value(node, "stop_at_clip_layer"))
            found.clip_skip = -layer if layer is not None and -12 <= layer < 0 else None
        elif kind in _KNOWN or kind in _SAMPLERS or node == sampler:
            continue
        elif kind and not (_is_sampler(nodes, node) or set(nodes.inputs(node)) & {"text"}):
            values = nodes.inputs(node).values()
            texts = (as_text(value) for value in values if isinstance(value, str))
            found.leave(kind, next((text for text in texts if text), ""), why_not(kind))


def _take_size(nodes: _Graph, sampler: str, found: Imported) -> None:
    start = nodes.link(sampler, "latent_image")
    if not start:
        return
    for node in nodes.upstream(start, ("samples", "latent_image", "pixels", "image")):
        inputs = nodes.inputs(node)
        if nodes.kind(node).startswith("LoadImage"):
            found.start_picture = as_text(nodes.value(node, "image"))
        if found.width is None and {"width", "height"} <= set(inputs):
            found.width = as_int(nodes.value(node, "width"))
            found.height = as_int(nodes.value(node, "height"))
