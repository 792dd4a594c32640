"""Finding tensors in what a network returns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def output(outputs: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The output called `name`, or the first: older conversions name it otherwise."""
    return outputs[name] if name in outputs else next(iter(outputs.values()))
