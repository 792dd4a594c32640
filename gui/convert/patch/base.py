"""The checkpoint that a finished model was made from, for sums that are exact to the last bit.

A model holds its weights rounded to float16, queries after they were scaled.  With the checkpoint's
own numbers a patched weight is rounded once, as in a conversion.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from gui.convert.checkpoint.reading import read_checkpoint
from gui.convert.checkpoint.weights import canonical, read_tensor
from gui.convert.patch.weights import Base
from gui.errors import ErrorKind, SfumatoError


def base_of(source: Path) -> Base:
    """A checkpoint's parameters.

    Raises:
        SfumatoError: as `read_checkpoint`.
    """
    checkpoint = read_checkpoint(source)
    places = {
        name: {canonical(key): place for key, place in part.tensors.items()}
        for name, part in checkpoint.parts.items()
    }

    def read(part: str, parameter: str) -> np.ndarray | None:
        place = places.get(part, {}).get(parameter)
        if place is None:
            return None
        try:
            return read_tensor(place).numpy()
        except (OSError, SafetensorError, ValueError) as error:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"The weights of “{source.name}” cannot be read; download the checkpoint again.",
                f"{place.file}: {error}",
            ) from error

    return read
