"""How closely a finished package computes what its source network computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gui.convert.networks.components import Arrays, Contract
from gui.convert.types import PSNR_WARNING, Compression, Parity
from gui.coreml.inspect import inspect_component
from gui.coreml.model import ComponentInfo
from gui.coreml.portable import PortableRuntime
from gui.request import ComputeUnit

INFINITE = 999.0
"""What a report says for exact agreement."""


def psnr(reference: np.ndarray, result: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels: 10·log10(peak² / mean squared error).

    The peak is the reference's largest magnitude.  `INFINITE` for equal arrays; negative infinity
    is written as −`INFINITE`, as are results that are not numbers.
    """
    want, have = (a.astype(np.float64) for a in (reference, result))
    error = float(np.mean((want - have) ** 2))
    peak = float(np.abs(want).max())
    if not math.isfinite(error):
        return -INFINITE
    if error == 0.0:
        return INFINITE
    if peak == 0.0:
        return -INFINITE
    return float(np.clip(10.0 * math.log10(peak**2 / error), -INFINITE, INFINITE))


def expected(contract: Contract) -> list[Arrays]:
    """What the source network answers to the contract's checks; ask before it is rewritten."""
    import torch

    with torch.no_grad():
        return [contract.reference(arrays) for arrays in contract.checks]


def measure(
    contract: Contract,
    files: Sequence[Path],
    references: Sequence[Arrays],
    *,
    name: str,
    compression: Compression = Compression.NONE,
    cancelled: Callable[[], None] = lambda: None,
) -> Parity:
    """Run the package in `files` on the checks and compare.

    The worst check and output count.  Outputs that the reference does not name are left out.

    Args:
        files: the package, or the two chunks of it in running order.
        references: from `expected`.
        name: of the file for the report.
        compression: how it is stored, for the words of a warning.
        cancelled: called between runs; may raise.
    """
    component = _component(files)
    model = PortableRuntime().load(component, ComputeUnit.CPU_ONLY)
    worst, errors = INFINITE, [0.0]
    try:
        for arrays, reference in zip(contract.checks, references, strict=True):
            cancelled()
            results = model(arrays)
            for output, want in reference.items():
                have = results[output].reshape(want.shape)
                worst = min(worst, psnr(want, have))
                errors.append(float(np.abs(want - have).max()))
    finally:
        model.close()
    outputs = ", ".join(references[0])
    largest = float(np.max(errors))  # not max(), which passes over what is no number
    return Parity(
        component=contract.kind,
        name=name,
        psnr=round(worst, 2),
        max_error=largest if math.isfinite(largest) else INFINITE,
        threshold=PSNR_WARNING,
        compared=(
            f"{outputs} of the finished package, its stored weights computed with in float32 on "
            f"the processor by this program, and the source network run in float32 by PyTorch, on "
            f"the same seeded inputs: {contract.compared}. The worst of them counts. What a Mac's "
            "own float16 arithmetic adds is not in this."
        ),
        warning=_warning(contract, worst, compression),
    )


def _component(files: Sequence[Path]) -> ComponentInfo:
    import dataclasses

    parts = [inspect_component(path) for path in files]
    first, last = parts[0], parts[-1]
    return dataclasses.replace(first, files=tuple(files), outputs=last.outputs)


def _warning(contract: Contract, decibels: float, compression: Compression) -> str:
    if decibels >= PSNR_WARNING:
        return ""
    what = contract.title
    measured = f"{decibels:.1f} dB, below {PSNR_WARNING:.0f} dB"
    if compression is Compression.NONE:
        return (
            f"The {what} differs from its source more than it should ({measured}); "
            "try another form of attention, and compare pictures before you rely on it."
        )
    return (
        f"Compression changes what the {what} computes ({measured}); "
        "pictures will differ from the source's, and more bits per weight bring them closer."
    )
