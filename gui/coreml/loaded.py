"""The protocols that separate the pipeline from the machine: what a runtime and a network offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from gui.coreml.model import ComponentInfo, TensorSpec
from gui.request import ComputeUnit


@runtime_checkable
class LoadedModel(Protocol):
    """A component ready to run."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once.

        Args:
            arrays: one array per input, of exactly the described shape; any float or integer
                dtype, converted to the described one.  Optional inputs may be left out.

        Returns:
            One freshly owned array per output (float outputs as float32).

        Raises:
            SfumatoError: BAD_REQUEST for a missing, unknown or misshapen input; MEMORY, BAD_MODEL
                or INTERNAL where the computation fails.
        """
        ...

    def close(self) -> None:
        """Free the weights.  Calling the model afterwards is an error."""
        ...


@runtime_checkable
class Runtime(Protocol):
    """Loads components."""

    @property
    def name(self) -> str:
        """``native`` or ``portable``."""
        ...

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        """Load every file of `component` (chunks are chained by tensor name).

        Raises:
            SfumatoError: BAD_MODEL (missing, damaged, foreign file), UNSUPPORTED (unknown op or
                specification too new), MEMORY.
        """
        ...
