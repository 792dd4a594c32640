"""Plain descriptions of a Core ML Stable Diffusion model, as read from its files.

`gui.coreml.inspect` fills these in; runtimes, pipeline and window read them.  No numpy, torch or
coremltools here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gui.picture_sizes import PictureSizes
from gui.records import Record


class ComponentKind(StrEnum):
    """One network of a model.  Values are Apple's package suffixes."""

    TEXT_ENCODER = "text_encoder"
    TEXT_ENCODER_2 = "text_encoder_2"
    TEXT_ENCODER_T5 = "text_encoder_t5"
    UNET = "unet"
    CONTROL_UNET = "control-unet"
    REFINER = "refiner"
    MMDIT = "mmdit"
    VAE_DECODER = "vae_decoder"
    VAE_ENCODER = "vae_encoder"
    SAFETY_CHECKER = "safety_checker"
    CONTROLNET = "controlnet"
    PICTURE = "picture"
    """Picture in, picture out: an upscaler.  No part of a Stable Diffusion model."""


class Family(StrEnum):
    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"
    SDXL_REFINER = "sdxl-refiner"
    SD3 = "sd3"
    UNKNOWN = "unknown"


CONTEXT_FAMILIES = {
    768: Family.SD1,
    1024: Family.SD2,
    2048: Family.SDXL,
    1280: Family.SDXL_REFINER,
}
"""Width of the text context → family."""


class UNetKind(StrEnum):
    """What a UNet is shown beside the latents, which its input channels tell."""

    STANDARD = "standard"
    INPAINT = "inpaint"
    """A mask, and the latents of the picture without what is masked."""
    INSTRUCT = "instruct"
    """The latents of the picture that is to be edited as it is told (InstructPix2Pix)."""
    DEPTH = "depth"
    """A depth map."""


class Attention(StrEnum):
    ORIGINAL = "original"
    SPLIT_EINSUM = "split_einsum"
    SPLIT_EINSUM_V2 = "split_einsum_v2"
    UNKNOWN = "unknown"


class FileFormat(StrEnum):
    PACKAGE = "mlpackage"
    COMPILED = "mlmodelc"


@dataclass(frozen=True)
class Flexibility(Record):
    """The shapes that an input may have: those of a list, or all within ranges."""

    shapes: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()
    """Least and most of each dimension; None: without end."""

    def allows(self, shape: Sequence[int]) -> bool:
        if self.shapes:
            return tuple(shape) in self.shapes
        return len(shape) == len(self.ranges) and all(
            low <= size and (high is None or size <= high)
            for size, (low, high) in zip(shape, self.ranges, strict=True)
        )


@dataclass(frozen=True)
class TensorSpec(Record):
    """One input or output.  `shape` is the default one where several are allowed, and holds None
    where nothing says what a size is; `dtype` is a MIL name such as ``fp16``, ``fp32``, ``int32``;
    or ``image``, ``image-bgr`` where Core ML itself wants a picture: runtimes take and give
    [1, channels, height, width] of 0…255 in RGB for it."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    optional: bool = False
    flexible: Flexibility | None = None
    """Of an input: which other shapes it takes; None: no others."""

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape can be given for it."""
        fits = len(shape) == len(self.shape) and all(
            want is None or have == want for have, want in zip(shape, self.shape, strict=True)
        )
        return fits or (self.flexible is not None and self.flexible.allows(shape))


CLIP_PLACES = 77
"""Tokens that CLIP reads at once, start and end among them: a chunk of text."""


MAX_CLIP_SKIP = 12
"""CLIP's layers, at most as many as are left out."""


def clip_skip_output(layers: int) -> str:
    """A text encoder's output for a clip skip, as web UIs count it, of 2 or more."""
    return f"clip_skip_{layers}"


