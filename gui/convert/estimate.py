"""What a conversion will take, and every refusal that can be made before it starts.

Estimates are sums over the components to be made.  The constants were measured on a conversion of
networks of Stable Diffusion 1.5's size (860 million parameters in the UNet) on two cores of a
server, where it took 5.3 minutes and at most 7.0 GB; Macs differ, and a Mac with more cores is
faster.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gui import words
from gui.convert import tasks
from gui.convert.checkpoint import controlnet, lora, weights
from gui.convert.checkpoint.checkpoint import PREDICTIONS, Checkpoint
from gui.convert.checkpoint.reading import read_checkpoint, with_vae
from gui.convert.checkpoint.source import PART_OF, Source
from gui.convert.client import MODEL, PARTIAL_SUFFIX, is_work_folder, partial_folder
from gui.convert.package.compress import compression_of
from gui.convert.tasks import Task
from gui.convert.types import (
    TEXT_TOKENS,
    Compression,
    ConvertRequest,
    Estimate,
    ImageSize,
    SourceInfo,
)
from gui.coreml.model import MAX_CLIP_SKIP, Attention, ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError
from gui.files import free_bytes

K = ComponentKind

TARGETS = ("macOS13", "macOS14", "macOS15", "macOS26")
"""Oldest macOS a package may be made for."""

SIZE_STEP = 64
MIN_SIZE, MAX_SIZE = 64, 2048
"""Sides of a picture, pixels."""
MAX_SIZES = 16
_NO_SUFFIX = (PARTIAL_SUFFIX, ".mlpackage", ".mlmodelc")
MAX_NAME = 255
"""Bytes of a file's name, on every file system a model is likely to lie on."""

BITS = {
    Compression.NONE: 16.0,
    Compression.PALETTE_8: 8.0,
    Compression.PALETTE_6: 6.0,
    Compression.PALETTE_4: 4.0,
    Compression.PALETTE_2: 2.0,
    Compression.PALETTE_1: 1.0,
    Compression.PALETTE_MIXED: 5.0,
    Compression.LINEAR_8: 8.0,
}
"""Per weight on disk; mixed palettes come to about five on Stable Diffusion's UNets."""

PACKAGE_BYTES = 1_500_000
"""A package's program and manifest, besides its weights."""

WORK_BYTES_PER_PARAMETER = 8.0
"""Peak while converting: the float32 network, and coremltools' constants on their way to float16
(7.1 measured for the UNet)."""
RUN_BYTES_PER_PARAMETER = 4.0
"""While a network runs."""
PROCESS_BYTES = 900_000_000
"""torch, diffusers and coremltools, loaded."""
VAE_BYTES_PER_PIXEL = {K.VAE_DECODER: 6_000, K.VAE_ENCODER: 5_000}
"""Activations at full size; of the UNet see `_activations`."""
QUERY_SLICE = 512
"""Queries at a time in SPLIT_EINSUM_V2 (`gui.convert.networks.attention`, which needs torch)."""

CONVERT_SECONDS = 1.5e-7
"""Per parameter: reading, tracing, converting, writing."""
COMPRESS_SECONDS = {"palette": 4.5e-7, "linear": 0.3e-7}
"""Per parameter."""
CHUNK_SECONDS = 0.4e-7
"""Per parameter."""
CHECK_SECONDS = 1.1e-7
"""Per parameter, for the source network and the package, at 512 pixels and two pictures a call;
grows with the picture."""
VAE_SECONDS = {K.VAE_DECODER: 50.0, K.VAE_ENCODER: 20.0}
"""Few weights, used at every pixel: at 512 pixels, tracing and comparing."""
START_SECONDS = 10.0

_MARGIN = 1.05
"""Free space asked for, over the estimate."""

_Stamp = tuple[tuple[str, int, int], ...]
"""(file, bytes, time of change)"""


def estimate(request: ConvertRequest, info: SourceInfo) -> Estimate:
    """Disk, memory and time that the conversion will take.

    Raises:
        SfumatoError: where the source or a ControlNet cannot be read any more.
    """
    checkpoint = with_vae(read_checkpoint(info.path), request.vae)
    plan = tasks.plan(request, info)
    counts, configs = _networks(plan, request, checkpoint)
    sizes = {task.key: _stored_bytes(task, counts[task.key], request, info) for task in plan}
    once = {_shared_key(task, request): sizes[task.key] for task in plan}
    disk = sum(once.values())
    several = len(plan) > len(once)  # what equals another size's is linked once it is finished
    work = (_work_bytes(t, counts[t.key], request) - (0 if several else sizes[t.key]) for t in plan)
    scratch = max(work, default=0)
    if request.compiled:  # every size's folder gets all that it needs
        copies = len(tasks.sizes_of(request, info))
        disk += sum(sizes[task.key] * (copies if task.shared else 1) for task in plan)
    needed = (_memory(t, counts[t.key], configs[t.key], request) for t in plan)
    memory = PROCESS_BYTES + max(needed, default=0)
    return Estimate(
        disk_bytes=disk,
        scratch_bytes=scratch,
        memory_bytes=memory,
        seconds=START_SECONDS + sum(_seconds(t, counts[t.key], request) for t in plan),
        free_disk_bytes=free_bytes(Path(request.output)) or 0,
        machine_memory_bytes=machine_memory(),
        warnings=_warnings(max(0, disk + scratch - _finished_bytes(request)), memory, request),
    )


