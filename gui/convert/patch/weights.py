"""Add LoRAs to the weights of a finished model's networks, in copies of their weight files.

A weight is read, brought to float32, added to, rounded once to the type it is stored in, and
written to its place in the copy: nothing else of the copy changes.  What is stored is what a
conversion with the LoRAs fused in would store, if the checkpoint had the numbers that the model
has: models hold float16, so a checkpoint of float32 gives others by half a unit in the last place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gui.convert.checkpoint.lora.deltas import Adder
from gui.convert.checkpoint.lora.layers import Layers, Target, make_layers
from gui.convert.checkpoint.lora.matching import Matched, match
from gui.convert.patch.constants import Weight, by_parameter, shapes_of, weights_of
from gui.convert.patch.names import parameter_of, unet_shape_of
from gui.convert.patch.order import names_by_order
from gui.convert.patch.packing import NotPackable, repacked, unpacked
from gui.convert.types import Lora
from gui.coreml.model import ComponentInfo, ComponentKind, ModelInfo
from gui.coreml.portable import read_stages
from gui.coreml.portable.ir import Function, Ref
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.kinds import Change, read_lora

K = ComponentKind

PART_OF = {
    K.TEXT_ENCODER: "text_encoder",
    K.TEXT_ENCODER_2: "text_encoder_2",
    K.UNET: "unet",
    K.CONTROL_UNET: "unet",
}
"""Networks that LoRAs change, and what LoRAs call them."""

Base = Callable[[str, str], np.ndarray | None]
"""(part, parameter) → float32 of the checkpoint that a model was made from; None: not there."""


@dataclass
class Networks:
    """Where the parameters of a model's networks lie."""

    weights: dict[str, dict[str, list[Weight]]]
    """By part and parameter."""
    target: Target

    by_order: bool = False
    """Whether names had to be told by the order of the layers."""

    def of(self, part: str, parameter: str) -> list[Weight]:
        return self.weights[part].get(parameter, [])


def read_networks(info: ModelInfo) -> Networks:
    """Find the weights of a model's UNet and text encoders.

    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED where a program cannot be read, or its weights have
            lost their names.
    """
    found: dict[str, dict[str, list[Weight]]] = {}
    by_order = False
    for kind, part in PART_OF.items():
        if component := info.components.get(kind):
            weights, ordered = _weights(component, part)
            by_order |= ordered
            for name, places in by_parameter(iter(weights)).items():
                found.setdefault(part, {}).setdefault(name, []).extend(places)
    layers: dict[str, Layers] = {}
    for part, weights in found.items():
        shapes = shapes_of(weights)
        shape = unet_shape_of(shapes) if part == "unet" else None
        layers[part] = make_layers(part, shapes, shape)
    if not any(name.endswith(".to_q.weight") for name in found.get("unet", ())):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"The layers of “{info.name}” have lost their names, so no LoRA can be added to it; "
            "convert the model anew from its checkpoint, with the LoRA.",
            f"{info.folder}: {list(found.get('unet', ()))[:5]}",
        )
    return Networks(found, Target(info.family, layers), by_order)


def _weights(component: ComponentInfo, part: str) -> tuple[list[Weight], bool]:
    """A network's weights, and whether some of their names had to be told by their order."""
    files = [
        [stage.function for stage in read_stages(path, component.function)]
        for path in component.files
    ]
    by_order = None
    if not all(parameter_of(name) for name in _layer_constants(files)):
        by_order = names_by_order(part, files)
    named = by_order or [{} for _ in files]
    found = [
        weight
        for path, functions, names in zip(component.files, files, named, strict=True)
        for weight in weights_of(path, functions, names)
    ]
    return found, by_order is not None


def _layer_constants(files: Sequence[Sequence[Function]]) -> Iterator[str]:
    """The names of the constants that convolutions and linear layers read as their weights."""
    for functions in files:
        for function in functions:
            for op in function.ops:
                weight = op.inputs.get("weight")
                if op.type in ("conv", "linear") and isinstance(weight, Ref):
                    yield weight.name


@dataclass(frozen=True)
class Addition:
    """A LoRA laid beside a model, with the weight it gets."""

    lora: Lora
    found: Matched


def additions(loras: Sequence[Lora], target: Target) -> tuple[Addition, ...]:
    """Read LoRAs' headers and find their layers.

    Raises:
        SfumatoError: as `read_lora` and `match`.
    """
    return tuple(Addition(lora, match(read_lora(Path(lora.path)), target)) for lora in loras)


@dataclass
class Written:
    """What was changed."""

    layers: int = 0
    bytes: int = 0
    files: set[Path] = field(default_factory=set)
    """The packages or compiled models."""
    repacked: int = 0
    """Tensors that were compressed, and are again."""
    worst_noise: float = float("inf")
    """Decibels below the weights at which compressing again added noise, the least of them."""
    notes: tuple[str, ...] = ()


