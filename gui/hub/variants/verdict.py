"""Will a variant do on a machine, why, and which one is best?

Only what follows from files and from published figures is said; no speeds are made up.  The choice
between the GPU and the Neural Engine is that of the Hub's own Mac app: eight performance cores or
more mean a chip whose GPU is the faster one (published for Stable Diffusion 1.5, 20 steps: M1 Max
9.0 s on the GPU and 20.4 s on the Neural Engine; M1 32.8 s and 18.7 s).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import StrEnum

from gui import words
from gui.coreml.model import Attention, ComponentKind, Family, FileFormat, ModelInfo
from gui.coreml.prediction import VELOCITY_LATENT
from gui.coreml.tiles import tile_of, wants_tiles
from gui.hub.types import Level, Machine, ModelKind, Variant, Verdict
from gui.hub.variants import heuristics

FAST_GPU_CORES = 8
"""Performance cores from which on the GPU beats the Neural Engine."""

TIGHT = 0.7
"""Share of the memory from which on other programs get in the way."""

SMALL_MEMORY = 8 * 2**30
"""Bytes of memory that call for compressed weights and chunks."""

SMALL_UNET = 200 * 10**6
"""Bytes of a UNet (an eighth of Stable Diffusion 1.5's) below which a processor is quick enough."""

LARGE_LORA = 2 * 10**9
"""Bytes from which on a LoRA is no light thing."""

PROGRAM_BYTES = 600 * 2**20
"""The window and an engine with its libraries loaded, no model yet."""

_TIMED = (Family.SD1, Family.SD2)
"""Families for which times on both processors were published; of XL only the GPU's were."""

_XL = (Family.SDXL, Family.SDXL_REFINER)

_SIZES = {Family.SD1: 512, Family.SD2: 512, **dict.fromkeys(_XL, 1024)}
"""Picture size where the files were not read: what the family is published at."""

_HEADS = {Family.SD2: 5, **dict.fromkeys(_XL, 10)}
"""Of attention at a UNet's finest level; Stable Diffusion 1 has 8."""

_DENOISERS = (ComponentKind.UNET, ComponentKind.CONTROL_UNET, ComponentKind.MMDIT)

_LEVELS = list(Level)


class Unit(StrEnum):
    """What does most of the work."""

    GPU = "gpu"
    NEURAL_ENGINE = "neural-engine"
    CPU = "cpu"


def judge(variants: Iterable[Variant], machine: Machine) -> tuple[Variant, ...]:
    """Give every variant its verdict and expected memory, and recommend one.

    Returns:
        Best first.  The first is recommended unless not even that one will run.
    """
    judged = []
    for variant in variants:
        needed = memory(variant, machine)
        variant = dataclasses.replace(variant, memory_bytes=needed, recommended=False)
        judged.append(dataclasses.replace(variant, verdict=verdict(variant, machine)))
    judged.sort(key=lambda v: _order(v, machine))
    # Among ControlNets and LoRAs it is a matter of what one wants.
    alone = judged and (len(judged) == 1 or judged[0].kind is ModelKind.TEXT_TO_IMAGE)
    if alone and judged[0].verdict.level is not Level.NO:
        judged[0] = dataclasses.replace(judged[0], recommended=True)
    return tuple(judged)


# What it takes


def unit(attention: Attention, machine: Machine) -> Unit:
    """What Core ML, free to choose, runs a UNet on.

    SPLIT_EINSUM was made for the Neural Engine, which cannot take ORIGINAL attention.
    """
    if machine.system != "Darwin" or not machine.apple_silicon:
        return Unit.CPU
    if attention is Attention.UNKNOWN and machine.performance_cores >= FAST_GPU_CORES:
        return Unit.GPU
    return Unit.GPU if attention is Attention.ORIGINAL else Unit.NEURAL_ENGINE


def memory(variant: Variant, machine: Machine) -> int:
    """Expected peak, in bytes, while a picture is made; 0 where the files do not tell.

    The program itself, all networks' weights, and the largest tensors alive at once.  Weights lie
    in memory as on disk, except that only the Neural Engine works on a palette's indices, and that
    from macOS 14 on (before, and elsewhere, they are unpacked to 16 bits: coremltools' guide to
    optimization, "What's New"), and that the portable runtime computes in 32 bits.
    """
    if not variant.weight_bytes:
        return 0
    stored = heuristics.bits(variant.compression)
    run = 32.0 if machine.system != "Darwin" else 16.0
    certain = variant.attention is not Attention.UNKNOWN  # it may as well be the GPU's
    packed = not machine.macos or _version(machine.macos) >= (14,)
    if certain and packed and unit(variant.attention, machine) is Unit.NEURAL_ENGINE:
        run = min(stored, 16.0)
    unet = variant.unet_bytes * run / stored
    rest = (variant.weight_bytes - variant.unet_bytes) * (2 if machine.system != "Darwin" else 1)
    return int(PROGRAM_BYTES + unet + rest + activations(variant, machine))


def memory_of(info: ModelInfo, machine: Machine) -> int:
    """As `memory`, of a model on this disk."""
    drawing = [c for k, c in info.components.items() if k is not ComponentKind.VAE_ENCODER]
    unet = max((c.size_bytes for c in drawing if c.kind in _DENOISERS), default=0)
    stands_for = Variant(
        "",
        "",
        (),
        family=info.family,
        attention=info.attention,
        compression=info.compression,
        image_width=info.image_width,
        image_height=info.image_height,
        weight_bytes=sum(c.size_bytes for c in drawing),
        unet_bytes=unet,
    )
    return memory(stands_for, machine)


def activations(variant: Variant, machine: Machine) -> int:
    """Bytes of the largest tensors that are alive at once.

    Either the UNet's attention scores at its finest level, before and after the softmax (all heads
    of both guidance halves for ORIGINAL, one head for SPLIT_EINSUM, 512 queries of it for V2), or
    the VAE decoder's last block: two tensors of 256 channels at the picture's size, in 32 bits for
    XL, whose decoder overflows 16; of large pictures a tile's.  The two do not coincide.  The
    portable runtime fuses attention and keeps no scores; a UNet of Stable Diffusion 1.5 was seen to
    take 3.5 GiB there.
    """
    side = _SIZES.get(variant.family, 0)
    width, height = variant.image_width or side, variant.image_height or side
    native = machine.system == "Darwin"
    xl = variant.family in _XL
    tokens = width * height // (256 if xl else 64)  # XL does not attend at full latent size
    scores = {
        Attention.SPLIT_EINSUM: tokens * tokens,
        Attention.SPLIT_EINSUM_V2: tokens * min(tokens, 512),
    }.get(variant.attention, _HEADS.get(variant.family, 8) * tokens * tokens)
    if wants_tiles(width, height, sparing=False):
        decoded, high = tile_of(width, height)
    else:
        decoded, high = width, height
    decoder = 2 * 256 * decoded * high * (2 if native and not xl else 4)
    return max(2 * 2 * 2 * scores, decoder) if native else decoder


def disk(variant: Variant) -> int:
    """Bytes of disk that installing takes at its height: a zip lies beside what comes out."""
    if variant.archive:
        return variant.download_bytes + (variant.disk_bytes or variant.download_bytes)
    return variant.download_bytes


# The verdict


def verdict(variant: Variant, machine: Machine) -> Verdict:
    """A level and its reasons, the weightiest first; `Variant.memory_bytes` must be set."""
    if against := _against(variant, machine):
        return Verdict(Level.NO, tuple(against))
    hindrances = _hindrances(variant, machine)
    remarks = _remarks(variant, machine)
    if hindrances:
        return Verdict(Level.FAIR, tuple(hindrances + remarks))
    return Verdict(Level.GOOD, (_praise(variant, machine), *remarks))


def _against(variant: Variant, machine: Machine) -> list[str]:
    """Why it will not run here."""
    found = list(variant.problems)
    if variant.missing:
        found.append(f"It lacks {_list(variant.missing)}, and makes no pictures without.")
    if machine.macos and _version(variant.minimum_macos) > _version(machine.macos):
        found.append(f"Needs macOS {variant.minimum_macos}; this Mac has {machine.macos}.")
    if machine.memory_bytes and variant.memory_bytes > machine.memory_bytes:
        found.append(_memory_text(variant, machine))
    needed = disk(variant)
    if machine.free_disk_bytes and needed > machine.free_disk_bytes:
        what = "to download and unpack" if variant.archive else "to download"
        found.append(
            f"{words.size(needed)} {what}, and {words.size(machine.free_disk_bytes)} free on disk."
        )
    return found


def _hindrances(variant: Variant, machine: Machine) -> list[str]:
    """Why it will run, but slowly or narrowly."""
    found = []
    share = variant.memory_bytes / machine.memory_bytes if machine.memory_bytes else 0.0
    if TIGHT < share <= 1.0:
        found.append(f"{_memory_text(variant, machine)[:-1]}, so other programs may slow down.")
    if variant.kind is ModelKind.LORA and variant.download_bytes > LARGE_LORA:
        size = words.size(variant.download_bytes)
        found.append(f"{size} is much for a LoRA: a model takes long to get it, and as much room.")
    if variant.kind is not ModelKind.TEXT_TO_IMAGE:
        return found
    large = not 0 < variant.unet_bytes < SMALL_UNET
    if machine.system != "Darwin" and large:
        found.append("Everything runs on this computer’s CPU here, which takes its time.")
    if machine.system == "Darwin" and not machine.apple_silicon and large:
        found.append("This Mac has no Neural Engine, so expect it to be slow.")
    v2 = variant.attention is Attention.SPLIT_EINSUM_V2
    if v2 and variant.family is Family.SDXL and machine.apple_silicon:
        found.append("Split einsum v2 takes very long to prepare for Stable Diffusion XL.")
    side = 8 * VELOCITY_LATENT
    if (
        variant.family is Family.SD2
        and variant.attention is Attention.ORIGINAL
        and variant.image_width == variant.image_height == side
        and machine.apple_silicon
    ):
        found.append(f"Stable Diffusion 2 at {side} pixels was seen to turn black on the GPU.")
    if variant.archive and not variant.components and not variant.problems:
        found.append("What the archive holds is not known yet.")
    return found


def _remarks(variant: Variant, machine: Machine) -> list[str]:
    """Worth knowing; no reason against it."""
    found = list(variant.notes)
    if few := variant.distilled:
        text = words.few_steps(few.steps, few.method)
        found.append(
            f"By its name, it is made for {text}." if few.is_guess else f"Made for {text}."
        )
    if variant.kind is ModelKind.LORA:
        return found
    mac = machine.system == "Darwin" and machine.apple_silicon
    split = variant.attention in (Attention.SPLIT_EINSUM, Attention.SPLIT_EINSUM_V2)
    fast = machine.performance_cores >= FAST_GPU_CORES
    if mac and split and fast and variant.family in _TIMED:
        found.append(
            f"Made for the Neural Engine; with {machine.performance_cores} performance cores, "
            "Original on the GPU is usually faster."
        )
    modest = 0 < machine.performance_cores < FAST_GPU_CORES
    if mac and modest and variant.attention is Attention.ORIGINAL and variant.family in _TIMED:
        found.append(
            "Made for the GPU; on this chip, split einsum on the Neural Engine is usually faster."
        )
    if mac and variant.format is FileFormat.PACKAGE:
        found.append("Core ML prepares packages once, before the first picture.")
    makes_pictures = variant.kind is ModelKind.TEXT_TO_IMAGE
    if variant.components and not variant.has_encoder and makes_pictures:
        found.append("It has no VAE encoder, so pictures cannot be the starting point.")
    return found


def _praise(variant: Variant, machine: Machine) -> str:
    if variant.kind is ModelKind.CONTROLNET:
        return _guides(variant)
    if variant.kind is ModelKind.LORA:
        if variant.family is Family.UNKNOWN:
            return "Which models it is for is not stated; try it."
        return f"For {words.family(variant.family)} models."
    if variant.kind is ModelKind.UPSCALER:
        return "Enlarges pictures; how well shows when it is first used."
    where = {
        Unit.GPU: "Runs on the GPU",
        Unit.NEURAL_ENGINE: "Runs on the Neural Engine",
        Unit.CPU: "Runs on the CPU",
    }[unit(variant.attention, machine)]
    if variant.attention is Attention.UNKNOWN:
        where = "Runs here"
    if not variant.memory_bytes or not machine.memory_bytes:
        return f"{where}."
    needed, has = _memory_figures(variant, machine)
    return f"{where} with {needed} of memory; {has}."


def _guides(variant: Variant) -> str:
    """What a ControlNet is for."""
    known = variant.family is not Family.UNKNOWN
    models = f"{words.family(variant.family)} models" if known else "models of its own family"
    if not variant.image_width:
        return f"Guides {models}."
    pixels = words.pixels(variant.image_width, variant.image_height)
    return f"Guides {models} that make pictures of {pixels} pixels."


def _memory_text(variant: Variant, machine: Machine) -> str:
    needed, has = _memory_figures(variant, machine)
    return f"About {needed.removeprefix('about ')} of memory while it works; {has}."


def _memory_figures(variant: Variant, machine: Machine) -> tuple[str, str]:
    """``about 2.5 GB`` and ``this Mac has 16 GB``."""
    return (
        f"about {words.memory(variant.memory_bytes)}",
        f"{words.computer(machine.system == 'Darwin')} has {words.memory(machine.memory_bytes)}",
    )


def _list(missing: tuple[str, ...]) -> str:
    """``the UNet and the VAE decoder``; a reason after a colon goes into brackets."""
    named = []
    for word in missing:
        name, _, why = word.partition(": ")
        named.append(f"the {name} ({why})" if why else f"the {name}")
    return words.listed(named)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


# The best one


def _order(variant: Variant, machine: Machine) -> tuple[object, ...]:
    """Sort key, best first; ends with the id, so that the order never wavers."""
    small = 0 < machine.memory_bytes <= SMALL_MEMORY
    short = small or 2 * variant.memory_bytes > machine.memory_bytes > 0
    compressed = heuristics.bits(variant.compression) < 16.0
    best = FileFormat.COMPILED if machine.system == "Darwin" else FileFormat.PACKAGE
    return (
        _LEVELS.index(variant.verdict.level),
        variant.kind is not ModelKind.TEXT_TO_IMAGE,
        -_preference(variant, machine),
        short and not compressed,
        variant.kind is ModelKind.TEXT_TO_IMAGE and not variant.has_encoder,
        _is_odd_size(variant),
        variant.format is not best,
        variant.chunked is not (small and machine.system == "Darwin"),
        variant.archive,
        variant.download_bytes if variant.kind is ModelKind.TEXT_TO_IMAGE else 0,
        variant.id,
    )


def _is_odd_size(variant: Variant) -> bool:
    """Whether pictures are of another size than the family was trained at, as far as is known."""
    usual = {_SIZES.get(variant.family, 0)}
    if variant.family is Family.SD2:
        usual.add(8 * VELOCITY_LATENT)
    size = {variant.image_width, variant.image_height}
    return bool(variant.image_width) and 0 not in usual and not (len(size) == 1 and size <= usual)


def _preference(variant: Variant, machine: Machine) -> float:
    """How well an attention kind suits a machine, 0 to 2; less where only names tell of it.

    SPLIT_EINSUM's loops over heads serve the Neural Engine alone; a CPU does better without.  XL
    is for the GPU on every Mac: Apple gives its times on Macs for ORIGINAL alone, and version 2
    takes too long to compile for it.
    """
    attention = variant.attention
    split = (Attention.SPLIT_EINSUM, Attention.SPLIT_EINSUM_V2)
    wanted = split
    fast = machine.performance_cores >= FAST_GPU_CORES
    if fast or unit(attention, machine) is Unit.CPU or variant.family is Family.SDXL:
        wanted = (Attention.ORIGINAL,)
    score = 2.0 if attention in wanted else 1.0
    if attention is Attention.UNKNOWN:
        score = 0.5
    if attention is Attention.SPLIT_EINSUM_V2 and variant.family is Family.SDXL:
        score = 0.25
    return score if variant.attention_known else 0.9 * score
