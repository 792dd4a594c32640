"""LoRAs: see what a file would change, and add it to a network's weights.

A LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021) holds for each layer
it changes two small matrices.  Fused at scale s, a weight W becomes

    W + s · (alpha / r) · up · down

with down [r, in, …], up [out, r] and r the rank; alpha is the file's, and the rank where it states
none.  Convolutions count as matrices over their flattened kernels.  Layers are found by name in
diffusers' and peft's spelling, in that of kohya's trainer (underscores) and in the original code's.

`check` needs no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.convert.checkpoint import original_layout as original
from gui.convert.checkpoint import unsupported
from gui.convert.checkpoint.checkpoint import CONTEXT_WIDTHS, Checkpoint, family_name
from gui.convert.checkpoint.safetensors_header import FLOATS, Header, Tensor, read_header
from gui.convert.checkpoint.weights import Part, canonical
from gui.convert.types import Lora, SourceInfo
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_SCALE = 10.0

_DOWN = (
    ".lora_linear_layer.down.weight",
    ".lora_A.default.weight",
    ".lora_A.weight",
    ".lora_down.weight",
    ".lora.down.weight",
    "_lora.down.weight",
)
_UP = tuple(end.replace("down", "up").replace("lora_A", "lora_B") for end in _DOWN)

_KINDS = {
    ".hada_w": "LoHa",
    ".lokr_w": "LoKr",
    ".dora_scale": "DoRA",
    ".lora_magnitude_vector": "DoRA",
    ".oft_": "OFT",
    ".lora_mid.": "LoCon with a core tensor",
    ".on_input": "IA3",
    ".diff$": "full weight difference",
    ".diff_b$": "full weight difference",
    ".lora_B.bias": "LoRA with biases",
}
"""Parts of names that other kinds of files have, and what these are called; $ is the end."""

_FLAT_PREFIXES = {
    "lora_unet_": ("unet",),
    "lycoris_": ("unet",),
    "lora_te1_": ("text_encoder",),
    "lora_te2_": ("text_encoder_2",),
    "lora_te_": ("text_encoder", "text_encoder_2"),
}
_DOTTED_PREFIXES = {
    "unet.": ("unet",),
    "model.diffusion_model.": ("unet",),
    "diffusion_model.": ("unet",),
    "text_encoder_2.": ("text_encoder_2",),
    "text_encoder.": ("text_encoder",),
    "base_model.model.": ("unet", "text_encoder"),
    "": ("unet",),
}


@dataclass(frozen=True)
class Change:
    """What a file adds to one layer: names of its tensors."""

    down: str
    up: str
    alpha: str
    """Empty: none."""


@dataclass(frozen=True)
class Matched:
    """A LoRA laid beside a model."""

    header: Header
    layers: Mapping[str, Mapping[str, Change]]
    """By part, then by the layer's canonical name."""
    unknown: tuple[str, ...]
    """Layers the model does not have."""


def check(path: Path | str, info: SourceInfo, scale: float = 1.0) -> tuple[str, ...]:
    """See that a LoRA fits a source; reads headers only.

    Returns:
        Notes, one sentence each.

    Raises:
        SfumatoError: one sentence on why it cannot be fused.
    """
    from gui.convert.checkpoint.source import read_checkpoint

    return check_fit(path, read_checkpoint(info.path), scale)


def check_fit(path: Path | str, checkpoint: Checkpoint, scale: float = 1.0) -> tuple[str, ...]:
    """`check`, for a source that has been read already."""
    if not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The scale of a LoRA must be from {-MAX_SCALE:g} to {MAX_SCALE:g}, not {scale}.",
        )
    found = match(Path(path), checkpoint)
    layers = sum(len(part) for part in found.layers.values())
    if not found.unknown:
        return ()
    return (
        f"{len(found.unknown)} of {layers + len(found.unknown)} layers of “{Path(path).name}” have "
        "no counterpart in the model and are left out.",
    )


