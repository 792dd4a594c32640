"""Which file is which network: Apple's package names and the Swift resource names.

Apple's converter writes `Stable_Diffusion_version_<anything>_<suffix>.mlpackage`; the resources for
the Swift apps are called `Unet.mlmodelc`, `TextEncoder.mlmodelc` and so on.  Both are matched at
the end of the name, whatever comes before.  Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from gui.coreml.model import ComponentKind, FileFormat
from gui.files import is_folder
from gui.names import is_debris, is_safe

EXTENSIONS = {".mlpackage": FileFormat.PACKAGE, ".mlmodelc": FileFormat.COMPILED}

MODEL_PATH = "@model_path/"
"""What the names of weight files begin with in programs."""

PACKAGE_ENDINGS = tuple(EXTENSIONS)

CONTROLNET_FOLDER = "controlnet"
"""Folder in which the Swift apps keep ControlNets, one file each."""

LEADING = ("controlnet_", "t2iadapter_")
"""Beginnings of the names of networks that lead a UNet by a picture."""

VARIANT_FOLDERS = frozenset(
    {"packages", "compiled", "original", "split_einsum", "split-einsum", "split_einsum_v2",
     "split-einsum-v2", "resources"}
)  # fmt: skip
"""Folder names that tell variants of one model apart and say nothing of the model itself."""

# Longer names first: "unet" ends "control-unet", "text_encoder" begins "text_encoder_2".
_SUFFIXES: tuple[tuple[str, ComponentKind], ...] = (
    ("text_encoder_2", ComponentKind.TEXT_ENCODER_2),
    ("textencoder2", ComponentKind.TEXT_ENCODER_2),
    ("text_encoder_t5", ComponentKind.TEXT_ENCODER_T5),
    ("textencodert5", ComponentKind.TEXT_ENCODER_T5),
    ("text_encoder", ComponentKind.TEXT_ENCODER),
    ("textencoder", ComponentKind.TEXT_ENCODER),
    ("control-unet", ComponentKind.CONTROL_UNET),
    ("controlledunet", ComponentKind.CONTROL_UNET),
    ("unetrefiner", ComponentKind.REFINER),
    ("refiner", ComponentKind.REFINER),
    ("unet", ComponentKind.UNET),
    ("multimodaldiffusiontransformer", ComponentKind.MMDIT),
    ("mmdit", ComponentKind.MMDIT),
    ("vae_decoder", ComponentKind.VAE_DECODER),
    ("vaedecoder", ComponentKind.VAE_DECODER),
    ("vae_encoder", ComponentKind.VAE_ENCODER),
    ("vaeencoder", ComponentKind.VAE_ENCODER),
    ("safety_checker", ComponentKind.SAFETY_CHECKER),
    ("safetychecker", ComponentKind.SAFETY_CHECKER),
)
_CHUNK = re.compile(r"_?chunk([12])$")
_APPLE_PREFIX = "stable_diffusion_version_"


@dataclass(frozen=True)
class FileRole:
    """What a file's name says it is."""

    kind: ComponentKind
    chunk: int = 0
    """1 or 2 for half of a network, 0 for a whole one."""
    prefix: str = ""
    """Text before the suffix: the model's name in Apple's scheme, empty in Swift's."""


def role_of(path: PurePath) -> FileRole | None:
    """The network that `path` is named after; None for a name of neither scheme."""
    stem = path.stem
    for prefix in LEADING:
        if stem.lower().startswith(prefix):
            return FileRole(ComponentKind.CONTROLNET, prefix=stem[len(prefix) :])
    if path.parent.name.lower() == CONTROLNET_FOLDER:
        return FileRole(ComponentKind.CONTROLNET, prefix=stem)
    lower = stem.lower()
    chunk = 0
    if match := _CHUNK.search(lower):
        chunk = int(match.group(1))
        lower = lower[: match.start()]
    for suffix, kind in _SUFFIXES:
        head = lower.removesuffix(suffix)
        if head == lower or (head and head[-1] not in "_-. "):
            continue
        prefix = stem[: len(head)].rstrip("_-. ")
        if prefix.lower().startswith(_APPLE_PREFIX):
            prefix = prefix[len(_APPLE_PREFIX) :]
        return FileRole(kind, chunk, prefix)
    return None


def is_package_name(name: str) -> bool:
    """Whether a file or folder of this name is one network, or claims to be."""
    return name.lower().endswith(PACKAGE_ENDINGS)


def model_files(folder: Path) -> list[Path]:
    """The `.mlpackage` and `.mlmodelc` folders directly in `folder`, by name; or links to some.

    Raises:
        OSError: the folder cannot be listed.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not is_hidden(path.name) and is_folder(path)
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder beside a model's is none of its: hidden, or debris."""
    return name.startswith(".") or is_debris(name)


def controlnet_files(folder: Path) -> list[Path]:
    """ControlNets in the Swift apps' subfolder."""
    return [
        file
        for sub in sorted(folder.iterdir())
        if sub.name.lower() == CONTROLNET_FOLDER and is_folder(sub)
        for file in model_files(sub)
    ]


def weight_file(root: Path, name: str) -> Path | None:
    """The weight file that a program calls ``@model_path/weights/…``; None where the name leads out
    of the folder `root` that ``@model_path`` stands for."""
    relative = name.removeprefix(MODEL_PATH)
    return root / relative if is_safe(relative) else None


def find_variants(folder: Path, depth: int = 2) -> list[Path]:
    """Folders that hold model files: `folder` itself, else those up to `depth` levels below.

    Repositories keep several forms of one model apart as `original/packages`,
    `split_einsum/compiled` and the like.  A link to a folder is as good as one, but what is found
    under two names counts once, by the name that is no link.

    Raises:
        OSError: a folder cannot be listed, or a link leads nowhere.
    """
    found: dict[Path, Path] = {}
    for place in _places(folder, depth):
        real = place.resolve()
        if real not in found or (_has_link(found[real], folder) and not _has_link(place, folder)):
            found[real] = place
    return sorted(found.values())


def _places(folder: Path, depth: int) -> Iterator[Path]:
    if model_files(folder):
        yield folder
    elif depth > 0:
        for sub in sorted(folder.iterdir()):
            if is_folder(sub) and not is_hidden(sub.name) and sub.name.lower() != CONTROLNET_FOLDER:
                yield from _places(sub, depth - 1)


def _has_link(place: Path, root: Path) -> bool:
    while place != root:
        if place.is_symlink():
            return True
        place = place.parent
    return False