def touched_files(networks: Networks, added: Sequence[Addition]) -> set[Path]:
    """The packages or compiled models that would be changed."""
    return {
        place.model
        for part, layer, _ in _layers(added)
        for leaf in ("weight", "bias")
        for place in networks.of(part, f"{layer}.{leaf}")
    }


def _layers(added: Sequence[Addition]) -> list[tuple[str, str, list[tuple[Lora, Matched, Change]]]]:
    """Every layer that is changed, with what is added to it, in order."""
    found: dict[tuple[str, str], list[tuple[Lora, Matched, Change]]] = {}
    for addition in added:
        for part, layers in addition.found.layers.items():
            if addition.lora.scale_of(part) == 0.0:
                continue
            for layer, change in layers.items():
                entry = (addition.lora, addition.found, change)
                found.setdefault((part, layer), []).append(entry)
    return [(part, layer, entries) for (part, layer), entries in found.items()]


def add_loras(
    networks: Networks,
    added: Sequence[Addition],
    copy_of: Callable[[Path], Path],
    *,
    base: Base | None = None,
    tick: Callable[[float], None] = lambda fraction: None,
) -> Written:
    """Add LoRAs to copies of a model's weights.

    Args:
        networks: of the model.
        added: from `additions`.
        copy_of: the copy of a weight file, to be written to.
        base: the checkpoint that the model was made from: the sums are then those of a conversion
            to the last bit.  Its numbers are held against the model's.
        tick: told the fraction done; may raise to stop.

    Raises:
        SfumatoError: BAD_MODEL for a LoRA whose numbers are none, or a base that is another;
            UNSUPPORTED where a network is stored so that it cannot be changed.
        OSError: something cannot be read or written.
    """
    written = Written()
    kept: list[str] = []
    layers = _layers(added)
    for index, (part, layer, entries) in enumerate(layers):
        tick(index / len(layers))
        for leaf in ("weight", "bias"):
            places = networks.of(part, f"{layer}.{leaf}")
            if not places or not _changes(entries, leaf):
                continue
            if any(place.factor is None for place in places):
                kept.append(layer)
                continue
            values = _sum(places[0], part, leaf, entries, base)
            for place in places:
                _store(place, values, copy_of, written, entries[0][1])
        written.layers += 1
    if kept:
        written.notes = (
            f"{len(kept)} of {len(layers)} layers are stored so that they cannot be changed in a "
            "finished model, and stay as they are.",
        )
    return written


def _changes(entries: Sequence[tuple[Lora, Matched, Change]], leaf: str) -> bool:
    roles = {role for _, _, change in entries for role in change.tensors}
    only_bias = {"bias", "alpha", "scale"}
    return bool(roles & {"bias", "lora_bias"}) if leaf == "bias" else bool(roles - only_bias)


def _sum(
    place: Weight,
    part: str,
    leaf: str,
    entries: Sequence[tuple[Lora, Matched, Change]],
    base: Base | None,
) -> np.ndarray:
    """The parameter's new value in float32, in the shape it is stored in."""
    assert place.factor is not None
    stored = unpacked(place)
    value = stored if place.factor == 1.0 else stored / np.float32(place.factor)
    if base is not None and (own := base(part, place.parameter)) is not None:
        own = own.reshape(stored.shape)
        _check_base(place, stored, own)
        value = own
    for lora, found, change in entries:
        adder = Adder(found.file.header, lora.scale_of(part))
        value = adder.bias(change, value) if leaf == "bias" else adder.weight(change, value)
    return value


def _check_base(place: Weight, stored: np.ndarray, own: np.ndarray) -> None:
    if place.is_packed:
        return
    scaled = own * np.float32(place.factor or 1.0)
    if place.op.outputs[-1][1].dtype == "fp16":
        scaled = scaled.astype(np.float16).astype(np.float32)
    if not np.array_equal(scaled, stored):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model was not made from this checkpoint; choose the one it was made from, or "
            "leave it out.",
            f"{place.model.name}: {place.parameter}",
        )


def _store(
    place: Weight,
    values: np.ndarray,
    copy_of: Callable[[Path], Path],
    written: Written,
    found: Matched,
) -> None:
    if place.factor not in (None, 1.0):
        values = values * np.float32(place.factor)
    try:
        pieces, noise = repacked(place, values)
    except NotPackable as error:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"“{found.file.path.name}” cannot be added to this model: its {place.model.name} "
            f"{error}. Choose an uncompressed variant of the model, or convert it anew with the "
            "LoRA.",
            f"{place.parameter}: {place.op.type}",
        ) from error
    for blob, data in pieces:
        start, size = blob.file.place(blob.offset)
        assert len(data) <= size
        with copy_of(blob.file.path).open("r+b") as file:
            file.seek(start)
            file.write(data)
        written.bytes += len(data)
    written.files.add(place.model)
    if place.is_packed:
        written.repacked += 1
        written.worst_noise = min(written.worst_noise, noise)