def match(path: Path, checkpoint: Checkpoint) -> Matched:
    """Find the layers of a model that a LoRA changes.

    Raises:
        SfumatoError: where the file is no LoRA, is of an unsupported kind, or belongs to another
            family.
    """
    header = read_header(path)
    changes = _changes(header)
    layers: dict[str, dict[str, Change]] = {}
    unknown: list[str] = []
    tables = {name: _layer_names(part) for name, part in checkpoint.parts.items()}
    for stem, change in changes.items():
        place = _place(stem, tables)
        if place is None:
            unknown.append(stem)
            continue
        part, layer = place
        _check_shape(header, change, checkpoint, part, tables[part].shapes[layer])
        layers.setdefault(part, {})[layer] = change
    if not layers:
        raise _other_family(header, checkpoint, f"no layer in common, e.g. {unknown[:3]}")
    unknown += _unread(header, changes)
    return Matched(header, layers, tuple(unknown))


def fuse(
    network: nn.Module, part: str, loras: Sequence[Lora], checkpoint: Checkpoint
) -> tuple[int, ...]:
    """Add LoRAs to a network's weights, in their order.

    Args:
        network: float32; changed.
        part: which network it is: unet, text_encoder, text_encoder_2 …
        checkpoint: where the network came from.

    Returns:
        How many layers each LoRA changed.

    Raises:
        SfumatoError: as `match`.
    """
    modules = {canonical(name): module for name, module in network.named_modules()}
    counts = []
    for lora in loras:
        found = match(Path(lora.path), checkpoint)
        layers = found.layers.get(part, {})
        _add(modules, layers, found.header, lora.scale)
        counts.append(len(layers))
    return tuple(counts)


def _add(
    modules: Mapping[str, nn.Module], layers: Mapping[str, Change], header: Header, scale: float
) -> None:
    import safetensors
    import torch

    with safetensors.safe_open(str(header.path), framework="pt", device="cpu") as file:

        def read(name: str) -> torch.Tensor:
            return file.get_tensor(name).to(torch.float32)

        for layer, change in layers.items():
            down, up = read(change.down), read(change.up)
            alpha = float(read(change.alpha)) if change.alpha else _stated_alpha(header, change)
            rank = down.shape[0]
            ratio = 1.0 if alpha is None else alpha / _rank_divisor(header, change, rank)
            weight: Any = modules[layer].weight
            delta = (scale * ratio) * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
            if not torch.isfinite(delta).all():
                raise _damaged(header, f"{change.down}: not finite")
            weight.data = weight.data + delta


def _unread(header: Header, changes: Mapping[str, Change]) -> list[str]:
    """What the file holds besides: norms that were trained too, words of an embedding …"""
    read = {name for c in changes.values() for name in (c.down, c.up, c.alpha)}
    return list(dict.fromkeys(n.rpartition(".")[0] or n for n in header.tensors if n not in read))


# --- reading the file ---------------------------------------------------------------------------


def _changes(header: Header) -> dict[str, Change]:
    """The file's pairs of matrices by layer, as the file names it."""
    for name in header.tensors:
        for mark, kind in _KINDS.items():
            if mark in f"{name}$":
                raise SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    f"“{header.path.name}” is of the kind {kind}, which cannot be fused; choose a "
                    "plain LoRA.",
                    name,
                )
    found: dict[str, Change] = {}
    for name in header.tensors:
        end = next((e for e in _DOWN if name.endswith(e)), "")
        if not end:
            continue
        stem = name.removesuffix(end)
        up = stem + _UP[_DOWN.index(end)]
        if up not in header.tensors:
            raise _damaged(header, f"{up} is missing")
        alpha = f"{stem}.alpha"
        found[_modern(stem)] = Change(name, up, alpha if alpha in header.tensors else "")
    if not found:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{header.path.name}” is not a LoRA; choose a “.safetensors” file made for use with "
            "a model.",
            f"{header.path}: {', '.join(list(header.tensors)[:5])}",
        )
    for change in found.values():
        _check_pair(header, change)
    return found