def check(request: ConvertRequest, info: SourceInfo) -> None:
    """Refuse what is bound to fail, before any long work.

    Raises:
        SfumatoError: one sentence on what is wrong and what to do.
    """
    check_output(request)
    _check_options(request)
    _check_components(request, info)
    for size in tasks.sizes_of(request, info):
        _check_size(size)
    checkpoint = with_vae(read_checkpoint(info.path), request.vae)
    for entry in request.loras:
        lora.check_fit(entry.path, checkpoint, entry.scale)
    _check_controlnets(request, info, checkpoint)
    _check_weights(info.path, request.vae, _stamp(checkpoint))
    if request.refiner:
        _check_refiner(request, info)
    needed = estimate(request, info)
    space = int(_MARGIN * (needed.disk_bytes + needed.scratch_bytes))
    space = max(0, space - _finished_bytes(request))
    if needed.free_disk_bytes < space:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"The conversion needs {words.size(space)} of disk space, but only "
            f"{words.size(needed.free_disk_bytes)} are free; make room or choose another disk.",
            str(request.output),
        )


# --- refusals -------------------------------------------------------------------------------------


def check_output(request: ConvertRequest) -> None:
    """Raise SfumatoError, BAD_REQUEST or STORAGE, unless the model can be made where it is to
    be."""
    output = Path(request.output)
    if not request.output or not output.name:
        raise _bad("Choose a folder for the converted model.")
    work = partial_folder(request.output)
    if len(os.fsencode(work.name)) > MAX_NAME:
        raise _bad(f"The name “{output.name[:40]}…” is too long; choose a shorter one.")
    if output.suffix.lower() in _NO_SUFFIX:  # it would be taken for something else
        raise _bad(f"A model's folder cannot end in “{output.suffix}”; choose another name.")
    if os.path.lexists(output):
        raise _bad(f"There is something called “{output.name}” already; choose another name.")
    if os.path.lexists(work) and not is_work_folder(work):
        raise _bad(
            f"There is something called “{work.name}” already, which is where the model would be "
            "made; choose another name."
        )
    parent = output.parent
    if not parent.is_dir():
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"The folder “{parent.name}” to put the model in does not exist; make it first.",
            str(output),
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"The folder “{parent.name}” cannot be written to; choose another.",
            str(output),
        )


def _check_options(request: ConvertRequest) -> None:
    if request.target not in TARGETS:
        raise _bad(f"There is no target “{request.target}”; choose one of {', '.join(TARGETS)}.")
    if request.unet_batch not in (1, 2):
        raise _bad(
            f"The UNet takes 1 or 2 pictures per call, not {request.unet_batch}; choose one of "
            "these."
        )
    if request.text_tokens not in TEXT_TOKENS:
        raise _bad(
            f"A UNet reads 77, 154 or 231 tokens of text, not {request.text_tokens}; choose one of "
            "these."
        )
    if not 1 <= request.clip_skip <= MAX_CLIP_SKIP:
        raise _bad(
            f"The clip skip goes from 1 to {MAX_CLIP_SKIP}; choose 2 for the layer before the last."
        )
    if request.attention is Attention.UNKNOWN:
        raise _bad("Choose how attention is written: original, split_einsum or split_einsum_v2.")
    if len(request.sizes) > MAX_SIZES:
        raise _bad(
            f"At most {MAX_SIZES} sizes can be made at once, not {len(request.sizes)}; "
            "leave some out."
        )
    if request.prediction_type and request.prediction_type not in PREDICTIONS:
        raise _bad(
            f"There is no prediction type “{request.prediction_type}”; choose one of "
            f"{', '.join(PREDICTIONS)}."
        )
    if request.compiled:
        from gui.convert.package.swift import check_available

        check_available()


