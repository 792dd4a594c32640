"""LoRAs: see what a file would change, and add it to a network's weights.

A LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021) holds for each layer
it changes two small matrices.  Fused at scale s, a weight W becomes

    W + s · (alpha / r) · up · down

with down [r, in, …], up [out, r] and r the rank; alpha is the file's, and the rank where it states
none.  A `scale` beside them stands for alpha / r (as in A1111's web UI).  Convolutions count as
matrices over their flattened kernels.  LyCORIS' `w_norm` and `b_norm` are differences: a norm's
weight W becomes W + s · w_norm, its bias likewise.  Layers are found by name in diffusers' and
peft's spelling (whatever peft's adapter is called), in that of kohya's trainer (underscores) and in
the original code's.

`check` needs no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.convert.checkpoint import original_layout as original
from gui.convert.checkpoint import unsupported
from gui.convert.checkpoint.checkpoint import CONTEXT_WIDTHS, Checkpoint, family_name
from gui.convert.checkpoint.diffusers_folder import name_of as published_name
from gui.convert.checkpoint.reading import read_checkpoint
from gui.convert.checkpoint.safetensors_header import FLOATS, Header, Tensor, read_header
from gui.convert.checkpoint.weights import Part, canonical
from gui.convert.types import Lora, SourceInfo
from gui.coreml.few_steps import FewSteps, few_steps
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, parse_json

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_SCALE = 10.0

_PAIRS = (
    (re.compile(r"(.+)\.lora_A(?:\.([^.]+))?\.weight"), ".lora_A", ".lora_B"),
    (re.compile(r"(.+)\.lora_down(?:\.([^.]+))?\.weight"), ".lora_down", ".lora_up"),
    (re.compile(r"(.+)\.lora_linear_layer\.down\.weight"), ".down", ".up"),
    (re.compile(r"(.+)\.lora\.down\.weight"), ".down", ".up"),
    (re.compile(r"(.+)_lora\.down\.weight"), ".down", ".up"),
)
"""Names of the first matrix, with the layer (and peft's adapter), and how the second's differs."""

_NORMS = {".w_norm": "weight", ".b_norm": "bias"}

_KINDS = (
    (r"\.hada_[wt]", "LoHa"),
    (r"\.lokr_[wt]", "LoKr"),
    (r"\.[ab][12]\.weight$", "GLoRA"),
    (r"\.dora_scale|\.lora_magnitude_vector", "DoRA"),
    (r"\.oft_|\.oft\.", "OFT"),
    (r"\.lora_mid\.", "LoCon with a core tensor"),
    (r"\.on_input", "IA3"),
    (r"\.diff(_b)?$", "full weight difference"),
    (r"\.lora_B(\.[^.]+)?\.bias$", "LoRA with biases"),
)
"""Parts of names that other kinds of files have, and what these are called."""

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
    "text_encoders.clip_l.transformer.": ("text_encoder",),
    "text_encoders.clip_g.transformer.": ("text_encoder_2",),
    "": ("unet", "text_encoder"),
}
_WRAPPERS = ("unet.", "text_encoder_2.", "text_encoder.")
"""Beginnings that some programs write twice."""
_BARE = re.compile(
    r"(down_blocks|mid_block|up_blocks|input_blocks|middle_block|output_blocks|time_embed|conv_in"
    r"|conv_out|text_model|encoder\.layers|transformer\.resblocks)[._]"
)
"""Beginnings of layers' names that stand without a part's."""


@dataclass(frozen=True)
class Change:
    """What a file adds to one layer: names of its tensors."""

    down: str
    up: str
    alpha: str = ""
    """Empty: none."""
    scale: str = ""
    """Stands for alpha / rank; empty: none."""


@dataclass(frozen=True)
class Matched:
    """A LoRA laid beside a model."""

    header: Header
    layers: Mapping[str, Mapping[str, Change]]
    """By part, then by the layer's canonical name."""
    norms: Mapping[str, Mapping[str, str]]
    """Names of differences, by part, then by the parameter's canonical name."""
    missing: tuple[str, ...]
    """Layers the model does not have."""
    not_understood: tuple[str, ...]
    """Whatever else the file holds."""

    def notes(self) -> tuple[str, ...]:
        """What is left out, one sentence for each reason."""
        placed = sum(len(part) for part in (*self.layers.values(), *self.norms.values()))
        total = placed + len(self.missing) + len(self.not_understood)
        name = self.header.path.name
        reasons = {
            "have no counterpart in the model": self.missing,
            "are not understood": self.not_understood,
        }
        return tuple(
            f"{len(names)} of {total} layers of “{name}” {reason} and are left out."
            for reason, names in reasons.items()
            if names
        )


def check(path: Path | str, info: SourceInfo, scale: float = 1.0) -> tuple[str, ...]:
    """See that a LoRA fits a source; reads headers only.

    Returns:
        Notes, one sentence each.

    Raises:
        SfumatoError: one sentence on why it cannot be fused.
    """
    return check_fit(path, read_checkpoint(info.path), scale)


def check_fit(path: Path | str, checkpoint: Checkpoint, scale: float = 1.0) -> tuple[str, ...]:
    """`check`, for a source that has been read already."""
    if not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The scale of a LoRA must be from {-MAX_SCALE:g} to {MAX_SCALE:g}, not {scale}.",
        )
    few = few_steps_of(Lora(str(path), scale))
    notes = match(Path(path), checkpoint).notes()
    return (*notes, f"With “{Path(path).name}”: {few.note}") if few else notes