def _modern(stem: str) -> str:
    """The layer's name where an old file names the attention processor that held its LoRA, or a
    text encoder's layers as it did a UNet's (diffusers before version 0.18)."""
    stem = stem.replace(".processor.", ".")
    owner, _, leaf = stem.rpartition(".")
    if owner.endswith(".self_attn"):
        return f"{owner}.{_OLD_TEXT.get(leaf, leaf)}"
    return f"{stem}.0" if leaf == "to_out" else stem


_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


def _check_pair(header: Header, change: Change) -> None:
    down, up = header.tensors[change.down], header.tensors[change.up]
    fits = (
        len(down.shape) in (2, 4)
        and len(up.shape) in (2, 4)
        and up.shape[1] == down.shape[0] > 0
        and all(side == 1 for side in up.shape[2:])
        and {down.dtype, up.dtype} <= FLOATS
        and (not change.alpha or header.tensors[change.alpha].count == 1)
    )
    if not fits:
        detail = f"{change.down}: {down.dtype} {list(down.shape)}, up {up.dtype} {list(up.shape)}"
        raise _damaged(header, detail)


def _stated_alpha(header: Header, change: Change) -> float | None:
    """Alpha in the settings that peft writes into the file's metadata; None: not stated."""
    part, settings = _settings(header, change)
    layer = _modern(change.down).removeprefix(f"{part}.")
    patterns = settings.get("alpha_pattern")
    for name, value in (patterns if isinstance(patterns, dict) else {}).items():
        plain = str(name).strip("^$")
        if layer.startswith(f"{plain}.lora") or f".{plain}.lora" in layer:
            return _number(header, value)
    value = settings.get("lora_alpha")
    return None if value is None else _number(header, value)


def _rank_divisor(header: Header, change: Change, rank: int) -> float:
    """The rank, or its square root where rank-stabilised LoRA was trained (Kalajdzievski 2023)."""
    if change.alpha:
        return float(rank)
    return math.sqrt(rank) if _settings(header, change)[1].get("use_rslora") else float(rank)


def _settings(header: Header, change: Change) -> tuple[str, dict[str, Any]]:
    """The part a change belongs to, and peft's settings for it."""
    if header.path.name == _PEFT_FILE and change.down.startswith(_PEFT_PREFIX):
        return _PEFT_PREFIX.rstrip("."), _settings_of(_text_beside(header.path), "")
    parts = ("unet", "text_encoder_2", "text_encoder")
    part = next((p for p in parts if change.down.startswith(f"{p}.")), "unet")
    return part, _settings_of(header.metadata.get("lora_adapter_metadata", "{}"), f"{part}.")


_PEFT_FILE, _PEFT_SETTINGS = "adapter_model.safetensors", "adapter_config.json"
"""As peft itself saves a LoRA: in a folder, with its settings beside it."""
_PEFT_PREFIX = "base_model.model."


def _text_beside(path: Path) -> str:
    try:
        with path.with_name(_PEFT_SETTINGS).open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_SETTINGS)
    except OSError:
        return "{}"


_MAX_SETTINGS = 1_000_000


@lru_cache(maxsize=8)
def _settings_of(text: str, start: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):  # a note of another tool; the rank counts as alpha
        return {}
    pairs = data.items() if isinstance(data, dict) else ()
    return {k.removeprefix(start): v for k, v in pairs if k.startswith(start)}


def _number(header: Header, value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value):
        raise _damaged(header, f"alpha {value!r}")
    return float(value)


# --- finding the layers ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _LayerNames:
    shapes: Mapping[str, tuple[int, ...]]
    """Of the weight, by canonical name."""
    spellings: Mapping[str, str]
    """Canonical name by every dotted spelling, and by every spelling with underscores."""


def _layer_names(part: Part) -> _LayerNames:
    shapes = {
        canonical(name).removesuffix(".weight"): place.shape
        for name, place in part.tensors.items()
        if name.endswith(".weight") and len(place.shape) >= 2
    }
    original_names = None
    if part.name == "unet" and (shape := original.shape_of_config(part.config)):
        original_names = original.unet_names(shape)
    spellings: dict[str, str] = {}
    for layer in shapes:
        names = [layer]
        if part.name.startswith("text_"):
            names.append(f"text_model.{layer}")
        if original_names and (old := original_names.to_original(layer)):
            names.append(old)
        for name in names:
            spellings[name] = layer
            spellings[name.replace(".", "_")] = layer
    return _LayerNames(shapes, spellings)


