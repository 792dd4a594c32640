"""Names of inputs and outputs: Apple's are the contract here, Guernika's are mapped onto them.

Two families of Stable Diffusion files exist in Core ML's format.  They differ in names only:

| | Apple's tools | Guernika's |
|---|---|---|
| VAE encoder's input | `x` | `z` |
| a T2I-Adapter | none | takes `input`, gives `adapter_res_samples_00` … |
| a UNet's places for a ControlNet | `additional_residual_0` … | `down_block_res_samples_00` …, |
| | | `mid_block_res_sample`, optional |
| … and for a T2I-Adapter | none | `adapter_res_samples_00` …, optional |
| Stable Diffusion XL's text states | `hidden_embeds` | `last_hidden_state` |
| facts about the model | none | user metadata, or `guernika.json` in or beside a file |
| tokenizer's files | in the model's folder | in the text encoder's |

A `ComponentInfo` bears Apple's names and remembers the file's own in `names`; `gui.coreml.adapted`
makes a loaded network answer to Apple's.  Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from gui.coreml.model import ComponentInfo, ComponentKind, TensorSpec

K = ComponentKind

RESIDUAL = "additional_residual_"
"""Beginning of the names of what a ControlNet hands to a UNet."""
ADAPTER = "adapter_res_samples_"
"""Beginning of the names of what a T2I-Adapter hands to a UNet."""

FACTS = "guernika.json"
_MOST_FACTS = 100_000
_FACT_KEYS = ("identifier", "converter_version")
"""Metadata that Guernika's converter writes into every file."""

_DOWN = re.compile(r"down_block_res_samples_(\d{1,3})")
_MIDDLE = "mid_block_res_sample"
_SOLE_INPUT = {K.VAE_ENCODER: "x", K.VAE_DECODER: "z"}
_RESIDUAL_KINDS = (K.UNET, K.CONTROL_UNET, K.REFINER, K.CONTROLNET)


def is_residual(name: str) -> bool:
    """Whether a tensor is a place for what another network adds, by either dialect's name."""
    return name.startswith((RESIDUAL, ADAPTER)) or name == _MIDDLE or bool(_DOWN.fullmatch(name))


def is_adapter(component: ComponentInfo) -> bool:
    """Whether it is a T2I-Adapter: it sees the control picture alone, and is run once."""
    given = any(t.name.startswith(ADAPTER) for t in component.outputs)
    return given and component.kind is K.CONTROLNET and len(component.inputs) == 1


def canonical(component: ComponentInfo) -> ComponentInfo:
    """The same component by Apple's names."""
    renamed: dict[str, str] = {}
    sole = _SOLE_INPUT.get(component.kind)
    if sole and component.input(sole) is None and len(component.inputs) == 1:
        renamed[component.inputs[0].name] = sole
    if component.kind in _RESIDUAL_KINDS:
        names = [t.name for t in (*component.inputs, *component.outputs)]
        down = {n: int(match[1]) for n in names if (match := _DOWN.fullmatch(n))}
        renamed |= {name: f"{RESIDUAL}{n}" for name, n in down.items()}
        if _MIDDLE in names:
            renamed[_MIDDLE] = f"{RESIDUAL}{max(down.values(), default=-1) + 1}"
    return _renamed(component, renamed)


def is_guernika(components: Mapping[ComponentKind, ComponentInfo]) -> bool:
    """Whether networks are of that dialect: by their names, or by what their files state."""
    return any(
        any(_is_theirs(own) for own in c.names.values())
        or any(t.name.startswith(ADAPTER) for t in c.inputs)
        or all(key in c.metadata for key in _FACT_KEYS)
        for c in components.values()
    )


def _is_theirs(own: str) -> bool:
    return own in ("z", _MIDDLE) or _DOWN.fullmatch(own) is not None


def with_text_states(
    components: Mapping[ComponentKind, ComponentInfo],
) -> dict[ComponentKind, ComponentInfo]:
    """The components with XL's text states by Apple's name, in Guernika's models.

    Both hold the states before the last layer; Guernika's converter calls them as it calls the last
    ones of Stable Diffusion 1.
    """
    found = dict(components)
    if K.TEXT_ENCODER_2 not in found or not is_guernika(found):
        return found
    for kind in (K.TEXT_ENCODER, K.TEXT_ENCODER_2):
        encoder = found.get(kind)
        if encoder is not None and encoder.output("hidden_embeds") is None:
            found[kind] = _renamed(encoder, {"last_hidden_state": "hidden_embeds"})
    return found


def _renamed(component: ComponentInfo, names: Mapping[str, str]) -> ComponentInfo:
    """Args: names: new ones by old ones."""

    def each(tensors: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(dataclasses.replace(t, name=names.get(t.name, t.name)) for t in tensors)

    if not names:
        return component
    own = {new: old for old, new in names.items()}
    return dataclasses.replace(
        component,
        inputs=each(component.inputs),
        outputs=each(component.outputs),
        names={**component.names, **own},
    )


def own_names(component: ComponentInfo) -> ComponentInfo:
    """The component as its files call its inputs and outputs."""
    return dataclasses.replace(_renamed(component, component.names), names={})


def facts_beside(path: Path) -> dict[str, str]:
    """What a `guernika.json` in a file's folder, or beside it, states."""
    for place in (path / FACTS, path.parent / FACTS):
        try:
            if place.is_file() and place.stat().st_size <= _MOST_FACTS:
                data = json.loads(place.read_text(encoding="utf-8-sig"))
                pairs = data.items() if isinstance(data, dict) else ()
                return {str(k): str(v) for k, v in pairs if isinstance(v, str | int | float)}
        except (OSError, ValueError, RecursionError):
            continue  # a note of another program
    return {}
