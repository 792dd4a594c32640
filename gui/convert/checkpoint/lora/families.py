"""The family a LoRA was made for."""

from __future__ import annotations

from collections.abc import Mapping

from gui.convert.checkpoint import unsupported
from gui.convert.checkpoint.checkpoint import CONTEXT_WIDTHS, family_name
from gui.convert.checkpoint.lora.kinds import LoraFile, ends, result_shape
from gui.convert.checkpoint.safetensors_header import Header, Tensor
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError

_STATED = ("ss_base_model_version", "modelspec.architecture", "sd_version")


def family_of_lora(file: LoraFile) -> str:
    """The family a LoRA was made for, for people; empty where nothing tells."""
    header = file.header
    if family := unsupported.family_of_names(_dotted(header.tensors)):
        return family
    known = known_family(file)
    if known is not None:
        return family_name(known)
    return "FLUX.1" if "flux" in _stated(header) else ""


def known_family(file: LoraFile) -> Family | None:
    """The family where it is one of those that can be converted."""
    for stem, change in file.changes.items():
        if "attn2_to_k" in stem.replace(".", "_"):
            shape = result_shape(file.header, change)
            found = CONTEXT_WIDTHS.get(ends(shape[1:])[0]) if len(shape) > 1 else None
            if found is not None:
                return found
    if any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in file.header.tensors):
        return Family.SDXL
    stated = _stated(file.header)
    marks = (("xl", Family.SDXL), ("v2", Family.SD2), ("v1", Family.SD1))
    return next((family for mark, family in marks if mark in stated), None)


def _stated(header: Header) -> str:
    return " ".join(header.metadata.get(key, "") for key in _STATED).lower()


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


def other_family(file: LoraFile, family: Family, detail: str) -> SfumatoError:
    """The refusal of a LoRA that does not belong to a model of this family."""
    ours = family_name(family)
    theirs = family_of_lora(file)
    name = file.path.name
    if theirs and theirs != ours:
        sentence = (
            f"“{name}” is a LoRA for {theirs}, but the model is {ours}; choose one made for {ours}."
        )
    else:
        sentence = (
            f"“{name}” is a LoRA for another model than this {ours} one: its layers do not fit; "
            "choose one made for this model."
        )
    return SfumatoError(ErrorKind.BAD_MODEL, sentence, f"{file.path}: {detail}")
