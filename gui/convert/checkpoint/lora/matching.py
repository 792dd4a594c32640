"""Lay a LoRA beside a model: which of its layers the model has, and what is left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gui.convert.checkpoint.lora.families import family_of_lora, other_family
from gui.convert.checkpoint.lora.layers import Layers, Target, is_spelled
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.kinds import Change, LoraFile, fits, result_shape


@dataclass(frozen=True)
class Matched:
    """A LoRA laid beside a model."""

    file: LoraFile
    layers: Mapping[str, Mapping[str, Change]]
    """By part, then by the layer's canonical name."""
    missing: tuple[str, ...]
    """Layers the model does not have."""
    not_understood: tuple[str, ...]
    """Whatever else the file holds."""

    @property
    def placed(self) -> int:
        """How many layers it changes."""
        return sum(len(part) for part in self.layers.values())

    def notes(self) -> tuple[str, ...]:
        """What is left out, one sentence for each reason."""
        total = self.placed + len(self.missing) + len(self.not_understood)
        name = self.file.path.name
        reasons = {
            "have no counterpart in the model": self.missing,
            "are not understood": self.not_understood,
        }
        return tuple(
            f"{len(names)} of {total} layers of “{name}” {reason} and are left out."
            for reason, names in reasons.items()
            if names
        )


def match(file: LoraFile, target: Target) -> Matched:
    """Find the layers of a model that a LoRA changes.

    Raises:
        SfumatoError: where it belongs to another family, or none of its layers is understood.
    """
    layers: dict[str, dict[str, Change]] = {}
    lost: list[str] = []
    for stem, change in file.changes.items():
        place = target.place(stem)
        if place is None or not _has(target.parts[place[0]], place[1], file, change):
            lost.append(stem)
            continue
        part, layer = place
        shapes = target.parts[part].shapes
        weight, bias = shapes.get(f"{layer}.weight"), shapes.get(f"{layer}.bias")
        if not (fits(file.header, change, weight) and _bias_fits(file, change, bias)):
            shape = result_shape(file.header, change)
            detail = f"{part}: {change.first}: {list(shape)}, not {list(weight or bias or ())}"
            raise other_family(file, target.family, detail)
        layers.setdefault(part, {})[layer] = change
    missing = tuple(stem for stem in lost if is_spelled(stem))
    strange = [stem for stem in lost if not is_spelled(stem)]
    if not layers:
        if not missing and not family_of_lora(file):
            raise _strange(file, strange)
        raise other_family(file, target.family, f"no layer in common, e.g. {lost[:3]}")
    return Matched(file, layers, missing, tuple(dict.fromkeys([*strange, *file.unread])))


def _has(layers: Layers, layer: str, file: LoraFile, change: Change) -> bool:
    """Whether the layer has what the change is added to."""
    wanted = [".weight"] if result_shape(file.header, change) else []
    wanted += [".bias"] if {"bias", "lora_bias"} & change.tensors.keys() else []
    return all(layer + leaf in layers.shapes for leaf in wanted)


def _bias_fits(file: LoraFile, change: Change, bias: tuple[int, ...] | None) -> bool:
    names = (change.tensors[role] for role in ("bias", "lora_bias") if role in change.tensors)
    return all(bias is not None and file.header.tensors[n].count == bias[0] for n in names)


def _strange(file: LoraFile, stems: Sequence[str]) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"“{file.path.name}” names its layers in a way that is not understood; choose a version "
        "of it made for diffusers, ComfyUI or A1111.",
        f"{file.path}: {', '.join(stems[:5])}",
    )