def _check_components(request: ConvertRequest, info: SourceInfo) -> None:
    possible = {*info.components, *((K.CONTROL_UNET,) if K.UNET in info.components else ())}
    for kind in request.components:
        if kind not in possible:
            what = words.component(kind)
            raise _bad(f"“{info.name}” has no {what}; leave it out of the conversion.")
    control = request.control_ready or request.controlnets
    if control and info.family is Family.SDXL_REFINER:
        raise _bad("A refiner takes no ControlNets; convert it without them.")


def _check_size(size: ImageSize) -> None:
    for side in (size.width, size.height):
        if not MIN_SIZE <= side <= MAX_SIZE:
            raise _bad(
                f"Pictures can be from {MIN_SIZE} to {MAX_SIZE} pixels wide and high, not {size}."
            )
        if side % SIZE_STEP:
            near = max(MIN_SIZE, round(side / SIZE_STEP) * SIZE_STEP)
            raise _bad(
                f"A picture's sides must be multiples of {SIZE_STEP} pixels, which {side} is not; "
                f"choose {near}."
            )


def _check_controlnets(request: ConvertRequest, info: SourceInfo, checkpoint: Checkpoint) -> None:
    names: set[str] = set()
    for path in request.controlnets:
        found = controlnet.check_fit(path, info, checkpoint.parts["unet"].config)
        name = tasks.plain_name(path)
        if name.casefold() in names:  # a Mac's disk takes upper and lower case for the same
            raise _bad(f"Two ControlNets are called “{name}”; rename one of them.")
        names.add(name.casefold())
        _check_controlnet(path, _stamp_of(found.part))


@lru_cache(maxsize=4)
def _check_weights(path: str, vae: str, stamp: _Stamp) -> None:
    """Every weight there, in the right shape; remembered while no file changes."""
    Source(with_vae(read_checkpoint(path), vae)).check()


def _check_refiner(request: ConvertRequest, info: SourceInfo) -> None:
    found = read_checkpoint(request.refiner)
    if found.info.family is not Family.SDXL_REFINER:
        raise _bad(
            f"“{found.info.name}” is no refiner; choose the Stable Diffusion XL refiner, or leave "
            "it out."
        )
    if info.family is not Family.SDXL:
        raise _bad("Only Stable Diffusion XL has a refiner; convert this model without one.")
    _check_weights(request.refiner, "", _stamp(found))


@lru_cache(maxsize=8)
def _check_controlnet(path: str, stamp: _Stamp) -> None:
    weights.check_shapes(controlnet.look_controlnet(path).part)


def _stamp(checkpoint: Checkpoint) -> _Stamp:
    return tuple(s for part in checkpoint.parts.values() for s in _stamp_of(part))


def _stamp_of(part: weights.Part) -> _Stamp:
    """Changes when one of the files does."""
    files = {t.file for t in part.tensors.values()}
    found = ((file, file.stat()) for file in sorted(files))
    return tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in found)


def _bad(sentence: str) -> SfumatoError:
    return SfumatoError(ErrorKind.BAD_REQUEST, sentence)


# --- estimates ------------------------------------------------------------------------------------


def _networks(
    plan: list[Task], request: ConvertRequest, checkpoint: Checkpoint
) -> tuple[dict[str, int], dict[str, Mapping[str, Any]]]:
    """Parameters and configuration of each task's network, by its key."""
    controls = {path: controlnet.look_controlnet(path) for path in request.controlnets}
    counts: dict[str, int] = {}
    configs: dict[str, Mapping[str, Any]] = {}
    for task in plan:
        if task.controlnet:
            found = controls[task.controlnet]
            counts[task.key], configs[task.key] = found.parameters, found.part.config
        else:
            other = task.kind is K.REFINER and request.refiner
            source = read_checkpoint(request.refiner) if other else checkpoint
            counts[task.key] = component_parameters(source, task.kind)
            part = source.parts.get(PART_OF.get(task.kind, ""))
            configs[task.key] = part.config if part else {}
    return counts, configs


def component_parameters(checkpoint: Checkpoint, kind: ComponentKind) -> int:
    """Number of weights that a component holds; each half of the VAE has its own."""
    part = checkpoint.parts.get(PART_OF.get(kind, ""))
    if part is None:
        return 0
    halves = {
        K.VAE_DECODER: ("decoder.", "post_quant_conv."),
        K.VAE_ENCODER: ("encoder.", "quant_conv."),
    }
    if kind not in halves:
        return part.parameters
    return sum(t.count for name, t in part.tensors.items() if name.startswith(halves[kind]))


def _stored_bytes(task: Task, count: int, request: ConvertRequest, info: SourceInfo) -> int:
    bits = BITS[compression_of(task.kind, request.compression, request.evenly)]
    xl = info.family in (Family.SDXL, Family.SDXL_REFINER)
    if xl and task.kind in (K.VAE_DECODER, K.VAE_ENCODER):
        bits = 32.0  # its numbers leave float16's range
    copies = 2 if request.keep_whole and tasks.is_chunked(task, request) else 1
    return copies * (int(count * bits / 8) + PACKAGE_BYTES)