def few_steps_of(entry: Lora) -> FewSteps | None:
    """How a model is used once this LoRA is fused in, where it distils to a few steps (LCM-LoRA,
    Hyper-SD, DMD2 …); told by its title and its name."""
    path = Path(entry.path)
    if entry.scale <= 0:
        return None
    metadata = read_header(path).metadata
    titles = [metadata.get(key, "") for key in ("modelspec.title", "ss_output_name")]
    names = [path.stem] if path.stem not in _PLAIN_NAMES else [published_name(path.parent)]
    return few_steps((*titles, *names))


_PLAIN_NAMES = ("pytorch_lora_weights", "adapter_model")
"""Files that are called like this are told apart by their folders only."""


def match(path: Path, checkpoint: Checkpoint) -> Matched:
    """Find the layers of a model that a LoRA changes.

    Raises:
        SfumatoError: where the file is no LoRA, is of an unsupported kind, or belongs to another
            family.
    """
    header = read_header(path)
    changes, norms = _changes(header), _norms(header)
    tables = {name: _layer_names(part) for name, part in checkpoint.parts.items()}
    layers: dict[str, dict[str, Change]] = {}
    shifts: dict[str, dict[str, str]] = {}
    lost: list[str] = []
    for stem, change in changes.items():
        if place := _place(stem, tables):
            part, layer = place
            _check_shape(header, change, checkpoint, part, tables[part].shapes[f"{layer}.weight"])
            layers.setdefault(part, {})[layer] = change
        else:
            lost.append(stem)
    for (stem, leaf), name in norms.items():
        place = _place(stem, tables)
        wanted = place and tables[place[0]].shapes.get(f"{place[1]}.{leaf}")
        if place is None or wanted is None:
            lost.append(stem)
        elif header.tensors[name].shape != wanted:
            raise _other_family(header, checkpoint, f"{name}: not {list(wanted)}")
        else:
            shifts.setdefault(place[0], {})[f"{place[1]}.{leaf}"] = name
    missing = [stem for stem in dict.fromkeys(lost) if _is_spelled(stem)]
    strange = [stem for stem in dict.fromkeys(lost) if not _is_spelled(stem)]
    if not layers and not shifts:
        if not missing and not family_of_lora(header):
            raise _strange(header, strange)
        raise _other_family(header, checkpoint, f"no layer in common, e.g. {lost[:3]}")
    strange += _unread(header, changes.values(), norms.values())
    return Matched(header, layers, shifts, tuple(missing), tuple(dict.fromkeys(strange)))


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
        layers, norms = found.layers.get(part, {}), found.norms.get(part, {})
        if layers or norms:
            _add(modules, layers, norms, found.header, lora.scale)
        counts.append(len(layers) + len(norms))
    return tuple(counts)


def _add(
    modules: Mapping[str, nn.Module],
    layers: Mapping[str, Change],
    norms: Mapping[str, str],
    header: Header,
    scale: float,
) -> None:
    import safetensors
    import torch

    with safetensors.safe_open(str(header.path), framework="pt", device="cpu") as file:

        def read(name: str) -> torch.Tensor:
            return file.get_tensor(name).to(torch.float32)

        for layer, change in layers.items():
            down, up = read(change.down), read(change.up)
            ratio = _ratio(header, change, down.shape[0], read)
            weight: Any = modules[layer].weight
            delta = (scale * ratio) * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
            if not torch.isfinite(delta).all():
                raise _damaged(header, f"{change.down}: not finite")
            weight.data = weight.data + delta
        for parameter, name in norms.items():
            layer, _, leaf = parameter.rpartition(".")
            shift = scale * read(name)
            if not torch.isfinite(shift).all():
                raise _damaged(header, f"{name}: not finite")
            value: Any = getattr(modules[layer], leaf)
            value.data = value.data + shift


def _ratio(header: Header, change: Change, rank: int, read: Callable[[str], torch.Tensor]) -> float:
    """alpha / rank, or what stands for it."""
    if change.scale:
        return float(read(change.scale))
    alpha = float(read(change.alpha)) if change.alpha else _stated_alpha(header, change)
    return 1.0 if alpha is None else alpha / _rank_divisor(header, change, rank)


