"""A UNet's package as two, each with half of the weights, to be run one after the other.

Apple's apps use them where one network would be too much for the memory of a phone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from gui.convert.package.watch import verified_once
from gui.errors import ErrorKind, SfumatoError


def chunk_paths(path: Path) -> tuple[Path, Path]:
    """Where the halves of a package go: beside it, named as Apple names them."""
    first, second = (path.with_name(f"{path.stem}_chunk{n}.mlpackage") for n in (1, 2))
    return first, second


def chunk(path: Path, scratch: Path) -> tuple[Path, Path]:
    """Cut the uncompressed package at `path` in two, in `scratch`; returns the halves.

    It is cut where half of the weights' bytes lie on either side.  Compress the halves afterwards:
    bytes of palettes would not be counted.

    Raises:
        SfumatoError: UNSUPPORTED where the network cannot be cut.
    """
    import coremltools as ct

    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with verified_once():
            ct.models.utils.bisect_model(str(path), str(scratch), check_output_correctness=False)
    except ValueError as error:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This network cannot be cut in two; convert it as a whole instead.",
            str(error),
        ) from error
    first, second = (scratch / f"{path.stem}_chunk{n}.mlpackage" for n in (1, 2))
    return first, second


def load(path: Path) -> object:
    """A package as an MLModel that can be compressed and saved, but not run."""
    import coremltools as ct

    return ct.models.MLModel(str(path), skip_model_load=True)
