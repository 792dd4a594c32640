"""Shared by the tests of the portable runtime."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gui.coreml.portable import PortableModel, read_stages


def load(path: Path, function: str = "", **options: bool) -> PortableModel:
    """A package or compiled model, ready to run."""
    return PortableModel(read_stages(path, function), **options)  # type: ignore[arg-type]


def decibels(got: np.ndarray, want: np.ndarray) -> float:
    """Peak signal-to-noise ratio of `got`, the peak being that of `want`."""
    assert got.shape == want.shape, (got.shape, want.shape)
    error = float(np.mean((got.astype(np.float64) - want.astype(np.float64)) ** 2))
    peak = float(np.abs(want.astype(np.float64)).max())
    return math.inf if error == 0.0 else 10.0 * math.log10(peak**2 / error)