def chunks_of_text(context: TensorSpec | None, places: int = CLIP_PLACES) -> int | None:
    """How many chunks of text a UNet reads; None: any number.

    Args:
        context: its input `encoder_hidden_states`; None: it has none.
        places: tokens of a chunk.
    """
    shape = context.shape if context is not None else ()
    if len(shape) < 3:
        return 1
    tokens = shape[3] if len(shape) == 4 else shape[1]  # Apple's layout has channels first
    return None if tokens is None else max(1, tokens // places)


@dataclass(frozen=True)
class ComponentInfo(Record):
    """One network on disk.  A chunked UNet has two `files`, to be run one after the other with
    tensors chained by name; `inputs` and `outputs` are then those of the whole chain."""

    kind: ComponentKind
    files: tuple[Path, ...]
    format: FileFormat
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    attention: Attention = Attention.UNKNOWN
    compression: str = ""
    """Readable storage form: "" (none), "6-bit palette", "8-bit linear", "mixed palette" …"""
    spec_version: int = 0
    """Core ML specification version: 7 = macOS 13, 8 = macOS 14, 9 = macOS 15, 10 = macOS 26."""
    function: str = ""
    """Function to call in a multifunction package; empty: the only or default one."""
    functions: tuple[str, ...] = ()
    size_bytes: int = 0
    name: str = ""
    """ControlNet's own name; empty for every other kind."""
    unknown_operations: tuple[str, ...] = ()
    """What only Core ML itself can compute (see `gui.coreml.operations`)."""
    metadata: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """What the files call those inputs and outputs that bear other names here (see
    `gui.coreml.dialect`)."""
    halvings: int = 0
    """How often a UNet halves what it works on, as far as its operations tell; 0: they do not."""

    @property
    def is_flexible(self) -> bool:
        """Whether an input may have several shapes."""
        return any(t.flexible for t in self.inputs)

    def input(self, name: str) -> TensorSpec | None:
        return next((t for t in self.inputs if t.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        return next((t for t in self.outputs if t.name == name), None)


@dataclass(frozen=True)
class ModelInfo(Record):
    """A folder of components, seen as one text-to-image model."""

    folder: Path
    name: str
    components: dict[ComponentKind, ComponentInfo]
    controlnets: tuple[ComponentInfo, ...]
    family: Family
    attention: Attention
    compression: str
    latent_channels: int
    latent_height: int
    latent_width: int
    image_height: int
    image_width: int
    unet_batch: int
    context_channels: int
    minimum_macos: str
    """Oldest macOS the files declare, e.g. "13"."""
    size_bytes: int
    prediction_type: str = ""
    """What the UNet predicts, by diffusers' name; empty: nothing known."""
    prediction_known_by: str = ""
    """How that is known, a `gui.coreml.prediction.KnownBy`."""
    problems: tuple[str, ...] = ()
    """One sentence each; empty when the model can be used."""
    notes: tuple[str, ...] = ()
    """Things worth knowing that do not stop use (no encoder: no image-to-image …)."""
    unet_kind: UNetKind = UNetKind.STANDARD
    sizes: PictureSizes | None = None
    """The sizes of pictures that its networks draw as they are; None: one alone."""

    @property
    def usable(self) -> bool:
        return not self.problems

    @property
    def text_chunks(self) -> int | None:
        """How many times 75 tokens of a prompt are read; None: any number."""
        kinds = (ComponentKind.UNET, ComponentKind.CONTROL_UNET)
        unet = next((self.components[kind] for kind in kinds if kind in self.components), None)
        return chunks_of_text(unet.input("encoder_hidden_states") if unet else None)

    @property
    def clip_skip(self) -> int:
        """The largest clip skip that the text encoders offer; 1: none."""
        kinds = (ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2)
        encoders = [self.components[kind] for kind in kinds if kind in self.components]

        def offered(layers: int) -> bool:
            return all(encoder.output(clip_skip_output(layers)) for encoder in encoders)

        found = range(2, MAX_CLIP_SKIP + 1) if encoders else ()
        return max((layers for layers in found if offered(layers)), default=1)

    @property
    def may_skip_layers(self) -> bool:
        """Whether a clip skip has an effect, or its text encoders may be given one: their files
        are packages (`gui.convert.patch.clip_skip`)."""
        kinds = (ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2)
        encoders = [self.components[kind] for kind in kinds if kind in self.components]
        are_packages = all(each.format is FileFormat.PACKAGE for each in encoders)
        return self.clip_skip > 1 or (bool(encoders) and are_packages)

    @property
    def has_image_to_image(self) -> bool:
        return ComponentKind.VAE_ENCODER in self.components
