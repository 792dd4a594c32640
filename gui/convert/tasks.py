"""Which components a conversion makes, in which order, under which names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gui import words
from gui.convert.checkpoint.controlnet import ADAPTER
from gui.convert.types import ConvertRequest, ImageSize, SourceInfo
from gui.coreml.model import ComponentKind
from gui.files import UnreadableFile, read_json_object

K = ComponentKind

DENOISERS = (K.UNET, K.CONTROL_UNET, K.REFINER)

# Share of the whole time, roughly, measured on Stable Diffusion 1.5's networks.
_COST = {
    K.TEXT_ENCODER: 2.0,
    K.TEXT_ENCODER_2: 6.0,
    K.UNET: 20.0,
    K.CONTROL_UNET: 20.0,
    K.REFINER: 40.0,
    K.CONTROLNET: 9.0,
    K.VAE_DECODER: 2.0,
    K.VAE_ENCODER: 2.0,
    K.SAFETY_CHECKER: 3.0,
}

_NAME_BYTES = 150


@dataclass(frozen=True)
class Task:
    """One component at one size."""

    kind: ComponentKind
    size: ImageSize
    folder: str
    """Of the model, relative to the root of what is made; empty: the root itself."""
    shared: bool = False
    """Does not depend on the size: made once and linked into the other sizes' folders."""
    controlnet: str = ""
    """Path of the ControlNet's source."""
    adapter: bool = False
    """Whether that is a T2I-Adapter."""

    @property
    def key(self) -> str:
        """Names the task in the journal."""
        return "/".join(filter(None, (self.folder, self.kind.value, self.controlnet)))

    @property
    def name(self) -> str:
        """Within a sentence."""
        name = words.component(self.kind)
        if self.controlnet:
            name = f"{name} {plain_name(self.controlnet)}"
        return f"{name}, {self.size}" if self.folder and not self.shared else name

    @property
    def title(self) -> str:
        """At the beginning of a line."""
        return words.capital(self.name)

    @property
    def latent(self) -> tuple[int, int]:
        """Height and width of the latents."""
        return self.size.height // 8, self.size.width // 8

    @property
    def cost(self) -> float:
        """Time it takes, in no particular unit."""
        return _COST[self.kind]

    def file_name(self, version: str) -> str:
        """Name of the package by Apple's scheme.

        Args:
            version: of the model, see `plain_name`.
        """
        if self.controlnet:
            kind = "T2IAdapter" if self.adapter else "ControlNet"
            return f"{kind}_{plain_name(self.controlnet)}.mlpackage"
        return f"Stable_Diffusion_version_{version}_{self.kind.value}.mlpackage"


def sizes_of(request: ConvertRequest, info: SourceInfo) -> tuple[ImageSize, ...]:
    """The picture sizes to make, each once, in the order asked."""
    return tuple(dict.fromkeys(request.sizes)) or (info.size,)


def folder_of(size: ImageSize, sizes: tuple[ImageSize, ...]) -> str:
    """Where a size's model lies below the output folder."""
    return str(size) if len(sizes) > 1 else ""


def plan(request: ConvertRequest, info: SourceInfo) -> list[Task]:
    """Every component to make, in order."""
    sizes = sizes_of(request, info)
    wanted = request.components or info.components
    tasks = []
    for kind in (K.TEXT_ENCODER, K.TEXT_ENCODER_2):
        if kind in wanted:
            tasks.append(Task(kind, sizes[0], folder_of(sizes[0], sizes), shared=True))
    for size in sizes:
        folder = folder_of(size, sizes)
        for kind in _denoisers(request, wanted):
            tasks.append(Task(kind, size, folder))
        for path in request.controlnets:
            adapter = is_adapter(path)
            tasks.append(Task(K.CONTROLNET, size, folder, controlnet=path, adapter=adapter))
        for kind in (K.VAE_DECODER, K.VAE_ENCODER, K.SAFETY_CHECKER):
            if kind in wanted:
                tasks.append(Task(kind, size, folder))
    return tasks


def _denoisers(
    request: ConvertRequest, wanted: tuple[ComponentKind, ...]
) -> tuple[ComponentKind, ...]:
    kinds = [kind for kind in DENOISERS if kind in wanted]
    control = request.control_ready or bool(request.controlnets)
    if control and K.UNET in kinds and K.CONTROL_UNET not in kinds:
        kinds.insert(1, K.CONTROL_UNET)
    if request.refiner and K.UNET in kinds and K.REFINER not in kinds:
        kinds.append(K.REFINER)
    return tuple(kinds)


def is_adapter(path: str) -> bool:
    """Whether a ControlNet's source is a T2I-Adapter: diffusers' folder says so."""
    try:
        stated = read_json_object(Path(path) / "config.json")
    except (OSError, UnreadableFile):
        return False
    return stated.get("_class_name") == ADAPTER


def is_chunked(task: Task, request: ConvertRequest) -> bool:
    return request.chunked and task.kind in DENOISERS


def plain_name(text: str) -> str:
    """A name for files from a repository's or folder's: letters, digits and ``. _ -`` only.

    Of a path on this machine only the last part is taken: the rest is nobody's business.  It is cut
    so that file names made with it stay within what file systems take (255 bytes).
    """
    if Path(text).is_absolute() or text.startswith((".", "~")):
        text = Path(text).name.removesuffix(".safetensors")
    plain = re.sub(r"[^\w.-]+", "_", text.replace("--", "_")).strip("_.")
    short = plain.encode()[:_NAME_BYTES].decode(errors="ignore").rstrip("_.")
    return short or "model"


def version_of(request: ConvertRequest, info: SourceInfo) -> str:
    """What the packages' metadata call the source: its repository, or its name."""
    return request.source_repo or request.name or Path(info.name).name
