"""What a conversion is asked for and what it says of itself.

Plain frozen dataclasses that cross the process boundary as JSON.  Standard library only: the window
imports this.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gui.coreml.model import CLIP_PLACES, Attention, ComponentKind, Family
from gui.errors import SfumatoError
from gui.process.messages import Event
from gui.records import Record

TEXT_TOKENS = tuple(chunks * CLIP_PLACES for chunks in (1, 2, 3))
"""Lengths of text that a UNet can be made for."""

REPORT = "conversion.json"
"""File in a finished model's folder: a `ConvertReport`."""

PSNR_WARNING = 35.0
"""Decibels below which a component's parity is reported as a warning: Apple's converter asks 35 dB
of every component (`python_coreml_stable_diffusion.torch2coreml`, ABSOLUTE_MIN_PSNR), uncompressed
ones; palettized ones are measured and reported against it too, and warned of in other words."""


class Compression(StrEnum):
    NONE = "none"
    """float16"""
    PALETTE_8 = "palette-8"
    PALETTE_6 = "palette-6"
    PALETTE_4 = "palette-4"
    PALETTE_2 = "palette-2"
    PALETTE_1 = "palette-1"
    PALETTE_MIXED = "palette-mixed"
    """Bits per weight chosen tensor by tensor, see `gui.convert.package.compress`."""
    LINEAR_8 = "linear-8"


@dataclass(frozen=True)
class Lora(Record):
    """A LoRA file to add to a model's weights."""

    path: str
    scale: float = 1.0
    text_scale: float | None = None
    """Of the text encoders; None: as `scale`."""

    def scale_of(self, part: str) -> float:
        """The weight in a network: unet, text_encoder, text_encoder_2."""
        is_text = part.startswith("text_encoder")
        return self.text_scale if is_text and self.text_scale is not None else self.scale


@dataclass(frozen=True)
class ImageSize(Record):
    """Pixels, multiples of 64."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class ConvertRequest(Record):
    """Everything that decides a conversion."""

    source: str
    """A diffusers folder or a `.safetensors` file on this disk."""
    output: str
    """Folder to make; its parent must exist.  Must not exist yet, or hold an unfinished run of this
    very conversion."""
    name: str = ""
    """For people; empty: from the source."""
    components: tuple[ComponentKind, ...] = ()
    """Empty: all the source has of text encoders, UNet, VAE decoder and encoder, safety checker."""
    attention: Attention = Attention.SPLIT_EINSUM
    sizes: tuple[ImageSize, ...] = ()
    """Empty: the family's own.  Several make one model folder each below `output`, named like
    ``512x768``; files that are equal to the byte are stored once (hard links)."""
    unet_batch: int = 2
    """2: guidance in one call.  1: two calls, less memory."""
    chunked: bool = False
    """The UNet as two packages instead of one."""
    keep_whole: bool = False
    """Of a UNet in two also the whole one, which Apple's own pipeline loads."""
    compression: Compression = Compression.NONE
    """Of the UNet (chunks too), and of text encoders where it does no harm; see `compress`."""
    evenly: bool = False
    """Text encoders are compressed as much as the UNet, as Apple's converter does it."""
    target: str = "macOS13"
    """Oldest macOS that shall run it: macOS13, macOS14, macOS15 or macOS26."""
    loras: tuple[Lora, ...] = ()
    controlnets: tuple[str, ...] = ()
    """Local diffusers folders or `.safetensors` files of ControlNets to convert along."""
    control_ready: bool = False
    """Also write a UNet that takes ControlNets' residuals; implied by `controlnets`."""
    prediction_type: str = ""
    """What the UNet predicts, by diffusers' names, where a person knows better than the source's
    files (single files of Stable Diffusion 2 often do not say); empty: as these say."""
    compiled: bool = False
    """Also compile for the Swift apps (`Resources`, vocab.json, merges.txt); macOS only."""
    check: bool = True
    """Measure parity with the source network after each component."""
    vae: str = ""
    """Folder or file of a VAE to use instead of the source's; empty: none."""
    refiner: str = ""
    """Checkpoint of a Stable Diffusion XL refiner to convert along; empty: none."""
    source_repo: str = ""
    """Where the source came from, for the sidecar."""
    source_revision: str = ""
    text_tokens: int = CLIP_PLACES
    """Tokens of text that the UNet and its ControlNets read: 77, 154 or 231, which is 75, 150 or
    225 of a prompt."""
    clip_skip: int = 1
    """The largest clip skip that the text encoders shall offer, as web UIs count it: 1 is the last
    layer alone, 2 also the one before."""


@dataclass(frozen=True)
class SourceInfo(Record):
    """What a source is, told from headers and configs alone, in well under a second."""

    path: str
    name: str
    single_file: bool
    family: Family
    prediction_type: str
    """As stated, or by the rules of the family."""
    components: tuple[ComponentKind, ...]
    size: ImageSize
    """The family's own picture size, or what the config says."""
    parameters: int
    """Of all components."""
    unet_parameters: int
    bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate(Record):
    """What a conversion will take; stated before it starts."""

    disk_bytes: int
    """Of the finished model."""
    scratch_bytes: int
    """Needed besides while working."""
    memory_bytes: int
    """Peak of the converting process."""
    seconds: float
    """Rough."""
    free_disk_bytes: int = 0
    machine_memory_bytes: int = 0
    warnings: tuple[str, ...] = ()
    """Too little disk or memory, one sentence each."""


@dataclass(frozen=True)
class Parity(Record):
    """One component against its source network on the same inputs."""

    component: ComponentKind
    name: str
    """File that was measured; with the size's folder where there are several."""
    psnr: float
    """Decibels: 10·log10(peak² / mean squared error), peak = the reference's largest magnitude.
    Infinite values are written as 999."""
    max_error: float
    """Largest absolute difference."""
    threshold: float
    compared: str
    """Exactly what was compared with what, in a sentence."""
    warning: str = ""


@dataclass(frozen=True)
class ConvertReport(Record):
    """Lies beside the model as `conversion.json`, and is shown in the sheet."""

    request: ConvertRequest
    source: SourceInfo
    folders: tuple[str, ...]
    """Finished model folders, one per size."""
    parities: tuple[Parity, ...]
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()


class Step(StrEnum):
    READING = "reading"
    TRACING = "tracing"
    CONVERTING = "converting"
    COMPRESSING = "compressing"
    CHUNKING = "chunking"
    CHECKING = "checking"
    COMPILING = "compiling"
    FINISHING = "finishing"


@dataclass(frozen=True)
class Progress(Event):
    """An event of a running conversion."""

    component: str
    """What is being worked on, for people: ``UNet``, ``Text encoder`` …"""
    step: Step
    index: int
    """Components done, of `total` (several sizes count each)."""
    total: int
    fraction: float
    """Of the whole conversion by estimated time, 0 to 1, never falling."""
    message: str = ""
    """A line for the log; may be empty."""
    parity: Parity | None = None
    """When a component has been checked."""
    resumed: bool = False
    """The component was found finished by an earlier, interrupted run."""


@dataclass(frozen=True)
class Ended:
    """What came of a conversion: exactly one of report, error, or cancelled."""

    report: ConvertReport | None = None
    error: SfumatoError | None = None
    cancelled: bool = False
