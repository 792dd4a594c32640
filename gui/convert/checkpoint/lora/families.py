"""The family a LoRA was made for, in words, and the refusal of one that was made for another."""

from __future__ import annotations

from gui.convert.checkpoint.checkpoint import family_name
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.families import foreign_family, known_family
from gui.library.lora_files.kinds import LoraFile


def family_of_lora(file: LoraFile) -> str:
    """The family a LoRA was made for, for people; empty where nothing tells."""
    if family := foreign_family(file):
        return family
    known = known_family(file)
    return family_name(known) if known is not None else ""


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