def _unread(header: Header, changes: Iterable[Change], norms: Iterable[str]) -> list[str]:
    """What the file holds besides: words of an embedding, parts of an unknown kind …"""
    read = {name for c in changes for name in (c.down, c.up, c.alpha, c.scale)}.union(norms)
    return list(dict.fromkeys(n.rpartition(".")[0] or n for n in header.tensors if n not in read))


# --- reading the file ---------------------------------------------------------------------------


def _changes(header: Header) -> dict[str, Change]:
    """The file's pairs of matrices by layer, as the file names it."""
    for name in header.tensors:
        for mark, kind in _KINDS:
            if re.search(mark, name):
                raise SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    f"“{header.path.name}” is of the kind {kind}, which is not understood and "
                    "cannot be fused; choose a plain LoRA.",
                    name,
                )
    found: dict[str, Change] = {}
    for name in header.tensors:
        pair = _pair(name)
        if pair is None:
            continue
        stem, up = pair
        if up not in header.tensors:
            raise _damaged(header, f"{up} is missing")
        layer = _modern(stem)
        if layer in found:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{header.path.name}” holds several LoRAs for the same layers; choose a file with "
                "one.",
                f"{name} beside {found[layer].down}",
            )
        extras = [f"{stem}.{leaf}" for leaf in ("alpha", "scale")]
        found[layer] = Change(name, up, *(e if e in header.tensors else "" for e in extras))
    if not found and not _norms(header):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{header.path.name}” is not a LoRA; choose a “.safetensors” file made for use with "
            "a model.",
            f"{header.path}: {', '.join(list(header.tensors)[:5])}",
        )
    for change in found.values():
        _check_pair(header, change)
    return found


def _pair(name: str) -> tuple[str, str] | None:
    """The layer whose first matrix is called `name`, and the second matrix' name."""
    for pattern, first, second in _PAIRS:
        if match := pattern.fullmatch(name):
            head, _, tail = name.rpartition(first)
            return match[1], f"{head}{second}{tail}"
    return None


def _norms(header: Header) -> dict[tuple[str, str], str]:
    """Names of LyCORIS' differences, by layer and parameter."""
    return {
        (_modern(name.removesuffix(end)), leaf): name
        for name, tensor in header.tensors.items()
        for end, leaf in _NORMS.items()
        if name.endswith(end) and tensor.dtype in FLOATS
    }


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
        and all(header.tensors[n].count == 1 for n in (change.alpha, change.scale) if n)
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
        data = parse_json(text)
    except UnreadableFile:  # a note of another tool; the rank counts as alpha
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
    """Of every parameter, by canonical name."""
    spellings: Mapping[str, str]
    """A layer's canonical name by every dotted spelling, and by every one with underscores."""


def _layer_names(part: Part) -> _LayerNames:
    shapes = {canonical(name): place.shape for name, place in part.tensors.items()}
    original_names = None
    if part.name == "unet" and (shape := original.shape_of_config(part.config)):
        original_names = original.unet_names(shape)
    spellings: dict[str, str] = {}
    for layer in (n.removesuffix(".weight") for n in shapes if n.endswith(".weight")):
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
    stem = _unwrapped(stem)
    for prefixes in (_FLAT_PREFIXES, _DOTTED_PREFIXES):
        for prefix, parts in prefixes.items():
            if not stem.startswith(prefix):
                continue
            for part in parts:
                layer = part in tables and tables[part].spellings.get(stem.removeprefix(prefix))
                if layer:
                    return part, layer
    return None


def _unwrapped(stem: str) -> str:
    """A layer's name without what peft, or saving twice, put before it."""
    stem = stem.replace(_PEFT_PREFIX, "", 1)
    for wrapper in _WRAPPERS:
        while stem.startswith(2 * wrapper):
            stem = stem.removeprefix(wrapper)
    return stem


def _is_spelled(stem: str) -> bool:
    """Whether a layer's name is one of the known spellings, and so means what the model lacks."""
    starts = (*_FLAT_PREFIXES, *filter(None, _DOTTED_PREFIXES))
    plain = _unwrapped(stem)
    return plain.startswith(starts) or _BARE.match(plain) is not None


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
        if "attn2_to_k" in name.replace(".", "_") and _pair(name):
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


def _strange(header: Header, stems: Sequence[str]) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"“{header.path.name}” names its layers in a way that is not understood; choose a version "
        "of it made for diffusers, ComfyUI or A1111.",
        f"{header.path}: {', '.join(stems[:5])}",
    )


def _damaged(header: Header, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The LoRA “{header.path.name}” is damaged; download it again.",
        f"{header.path}: {detail}",
    )
