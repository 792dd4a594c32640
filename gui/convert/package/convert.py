"""One network → one `.mlpackage`: trace it with torch, convert it with coremltools.

The package computes in float16 as Apple's processors like it, but for the sinusoids of the time
embedding: their arguments reach 981 and more, where float16 is only good to half a unit, a sixth of
a turn.  They stay float32, whose handful of small operations cost nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gui.convert.networks.components import Contract
from gui.convert.package.watch import CONVERTING, Tick, quiet, verified_once, watched
from gui.errors import ErrorKind, SfumatoError

TARGETS = ("macOS13", "macOS14", "macOS15", "macOS26")
"""Deployment targets on offer, oldest first; macOS 13 is the first to know palettes."""

_SINUSOID_DEPTH = 4
"""Operations that may lie between a timestep and its sine."""


@dataclass(frozen=True)
class Credits:
    """What a package's metadata says besides what it is."""

    version: str
    """The source's repository or name; never a path of this machine."""
    author: str = ""
    licence: str = ""


def trace(contract: Contract) -> Any:
    """The network as TorchScript.  Rewrites it in place where it is a UNet or ControlNet."""
    module = contract.wrap().eval().requires_grad_(False)
    with quiet(), torch.no_grad():
        return torch.jit.trace(module, tuple(contract.example.values()), check_trace=False)


def convert(
    contract: Contract,
    traced: Any,
    target: str,
    credits: Credits,
    tick: Tick = lambda fraction: None,
) -> Any:
    """TorchScript as a coremltools MLModel, its weights float16 (or float32 where stated).

    Args:
        target: oldest macOS, one of `TARGETS`.
        tick: called with the fraction done, 0 to 1, many times; may raise to stop.

    Raises:
        SfumatoError: BAD_REQUEST for an unknown target.
    """
    import coremltools as ct

    if target not in TARGETS:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"There is no deployment target {target}; choose one of {', '.join(TARGETS)}.",
        )
    given = np.float32 if contract.float32_inputs else np.float16
    precision: Any = ct.precision.FLOAT32
    if not contract.float32:
        precision = ct.transform.FP16ComputePrecision(op_selector=_may_be_half)
    with quiet(), verified_once(), watched(tick, CONVERTING):
        model: Any = ct.convert(
            traced,
            convert_to="mlprogram",
            inputs=[
                ct.TensorType(name, tuple(t.shape), dtype=given)
                for name, t in contract.example.items()
            ],
            outputs=[ct.TensorType(name, dtype=np.float32) for name in contract.outputs],
            minimum_deployment_target=getattr(ct.target, target),
            compute_precision=precision,
            skip_model_load=True,
        )
    describe(model, contract, credits)
    return model


def describe(model: Any, contract: Contract, credits: Credits) -> None:
    """Write the metadata: on a chunk, of those inputs and outputs that it has."""
    model.author = credits.author
    model.license = credits.licence
    model.version = credits.version
    model.short_description = contract.description
    spec = model.get_spec()
    for features, texts in (
        (spec.description.input, model.input_description),
        (spec.description.output, model.output_description),
    ):
        for feature in features:
            if text := contract.descriptions.get(feature.name):
                texts[feature.name] = text


def save(model: Any, path: Path) -> None:
    """Write an MLModel to a path that does not exist yet.

    It cannot be saved again: the copy in a temporary folder, which coremltools would keep until the
    process ends, is given up.
    """
    with quiet():
        model.save(str(path))
    if model.is_temp_package:
        shutil.rmtree(model.package_path, ignore_errors=True)


def _may_be_half(op: Any) -> bool:
    """Whether an operation may compute in float16: all but sinusoids and what leads to them."""
    return not _leads_to_sinusoid(op, _SINUSOID_DEPTH)


def _leads_to_sinusoid(op: Any, depth: int) -> bool:
    if op.op_type in ("sin", "cos"):
        return True
    if depth == 0 or op.op_type in ("const", "conv", "linear", "matmul"):
        return False
    readers = [reader for output in op.outputs for reader in output.child_ops]
    return any(_leads_to_sinusoid(reader, depth - 1) for reader in readers)
