"""Compiled models and vocabulary under the names that the Swift apps look for.  macOS only."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from gui.coreml.model import ComponentKind
from gui.coreml.names import CONTROLNET_FOLDER, model_files, role_of
from gui.errors import ErrorKind, SfumatoError

K = ComponentKind

FOLDER = "Resources"

_NAMES = {
    K.TEXT_ENCODER: "TextEncoder",
    K.TEXT_ENCODER_2: "TextEncoder2",
    K.UNET: "Unet",
    K.CONTROL_UNET: "ControlledUnet",
    K.REFINER: "UnetRefiner",
    K.VAE_DECODER: "VAEDecoder",
    K.VAE_ENCODER: "VAEEncoder",
    K.SAFETY_CHECKER: "SafetyChecker",
}

Compile = Callable[[Path, Path], None]
"""(package, `.mlmodelc` to make)"""


def check_available() -> None:
    """Raises SfumatoError: UNSUPPORTED where Core ML's compiler does not exist."""
    if sys.platform != "darwin":
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "Models can be compiled for the Swift apps on a Mac only; leave that option out.",
        )


def compile_model(package: Path, compiled: Path) -> None:
    """Core ML's own compiler."""
    import coremltools as ct

    ct.models.utils.compile_model(str(package), str(compiled))


def write_resources(
    folder: Path, tokenizer: Iterable[Path], scratch: Path, compile_: Compile = compile_model
) -> Path:
    """Compile every package in `folder` into its `Resources`, with the tokenizer's files.

    Args:
        folder: of a finished model.
        tokenizer: vocab.json and merges.txt.
        scratch: a folder to work in; emptied first.  The compiler nests its result in whatever
            exists already, so it is given a path that does not.
        compile_: the compiler.
    """
    resources = folder / FOLDER
    shutil.rmtree(resources, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    resources.mkdir()
    for package in model_files(folder):
        place = resources / swift_name(package)
        place.parent.mkdir(exist_ok=True)
        compiled = scratch / place.name
        compile_(package, compiled)
        compiled.rename(place)
    for file in tokenizer:
        shutil.copyfile(file, resources / file.name)
    shutil.rmtree(scratch)
    return resources


def swift_name(package: Path) -> str:
    """Where a package's compiled form goes, relative to the resources' folder.

    ControlNets lie in a folder of their own, in title case without separators.
    """
    role = role_of(package)
    if role is None:
        return f"{package.stem}.mlmodelc"
    if role.kind is K.CONTROLNET:
        words = role.prefix.replace("-", " ").replace("_", " ").split()
        title = "".join(word[:1].upper() + word[1:] for word in words)
        return f"{CONTROLNET_FOLDER}/{title}.mlmodelc"
    chunk = f"Chunk{role.chunk}" if role.chunk else ""
    return f"{_NAMES[role.kind]}{chunk}.mlmodelc"