def _place(stem: str, tables: Mapping[str, _LayerNames]) -> tuple[str, str] | None:
    """The part and layer that a file's name for a layer means."""
    for prefixes in (_FLAT_PREFIXES, _DOTTED_PREFIXES):
        for prefix, parts in prefixes.items():
            if not stem.startswith(prefix):
                continue
            for part in parts:
                layer = part in tables and tables[part].spellings.get(stem.removeprefix(prefix))
                if layer:
                    return part, layer
    return None


def _check_shape(
    header: Header, change: Change, checkpoint: Checkpoint, part: str, wanted: tuple[int, ...]
) -> None:
    down, up = header.tensors[change.down], header.tensors[change.up]
    if up.shape[0] == wanted[0] and _ends(down.shape[1:]) == _ends(wanted[1:]):
        return
    raise _other_family(
        header,
        checkpoint,
        f"{part}: {change.down}: [{up.shape[0]}, {list(down.shape[1:])}], not {list(wanted)}",
    )


def _ends(shape: Iterable[int]) -> tuple[int, ...]:
    """Input channels and kernel, without a kernel of one."""
    numbers = tuple(shape)
    return numbers[:1] if all(n == 1 for n in numbers[1:]) else numbers


# --- families -------------------------------------------------------------------------------------


def family_of_lora(header: Header) -> str:
    """The family a LoRA was made for, for people; empty where nothing tells."""
    names = header.tensors
    if family := unsupported.family_of_names(_dotted(names)):
        return family
    for name, tensor in names.items():
        if "attn2_to_k" in name.replace(".", "_") and _is_down(name):
            known = CONTEXT_WIDTHS.get(tensor.shape[1]) if len(tensor.shape) > 1 else None
            if known:
                return family_name(known)
    if any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in names):
        return family_name(Family.SDXL)
    stated = " ".join(
        header.metadata.get(key, "")
        for key in ("ss_base_model_version", "modelspec.architecture", "sd_version")
    ).lower()
    for mark, family in (
        ("xl", Family.SDXL),
        ("v2", Family.SD2),
        ("v1", Family.SD1),
    ):
        if mark in stated:
            return family_name(family)
    return "FLUX.1" if "flux" in stated else ""


def _dotted(names: Mapping[str, Tensor]) -> list[str]:
    """Names of layers as the markers of `unsupported` spell them, underscores undone."""
    marks = ("double_blocks", "single_blocks", "joint_blocks", "single_transformer_blocks")
    found = list(names)
    for name in names:
        for mark in marks:
            if f"lora_unet_{mark}_" in name:
                rest = name.split(f"{mark}_", 1)[1]
                number, _, layer = rest.partition("_")
                found.append(f"{mark}.{number}.{layer}")
    if any(name.startswith("single_blocks.") for name in found):
        found.append("double_blocks.0.img_attn")
    return found


def _is_down(name: str) -> bool:
    return name.endswith(_DOWN)


def _other_family(header: Header, checkpoint: Checkpoint, detail: str) -> SfumatoError:
    ours = family_name(checkpoint.info.family)
    theirs = family_of_lora(header)
    name = header.path.name
    if theirs and theirs != ours:
        sentence = (
            f"“{name}” is a LoRA for {theirs}, but the model is {ours}; choose one made for {ours}."
        )
    else:
        sentence = (
            f"“{name}” is a LoRA for another model than this {ours} one: its layers do not fit; "
            "choose one made for this model."
        )
    return SfumatoError(ErrorKind.BAD_MODEL, sentence, f"{header.path}: {detail}")


def _damaged(header: Header, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The LoRA “{header.path.name}” is damaged; download it again.",
        f"{header.path}: {detail}",
    )