def _work_bytes(task: Task, count: int, request: ConvertRequest) -> int:
    """Most that lies on the disk of one network while it is made: coremltools writes its float16
    weights twice, and once more where a network is cut in two."""
    copies = 3 if tasks.is_chunked(task, request) else 2
    return copies * (2 * count + PACKAGE_BYTES)


def _shared_key(task: Task, request: ConvertRequest) -> str:
    """The same for components whose weights are stored once: one component at several sizes, and
    the UNet that takes ControlNets' residuals, which has the plain one's weights (cut in two they
    need not be cut at the same place)."""
    twin = task.kind is K.CONTROL_UNET and not request.chunked
    return f"{K.UNET if twin else task.kind}/{task.controlnet}"


def _memory(task: Task, count: int, config: Mapping[str, Any], request: ConvertRequest) -> int:
    convert = WORK_BYTES_PER_PARAMETER * count
    run = RUN_BYTES_PER_PARAMETER * count + _activations(task, config, request)
    return int(max(convert, run))


def _activations(task: Task, config: Mapping[str, Any], request: ConvertRequest) -> float:
    """Bytes of activations while a network runs once, to be traced (comparing takes less: PyTorch
    and the portable runtime both compute attention without its scores).

    A UNet's largest are the scores of self-attention, float32, and what softmax makes of them: of
    all heads at once, of one, or of one and a slice of the queries, as attention is written.
    """
    pixels = task.size.width * task.size.height
    if task.kind not in (*tasks.DENOISERS, K.CONTROLNET):
        return pixels * VAE_BYTES_PER_PIXEL.get(task.kind, 0)
    kinds = config.get("down_block_types") or _PUBLISHED_BLOCKS
    heads = config.get("num_attention_heads") or config.get("attention_head_dim") or 8
    scores = 0
    for level, kind in enumerate(kinds):
        if "Attn" in kind or level == len(kinds) - 1:  # the middle block attends
            tokens = pixels // 64 // 4**level
            queries = min(tokens, QUERY_SLICE) if request.attention is _SLICED else tokens
            count = heads[level] if isinstance(heads, list | tuple) else heads
            at_once = count if request.attention is Attention.ORIGINAL else 1
            scores = max(scores, at_once * queries * tokens)
    return 2 * 4.0 * scores * request.unet_batch


_SLICED = Attention.SPLIT_EINSUM_V2
_PUBLISHED_BLOCKS = (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D")
"""What diffusers takes a UNet to have that does not say."""


def _seconds(task: Task, count: int, request: ConvertRequest) -> float:
    form = compression_of(task.kind, request.compression, request.evenly)
    seconds = CONVERT_SECONDS * count
    if form is not Compression.NONE:
        kind = "linear" if form is Compression.LINEAR_8 else "palette"
        seconds += COMPRESS_SECONDS[kind] * count
    if tasks.is_chunked(task, request):
        seconds += CHUNK_SECONDS * count
        if request.keep_whole:  # compressed and compared twice
            seconds += (seconds - CONVERT_SECONDS * count) + CHECK_SECONDS * count * request.check
    area = task.size.width * task.size.height / 512**2
    seconds += VAE_SECONDS.get(task.kind, 0.0) * area
    if request.check and task.kind not in VAE_SECONDS:
        batch = request.unet_batch / 2 if task.kind in tasks.DENOISERS else 1.0
        seconds += CHECK_SECONDS * count * batch * (1.0 if task.shared else area)
    return seconds


def _warnings(disk: int, memory: int, request: ConvertRequest) -> tuple[str, ...]:
    found = []
    free, machine = free_bytes(Path(request.output)) or 0, machine_memory()
    if free < _MARGIN * disk:
        found.append(
            f"The conversion needs {words.size(disk)} of disk space, but only {words.size(free)} "
            "are free."
        )
    if 0 < machine < memory:
        found.append(
            f"The conversion needs about {words.memory(memory)} of memory, and {words.COMPUTER} "
            f"has {words.memory(machine)}: it may be slow, or fail."
        )
    return tuple(found)


def _finished_bytes(request: ConvertRequest) -> int:
    """What an interrupted run has made, which takes no more room; linked files count once."""
    sizes: dict[int, int] = {}
    for base, _, files in os.walk(partial_folder(request.output) / MODEL):
        for name in files:
            with contextlib.suppress(OSError):
                status = Path(base, name).stat()
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def machine_memory() -> int:
    """Bytes of memory in this machine; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
