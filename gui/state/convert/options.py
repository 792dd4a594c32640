"""What a person can choose in a conversion, in words, and what is best for this machine.

Pure functions, no Qt.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gui import files, paths, words
from gui.convert.client import partial_folder
from gui.convert.types import Compression, ConvertRequest, ImageSize, SourceInfo
from gui.coreml.model import Attention, Family
from gui.hub.types import DownloadState, DownloadStatus, Machine
from gui.names import first_free, folder_name
from gui.state import describe

TEXTS = (
    (77, "75 tokens of a prompt, as usual"),
    (154, "150 tokens"),
    (231, "225 tokens"),
)
"""How much of a prompt the UNet shall read."""

ATTENTIONS = (
    (
        Attention.SPLIT_EINSUM,
        "Neural Engine (split einsum)",
        "Fast and thrifty on every Apple chip; the best choice for most Macs.",
    ),
    (
        Attention.SPLIT_EINSUM_V2,
        "Neural Engine (split einsum v2)",
        "Quicker on the Neural Engine of newer chips; its first start takes longer.",
    ),
    (
        Attention.ORIGINAL,
        "GPU (original)",
        "Best on Macs with many GPU cores (Pro, Max, Ultra), and for Stable Diffusion XL.",
    ),
)

COMPRESSIONS = (
    (Compression.NONE, "None (16-bit)", "Exactly the source’s quality."),
    (Compression.PALETTE_8, "8-bit palette", "Half the size; no difference to be seen."),
    (Compression.LINEAR_8, "8-bit linear", "Half the size, and the quickest to make."),
    (Compression.PALETTE_6, "6-bit palette", "Well under half the size; details may differ."),
    (Compression.PALETTE_MIXED, "Mixed palette", "Bits given to the layers that need them most."),
    (Compression.PALETTE_4, "4-bit palette", "A quarter of the size; pictures change visibly."),
    (Compression.PALETTE_2, "2-bit palette", "An eighth of the size; for experiments."),
    (Compression.PALETTE_1, "1-bit palette", "A sixteenth of the size; for experiments."),
)

_BITS = {
    Compression.NONE: 16.0,
    Compression.PALETTE_8: 8.0,
    Compression.LINEAR_8: 8.0,
    Compression.PALETTE_6: 6.0,
    Compression.PALETTE_MIXED: 4.5,
    Compression.PALETTE_4: 4.0,
    Compression.PALETTE_2: 2.0,
    Compression.PALETTE_1: 1.0,
}
"""Bits per weight, for the rough sizes in the menu; the estimate below it is the converter's own.
Of the mixed palette this is a guess: its recipe decides."""

TARGETS = (
    ("macOS13", "macOS 13 or later"),
    ("macOS14", "macOS 14 or later"),
    ("macOS15", "macOS 15 or later"),
    ("macOS26", "macOS 26 or later"),
)

PREDICTIONS = (
    ("", "As the source says"),
    *((name, words.PREDICTIONS[name]) for name in ("epsilon", "v_prediction")),
)
"""What a UNet may predict, and how it is called; the first is the source's own statement."""


def stated_prediction(info: SourceInfo) -> str:
    """The first of `PREDICTIONS`, with what the source says in words."""
    known = {value: text.partition(" ")[0].lower() for value, text in PREDICTIONS}
    return f"As the source says: {known.get(info.prediction_type, info.prediction_type)}"


_SHAPES = {
    512: ((512, 512), (512, 768), (768, 512), (640, 640)),
    768: ((768, 768), (768, 1024), (1024, 768), (512, 512)),
    1024: ((1024, 1024), (896, 1152), (1152, 896), (832, 1216), (1216, 832), (768, 768)),
}
"""Sizes on offer by the family's own side; those of 1024 are buckets SDXL was trained on."""

MANY_CORES = 8
"""Performance cores from which the GPU beats the Neural Engine (the rule of the Hugging Face
Diffusers app for macOS)."""

MEMORY_SHARE = 6
"""The UNet's weights should fit into this part of the memory, so that pictures leave room for other
programs.  Our own rule of thumb: 16 GB take Stable Diffusion 1 uncompressed, 8 GB at 6 bits."""


@dataclass(frozen=True)
class Recommendation:
    """What is recommended, and the sentence that says why."""

    attention: Attention
    compression: Compression
    target: str
    reason: str


def size_presets(info: SourceInfo) -> tuple[ImageSize, ...]:
    """Picture sizes worth offering for a source, its own first."""
    side = max(info.size.width, info.size.height)
    shapes = _SHAPES[min(_SHAPES, key=lambda known: abs(known - side))]
    sizes = [info.size, *(ImageSize(*shape) for shape in shapes)]
    return tuple(dict.fromkeys(sizes))


def parse_sizes(text: str) -> tuple[ImageSize, ...]:
    """Sizes typed as ``640x448, 512 × 512``.

    Raises:
        ValueError: with a sentence, where something is no size or no multiple of 64.
    """
    sizes: list[ImageSize] = []
    for part in re.split(r"[,;]", text):
        match = re.fullmatch(r"\s*(\d{1,5})\s*[x×X*]\s*(\d{1,5})\s*", part)
        if match is None:
            if not part.strip():
                continue
            raise ValueError(f"“{part.strip()}” is not a picture size; write it like 512x768.")
        width, height = int(match[1]), int(match[2])
        if width % 64 or height % 64 or not width or not height:
            raise ValueError(f"{width} × {height} will not do: both must be multiples of 64.")
        sizes.append(ImageSize(width, height))
    return tuple(dict.fromkeys(sizes))


def compressed_bytes(info: SourceInfo, compression: Compression) -> int:
    """Roughly how many bytes the finished model takes: the UNet compressed, the rest 16-bit."""
    rest = max(0, info.parameters - info.unet_parameters)
    return round(info.unet_parameters * _BITS[compression] / 8 + rest * 2)


def recommended(info: SourceInfo, machine: Machine) -> Recommendation:
    """What suits this source on this machine best."""
    many = machine.performance_cores >= MANY_CORES
    large = info.family in (Family.SDXL, Family.SDXL_REFINER)
    if not machine.apple_silicon:
        attention = Attention.SPLIT_EINSUM
        reason = "Runs on the Neural Engine of any Apple chip"
    elif many or large:
        attention = Attention.ORIGINAL
        what = "XL models run best on the GPU" if large and not many else "This Mac’s GPU is strong"
        reason = what
    else:
        attention = Attention.SPLIT_EINSUM
        reason = "This Mac’s Neural Engine is its quickest part"
    compression = _compression(info, machine.memory_bytes)
    if compression is not Compression.NONE:
        memory = words.memory(machine.memory_bytes)
        reason += f"; with {memory} of memory a compressed model leaves room for other programs"
    return Recommendation(attention, compression, _target(machine, compression), reason + ".")


def _compression(info: SourceInfo, memory: int) -> Compression:
    if memory <= 0:
        return Compression.NONE
    for compression in (Compression.NONE, Compression.PALETTE_6):
        if info.unet_parameters * _BITS[compression] / 8 <= memory / MEMORY_SHARE:
            return compression
    return Compression.PALETTE_4


def _target(machine: Machine, compression: Compression) -> str:
    """From macOS 14 on, palettes are unpacked while running rather than at loading, which is what
    saves memory (Core ML Tools guide, “Palettization overview”)."""
    major = int(machine.macos.split(".")[0]) if machine.macos[:1].isdigit() else 0
    return "macOS14" if compression is not Compression.NONE and major >= 14 else "macOS13"


def facts_line(info: SourceInfo) -> str:
    """What was recognised: ``Stable Diffusion XL · 3.5 billion weights · 6.94 GB``."""
    family = words.family(info.family)
    return f"{family} · {words.weights(info.parameters)} · {words.size(info.bytes)}"


def parity_text(psnr: float, threshold: float) -> str:
    """A component's likeness to its source in plain words."""
    if psnr >= 900:
        return "identical to the original"
    if psnr < threshold:
        return f"differs from the original: {psnr:.0f} dB"
    return f"matches the original: {psnr:.0f} dB"


def taken_names() -> frozenset[str]:
    """What there is in the library's folder.  Blocking."""
    return frozenset(file.name for file in files.children(paths.models_dir()))


def output_folder(name: str, taken: Collection[str]) -> Path:
    """A folder of the library for a model of this name that nothing else uses.  Looks at no disk.

    Args:
        taken: `taken_names`.
    """
    used = {one.casefold() for one in taken}  # on a Mac, letters of either case are the same name

    def is_taken(name: str) -> bool:
        return any(one.casefold() in used for one in (name, partial_folder(name).name))

    return paths.models_dir() / first_free(folder_name(name, "Converted model"), is_taken)


def existing_path(text: str) -> str:
    """The absolute path of a file or folder that was typed, ``~`` allowed; empty: there is none,
    or none that may be looked at.  Blocking."""
    return str(files.found(text) or "")


def is_checkpoint(path: str) -> bool:
    """Whether a file or folder is something to convert rather than to use: a safetensors file, or
    a folder as diffusers saves one.  Blocking."""
    file = Path(path)
    return file.suffix.lower() == ".safetensors" or files.is_file(file / "model_index.json")


def checkpoint_in(folder: str) -> str:
    """What to convert in a folder fetched from the Hub: the folder itself, or the one checkpoint
    file in it.  Blocking."""
    place = Path(folder)
    if not files.is_file(place / "model_index.json") and not files.is_file(place / "config.json"):
        found = [file for file in files.children(place) if file.suffix == ".safetensors"]
        if len(found) == 1:
            return str(found[0])
    return folder


def compression_text(compression: Compression) -> str:
    return next(text for value, text, _ in COMPRESSIONS if value is compression)


def described(request: ConvertRequest) -> str:
    """A request's choices in a line: ``Split einsum · 512 × 768 · 6-bit palette``."""
    sizes = ", ".join(words.pixels(s.width, s.height) for s in request.sizes)
    plain = request.compression is Compression.NONE
    compression = "" if plain else compression_text(request.compression)
    parts = (words.attention(request.attention), sizes, compression)
    return " · ".join(part for part in parts if part)


def fetch_text(status: DownloadStatus) -> str:
    """Where a download stands: ``Downloading: 1.20 GB of 4.27 GB · 5 min left``."""
    if status.state is DownloadState.PAUSED:
        return "The download is paused; go on with it in the list of downloads."
    if status.state is DownloadState.VERIFYING:
        return "Checking the download…"
    parts = (describe.download_amount(status), words.left(status.seconds_left))
    return "Downloading: " + " · ".join(part for part in parts if part)
